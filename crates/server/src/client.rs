//! `lavandin client`: the API of datasets and iterations from the command line.
//!
//! Commands, flags and output are those of the published `lavender-data client`: lists print one JSON object a line,
//! everything else prints indented JSON, nothing prints as `null`. Results go to standard output and all else to
//! standard error; the status is 0, 1 where the server refuses or cannot be reached, 2 where the command line is
//! wrong. It speaks to any server of that API.
//!
//! Deliberately absent: the requests themselves (`lavandin_client`) and keys (`keys`).

mod arguments;
mod datasets;
mod iterations;
pub(crate) mod output;
mod progress;
pub(crate) mod sample;
mod shardsets;

use anyhow::{Error, Result};
use clap::ArgMatches;
use lavandin_client::{Blocking, ClientError, ClientOptions};
use lavandin_types::ErrorCode;
use std::time::Duration;

pub(crate) use arguments::command;

pub(crate) const DEFAULT_API_URL: &str = "http://127.0.0.1:7637";
/// In the order in which they count.
pub(crate) const API_URL_VARIABLES: [&str; 2] = ["LAVANDIN_API_URL", "LAVENDER_DATA_API_URL"];
pub(crate) const API_KEY_VARIABLES: [&str; 2] = ["LAVANDIN_API_KEY", "LAVENDER_DATA_API_KEY"];

/// Runs `lavandin client` with its flags.
pub(crate) fn run(flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let client = Blocking::new(&options(flags, variable)).map_err(explained)?;
    match flags.subcommand() {
        Some(("datasets", flags)) => datasets::run(&client, flags),
        Some(("shardsets", flags)) => shardsets::run(&client, flags),
        Some(("iterations", flags)) => iterations::run(&client, flags),
        _ => output::object(&client.run(async |client| client.version().await).map_err(explained)?),
    }
}

pub(crate) fn options(flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> ClientOptions {
    let first_of = |names: [&str; 2]| {
        names.into_iter().find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
    };
    let api_url = flags.get_one::<String>("api-url").cloned().or_else(|| first_of(API_URL_VARIABLES));
    let api_key = flags.get_one::<String>("api-key").cloned().or_else(|| first_of(API_KEY_VARIABLES));
    let options = ClientOptions::new(api_url.unwrap_or_else(|| DEFAULT_API_URL.to_owned())).with_key(api_key);
    match flags.get_one::<u64>("timeout") {
        Some(seconds) => {
            let timeout = Duration::from_secs(*seconds);
            ClientOptions { timeout, batch_timeout: timeout, ..options }
        }
        None => options,
    }
}

/// A failure in words that say what to do.
pub(crate) fn explained(error: ClientError) -> Error {
    let hint = match error.code() {
        ErrorCode::Unauthorized => "; give a key with --api-key id:secret or in LAVANDIN_API_KEY",
        _ if matches!(error, ClientError::Connect { .. }) => {
            " (--api-url or LAVANDIN_API_URL says where it is)"
        }
        _ => "",
    };
    let text = error.to_string();
    Error::msg(format!("{}{hint}", text.trim_end()))
}

/// A text that clap has made sure is there.
fn text<'a>(flags: &'a ArgMatches, name: &str) -> &'a str {
    flags.get_one::<String>(name).map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
