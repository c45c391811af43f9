//! `lavandin client iterations …`

use super::{explained, output, sample, text};
use anyhow::{Result, bail};
use clap::ArgMatches;
use lavandin_client::{Blocking, NextOptions, Submitted};

pub(super) fn run(client: &Blocking, flags: &ArgMatches) -> Result<()> {
    let Some((command, flags)) = flags.subcommand() else { return Ok(()) };
    if command == "list" {
        return list(client, flags);
    }
    let id = text(flags, "id");
    match command {
        "get" => output::object(&client.run(async |client| client.iteration(id).await).map_err(explained)?),
        "next" => {
            let options = fetching(flags);
            let batch = client.run(async |client| client.next_batch(id, options).await);
            sample::print(&batch.map_err(explained)?.bytes)
        }
        "async-next" => {
            let options = fetching(flags);
            let submitted = client.run(async |client| client.submit_next(id, options).await);
            output::object(&submitted.map_err(explained)?)
        }
        "async-result" => {
            let key = text(flags, "key");
            match client.run(async |client| client.submitted(id, key).await).map_err(explained)? {
                Submitted::Ready(batch) => sample::print(&batch.bytes),
                Submitted::Pending => bail!("the batch is still being made; ask again after a moment"),
            }
        }
        "complete-index" => {
            let index = flags.get_one::<u64>("index").copied().unwrap_or_default();
            client.run(async |client| client.complete_index(id, index).await).map_err(explained)?;
            output::object(&())
        }
        "cursor" => {
            let steps = flags.get_one::<u64>("steps").copied().unwrap_or_default();
            output::object(&client.run(async |client| client.cursor(id, steps).await).map_err(explained)?)
        }
        "pushback" => {
            client.run(async |client| client.pushback(id).await).map_err(explained)?;
            output::object(&())
        }
        _ => output::object(&client.run(async |client| client.progress(id).await).map_err(explained)?),
    }
}

fn list(client: &Blocking, flags: &ArgMatches) -> Result<()> {
    let iterations = client.run(async |client| {
        let named = match flags.get_one::<String>("dataset-name") {
            Some(name) => Some(client.dataset_by_name(name).await?.dataset.id),
            None => None,
        };
        let dataset = flags.get_one::<String>("dataset-id").or(named.as_ref());
        client.iterations(dataset.map(String::as_str)).await
    });
    output::list(&iterations.map_err(explained)?)
}

fn fetching(flags: &ArgMatches) -> NextOptions {
    let number = |name| flags.get_one::<i64>(name).copied().unwrap_or_default();
    NextOptions {
        rank: number("rank"),
        no_cache: flags.get_flag("no-cache"),
        max_retry_count: number("max-retry-count"),
        step: flags.get_one::<u64>("step").copied(),
    }
}
