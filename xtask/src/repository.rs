//! The files of the repository: those that git tracks and those that it would take.

use crate::process;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// One file, with its path from the top ('/'-separated) and its text.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file whose path `wanted` takes, in order of path. Files that are not UTF-8 are left out.
pub(crate) fn files(wanted: impl Fn(&str) -> bool) -> Result<Vec<SourceFile>> {
    let listing = process::output(Command::new("git").args([
        "ls-files",
        "-z",
        "-co",
        "--exclude-standard",
        "--deduplicate",
    ]))?;
    let mut files = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty() && wanted(path)) {
        // Tracked and deleted in the work tree, or a link: not a file to read.
        if !Path::new(path).is_file() {
            continue;
        }
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
