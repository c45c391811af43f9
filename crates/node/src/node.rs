//! Opening and stopping a node.
//!
//! Data directory: `LOCK`, `identity`, `metadata/` (the catalogue), `groups/1/` (log, checkpoints, segments).

use crate::datasets::DatasetRuntime;
use crate::driver::{Alignment, CheckpointState, Driver, Event};
use crate::error::NodeError;
use crate::group_client::{GroupClient, collections_outcome};
use crate::group_state::{GroupRequest, GroupState};
use crate::identity::{self, Identity};
use crate::jobs::{JobBoard, Lanes};
use crate::options::{CallContext, NodeOptions};
use crate::pool::Pool;
use lavandin_consensus::{Metadata, MetadataOptions};
use lavandin_group::{GroupCopy, GroupOptions, Recovery};
use lavandin_plan::iterations::{self, IterationsReader, OpenGrant};
use lavandin_shard::{Outcome, Request, ShardReader};
use lavandin_storage::{DataDirLock, Directory, LocalDirectory};
use lavandin_types::GroupId;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The only group of a node alone.
const GROUP: GroupId = GroupId::new(1);

/// A running node.
pub struct Node {
    pub(crate) options: NodeOptions,
    pub(crate) identity: Identity,
    pub(crate) metadata: Metadata,
    pub(crate) reader: ShardReader,
    pub(crate) iterations: IterationsReader,
    pub(crate) datasets: Arc<DatasetRuntime>,
    /// Itself, for what runs in the background.
    me: Weak<Self>,
    pub(crate) board: Arc<JobBoard>,
    pub(crate) pool: Pool,
    pub(crate) log_bytes: watch::Receiver<u64>,
    failure: watch::Receiver<Option<NodeError>>,
    pub(crate) group: GroupClient,
    threads: Mutex<Vec<JoinHandle<()>>>,
    started: Instant,
    /// Held as long as the node or one of its threads lives.
    _lock: Arc<DataDirLock>,
}

/// What the blocking part of opening gives.
struct Opened {
    lock: Arc<DataDirLock>,
    identity: Identity,
    copy: GroupCopy<GroupState>,
}

impl Node {
    /// Opens the data directory, replays what is not in checkpoints, and starts the node's threads. The directory
    /// is created if it does not exist; a second process is refused.
    pub async fn open(options: NodeOptions) -> Result<Arc<Self>, NodeError> {
        let blocking = options.clone();
        let opened = tokio::task::spawn_blocking(move || open_directory(&blocking))
            .await
            .map_err(|_| NodeError::Internal("opening the data directory panicked"))??;
        let metadata_options = MetadataOptions {
            propose_timeout: options.request_timeout,
            ..MetadataOptions::new(options.data_dir.join("metadata"), opened.identity.node)
        };
        let metadata = Metadata::open(metadata_options).await?;
        if let Err(error) = check_catalogue(&options, &opened, &metadata) {
            metadata.shutdown().await;
            return Err(error);
        }
        let open_grants = opened.copy.consumer().iterations.recover();
        let node = match Self::start(options, opened, metadata.clone()) {
            Ok(node) => node,
            Err(error) => {
                metadata.shutdown().await;
                return Err(error);
            }
        };
        // What a crash left undone between the catalogue and the log.
        let context = CallContext::new(node.options.request_timeout);
        if let Err(error) = node.group.ask(&context, |answer| Event::Align { answer }).await {
            // The first failure is the one to tell.
            drop(node.shutdown().await);
            return Err(error);
        }
        if let Err(error) = node.return_grants(&context, open_grants).await {
            drop(node.shutdown().await);
            return Err(error);
        }
        Ok(node)
    }

    /// Gives back the batches that a former session handed out and of which nobody knows whether they arrived.
    async fn return_grants(&self, context: &CallContext, grants: Vec<OpenGrant>) -> Result<(), NodeError> {
        for OpenGrant { iteration, rank, number } in grants {
            let request = iterations::Request::Return { iteration, rank, number };
            self.group.propose_iterations(context, request).await?;
        }
        Ok(())
    }

    /// This node, unless it is about to go.
    pub(crate) fn arc(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    fn start(options: NodeOptions, opened: Opened, metadata: Metadata) -> Result<Arc<Self>, NodeError> {
        let Opened { lock, identity, copy } = opened;
        // Bounded by `send`: what waits in a bounded channel when its receiver goes is kept, unanswered, until the
        // senders go too.
        let (events, received) = crossbeam_channel::unbounded();
        let (results, results_seen) = crossbeam_channel::unbounded();
        let board = Arc::new(JobBoard::default());
        let no_thread = |_| NodeError::Internal("the system starts no more threads");
        let (lanes, mut threads) =
            Lanes::start(options.threads, &board, results, &lock).map_err(no_thread)?;
        let (log_bytes, log_bytes_seen) = watch::channel(copy.log_bytes());
        let (failure, failure_seen) = watch::channel(None);
        let readers = copy.consumer().readers();
        let driver = Driver {
            copy,
            alignment: Alignment { changes: metadata.changed(), last: Instant::now() },
            metadata: metadata.clone(),
            events: received,
            results: results_seen,
            lanes,
            board: Arc::clone(&board),
            log_bytes_max: options.log_bytes_max,
            log_bytes,
            failure,
            checkpoint: CheckpointState::default(),
            index_waiters: Vec::new(),
            _lock: Arc::clone(&lock),
        };
        let builder = thread::Builder::new().name("lavandin-group-1".to_owned());
        threads.push(builder.spawn(move || driver.run()).map_err(no_thread)?);
        let group = GroupClient::new(events);
        let (threads_max, data_dir) = (options.threads, &options.data_dir);
        let datasets = DatasetRuntime::open(
            &options.datasets,
            (data_dir, threads_max),
            group.clone(),
            readers.iterations.clone(),
        )?;
        let datasets = Arc::new(datasets);
        Ok(Arc::new_cyclic(|me| Self {
            datasets,
            me: Weak::clone(me),
            pool: Pool::new(options.threads),
            options,
            identity,
            metadata,
            reader: readers.shard,
            iterations: readers.iterations,
            board,
            log_bytes: log_bytes_seen,
            failure: failure_seen,
            group,
            threads: Mutex::new(threads),
            started: Instant::now(),
            _lock: lock,
        }))
    }

    /// Whether the node serves.
    pub fn ready(&self) -> Result<(), NodeError> {
        if let Some(reason) = self.metadata.status().failure {
            return Err(lavandin_consensus::MetadataError::Stopped { reason }.into());
        }
        if let Some(error) = &*self.failure.borrow() {
            return Err(error.clone());
        }
        // The group's thread has ended.
        self.failure.has_changed().map(drop).map_err(|_| NodeError::Stopping)
    }

    /// The catalogue of this moment.
    pub fn catalogue(&self) -> Arc<lavandin_cluster::Catalogue> {
        self.metadata.catalogue()
    }

    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    pub fn options(&self) -> &NodeOptions {
        &self.options
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Finishes accepted writes, syncs them and ends all threads. Later calls answer `Stopping`.
    pub async fn shutdown(&self) -> Result<(), NodeError> {
        self.board.cancel.store(true, Ordering::Release);
        self.datasets.stop();
        let (answer, stopped) = oneshot::channel();
        let result = match self.group.stop(answer) {
            true => stopped.await.unwrap_or(Ok(())),
            false => Ok(()),
        };
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        self.metadata.shutdown().await;
        match joined.await {
            Ok(true) => result,
            _ => Err(NodeError::Internal("a thread of the node panicked")),
        }
    }

    /// Sends a request to the group; the answer comes once it is durable and applied.
    pub(crate) async fn propose(
        &self,
        context: &CallContext,
        request: Request,
    ) -> Result<Outcome, NodeError> {
        let request = GroupRequest::Collections(request);
        let answer = self.group.send_request(context.request_id, request)?;
        collections_outcome(self.group.wait_for(context, answer).await?)
    }
}

impl Drop for Node {
    /// Without a shutdown the threads end by themselves, the group's as soon as nobody can tell it anything any more.
    fn drop(&mut self) {
        self.board.cancel.store(true, Ordering::Release);
    }
}

/// Refuses records without a catalogue: they would be taken for dropped ones, and removed.
fn check_catalogue(options: &NodeOptions, opened: &Opened, metadata: &Metadata) -> Result<(), NodeError> {
    let collections = opened.copy.consumer().shard.collection_ids().len();
    if metadata.catalogue().cluster().is_some() || collections == 0 {
        return Ok(());
    }
    let reason = format!(
        "it holds the records of {collections} collections, and its catalogue (metadata/) is empty; \
         restore the catalogue from a backup"
    );
    Err(NodeError::DataDirectory { path: options.data_dir.clone(), reason })
}

fn open_directory(options: &NodeOptions) -> Result<Opened, NodeError> {
    let unusable = |reason: &dyn std::fmt::Display| NodeError::DataDirectory {
        path: options.data_dir.clone(),
        reason: reason.to_string(),
    };
    let group_dir: PathBuf = options.data_dir.join("groups").join(GROUP.get().to_string());
    std::fs::create_dir_all(&group_dir).map_err(|error| unusable(&error))?;
    let lock = Arc::new(DataDirLock::acquire(&options.data_dir).map_err(|error| unusable(&error))?);
    let root = LocalDirectory::new(&options.data_dir).map_err(|error| unusable(&error))?;
    let identity = identity::load_or_create(&root)?;
    let directory: Arc<dyn Directory> =
        Arc::new(LocalDirectory::new(&group_dir).map_err(|error| unusable(&error))?);
    let limits = options.limits.of_collection();
    let make = |payload: Option<&[u8]>| GroupState::open(Arc::clone(&directory), limits, payload);
    let mut copy =
        GroupCopy::open(Arc::clone(&directory), GroupOptions::new(GROUP, options.durability), make)?;
    copy.consumer_mut().shard.publish();
    report(copy.recovery());
    Ok(Opened { lock, identity, copy })
}

/// Tells the operator what opening the group met.
fn report(recovery: &Recovery) {
    if let Some(cut) = &recovery.cut {
        tracing::warn!(?cut, "the log had a torn end, which was cut off; nothing acknowledged was lost");
    }
    if let Some(damage) = &recovery.damaged_checkpoint {
        tracing::error!(%damage, "the newest checkpoint is damaged; an older one and the log stood in for it");
    }
}
