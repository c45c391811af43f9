//! Rules on single files: lengths of files and functions, module headers, file names, machine paths.

use super::blank::blanked;
use super::{Finding, Rule};
use crate::repository::SourceFile;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
/// How far into a file its header may begin (a licence line or an attribute may stand before it).
const HEADER_LINES: usize = 3;
/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "manager", "misc"];
/// Top folders that exist on one machine only.
const MACHINE_FOLDERS: [&str; 5] = ["tmp", "work", "root", "home", "farm"];

pub(super) fn findings(file: &SourceFile) -> Vec<Finding> {
    let mut findings = machine_paths(file);
    let generated = file.text.lines().next().is_some_and(|line| line.contains("@generated"));
    if !file.path.ends_with(".rs") || generated {
        return findings;
    }
    findings.extend(name(file));
    if !is_test(&file.path) {
        findings.extend(header(file));
        findings.extend(length(file));
        findings.extend(functions(file));
    }
    findings
}

/// Test files may be long: a table of cases reads better in one piece.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/benches/")
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX).then(|| Finding {
        rule: Rule::FileLines,
        place: file.path.clone(),
        message: format!("{lines} lines; {FILE_LINES_MAX} are the ceiling"),
    })
}

fn header(file: &SourceFile) -> Option<Finding> {
    let found = file.text.lines().take(HEADER_LINES).any(|line| line.starts_with("//! "));
    (!found).then(|| Finding {
        rule: Rule::Header,
        place: file.path.clone(),
        message: "no //! header that says what the module is for".to_owned(),
    })
}

fn name(file: &SourceFile) -> Option<Finding> {
    let stem = file.path.rsplit('/').next()?.strip_suffix(".rs")?;
    EMPTY_NAMES.contains(&stem).then(|| Finding {
        rule: Rule::FileName,
        place: file.path.clone(),
        message: format!("{stem:?} says nothing; name the file after its concept"),
    })
}

/// Paths that exist on one machine only, such as a home folder.
fn machine_paths(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        if names_machine_path(line) {
            findings.push(Finding {
                rule: Rule::MachinePath,
                place: file.path.clone(),
                message: format!("line {} has a path that belongs to one machine", index + 1),
            });
        }
    }
    findings
}

fn names_machine_path(line: &str) -> bool {
    line.match_indices('/').any(|(at, _)| {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
            return false;
        }
        let mut parts = line[at + 1..].splitn(2, '/');
        let folder = parts.next().is_some_and(|folder| MACHINE_FOLDERS.contains(&folder));
        folder && parts.next().and_then(|rest| rest.chars().next()).is_some_and(|c| c.is_ascii_alphanumeric())
    })
}

fn functions(file: &SourceFile) -> Vec<Finding> {
    measured(&file.text)
        .into_iter()
        .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
        .map(|(name, lines)| Finding {
            rule: Rule::FunctionLines,
            place: format!("{}::{name}", file.path),
            message: format!("the function has {lines} lines; {FUNCTION_LINES_MAX} are the ceiling"),
        })
        .collect()
}

/// Name and lines (from `fn` to the closing brace, both counted) of every function with a body.
fn measured(source: &str) -> Vec<(String, usize)> {
    let code = blanked(source);
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let begin = at;
        at += word_length(&code[at..]).max(1);
        if &code[begin..at] != b"fn" {
            continue;
        }
        let name_at = at + code[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let name_end = name_at + word_length(&code[name_at..]);
        // `fn(u32) -> u32` is a type.
        if name_end == name_at {
            continue;
        }
        let Some(end) = body_end(&code, name_end) else { continue };
        let lines = code[begin..end].iter().filter(|&&byte| byte == b'\n').count() + 1;
        found.push((String::from_utf8_lossy(&code[name_at..name_end]).into_owned(), lines));
    }
    found
}

fn word_length(code: &[u8]) -> usize {
    code.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// Where the body that follows `from` ends; none for a declaration without one.
fn body_end(code: &[u8], from: usize) -> Option<usize> {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && brackets == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
