//! `lavandin cluster verify`: whether the copies of shard groups hold the same records.
//!
//! Any node or coordinator may be asked. The status is 0 where no copy is wrong, also where some could not be compared; 1
//! where one is, or where nobody answers.

use crate::client::{explained, options, output};
use anyhow::{Result, bail};
use clap::{ArgMatches, Command};
use lavandin_client::Blocking;
use serde_json::Value;
use std::fmt::Write;

pub(crate) fn command() -> Command {
    Command::new("verify").about("Compare the copies of every shard group, record by record")
}

/// Runs `lavandin cluster verify` with its flags.
pub(crate) fn run(flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let client = Blocking::new(&options(flags, variable)).map_err(explained)?;
    let found = client.run(async |client| client.verify_cluster().await).map_err(explained)?;
    match flags.get_flag("json") {
        true => output::object(&found)?,
        false => output::print(table(&found).as_bytes())?,
    }
    if found["wrong"] == true {
        bail!(
            "a copy is wrong; stop its node, remove its data directory and start it: it is rebuilt from the others"
        );
    }
    Ok(())
}

/// A line for each copy.
fn table(found: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut shown = String::new();
    for group in list(&found["shard_groups"]) {
        let name = text(&group["group"]);
        // A string takes what is written.
        let _ =
            writeln!(shown, "{name}: {} records in {} collections", group["records"], group["collections"]);
        for copy in list(&group["copies"]) {
            let names: Vec<String> = list(&copy["collections"]).iter().map(text).collect();
            let about = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            let reason = copy["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let verdict = text(&copy["verdict"]).replace('_', " ");
            let _ = writeln!(shown, "  {}  {verdict}{about}{reason}", text(&copy["uri"]));
        }
    }
    shown
}

#[cfg(test)]
mod tests;
