//! Which crate may depend on which. The table is the architecture; ARCHITECTURE.md draws it.

use super::{Finding, Rule};
use crate::workspace::{Package, Use, Workspace};
use anyhow::Result;

/// Crates of the workspace (without the prefix) and those each may depend on. Wing to wing, and anything to
/// `server`, is absent on purpose.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("types", &[]),
    ("storage", &["types"]),
    ("group", &["types", "storage"]),
    ("filter", &["types"]),
    ("vector", &["types", "storage", "filter"]),
    ("shard", &["types", "storage", "group", "filter", "vector"]),
    ("cluster", &["types"]),
    ("consensus", &["types", "storage", "cluster"]),
    ("wire", &["types"]),
    ("peer", &["types"]),
    ("plan", &["types", "group"]),
    ("feed", &["types", "storage", "plan"]),
    (
        "node",
        &[
            "types",
            "storage",
            "group",
            "filter",
            "vector",
            "shard",
            "plan",
            "feed",
            "cluster",
            "consensus",
            "peer",
            "wire",
        ],
    ),
    ("client", &["types", "wire"]),
    ("server", &["types", "peer", "wire", "node", "client"]),
];

/// Crates that must stay free of an async runtime, directly and through what they link.
const PURE: [&str; 8] = ["types", "storage", "group", "filter", "cluster", "vector", "shard", "plan"];

/// Outside crates that only the named crates may name (tests excepted).
const DOORS: [(&str, &[&str]); 5] = [
    ("openraft", &["consensus"]),
    ("redb", &["consensus"]),
    ("axum", &["server"]),
    ("clap", &["server"]),
    ("anyhow", &["server", "bench"]),
];

/// Crates for development only, which may depend on everything.
const DEVELOPMENT: [&str; 4] = ["xtask", "bench", "sim", "model"];

pub(super) fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for member in workspace.members() {
        let manifest = std::fs::read_to_string(&member.manifest)?;
        if !manifest
            .lines()
            .collect::<Vec<_>>()
            .windows(2)
            .any(|pair| pair == ["[lints]", "workspace = true"])
        {
            let message = "the manifest does not take the workspace's lints".to_owned();
            findings.push(Finding { rule: Rule::Lints, place: member.name.clone(), message });
        }
        let name = short(&member.name);
        if DEVELOPMENT.contains(&name) {
            continue;
        }
        findings.extend(forbidden(member));
        if PURE.contains(&name) && workspace.closure(member).contains(&"tokio") {
            findings.push(edge(name, "tokio", "a crate without I/O or async must not link tokio"));
        }
    }
    Ok(findings)
}

/// Forbidden edges that the manifest of `member` writes.
fn forbidden(member: &Package) -> Vec<Finding> {
    let name = short(&member.name);
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        return vec![edge(name, "*", "the crate is not in the table of xtask/src/tidy/edges.rs")];
    };
    let mut findings = Vec::new();
    for dependency in &member.dependencies {
        let to = short(&dependency.name);
        let ours = ALLOWED.iter().any(|(known, _)| *known == to) && to != dependency.name;
        if ours && to != name && !allowed.contains(&to) {
            findings.push(edge(name, to, "this dependency is not in the table of xtask/src/tidy/edges.rs"));
        }
        let door = DOORS.iter().find(|(outside, _)| *outside == dependency.name);
        if let Some((_, doors)) = door.filter(|_| dependency.used != Use::Development)
            && !doors.contains(&name)
        {
            findings.push(edge(name, to, &format!("only {} may name it", doors.join(" and "))));
        }
    }
    findings
}

fn edge(from: &str, to: &str, message: &str) -> Finding {
    Finding { rule: Rule::Edge, place: format!("{from} -> {to}"), message: message.to_owned() }
}

fn short(name: &str) -> &str {
    name.strip_prefix("lavandin-").unwrap_or(name)
}

#[cfg(test)]
mod tests;
