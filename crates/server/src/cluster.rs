//! `lavandin cluster`: how a cluster stands, and changes of its members.
//!
//! Any node or coordinator may be asked. A change is begun by one request; the cluster carries it out by itself, whatever
//! becomes of this command, and `--wait` only watches. Results go to standard output and all else to standard error;
//! the status is 0, 1 where the cluster refuses or cannot be reached, 2 where the command line is wrong.

mod arguments;
mod table;

use crate::client::{explained, options, output};
use crate::cluster_verify;
use anyhow::{Result, bail};
use clap::ArgMatches;
use lavandin_client::Blocking;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

pub(crate) use arguments::command;

const LOOK: Duration = Duration::from_millis(500);

/// Runs `lavandin cluster` with its flags.
pub(crate) fn run(flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let Some((action, flags)) = flags.subcommand() else {
        bail!("lavandin cluster wants an action; see --help")
    };
    if action == "verify" {
        return cluster_verify::run(flags, variable);
    }
    let client = Blocking::new(&options(flags, variable)).map_err(explained)?;
    let as_json = flags.get_flag("json");
    if action == "status" {
        return status(&client, as_json);
    }
    let body = body_of(action, flags);
    let path = action.replace('-', "_");
    let changed = client.run(async |client| client.change_members(&path, &body).await).map_err(explained)?;
    if let Some(seconds) = flags.try_get_one::<u64>("wait").ok().flatten() {
        wait(&client, Duration::from_secs(*seconds))?;
    }
    match as_json {
        true => output::object(&changed),
        false => output::print(format!("{}\n", changed["message"].as_str().unwrap_or_default()).as_bytes()),
    }
}

fn status(client: &Blocking, as_json: bool) -> Result<()> {
    let asked = client.run(async |client| {
        let info = client.cluster_info().await?;
        // A server of an earlier version does not tell it.
        let feeding = client.feeding().await.unwrap_or_default();
        Ok((info, client.coordinator_status().await?, feeding))
    });
    let (mut info, coordinator, feeding) = asked.map_err(explained)?;
    info["feeding"] = feeding;
    if !as_json {
        return output::print(table::status(&info, &coordinator["metadata"]).as_bytes());
    }
    info["metadata"] = coordinator["metadata"].clone();
    info["leader"] = coordinator["leader"].clone();
    info["under_way"] = json!(under_way(&info));
    output::object(&info)
}

/// The request of an action: its flags by their names, those that were given.
fn body_of(action: &str, flags: &ArgMatches) -> Map<String, Value> {
    let mut body = Map::new();
    for name in arguments::texts_of(action) {
        if let Some(text) = flags.get_one::<String>(name) {
            body.insert((*name).to_owned(), json!(text));
        }
    }
    match action {
        "add-group" => {
            let replicas: Vec<&String> = flags.get_many("replica").into_iter().flatten().collect();
            body.insert("replicas".to_owned(), json!(replicas));
        }
        "remove" => drop(body.insert("fewer_copies".to_owned(), json!(flags.get_flag("fewer-copies")))),
        "options" => {
            let detection_ms =
                flags.get_one::<f64>("detection-secs").map(|seconds| (seconds * 1000.0) as u64);
            let owners: Option<Vec<&String>> = flags.get_many("metadata-owner").map(Iterator::collect);
            let chosen = flags.get_flag("choose-metadata-owners").then(Vec::new);
            body.insert("detection_ms".to_owned(), json!(detection_ms));
            body.insert("min_insync".to_owned(), json!(flags.get_one::<u32>("min-insync")));
            body.insert("metadata_owners".to_owned(), json!(owners.or(chosen)));
        }
        _ => {}
    }
    body
}

/// Watches until nothing is under way any more. A node that does not answer for a while may have been killed: it is asked again.
fn wait(client: &Blocking, limit: Duration) -> Result<()> {
    let until = Instant::now() + limit;
    let mut told = Vec::new();
    loop {
        let found = match client.run(async |client| client.cluster_info().await) {
            Ok(info) => under_way(&info),
            Err(error) => vec![explained(error).to_string()],
        };
        if found.is_empty() {
            return Ok(());
        }
        if found != told {
            found.iter().for_each(|sentence| eprintln!("{sentence}"));
            told.clone_from(&found);
        }
        if Instant::now() >= until {
            bail!(
                "the change goes on, and was not done within {} s; lavandin cluster status shows it",
                limit.as_secs()
            );
        }
        std::thread::sleep(LOOK);
    }
}

/// What the cluster is at, a sentence each.
fn under_way(info: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for group in list(info, "shard_groups") {
        let name = text(group, "name");
        if group["primary_leaving"] == true {
            found.push(format!("group {name}: the primary on {} is to go", text(group, "primary")));
        }
        for replica in list(group, "replicas") {
            let uri = text(replica, "uri");
            if replica["leaving"] == true {
                found.push(format!("group {name}: the copy on {uri} is to go"));
            } else if replica["joining"] == true {
                found
                    .push(format!("group {name}: the copy on {uri} is catching up{}", table::share(replica)));
            } else if replica["state"] == "stale" && info["write_mirror_replicas"] != false {
                found.push(format!("group {name}: the copy on {uri} waits to catch up"));
            }
        }
    }
    let retiring = list(info, "nodes").iter().filter(|node| node["retiring"] == true);
    found.extend(
        retiring.map(|node| {
            format!("{} is to be removed; it holds {} copies", text(node, "uri"), node["copies"])
        }),
    );
    found
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
