//! The handle of the metadata: open, propose, read, shut down.

use crate::error::MetadataError;
use crate::log_store::LogStore;
use crate::network::NoNetwork;
use crate::raft_types::TypeConfig;
use crate::state_machine::{LoadError, Published, StateMachine};
use crate::store::{Store, StoreError};
use lavandin_cluster::{Catalogue, Command, Reply};
use lavandin_types::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{BasicNode, Config, Raft, ServerState, SnapshotPolicy};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const FILE: &str = "metadata.redb";

/// Times of the election (SETTLED: 0.6-1.2 s); they matter from the second voter on.
const HEARTBEAT_MS: u64 = 200;
const ELECTION_MIN_MS: u64 = 600;
const ELECTION_MAX_MS: u64 = 1_200;
/// Entries kept behind a snapshot, for a voter that is a little behind.
const ENTRIES_KEPT: u64 = 200;
/// Commands that wait to be logged; beyond it, proposing waits.
const QUEUE_MAX: u64 = 1_024;
/// How long a node alone may take to lead: it needs three synced writes.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// What `Metadata::open` needs.
#[derive(Clone, Debug)]
pub struct MetadataOptions {
    /// The folder of the metadata's file; created if missing. Used by one process at a time.
    pub directory: PathBuf,
    /// This node; a directory stays with the node that created it.
    pub node: NodeId,
    /// Where other voters reach this node; empty for a node alone.
    pub address: String,
    /// Deadline of `propose`.
    pub propose_timeout: Duration,
    /// Commands between two snapshots, which bound the file and the time of a start.
    pub snapshot_every: u64,
}

impl MetadataOptions {
    /// The defaults: ten seconds, a snapshot every thousand commands.
    pub fn new(directory: impl Into<PathBuf>, node: NodeId) -> Self {
        Self {
            directory: directory.into(),
            node,
            address: String::new(),
            propose_timeout: Duration::from_secs(10),
            snapshot_every: 1_000,
        }
    }
}

/// How the metadata stands, for the status and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataStatus {
    pub leader: Option<NodeId>,
    pub term: u64,
    pub voters: Vec<NodeId>,
    /// Entries in the log, from the first ever; `None` before the first.
    pub last_log_index: Option<u64>,
    pub last_applied_index: Option<u64>,
    /// The last entry that the snapshot holds.
    pub snapshot_index: Option<u64>,
    /// Why the metadata takes no more commands, once it stopped.
    pub failure: Option<String>,
}

/// The replicated metadata on this node. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metadata {
    raft: Raft<TypeConfig, StateMachine>,
    store: Arc<Store>,
    published: Arc<Published>,
    propose_timeout: Duration,
}

impl Metadata {
    /// Opens the metadata of a directory, creating it with this node as the only voter where there is none.
    /// When it returns, the node leads and everything acknowledged before is applied.
    pub async fn open(options: MetadataOptions) -> Result<Self, MetadataError> {
        let path = options.directory.join(FILE);
        let (directory, node) = (options.directory.clone(), options.node);
        Self::open_store(options, path.clone(), move || {
            std::fs::create_dir_all(&directory)?;
            Store::open(&path, node.get())
        })
        .await
    }

    /// The same over any store; `path` is only for messages.
    async fn open_store(
        options: MetadataOptions,
        path: PathBuf,
        open: impl FnOnce() -> Result<Store, StoreError> + Send + 'static,
    ) -> Result<Self, MetadataError> {
        let (shown, node) = (path.clone(), options.node);
        let opened = tokio::task::spawn_blocking(move || {
            let store = open().map_err(|error| store_error(&shown, node, error))?;
            load(&shown, node, store)
        })
        .await;
        // The join fails only if the storage library panicked, on bytes that it did not expect.
        let reason = || "the storage library gave up on its contents".to_owned();
        let (store, machine) =
            opened.unwrap_or_else(|_| Err(MetadataError::Corrupt { path, reason: reason() }))?;
        Self::start(options, store, machine).await
    }

    async fn start(
        options: MetadataOptions,
        store: Arc<Store>,
        machine: StateMachine,
    ) -> Result<Self, MetadataError> {
        let published = machine.published();
        let node = options.node.get();
        let config = Arc::new(config(options.snapshot_every));
        let raft = Raft::new(node, config, NoNetwork, LogStore::new(store.clone()), machine)
            .await
            .map_err(|fatal| MetadataError::Stopped { reason: fatal.to_string() })?;
        let metadata = Self { raft, store, published, propose_timeout: options.propose_timeout };
        let ready = metadata.lead(node, options.address).await;
        if ready.is_err() {
            metadata.shutdown().await;
        }
        ready.map(|()| metadata)
    }

    /// Founds the voter set of an empty directory, campaigns at once where no other voter could object, and waits
    /// until the log is applied.
    async fn lead(&self, node: u64, address: String) -> Result<(), MetadataError> {
        let raft = &self.raft;
        let stopped = |reason: String| MetadataError::Stopped { reason };
        if !raft.is_initialized().await.map_err(|error| stopped(error.to_string()))? {
            let voters = BTreeMap::from([(node, BasicNode::new(address))]);
            raft.initialize(voters).await.map_err(|error| stopped(error.to_string()))?;
        }
        if raft.voter_ids().eq([node]) {
            raft.trigger().elect(false).await.map_err(|error| stopped(error.to_string()))?;
        }
        let leads = |metrics: &openraft::RaftMetrics<TypeConfig>| {
            metrics.running_state.is_err() || metrics.state == ServerState::Leader
        };
        let waited = raft.wait(Some(READY_TIMEOUT)).metrics(leads, "this node leads").await;
        let ready = match waited {
            Ok(_) => raft.wait_for_recovery(Some(READY_TIMEOUT)).await,
            Err(error) => Err(error),
        };
        ready.map(drop).map_err(|_| match self.status().failure {
            Some(reason) => stopped(reason),
            None => MetadataError::NotReady { timeout_ms: READY_TIMEOUT.as_millis() as u64 },
        })
    }

    /// Carries out a command. When it answers, the change is on disk and in `catalogue()`. Dropping the future, or
    /// a deadline, leaves the outcome open; commands may be proposed again.
    pub async fn propose(&self, command: Command) -> Result<Reply, MetadataError> {
        self.propose_within(command, self.propose_timeout).await
    }

    /// The same with a deadline of the caller's.
    pub async fn propose_within(&self, command: Command, timeout: Duration) -> Result<Reply, MetadataError> {
        let name = command.name();
        match tokio::time::timeout(timeout, self.raft.client_write(command)).await {
            Ok(Ok(response)) => Ok(response.data?),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(MetadataError::NotLeader { leader: forward.leader_id.map(NodeId::new) })
            }
            Ok(Err(other)) => Err(MetadataError::Stopped { reason: other.to_string() }),
            Err(_) => Err(MetadataError::Deadline { command: name, timeout_ms: timeout.as_millis() as u64 }),
        }
    }

    /// The catalogue as of the last applied command. Never waits; a value that is kept does not change.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.published.catalogue.load_full()
    }

    /// Wakes at each change of what is applied; its value only grows.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.published.applied.subscribe()
    }

    pub fn status(&self) -> MetadataStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        MetadataStatus {
            leader: metrics.current_leader.map(NodeId::new),
            term: metrics.current_term,
            voters: metrics.membership_config.membership().voter_ids().map(NodeId::new).collect(),
            last_log_index: metrics.last_log_index,
            last_applied_index: metrics.last_applied.map(|id| id.index),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            failure: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// Stops and closes the file; the directory may be opened again when it returns. The catalogue stays readable.
    pub async fn shutdown(&self) {
        // It fails only if the task already ended by a panic, which the status tells.
        drop(self.raft.shutdown().await);
        let store = self.store.clone();
        drop(tokio::task::spawn_blocking(move || store.close()).await);
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn config(snapshot_every: u64) -> Config {
    Config {
        cluster_name: "lavandin".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MIN_MS,
        election_timeout_max: ELECTION_MAX_MS,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT.min(snapshot_every),
        api_channel_size: Some(QUEUE_MAX),
        ..Config::default()
    }
}

/// Checks all that is stored and loads the snapshot.
fn load(path: &Path, node: NodeId, store: Store) -> Result<(Arc<Store>, StateMachine), MetadataError> {
    store.verify().map_err(|error| store_error(path, node, error))?;
    let store = Arc::new(store);
    let machine = StateMachine::load(store.clone()).map_err(|error| match error {
        LoadError::Store(error) => store_error(path, node, error),
        LoadError::Decode(error) => {
            let newer = matches!(error, lavandin_cluster::DecodeError::Version { .. });
            unreadable(path, newer, error.to_string())
        }
    })?;
    Ok((store, machine))
}

fn store_error(path: &Path, node: NodeId, error: StoreError) -> MetadataError {
    let path = path.to_owned();
    match error {
        StoreError::InUse => MetadataError::InUse { path },
        StoreError::WrongNode { stored } => {
            MetadataError::WrongNode { path, stored: NodeId::new(stored), asked: node }
        }
        StoreError::Row { ref source, .. } => unreadable(&path, source.is_newer(), error.to_string()),
        StoreError::Corrupt(reason) => MetadataError::Corrupt { path, reason },
        StoreError::Closed | StoreError::Io(_) | StoreError::Database(_) => {
            MetadataError::Storage { path, action: "open", reason: error.to_string() }
        }
    }
}

fn unreadable(path: &Path, newer: bool, reason: String) -> MetadataError {
    let path = path.to_owned();
    if newer { MetadataError::Newer { path, reason } } else { MetadataError::Corrupt { path, reason } }
}

#[cfg(test)]
mod tests;
