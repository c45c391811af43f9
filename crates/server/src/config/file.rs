//! Configuration files: TOML, JSON or INI, as a flat map from key to text.
//!
//! Keys stand at the top level or in a table `server`; where both have one, the top level wins. Dashes in keys count
//! as underscores. The ending of the file's name decides the format; with another ending TOML is tried, then INI.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

type Flat = BTreeMap<String, String>;

pub(super) fn read(path: &Path) -> Result<Flat> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {shown}"))?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("").to_ascii_lowercase();
    let flat = match ending.as_str() {
        "json" => from_json(&text),
        "toml" => from_toml(&text),
        "ini" | "cfg" | "conf" => from_ini(&text),
        _ => from_toml(&text).or_else(|_| from_ini(&text)),
    };
    flat.with_context(|| format!("in the configuration file {shown}"))
}

fn from_json(text: &str) -> Result<Flat> {
    let value: serde_json::Value = serde_json::from_str(text).context("it is no JSON")?;
    let serde_json::Value::Object(mut top) = value else { bail!("expected a JSON object") };
    let inner = match top.remove("server") {
        Some(serde_json::Value::Object(inner)) => inner,
        Some(_) => bail!("\"server\" must be an object"),
        None => serde_json::Map::new(),
    };
    let mut flat = Flat::new();
    for (key, value) in inner.into_iter().chain(top) {
        let key = normal(&key);
        if let Some(text) = json_text(&value, between(&key)).with_context(|| format!("the key {key:?}"))? {
            flat.insert(key, text);
        }
    }
    Ok(flat)
}

/// `None` for null, which counts as absent.
fn json_text(value: &serde_json::Value, between: &str) -> Result<Option<String>> {
    Ok(Some(match value {
        serde_json::Value::Null => return Ok(None),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.to_string(),
        serde_json::Value::Array(items) => {
            let items = items.iter().filter_map(|item| json_text(item, between).transpose());
            items.collect::<Result<Vec<_>>>()?.join(between)
        }
        serde_json::Value::Object(_) => bail!("has an object where a value is expected"),
    }))
}

fn from_toml(text: &str) -> Result<Flat> {
    let mut top: toml::Table = toml::from_str(text).context("it is no TOML")?;
    let inner = match top.remove("server") {
        Some(toml::Value::Table(inner)) => inner,
        Some(_) => bail!("\"server\" must be a table"),
        None => toml::Table::new(),
    };
    let mut flat = Flat::new();
    for (key, value) in inner.into_iter().chain(top) {
        let key = normal(&key);
        let text = toml_text(&value, between(&key)).with_context(|| format!("the key {key:?}"))?;
        flat.insert(key, text);
    }
    Ok(flat)
}

fn toml_text(value: &toml::Value, between: &str) -> Result<String> {
    Ok(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| toml_text(item, between));
            items.collect::<Result<Vec<_>>>()?.join(between)
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => {
            bail!("has a table or a date where a value is expected")
        }
    })
}

/// `[section]` headers, `key = value` or `key: value`, comments behind `#` or `;` at the start of a line.
fn from_ini(text: &str) -> Result<Flat> {
    let (mut top, mut inner) = (Flat::new(), Flat::new());
    let mut in_server = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let number = number + 1;
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            in_server = match section.trim() {
                "server" => true,
                "DEFAULT" => false,
                other => bail!("line {number}: unknown section [{other}]; expected [server]"),
            };
            continue;
        }
        let Some((key, value)) = line.split_once(['=', ':']) else {
            bail!("line {number}: expected key = value, found {line:?}");
        };
        let values = if in_server { &mut inner } else { &mut top };
        values.insert(normal(key.trim()), value.trim().to_owned());
    }
    inner.extend(top);
    Ok(inner)
}

/// What stands between the items of a list where it is written as one text.
fn between(key: &str) -> &'static str {
    // A directory's name may hold a comma.
    if key == "file_roots" { ":" } else { "," }
}

fn normal(key: &str) -> String {
    key.replace('-', "_")
}
