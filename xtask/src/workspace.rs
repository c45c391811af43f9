//! What `cargo metadata` says of the workspace: its crates, their dependencies, and every package that is built.

use crate::process;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Normal,
    Development,
    Build,
}

/// A dependency as a manifest writes it.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) used: Use,
}

/// One package of the build: a crate of the workspace or a dependency of one.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) member: bool,
    pub(crate) manifest: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// The workspace.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    packages: Vec<Package>,
    /// (package id, ids of what its library links), normal edges only.
    links: Vec<(String, Vec<String>)>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self> {
        let mut command = Command::new(cargo());
        command.args(["metadata", "--format-version", "1"]);
        command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        let text = process::output(&mut command)?;
        let value: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
        Self::parse(&value)
    }

    fn parse(value: &Value) -> Result<Self> {
        let members: Vec<&str> = list(value, "workspace_members").iter().filter_map(Value::as_str).collect();
        let packages =
            list(value, "packages").iter().map(|one| package(one, &members)).collect::<Result<_>>()?;
        let links = list(&value["resolve"], "nodes").iter().map(links_of).collect::<Result<_>>()?;
        Ok(Self {
            root: string(value, "workspace_root")?.into(),
            target: string(value, "target_directory")?.into(),
            packages,
            links,
        })
    }

    /// The top of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where builds go.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Everything that is built, the workspace's own crates included.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The workspace's own crates.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }

    /// Names of all packages that the library of `package` links, directly or not.
    pub(crate) fn closure(&self, package: &Package) -> Vec<&str> {
        let mut ids: Vec<&str> = vec![&package.id];
        let mut next = 0;
        while let Some(&id) = ids.get(next) {
            next += 1;
            let linked = self.links.iter().find(|(from, _)| from == id).map(|(_, to)| to.as_slice());
            for to in linked.unwrap_or_default() {
                if !ids.contains(&to.as_str()) {
                    ids.push(to);
                }
            }
        }
        let name = |id: &str| self.packages.iter().find(|package| package.id == id).map(|p| p.name.as_str());
        ids.into_iter().skip(1).filter_map(name).collect()
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn package(value: &Value, members: &[&str]) -> Result<Package> {
    let id = string(value, "id")?;
    let dependencies = list(value, "dependencies")
        .iter()
        .map(|one| Ok(Dependency { name: string(one, "name")?, used: use_of(&one["kind"]) }))
        .collect::<Result<_>>()?;
    Ok(Package {
        name: string(value, "name")?,
        version: string(value, "version")?,
        licence: value["license"].as_str().map(str::to_owned),
        member: members.contains(&id.as_str()),
        manifest: string(value, "manifest_path")?.into(),
        dependencies,
        id,
    })
}

fn links_of(node: &Value) -> Result<(String, Vec<String>)> {
    let mut to = Vec::new();
    for dependency in list(node, "deps") {
        if list(dependency, "dep_kinds").iter().any(|kind| use_of(&kind["kind"]) == Use::Normal) {
            to.push(string(dependency, "pkg")?);
        }
    }
    Ok((string(node, "id")?, to))
}

fn use_of(kind: &Value) -> Use {
    match kind.as_str() {
        Some("dev") => Use::Development,
        Some("build") => Use::Build,
        _ => Use::Normal,
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("cargo metadata lacks {key}"))
}
