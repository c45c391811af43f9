//! The command line: which command, and the settings given as flags.

use crate::config::{Kind, Resolved, SETTINGS, ServerConfig, Source, Sources, env_file, parse_switch};
use crate::{client, cluster, keys, logging, quickstart, run};
use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lavandin_node::NodeRole;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

const NO_AUDIT_LOG: &str = "no_audit_log";
/// Unless it is true, Lavender Data's other variables of the cluster mean nothing.
const CLUSTER_ENABLED: &str = "LAVENDER_DATA_CLUSTER_ENABLED";
/// Those, and the settings that they are.
const CLUSTER_VARIABLES: [(&str, &str); 3] = [
    ("LAVENDER_DATA_CLUSTER_HEAD_URL", "head_url"),
    ("LAVENDER_DATA_CLUSTER_NODE_URL", "advertise"),
    ("LAVENDER_DATA_CLUSTER_SECRET", "cluster_secret"),
];

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    Serve(Box<ServerConfig>),
    /// Print this and end.
    Print(String),
    Quickstart(quickstart::Options),
    Keys(ArgMatches),
    Client(ArgMatches),
    Cluster(ArgMatches),
}

/// Runs the program; the entry point of the binary.
pub fn main() -> ExitCode {
    logging::leave_out_caught_panics();
    let variable = |name: &str| std::env::var(name).ok();
    let asked = match parse(std::env::args_os().collect(), &variable) {
        Ok(asked) => asked,
        Err(error) => return fail(&error, 2),
    };
    let outcome = match asked {
        Asked::Print(text) => {
            print!("{text}");
            Ok(())
        }
        Asked::Serve(config) => {
            env_file::adopt(&config.env_file);
            logging::start(&config).and_then(|()| run::serve(*config))
        }
        Asked::Quickstart(options) => quickstart::run(options),
        Asked::Keys(flags) => keys::run(&flags),
        Asked::Client(flags) => client::run(&flags, &variable),
        Asked::Cluster(flags) => cluster::run(&flags, &variable),
    };
    outcome.map_or_else(|error| fail(&error, 1), |()| ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error, status: u8) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        // Help goes to standard output and is a success.
        let _ = usage.print();
        return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
    }
    eprintln!("lavandin: {error:#}");
    ExitCode::from(status)
}

pub(crate) fn parse(arguments: Vec<OsString>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Asked> {
    let matches = command().try_get_matches_from(with_command(arguments))?;
    match matches.subcommand() {
        Some(("serve", flags)) => serve(flags, variable),
        Some(("keys", flags)) => Ok(Asked::Keys(flags.clone())),
        Some(("client", flags)) => Ok(Asked::Client(flags.clone())),
        Some(("cluster", flags)) => Ok(Asked::Cluster(flags.clone())),
        Some(("quickstart", flags)) => Ok(Asked::Quickstart(quickstart::Options {
            data_dir: flags.get_one::<PathBuf>("data_dir").cloned(),
            port: flags.get_one::<u16>("port").copied().unwrap_or(quickstart::PORT),
            exit: flags.get_flag("exit"),
        })),
        _ => Ok(Asked::Print(format!("lavandin {}\n", env!("CARGO_PKG_VERSION")))),
    }
}

/// `serve` may be left out, and `server run` is another name of it.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str()).unwrap_or("");
    if (word(1), word(2)) == ("server", "run") {
        arguments.remove(2);
        arguments[1] = "serve".into();
    } else if word(1).is_empty()
        || (word(1).starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&word(1)))
    {
        arguments.insert(1.min(arguments.len()), "serve".into());
    }
    arguments
}

fn serve(flags: &ArgMatches, variable: &dyn Fn(&str) -> Option<String>) -> Result<Asked> {
    let mut command_line = BTreeMap::new();
    for setting in SETTINGS {
        if let Some(text) = flags.get_one::<String>(setting.key) {
            command_line.insert(setting.key, text.clone());
        }
    }
    if flags.get_flag(NO_AUDIT_LOG) {
        command_line.insert("audit_log", "false".to_owned());
    }
    let is_terminal = std::io::stderr().is_terminal();
    let file = flags.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let env_file = flags.get_one::<PathBuf>("env_file").map(|path| env_file::read(path)).transpose()?;
    let env_file = env_file.unwrap_or_default();
    let variable = &|name: &str| {
        let set = variable(name).filter(|value| !value.is_empty());
        set.or_else(|| env_file.get(name).cloned())
    };
    let of_cluster = is_of_cluster(variable)?;
    let variable = &|name: &str| match CLUSTER_VARIABLES.iter().any(|(known, _)| *known == name) {
        true if !of_cluster => None,
        _ => variable(name),
    };
    let resolved = Resolved::gather(&Sources { command_line: &command_line, variable, file })?;
    let listing = resolved.listing();
    if of_cluster && resolved.role() == NodeRole::Data {
        wants_cluster_variables(&resolved)?;
    }
    let mut ignored_variables = match resolved.role() {
        NodeRole::Coordinator => Vec::new(),
        NodeRole::Data => without_coordinator(resolved.of_coordinator())?,
    };
    let config = resolved.into_config(is_terminal)?.with_test_protocols(variable)?;
    if of_cluster && config.is_coordinator() {
        ignored_variables.push(CLUSTER_ENABLED);
    }
    let config = ServerConfig { ignored_variables, env_file, ..config };
    if flags.get_flag("check_config") {
        return Ok(Asked::Print(format!("the configuration is valid\n{listing}")));
    }
    Ok(Asked::Serve(Box::new(config)))
}

fn is_of_cluster(variable: &dyn Fn(&str) -> Option<String>) -> Result<bool> {
    let Some(text) = variable(CLUSTER_ENABLED) else { return Ok(false) };
    parse_switch(&text)
        .with_context(|| format!("the variable {CLUSTER_ENABLED} is {text:?}, and neither true nor false"))
}

fn wants_cluster_variables(resolved: &Resolved) -> Result<()> {
    for (variable, key) in CLUSTER_VARIABLES {
        if resolved.given(key).is_none() {
            bail!(
                "the variable {CLUSTER_ENABLED} is true and {variable} is empty: set it, or leave both out"
            );
        }
    }
    Ok(())
}

/// Refuses the coordinator's settings of any other process, but for variables: one env file often serves several
/// processes. The variables left out.
fn without_coordinator(settings: impl Iterator<Item = (&'static str, Source)>) -> Result<Vec<&'static str>> {
    let mut variables = Vec::new();
    for (key, source) in settings {
        match source {
            Source::Variable { name } => variables.push(name),
            Source::File { .. } => {
                bail!(
                    "{source}: {key} is a setting of coordinators; set role to coordinator, or leave it out"
                )
            }
            _ => bail!("{source} is a flag of coordinators; add --role coordinator, or leave it out"),
        }
    }
    Ok(variables)
}

fn command() -> Command {
    let serve = SETTINGS.iter().map(|setting| {
        let variables = setting.variables.join(", ");
        let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let mut flag = Arg::new(setting.key)
            .long(setting.flag)
            .aliases(setting.flag_aliases.iter().copied())
            .value_name(value_name(setting.kind))
            .help(format!("{}{default} [env: {variables}]", setting.help));
        if setting.kind == Kind::Switch {
            flag = flag.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        flag
    });
    let serve = Command::new("serve")
        .about("Run a node")
        .visible_alias("run")
        .args(serve)
        .arg(Arg::new(NO_AUDIT_LOG).long("no-audit-log").action(ArgAction::SetTrue).hide(true))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Configuration file: TOML, JSON or INI; keys as the flags, with _ for -"),
        )
        .arg(
            Arg::new("env_file")
                .long("env-file")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("File of variables (NAME=value a line); the environment wins over it"),
        )
        .arg(
            Arg::new("check_config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Check the configuration, print it and end"),
        );
    let quickstart = Command::new("quickstart")
        .about("Start a node with sample data, search it and go on serving")
        .arg(
            Arg::new("data_dir")
                .long("data-dir")
                .value_name("DIRECTORY")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Where to keep the data [default: lavandin/quickstart in your data directory]"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16))
                .help(format!("Port to listen on; 0 takes a free one [default: {}]", quickstart::PORT)),
        )
        .arg(Arg::new("exit").long("exit").action(ArgAction::SetTrue).help("End after the tour"));
    Command::new("lavandin")
        .about("A vector database and data plane for machine learning")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommands([
            serve,
            quickstart,
            client::command(),
            cluster::command(),
            keys::command(),
            Command::new("version").about("Print the version"),
        ])
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Secret => "TEXT",
        Kind::Port => "PORT",
        Kind::Positive | Kind::Count | Kind::Number => "NUMBER",
        Kind::Switch => "BOOL",
        Kind::Choice(_) => "NAME",
    }
}

/// The directory for data of programs of this user, if the environment tells.
pub(crate) fn user_data_home() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("XDG_DATA_HOME").or_else(|| named("HOME").map(|home| home.join(".local").join("share")))
}

/// Where the process stands, for messages.
pub(crate) fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make {} absolute", path.display()))
}

#[cfg(test)]
mod tests;
