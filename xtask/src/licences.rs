//! Every dependency's licence against the list of accepted ones.
//!
//! A licence field is an SPDX expression (`MIT OR Apache-2.0`, older crates write `MIT/Apache-2.0`); it is accepted
//! when some choice it offers needs accepted licences only.

use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// Permissive licences that an Apache-2.0 program may be distributed with. CDLA is one for data: that of the root
/// certificates.
const ACCEPTED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refused = 0;
    for package in workspace.packages() {
        let licence = package.licence.as_deref().unwrap_or("none");
        if accepts(licence) {
            *counts.entry(licence).or_default() += 1;
        } else {
            refused += 1;
            println!("{} {}: licence {licence:?} is not accepted", package.name, package.version);
        }
    }
    for (licence, count) in counts {
        println!("{count:4}  {licence}");
    }
    if refused > 0 {
        bail!("{refused} packages with a licence that is not accepted");
    }
    Ok(())
}

/// Whether some choice that `expression` offers is accepted. What cannot be parsed is not.
fn accepts(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    either(&mut rest).is_some_and(|accepted| accepted && rest.is_empty())
}

/// any = all ("OR" all)*
fn either(tokens: &mut &[&str]) -> Option<bool> {
    let mut accepted = both(tokens)?;
    while let ["OR", rest @ ..] = *tokens {
        *tokens = rest;
        accepted |= both(tokens)?;
    }
    Some(accepted)
}

/// all = one ("AND" one)*
fn both(tokens: &mut &[&str]) -> Option<bool> {
    let mut accepted = one(tokens)?;
    while let ["AND", rest @ ..] = *tokens {
        *tokens = rest;
        accepted &= one(tokens)?;
    }
    Some(accepted)
}

/// one = "(" any ")" | name | name "WITH" exception
fn one(tokens: &mut &[&str]) -> Option<bool> {
    match **tokens {
        ["(", ref rest @ ..] => {
            *tokens = rest;
            let accepted = either(tokens)?;
            let [")", rest @ ..] = *tokens else { return None };
            *tokens = rest;
            Some(accepted)
        }
        [name, "WITH", exception, ref rest @ ..] => {
            *tokens = rest;
            Some(ACCEPTED.contains(&format!("{name} WITH {exception}").as_str()))
        }
        [name, ref rest @ ..] => {
            *tokens = rest;
            Some(ACCEPTED.contains(&name))
        }
        [] => None,
    }
}

#[cfg(test)]
mod tests;
