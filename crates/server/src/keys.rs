//! API keys: making them, and `lavandin keys`.
//!
//! The command works on a data directory on which no node runs; of a running node the keys are changed over HTTP
//! (`routes::keys`).

use crate::auth;
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Arg, ArgMatches, Command};
use lavandin_node::{ApiKey, CallContext, KeyRole, Node, NodeError, NodeOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A key that was just made.
pub(crate) struct MadeKey {
    pub(crate) id: String,
    /// `id:secret`; the only time that the secret is seen.
    pub(crate) text: String,
}

/// Makes a key; durable on return.
pub(crate) async fn create(
    node: &Node,
    context: &CallContext,
    note: Option<String>,
    expires_at_s: Option<u64>,
) -> Result<MadeKey, NodeError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| NodeError::Internal("the system gives no random bytes"))?;
    let secret = URL_SAFE_NO_PAD.encode(random);
    let id = node.new_key_id()?.to_string();
    let key = ApiKey {
        id: id.clone(),
        secret_hash: auth::digest(secret.as_bytes()),
        role: KeyRole::Admin,
        note,
        locked: false,
        expires_at_s,
        created_at_s: auth::now_s(),
    };
    node.put_key(context, key).await?;
    Ok(MadeKey { text: format!("{id}:{secret}"), id })
}

/// A key as it is shown: without its secret.
pub(crate) fn described(key: &ApiKey) -> serde_json::Value {
    serde_json::json!({
        "id": key.id, "note": key.note, "locked": key.locked, "expires_at_s": key.expires_at_s,
        "created_at_s": key.created_at_s,
    })
}

pub(crate) fn command() -> Command {
    let id = || Arg::new("id").required(true).value_name("ID").help("The key's id: la-…");
    let create = Command::new("create")
        .about("Make a key and print it: id:secret, shown this once")
        .arg(Arg::new("note").long("note").value_name("TEXT").help("What it is for"))
        .arg(
            Arg::new("expires_in_days")
                .long("expires-in-days")
                .value_name("DAYS")
                .value_parser(clap::value_parser!(u64).range(1..=36_500))
                .help("When it ends [default: never]"),
        );
    Command::new("keys")
        .about("Make, list, lock and remove API keys of a data directory on which no node runs (running ones: POST /keys)")
        .subcommand_required(true)
        .arg(
            Arg::new("data_dir")
                .long("data-dir")
                .global(true)
                .value_name("DIRECTORY")
                .default_value("lavandin-data")
                .value_parser(clap::value_parser!(PathBuf))
                .help("The node's data directory"),
        )
        .subcommands([
            create,
            Command::new("list").about("List the keys, one JSON object a line"),
            Command::new("lock").about("Refuse a key until it is unlocked").arg(id()),
            Command::new("unlock").about("Accept a locked key again").arg(id()),
            Command::new("delete").about("Remove a key").arg(id()),
        ])
}

/// Runs `lavandin keys`.
pub(crate) fn run(flags: &ArgMatches) -> Result<()> {
    let Some((action, flags)) = flags.subcommand() else {
        bail!("lavandin keys wants an action; see --help")
    };
    let data_dir = flags.get_one::<PathBuf>("data_dir").context("no data directory")?;
    if action != "create" && !data_dir.exists() {
        bail!("there is no data directory {}", data_dir.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = Node::open(NodeOptions::new(data_dir)).await.with_context(|| {
            format!(
                "cannot open the data directory {}; if a node runs on it, make keys through it: POST /keys",
                data_dir.display()
            )
        })?;
        let done = act(&node, action, flags).await;
        let stopped = node.shutdown().await;
        done?;
        Ok(stopped?)
    })
}

async fn act(node: &Arc<Node>, action: &str, flags: &ArgMatches) -> Result<()> {
    let context = CallContext::new(TIMEOUT);
    let id = || flags.get_one::<String>("id").context("no id");
    match action {
        "create" => {
            let days = flags.get_one::<u64>("expires_in_days");
            let expires_at_s = days.map(|days| auth::now_s() + days * 86_400);
            let note = flags.get_one::<String>("note").cloned();
            let made = create(node, &context, note, expires_at_s).await?;
            println!("{}", made.text);
        }
        "list" => {
            let catalogue = node.catalogue();
            catalogue.keys().for_each(|key| println!("{}", described(key)));
        }
        "delete" => {
            let key = known(node, id()?)?;
            node.remove_key(&context, &key.id).await?;
            println!("{}", described(&key));
        }
        _ => {
            let key = ApiKey { locked: action == "lock", ..known(node, id()?)? };
            node.put_key(&context, key.clone()).await?;
            println!("{}", described(&key));
        }
    }
    Ok(())
}

fn known(node: &Node, id: &str) -> Result<ApiKey> {
    let key = node.catalogue().key(id).map(|key| ApiKey::clone(key));
    key.with_context(|| format!("there is no key {id:?}; lavandin keys list shows them"))
}
