//! `lavandin client datasets …`

use super::{explained, output, text};
use anyhow::Result;
use clap::ArgMatches;
use lavandin_client::Blocking;
use lavandin_wire::lavender::CreateDataset;

pub(super) fn run(client: &Blocking, flags: &ArgMatches) -> Result<()> {
    match flags.subcommand() {
        Some(("get", flags)) => {
            let dataset = match flags.get_one::<String>("id") {
                Some(id) => client.run(async |client| client.dataset(id).await),
                None => client.run(async |client| client.dataset_by_name(text(flags, "name")).await),
            };
            output::object(&dataset.map_err(explained)?)
        }
        Some(("create", flags)) => {
            let new = CreateDataset {
                name: text(flags, "name").to_owned(),
                uid_column_name: text(flags, "uid-column-name").to_owned(),
                shardset_location: flags.get_one::<String>("shardset-location").cloned(),
            };
            let created = client.run(async |client| client.create_dataset(&new).await);
            output::object(&created.map_err(explained)?)
        }
        Some(("delete", flags)) => {
            let deleted = client.run(async |client| client.delete_dataset(text(flags, "id")).await);
            output::object(&deleted.map_err(explained)?)
        }
        other => {
            let name = other.and_then(|(_, flags)| flags.get_one::<String>("name"));
            let datasets = client.run(async |client| client.datasets(name.map(String::as_str)).await);
            output::list(&datasets.map_err(explained)?)
        }
    }
}
