//! The project's automation: `cargo xtask check` is what "done" means, the other commands are its parts.
//!
//! Invariants: needs nothing but the Rust toolchain, git and Python 3 with `venv`; reaches nothing but the package
//! registries, by package name; writes nothing outside the target directory. Driven by people, by `.ci/run` and by
//! nothing else. Deliberately absent: releases and benchmarks.

mod check;
mod licences;
mod links;
mod packaging;
mod process;
mod python;
mod repository;
mod tidy;
mod workspace;

use anyhow::{Result, bail};
use std::process::ExitCode;
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check           everything below but `slow` and `chaos`; what must pass before a change is done
  prepare         the Python environment of the end-to-end tests (target/check-venv)
  fmt             formatting, checked and not changed
  clippy          clippy on all targets, warnings denied
  test [ARGS]     unit and integration tests of the workspace; ARGS go to `cargo test`
  mutants         the simulation against deliberate mistakes, which it must find
  python          the tests of the Python package
  e2e [FILTER]    the Python end-to-end tests against the release binary; FILTER is a pytest -k expression
  slow [FILTER]   `test` and `e2e` with the slow tests switched on (LAVANDIN_SLOW_TESTS=1)
  chaos [ARGS]    faults on a cluster of real processes, and the count of what was wrong: --minutes N [--seed S] [--json]
  tidy            the house rules: crate edges, sizes, headers, paths
  licences        every dependency's licence against the list of accepted ones
  links           relative links in the documents
  packaging       Dockerfile and systemd unit";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match run(&command, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rest: &[String]) -> Result<()> {
    let workspace = Workspace::load()?;
    std::env::set_current_dir(workspace.root())?;
    match command {
        "check" => check::everything(&workspace),
        "prepare" => python::prepare(&workspace),
        "fmt" => check::format(),
        "clippy" => check::clippy(),
        "test" => check::tests(rest, false),
        "mutants" => check::mutants(),
        "python" => python::package(&workspace),
        "e2e" => python::end_to_end(&workspace, rest.first().map(String::as_str), false),
        "slow" => check::slow(&workspace, rest.first().map(String::as_str)),
        "chaos" => python::chaos(&workspace, rest),
        "tidy" => tidy::run(&workspace),
        "licences" => licences::run(&workspace),
        "links" => links::run(),
        "packaging" => packaging::run(&workspace),
        _ => {
            eprintln!("{USAGE}");
            bail!("unknown command {command:?}")
        }
    }
}
