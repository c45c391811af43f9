//! Links in the documents: what a relative link names must exist, and so must the heading behind its `#`.
//!
//! Links to other hosts are left alone: a check must not depend on the network.

use crate::repository::{self, SourceFile};
use anyhow::{Result, bail};
use std::path::{Component, Path, PathBuf};

pub(crate) fn run() -> Result<()> {
    let documents = repository::files(|path| path.ends_with(".md"))?;
    let mut checked = 0;
    let mut broken = 0;
    for document in &documents {
        for (line, target) in links(&document.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            if let Err(why) = check(document, &documents, target) {
                broken += 1;
                println!("{}:{line}: {target}: {why}", document.path);
            }
        }
    }
    println!("{checked} relative links in {} documents", documents.len());
    if broken > 0 {
        bail!("{broken} broken links");
    }
    Ok(())
}

fn check(document: &SourceFile, documents: &[SourceFile], target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() {
        document.path.clone()
    } else {
        let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        let resolved = normal(&folder.join(path)).ok_or("leads out of the repository")?;
        if !resolved.exists() {
            return Err("does not exist".to_owned());
        }
        resolved.to_string_lossy().replace('\\', "/")
    };
    let Some(anchor) = anchor else { return Ok(()) };
    let Some(aimed) = documents.iter().find(|other| other.path == file) else {
        return Err("only documents have headings to link to".to_owned());
    };
    if anchors(&aimed.text).any(|known| known == anchor) { Ok(()) } else { Err("no such heading".to_owned()) }
}

/// `path` without `.` and `..`; none if it would leave the folder it starts from.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => result.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !result.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(result)
}

/// Targets of `[text](target)` with their line numbers, outside fenced blocks and inline code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line;
        let mut code = false;
        while let Some(at) = rest.find(['`', ']']) {
            let after = &rest[at..];
            if let Some(next) = after.strip_prefix('`') {
                code = !code;
                rest = next;
            } else if let Some(target) = after.strip_prefix("](").filter(|_| !code) {
                let (inside, next) = target.split_once(')').unwrap_or((target, ""));
                found.push((number, inside.split_whitespace().next().unwrap_or("")));
                rest = next;
            } else {
                rest = &after[1..];
            }
        }
    }
    found
}

/// The anchors that headings get: lower case, punctuation dropped, blanks turned into hyphens.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| {
        line.trim_start_matches('#')
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
            .collect()
    })
}

/// Numbered lines outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests;
