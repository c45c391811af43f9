//! Commands and flags of `lavandin cluster`.

use crate::client::{API_KEY_VARIABLES, API_URL_VARIABLES, DEFAULT_API_URL};
use crate::cluster_verify;
use clap::{Arg, ArgAction, Command};

/// How long `--wait` waits where it does not say.
const WAIT_SECONDS: &str = "600";

pub(crate) fn command() -> Command {
    let node = || positional("node", "NODE", "The node: its URI, or its number");
    let group = || positional("group", "GROUP", "The shard group, by name");
    let of_group = || option("group", "GROUP", "Only the copy of this shard group");
    let fewer = Arg::new("fewer-copies")
        .long("fewer-copies")
        .action(ArgAction::SetTrue)
        .help("Nobody takes its copies over");
    Command::new("cluster")
        .about("Show how a cluster stands, and change its members")
        .subcommand_required(true)
        .arg(
            option("api-url", "URL", "")
                .long("url")
                .alias("api-url")
                .help(format!(
                    "Any node or coordinator [default: {DEFAULT_API_URL}] [env: {}]",
                    API_URL_VARIABLES.join(", ")
                ))
                .global(true),
        )
        .arg(
            option("api-key", "KEY", "")
                .help(format!("The API key [env: {}]", API_KEY_VARIABLES.join(", ")))
                .global(true),
        )
        .arg(
            option("timeout", "SECONDS", "How long to wait for an answer [default: 30, for a change 60]")
                .value_parser(clap::value_parser!(u64).range(1..=86_400))
                .global(true),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON").global(true))
        .subcommands([
            Command::new("status").about("Show groups, copies and nodes, and what is under way"),
            cluster_verify::command(),
            Command::new("add-node")
                .about("Take an empty data node in; it holds no copies until it is given some")
                .arg(positional("uri", "URI", "Where the other nodes reach it: http://host:port")),
            changing("add-group", "Add a shard group, for collections that are created from then on")
                .arg(positional("name", "NAME", "Its name"))
                .arg(option("primary", "NODE", "The node that leads it at first").required(true))
                .arg(option("replica", "NODE", "Another node; may be repeated").action(ArgAction::Append)),
            changing("add-replica", "Add a copy of a shard group").arg(group()).arg(node()),
            changing("replace", "Move a node's copies to another node; it stays, without copies")
                .arg(positional("old", "OLD", "The node that has them: its URI, or its number"))
                .arg(positional("new", "NEW", "The node that gets them"))
                .arg(of_group()),
            changing("remove", "Move a node's copies to a spare one and remove it; or remove one copy")
                .arg(node())
                .arg(of_group())
                .arg(fewer),
            Command::new("force-promote")
                .about("Make a copy the primary that may lack acknowledged writes, which are then LOST")
                .arg(group())
                .arg(node()),
            options(),
        ])
}

fn options() -> Command {
    Command::new("options")
        .about("Change what the cluster as a whole was told")
        .arg(
            option("min-insync", "NUMBER", "In-sync copies that a write needs")
                .value_parser(clap::value_parser!(u32)),
        )
        .arg(
            option("detection-secs", "SECONDS", "A node that is silent for so long is dead")
                .value_parser(clap::value_parser!(f64)),
        )
        .arg(
            option(
                "metadata-owner",
                "NODE",
                "A node that is to vote on the metadata; one, or repeated for three or more",
            )
            .action(ArgAction::Append),
        )
        .arg(
            Arg::new("choose-metadata-owners")
                .long("choose-metadata-owners")
                .action(ArgAction::SetTrue)
                .conflicts_with("metadata-owner")
                .help("Have the cluster choose who votes"),
        )
}

/// The flags of an action that go into its request as they are.
pub(super) fn texts_of(action: &str) -> &'static [&'static str] {
    match action {
        "add-node" => &["uri"],
        "add-group" => &["name", "primary"],
        "add-replica" | "force-promote" => &["group", "node"],
        "replace" => &["old", "new", "group"],
        "remove" => &["node", "group"],
        _ => &[],
    }
}

/// A change that takes its time.
fn changing(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(
        option("wait", "SECONDS", "Wait until it is done, at most so long [without a number: 600]")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(WAIT_SECONDS)
            .value_parser(clap::value_parser!(u64)),
    )
}

fn positional(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).required(true).help(help)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}
