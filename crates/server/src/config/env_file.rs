//! Files of variables: `NAME=value` a line, as env files of Lavender Data have them. The environment wins over them.
//!
//! Settings are looked up in them by `cli`. Other variables, such as the credentials of a store, become part of the
//! process's environment, where user code finds them too.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads a file of variables.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the env file {shown}"))?;
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let parsed = parse(line).with_context(|| format!("the env file {shown}, line {}", number + 1))?;
        variables.extend(parsed);
    }
    Ok(variables)
}

/// Puts variables into the environment unless they are there.
pub(crate) fn adopt(variables: &BTreeMap<String, String>) {
    for (name, value) in variables {
        if std::env::var_os(name).is_none_or(|present| present.is_empty()) {
            // SAFETY: `cli::main` calls this before it starts the first thread, so that nothing reads the environment
            // meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// One line; `None` where it says nothing. A `#` after a blank starts a comment, unless the value stands in quotes.
fn parse(line: &str) -> Result<Option<(String, String)>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=') else {
        bail!("expected NAME=value, found {line:?}");
    };
    let (name, value) = (name.trim(), value.trim());
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        bail!("{name:?} is no name of a variable");
    }
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            let Some((inner, after)) = rest.split_once(quote) else { bail!("a quote is not closed") };
            if !after.trim().is_empty() && !after.trim_start().starts_with('#') {
                bail!("unexpected text after the closing quote");
            }
            return Ok(Some((name.to_owned(), inner.to_owned())));
        }
    }
    let comment = value.find(" #").or_else(|| value.starts_with('#').then_some(0));
    let value = value[..comment.unwrap_or(value.len())].trim_end();
    Ok(Some((name.to_owned(), value.to_owned())))
}

#[cfg(test)]
mod tests;
