//! Commands and flags, named as the published ones.

use clap::{Arg, ArgAction, ArgGroup, Command};

pub(crate) fn command() -> Command {
    Command::new("client")
        .about("Create, inspect and iterate datasets of a running node")
        .subcommand_required(true)
        .arg(
            option("api-url", "URL", "")
                .help(format!(
                    "The node [default: {}] [env: {}]",
                    super::DEFAULT_API_URL,
                    super::API_URL_VARIABLES.join(", ")
                ))
                .global(true),
        )
        .arg(
            option("api-key", "ID:SECRET", "")
                .help(format!("The API key [env: {}]", super::API_KEY_VARIABLES.join(", ")))
                .global(true),
        )
        .arg(
            option("timeout", "SECONDS", "How long to wait for an answer [default: 30, for a batch 600]")
                .value_parser(clap::value_parser!(u64).range(1..=86_400))
                .global(true),
        )
        .subcommands([
            Command::new("version").about("Print the version of the API that the node speaks"),
            datasets(),
            shardsets(),
            iterations(),
        ])
}

fn datasets() -> Command {
    let get = Command::new("get")
        .about("Print a dataset with its columns and shardsets")
        .arg(option("id", "ID", "By its id"))
        .arg(option("name", "NAME", "By its name"))
        .group(ArgGroup::new("which").args(["id", "name"]).required(true).multiple(true));
    let create = Command::new("create")
        .about("Create a dataset")
        .arg(option("name", "NAME", "Its name, which no other dataset has").required(true))
        .arg(option("uid-column-name", "COLUMN", "The column by which shardsets are joined").required(true))
        .arg(option("shardset-location", "URL", "Where the files of a first shardset are"));
    group("datasets", "Datasets").subcommands([
        Command::new("list").about("Print datasets, one a line, the newest first").arg(option(
            "name",
            "NAME",
            "Only the one of this name",
        )),
        get,
        create,
        Command::new("delete")
            .about("Delete a dataset; its files stay")
            .arg(option("id", "ID", "Its id").required(true)),
    ])
}

fn shardsets() -> Command {
    let dataset = || option("dataset-id", "ID", "The dataset").required(true);
    let of_one = |name: &'static str, about: &'static str| {
        Command::new(name)
            .about(about)
            .arg(dataset())
            .arg(option("shardset-id", "ID", "The shardset").required(true))
    };
    let create = Command::new("create")
        .about("Create a shardset from the files of a location; a terminal shows how they are read")
        .arg(dataset())
        .arg(option("location", "URL", "The directory of the files").required(true));
    group("shardsets", "Shardsets: the files of a dataset").subcommands([
        of_one("get", "Print a shardset with its columns"),
        create,
        of_one("delete", "Delete a shardset; its files stay"),
        of_one("sync", "Look for new, changed and removed files; a terminal shows how far that is").arg(
            Arg::new("overwrite")
                .long("overwrite")
                .action(ArgAction::SetTrue)
                .help("Read known files again as well"),
        ),
    ])
}

fn iterations() -> Command {
    let of_one = |name: &'static str, about: &'static str| {
        Command::new(name)
            .about(about)
            .arg(Arg::new("id").value_name("ID").required(true).help("The iteration"))
    };
    let fetching = |name: &'static str, about: &'static str| {
        of_one(name, about)
            .arg(
                option("rank", "NUMBER", "The training process to fetch for [default: 0]")
                    .value_parser(clap::value_parser!(i64))
                    .allow_negative_numbers(true),
            )
            .arg(Arg::new("no-cache").long("no-cache").action(ArgAction::SetTrue).help("Make the batch anew"))
            .arg(
                option("max-retry-count", "NUMBER", "Further tries where user code fails [default: 0]")
                    .value_parser(clap::value_parser!(i64))
                    .allow_negative_numbers(true),
            )
            .arg(
                option(
                    "step",
                    "NUMBER",
                    "Of mode static: the batch of this step, even if it was fetched before",
                )
                .value_parser(clap::value_parser!(u64)),
            )
    };
    let list = Command::new("list")
        .about("Print iterations, one a line, the newest first")
        .arg(option("dataset-id", "ID", "Only those of this dataset"))
        .arg(option("dataset-name", "NAME", "The same by its name"));
    let index = Arg::new("index")
        .value_name("INDEX")
        .required(true)
        .value_parser(clap::value_parser!(u64))
        .help("The sample, as `_lavender_data_indices` of its batch tells it");
    let key = Arg::new("key").value_name("KEY").required(true).help("What async-next printed");
    group("iterations", "Iterations over datasets").subcommands([
        list,
        of_one("get", "Print an iteration with its dataset and shard files"),
        fetching("next", "Fetch the next batch and print it"),
        fetching("async-next", "Ask for the next batch and print the key to fetch it with"),
        of_one("async-result", "Fetch a batch that was asked for and print it").arg(key),
        of_one("complete-index", "Tell that a sample has been used").arg(index),
        of_one("cursor", "Print where an epoch of mode static goes on after some steps").arg(
            option("steps", "NUMBER", "Steps of the iteration that are done [default: 0]")
                .value_parser(clap::value_parser!(u64)),
        ),
        of_one("pushback", "Give back all samples that were fetched and are not completed"),
        of_one("get-progress", "Print how far an iteration is"),
    ])
}

fn group(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).subcommand_required(true)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}
