//! `cargo xtask check`: all steps in order, cheap ones first, and what each took. A failed step does not keep the
//! later ones from running, so that one run shows everything that is wrong.

use crate::workspace::{Workspace, cargo};
use crate::{licences, links, packaging, process, python, tidy};
use anyhow::{Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};

/// A cold build of everything fits twice, on two slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
/// A debugging switch left on must not fill the logs of an unattended run for ever.
const SLOW_LIMIT: Duration = Duration::from_secs(4 * 3600);

type Step<'a> = (&'static str, Box<dyn Fn() -> Result<()> + 'a>);

pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    let steps: Vec<Step<'_>> = vec![
        ("prepare", Box::new(|| python::prepare(workspace))),
        ("fmt", Box::new(format)),
        ("tidy", Box::new(|| tidy::run(workspace))),
        ("licences", Box::new(|| licences::run(workspace))),
        ("links", Box::new(links::run)),
        ("packaging", Box::new(|| packaging::run(workspace))),
        ("python", Box::new(|| python::package(workspace))),
        ("clippy", Box::new(clippy)),
        ("test", Box::new(|| tests(&[], false))),
        ("mutants", Box::new(mutants)),
        ("e2e", Box::new(|| python::end_to_end(workspace, None, false))),
    ];
    let begin = Instant::now();
    let mut took = Vec::new();
    let mut failed = Vec::new();
    for (name, step) in &steps {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = step();
        let seconds = start.elapsed().as_secs_f64();
        took.push(format!("{name} {seconds:.0} s"));
        match outcome {
            Ok(()) => println!("=== {name}: ok in {seconds:.1} s"),
            Err(error) => {
                println!("=== {name}: FAILED after {seconds:.1} s: {error:#}");
                failed.push(*name);
            }
        }
    }
    println!("\ncheck took {:.0} s ({})", begin.elapsed().as_secs_f64(), took.join(", "));
    if !failed.is_empty() {
        bail!("check failed: {}", failed.join(", "));
    }
    println!("check: everything is fine");
    Ok(())
}

pub(crate) fn format() -> Result<()> {
    process::run(Command::new(cargo()).args(["fmt", "--all", "--", "--check"]), BUILD_LIMIT)
}

pub(crate) fn clippy() -> Result<()> {
    let mut command = Command::new(cargo());
    command.args(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    process::run(&mut command, BUILD_LIMIT)
}

pub(crate) fn tests(arguments: &[String], slow: bool) -> Result<()> {
    let mut command = Command::new(cargo());
    command.args(["test", "--release", "--workspace", "--no-fail-fast"]).args(arguments);
    if slow {
        command.env("LAVANDIN_SLOW_TESTS", "1");
    }
    process::run(&mut command, if slow { SLOW_LIMIT } else { BUILD_LIMIT })
}

/// The simulation against deliberate mistakes in the replication protocol, each of which it must find.
pub(crate) fn mutants() -> Result<()> {
    let mut command = Command::new(cargo());
    command.args([
        "test",
        "--release",
        "--package",
        "lavandin-sim",
        "--features",
        "mutations",
        "--",
        "mutants",
    ]);
    process::run(&mut command, BUILD_LIMIT)
}

/// The release binary. Naming a test target as well gives dependencies the features that they have in `test` (cargo
/// unites those of dev-dependencies into them), so that nothing is built a second time.
pub(crate) fn binary(workspace: &Workspace) -> Result<std::path::PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--workspace", "--bin", "lavandin", "--test", "it"]);
    process::run(&mut command, BUILD_LIMIT)?;
    Ok(workspace.target().join("release").join(format!("lavandin{}", std::env::consts::EXE_SUFFIX)))
}

pub(crate) fn slow(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    let arguments: Vec<String> = filter.map(str::to_owned).into_iter().collect();
    tests(&arguments, true)?;
    python::end_to_end(workspace, filter, true)
}
