//! The Python side of the checks: a virtual environment with pinned packages, the tests of the Python package, and the
//! end-to-end tests that drive the release binary through published clients.
//!
//! The environment lives in target/check-venv and is made again when xtask/requirements.txt changes.

use crate::check;
use crate::process;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const REQUIREMENTS: &str = include_str!("../requirements.txt");
const TESTS: &str = "tests/e2e";
const CHAOS: &str = "tests/e2e/cluster/chaos.py";
const PACKAGE: &str = "python";
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);
const PACKAGE_LIMIT: Duration = Duration::from_secs(5 * 60);
const TESTS_LIMIT: Duration = Duration::from_secs(30 * 60);
const SLOW_TESTS_LIMIT: Duration = Duration::from_secs(4 * 3600);
/// The driver ends by itself; this is for one that hangs on a whole night's run.
const CHAOS_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// The published client waits for ever for a reply; no single normal test may.
const ONE_TEST_SECONDS: u32 = 300;

/// Makes the environment unless one made from the same requirements is there.
pub(crate) fn prepare(workspace: &Workspace) -> Result<()> {
    let home = home(workspace);
    let stamp = home.join("requirements.txt");
    let current = std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == REQUIREMENTS);
    if current && process::succeeds(Command::new(program(workspace, "python")).args(["-c", "import numpy"])) {
        println!("{} is up to date", shown(workspace, &home));
        return Ok(());
    }
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    create(&home)?;
    let mut install = Command::new(program(workspace, "python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    install.args(["--requirement", "xtask/requirements.txt"]);
    process::run(&mut install, INSTALL_LIMIT)?;
    std::fs::write(&stamp, REQUIREMENTS)?;
    Ok(())
}

/// Runs the tests of the Python package.
pub(crate) fn package(workspace: &Workspace) -> Result<()> {
    prepare(workspace)?;
    process::run(&mut pytest(workspace, PACKAGE), PACKAGE_LIMIT)
}

/// Builds the release binary and runs the end-to-end tests against it.
pub(crate) fn end_to_end(workspace: &Workspace, filter: Option<&str>, slow: bool) -> Result<()> {
    prepare(workspace)?;
    let binary = check::binary(workspace)?;
    if !Path::new(TESTS).is_dir() {
        bail!("{TESTS} is missing");
    }
    let mut command = pytest(workspace, TESTS);
    if let Some(filter) = filter {
        command.args(["-k", filter]);
    }
    if slow {
        command.env("LAVANDIN_SLOW_TESTS", "1");
    } else {
        command.arg(format!("--timeout={ONE_TEST_SECONDS}"));
    }
    command.env("LAVANDIN_BIN", binary);
    process::run(&mut command, if slow { SLOW_TESTS_LIMIT } else { TESTS_LIMIT })
}

/// Builds the release binary and inflicts faults on a cluster of it; `arguments` go to the driver.
pub(crate) fn chaos(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    prepare(workspace)?;
    let binary = check::binary(workspace)?;
    let mut command = python(workspace);
    command.arg(CHAOS).args(arguments).env("LAVANDIN_BIN", binary);
    process::run(&mut command, CHAOS_LIMIT)
}

fn pytest(workspace: &Workspace, folder: &str) -> Command {
    let mut command = python(workspace);
    command.args(["-m", "pytest", folder, "-ra", "-p", "no:cacheprovider"]);
    command
}

/// The environment's Python, without the variables of the developer's own server.
fn python(workspace: &Workspace) -> Command {
    let mut command = Command::new(program(workspace, "python"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let is_server_s =
            ["LYNSE_", "LAVENDER_DATA_", "LAVANDIN_"].iter().any(|prefix| name.starts_with(prefix));
        if is_server_s && name != "LAVANDIN_SLOW_TESTS" {
            command.env_remove(name);
        }
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A program of the environment.
pub(crate) fn program(workspace: &Workspace, name: &str) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    home(workspace).join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn home(workspace: &Workspace) -> PathBuf {
    workspace.target().join("check-venv")
}

fn shown(workspace: &Workspace, path: &Path) -> String {
    path.strip_prefix(workspace.root()).unwrap_or(path).display().to_string()
}

fn create(home: &Path) -> Result<()> {
    let make = || process::run(Command::new("python3").args(["-m", "venv"]).arg(home), INSTALL_LIMIT);
    let Err(error) = make() else { return Ok(()) };
    if process::is_ci() && is_root() && process::succeeds(Command::new("apt-get").arg("--version")) {
        println!("python3 -m venv does not work ({error:#}); installing python3-venv");
        process::run(Command::new("apt-get").args(["update", "--quiet"]), INSTALL_LIMIT)?;
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--no-install-recommends", "python3", "python3-venv"]);
        process::run(install.env("DEBIAN_FRONTEND", "noninteractive"), INSTALL_LIMIT)?;
        return make();
    }
    Err(error).context("python3 with venv is needed; on Debian: apt-get install python3-venv")
}

fn is_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
