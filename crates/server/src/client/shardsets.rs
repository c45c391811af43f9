//! `lavandin client shardsets …`
//!
//! Creating and syncing one returns at once, while the node goes on reading files. On a terminal the command stays,
//! shows how far that is and prints the shardset when it has ended; elsewhere it prints the answer, as the published
//! command does.

use super::{explained, output, progress, text};
use anyhow::Result;
use clap::ArgMatches;
use lavandin_client::{Blocking, ClientError};
use lavandin_wire::lavender::{CreateShardset, ShardsetFull, SyncShardset};
use std::io::IsTerminal;

pub(super) fn run(client: &Blocking, flags: &ArgMatches) -> Result<()> {
    let Some((command, flags)) = flags.subcommand() else { return Ok(()) };
    let (dataset, shardset) = (text(flags, "dataset-id"), || text(flags, "shardset-id"));
    match command {
        "get" => {
            let found = client.run(async |client| client.shardset(dataset, shardset()).await);
            output::object(&found.map_err(explained)?)
        }
        "delete" => {
            let deleted = client.run(async |client| client.delete_shardset(dataset, shardset()).await);
            output::object(&deleted.map_err(explained)?)
        }
        "create" => {
            let location = text(flags, "location").to_owned();
            let new = CreateShardset { location, columns: Vec::new() };
            let created = client.run(async |client| client.create_shardset(dataset, &new).await);
            followed(client, created)
        }
        _ => {
            let sync = SyncShardset { overwrite: flags.get_flag("overwrite") };
            let begun = client.run(async |client| client.sync_shardset(dataset, shardset(), &sync).await);
            followed(client, begun)
        }
    }
}

/// Prints a shardset of which a sync has begun.
fn followed(client: &Blocking, begun: Result<ShardsetFull, ClientError>) -> Result<()> {
    let begun = begun.map_err(explained)?;
    if !std::io::stderr().is_terminal() {
        return output::object(&begun);
    }
    let (dataset, shardset) = (begun.shardset.dataset_id.as_str(), begun.shardset.id.as_str());
    client.run(async |client| progress::follow(client, dataset, shardset).await)?;
    let now = client.run(async |client| client.shardset(dataset, shardset).await);
    output::object(&now.map_err(explained)?)
}
