//! The handle of the metadata: open, read, shut down. What a member does for others, and asks of them, is in the
//! modules beside it.

mod founding;
mod leadership;
mod members;
mod operate;
mod receive;
mod view;

pub use leadership::Leadership;
pub(crate) use leadership::QuorumWatch;

use crate::directory::DirectoryId;
use crate::error::MetadataError;
use crate::log_store::LogStore;
use crate::network::Network;
use crate::raft_types::{Member, Raft, TypeConfig};
use crate::state_machine::{LoadError, Published, StateMachine};
use crate::store::{Store, StoreError, Verified};
use crate::transport::{NoTransport, Transport};
use futures_util::future::BoxFuture;
use lavandin_cluster::Catalogue;
use lavandin_types::NodeId;
use openraft::{Config, ServerState, SnapshotPolicy};
use receive::IncomingSnapshot;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const FILE: &str = "metadata.redb";

/// Times of the election (SETTLED: 0.6-1.2 s). A follower campaigns that long after the lease of its leader, which
/// lasts `ELECTION_MAX_MS` from the leader's last message.
const HEARTBEAT_MS: u64 = 200;
const ELECTION_MIN_MS: u64 = 600;
const ELECTION_MAX_MS: u64 = 1_200;
/// Time for one piece of a snapshot, the last of which is installed before it is answered.
const SNAPSHOT_TIMEOUT_MS: u64 = 20_000;
/// Entries kept behind a snapshot, for a member that is a little behind.
const ENTRIES_KEPT: u64 = 200;
/// Commands that wait to be logged; beyond it, proposing waits.
const QUEUE_MAX: u64 = 1_024;
/// How long a node alone may take to lead: it needs three synced writes.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How a directory without metadata begins. One that has some goes on with what it holds, whatever is said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// As the only voter of a group of its own.
    Alone,
    /// As a member to be: empty, and waiting for a leader to add it.
    Join,
    /// As one of the first voters, by their addresses. The same set may be given to all of them, any number of times:
    /// only the first of them founds the group, once most of them are up and none knows of another.
    Found(BTreeMap<NodeId, String>),
}

/// What `Metadata::open` needs.
#[derive(Clone)]
pub struct MetadataOptions {
    /// The folder of the metadata's file; created if missing. Used by one process at a time.
    pub directory: PathBuf,
    /// This node; a directory stays with the node that created it, and a number with its directory.
    pub node: NodeId,
    /// Where other members reach this node; empty for a node alone.
    pub address: String,
    pub start: Start,
    /// What carries messages to other members.
    pub transport: Arc<dyn Transport>,
    /// Deadline of `propose`.
    pub propose_timeout: Duration,
    /// Commands between two snapshots, which bound the file and the time of a start.
    pub snapshot_every: u64,
}

impl MetadataOptions {
    /// The defaults: alone, ten seconds, a snapshot every thousand commands.
    pub fn new(directory: impl Into<PathBuf>, node: NodeId) -> Self {
        Self {
            directory: directory.into(),
            node,
            address: String::new(),
            start: Start::Alone,
            transport: Arc::new(NoTransport),
            propose_timeout: Duration::from_secs(10),
            snapshot_every: 1_000,
        }
    }
}

/// The replicated metadata on this node. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metadata {
    shared: Arc<Shared>,
}

struct Shared {
    node: u64,
    address: String,
    directory: DirectoryId,
    raft: Raft,
    store: Arc<Store>,
    published: Arc<Published>,
    network: Network,
    propose_timeout: Duration,
    leadership: watch::Receiver<Option<Leadership>>,
    /// The snapshot that is being received.
    incoming: Mutex<Option<IncomingSnapshot>>,
    /// Held by the one change of members that is under way here.
    changing: tokio::sync::Mutex<()>,
    /// Why this node belongs to no group yet, where that is not as it should be.
    obstacle: Mutex<Option<String>>,
    stopping: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The thread that first reads what is on the disk. The storage library panics on some damaged bytes; that is caught
/// and reported as damage, so a program's panic hook may leave this thread's panics out.
pub const OPENING_THREAD: &str = "lavandin-metadata-open";

impl Metadata {
    /// Opens the metadata of a directory, creating it where there is none.
    ///
    /// A sole voter leads when this returns, and everything acknowledged before is applied. A member of a larger group
    /// is back with what was on its disk; it waits for nobody, `read_barrier` does.
    pub fn open(options: MetadataOptions) -> BoxFuture<'static, Result<Self, MetadataError>> {
        Box::pin(async move {
            let path = options.directory.join(FILE);
            let (directory, node) = (options.directory.clone(), options.node);
            Self::open_store(options, path.clone(), move || {
                std::fs::create_dir_all(&directory)?;
                Store::open(&path, node.get())
            })
            .await
        })
    }

    /// The same over any store; `path` is only for messages.
    async fn open_store(
        options: MetadataOptions,
        path: PathBuf,
        open: impl FnOnce() -> Result<Store, StoreError> + Send + 'static,
    ) -> Result<Self, MetadataError> {
        let (shown, node) = (path.clone(), options.node);
        let work = move || {
            let store = open().map_err(|error| store_error(&shown, node, error))?;
            load(&shown, node, store)
        };
        let opened = tokio::task::spawn_blocking(move || {
            let thread = thread::Builder::new().name(OPENING_THREAD.to_owned()).spawn(work);
            let thread = thread.map_err(|error| MetadataError::Stopped { reason: error.to_string() })?;
            // The join fails only if the storage library panicked, on bytes that it did not expect.
            let reason = "the storage library gave up on its contents".to_owned();
            thread.join().unwrap_or(Err(MetadataError::Corrupt { path, reason }))
        });
        let stopped = |_| MetadataError::Stopped { reason: "the process is ending".to_owned() };
        let loaded = opened.await.map_err(stopped)??;
        Self::start(options, loaded).await
    }

    async fn start(options: MetadataOptions, loaded: Loaded) -> Result<Self, MetadataError> {
        let Loaded { store, machine, found } = loaded;
        let node = options.node.get();
        let empty = found.entries == 0 && found.membership == Default::default();
        let start = if empty { options.start } else { Start::Join };
        let start = match start {
            Start::Found(voters) if voters.keys().eq([&options.node]) => Start::Alone,
            other => other,
        };
        let alone = start == Start::Alone || found.membership.voter_ids().eq([node]);
        let config = Arc::new(config(options.snapshot_every, alone));
        let network = Network::new(node, options.transport);
        let published = machine.published();
        let raft = Raft::new(node, config, network.clone(), LogStore::new(store.clone()), machine)
            .await
            .map_err(|fatal| MetadataError::Stopped { reason: fatal.to_string() })?;
        let stopping = watch::Sender::new(false);
        let (leadership, observer) = leadership::observe(&raft, network.clone(), stopping.subscribe());
        network.watch_quorum(QuorumWatch::new(&raft, leadership.clone()));
        let metadata = Self {
            shared: Arc::new(Shared {
                node,
                address: options.address,
                directory: store.directory(),
                raft,
                store,
                published,
                network,
                propose_timeout: options.propose_timeout,
                leadership,
                incoming: Mutex::default(),
                changing: tokio::sync::Mutex::default(),
                obstacle: Mutex::default(),
                stopping,
                tasks: Mutex::new(vec![observer]),
            }),
        };
        if let Start::Found(voters) = start {
            metadata.found_later(voters);
        }
        let ready = if alone { metadata.lead().await } else { Ok(()) };
        if ready.is_err() {
            metadata.shutdown().await;
        }
        ready.map(|()| metadata)
    }

    /// Founds the group of an empty directory, campaigns at once because no other voter could object, and waits until
    /// the log is applied.
    async fn lead(&self) -> Result<(), MetadataError> {
        let raft = &self.shared.raft;
        let stopped = |reason: String| MetadataError::Stopped { reason };
        if !raft.is_initialized().await.map_err(|error| stopped(error.to_string()))? {
            let voters = BTreeMap::from([(self.shared.node, self.shared.own_record())]);
            raft.initialize(voters).await.map_err(|error| stopped(error.to_string()))?;
        }
        raft.trigger().elect(false).await.map_err(|error| stopped(error.to_string()))?;
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

    /// The catalogue as of the last applied command. Never waits; a value that is kept does not change. On a member
    /// that is cut off it may be old: `read_barrier` first where that matters.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.published.catalogue.load_full()
    }

    /// Wakes at each change of what is applied; its value only grows.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.published.applied.subscribe()
    }

    /// Stops and closes the file; the directory may be opened again when it returns. The catalogue stays readable.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let shared = &self.shared;
            shared.stopping.send_replace(true);
            // They fail only if they already ended by a panic, which for the consensus library's the status tells.
            drop(shared.raft.shutdown().await);
            let tasks = std::mem::take(&mut *shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            for task in tasks {
                drop(task.await);
            }
            let store = shared.store.clone();
            drop(tokio::task::spawn_blocking(move || store.close()).await);
        })
    }
}

impl Shared {
    /// What the membership should say of this node.
    fn own_record(&self) -> Member {
        Member { address: self.address.clone(), directory: Some(self.directory) }
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn config(snapshot_every: u64, alone: bool) -> Config {
    Config {
        cluster_name: "lavandin".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MIN_MS,
        election_timeout_max: ELECTION_MAX_MS,
        enable_pre_vote: Some(true),
        // A leader among several that comes back does not know what it had committed, so it must be elected again; a
        // sole voter's whole log is committed.
        enable_leader_restore: Some(alone),
        install_snapshot_timeout: SNAPSHOT_TIMEOUT_MS,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_every),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT.min(snapshot_every),
        api_channel_size: Some(QUEUE_MAX),
        ..Config::default()
    }
}

struct Loaded {
    store: Arc<Store>,
    machine: StateMachine,
    found: Verified,
}

/// Checks all that is stored and loads the snapshot.
fn load(path: &Path, node: NodeId, store: Store) -> Result<Loaded, MetadataError> {
    let found = store.verify().map_err(|error| store_error(path, node, error))?;
    let store = Arc::new(store);
    let machine = StateMachine::load(store.clone()).map_err(|error| match error {
        LoadError::Store(error) => store_error(path, node, error),
        LoadError::Decode(error) => {
            let newer = matches!(error, lavandin_cluster::DecodeError::Version { .. });
            unreadable(path, newer, error.to_string())
        }
    })?;
    Ok(Loaded { store, machine, found })
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
