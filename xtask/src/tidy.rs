//! `cargo xtask tidy`: the house rules that a program can check.
//!
//! 1. edges: which crate may depend on which, and which outside crates stay behind one door ([`edges`]);
//! 2. sizes: files and functions ([`sources`]);
//! 3. headers, file names and paths that belong to one machine ([`sources`]);
//! 4. every accepted exception is listed with its reason in [`exceptions`]; one that no longer applies is a finding.

mod blank;
mod edges;
mod exceptions;
mod sources;

use crate::repository;
use crate::workspace::Workspace;
use anyhow::{Result, bail};
use exceptions::EXCEPTIONS;

/// The rules, as exceptions name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Edge,
    Lints,
    FileLines,
    FunctionLines,
    Header,
    FileName,
    MachinePath,
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// What exceptions name: `crates/x/src/y.rs`, `crates/x/src/y.rs::function` or `crate -> crate`.
    pub(crate) place: String,
    pub(crate) message: String,
}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut findings = edges::findings(workspace)?;
    let files = repository::files(|path| !path.ends_with(".lock"))?;
    findings.extend(files.iter().flat_map(sources::findings));
    let excused = |finding: &Finding| {
        EXCEPTIONS.iter().any(|exception| exception.rule == finding.rule && exception.place == finding.place)
    };
    let mut count = 0;
    for finding in findings.iter().filter(|finding| !excused(finding)) {
        count += 1;
        println!("{}: {}", finding.place, finding.message);
    }
    for exception in EXCEPTIONS {
        if !findings.iter().any(|finding| finding.rule == exception.rule && finding.place == exception.place)
        {
            count += 1;
            println!("{}: the exception for {:?} is no longer needed", exception.place, exception.rule);
        }
    }
    println!(
        "{} crates and {} files read, {} exceptions",
        workspace.members().count(),
        files.len(),
        EXCEPTIONS.len()
    );
    if count > 0 {
        bail!("{count} breaches of the house rules");
    }
    Ok(())
}
