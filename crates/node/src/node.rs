//! Opening and stopping a node.
//!
//! Data directory: `LOCK`, `identity`, `metadata/` (the catalogue), `groups/1/` (log, checkpoints, segments).

use crate::driver::{Answer, CheckpointState, Driver, Event};
use crate::error::NodeError;
use crate::identity::{self, Identity};
use crate::index;
use crate::jobs::{JobBoard, Lanes};
use crate::options::{CallContext, NodeOptions};
use crate::pool::Pool;
use crossbeam_channel::{Sender, TrySendError};
use lavandin_consensus::{Metadata, MetadataOptions};
use lavandin_group::{GroupCopy, GroupOptions};
use lavandin_shard::{Outcome, Request, Shard, ShardLimits, ShardReader};
use lavandin_storage::{DataDirLock, Directory, LocalDirectory};
use lavandin_types::{GroupId, RequestId};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Requests that wait for the group's thread; beyond it, callers are told to come back.
const QUEUE_MAX: usize = 1024;
/// The only group of a node alone.
const GROUP: GroupId = GroupId::new(1);

/// A running node.
pub struct Node {
    pub(crate) options: NodeOptions,
    pub(crate) identity: Identity,
    pub(crate) metadata: Metadata,
    pub(crate) reader: ShardReader,
    pub(crate) board: Arc<JobBoard>,
    pub(crate) pool: Pool,
    pub(crate) progress: watch::Receiver<u64>,
    pub(crate) log_bytes: watch::Receiver<u64>,
    events: Sender<Event>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    started: Instant,
    /// Held as long as the node lives.
    _lock: DataDirLock,
}

/// What the blocking part of opening gives.
struct Opened {
    lock: DataDirLock,
    identity: Identity,
    copy: GroupCopy<Shard>,
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
        let node = Arc::new(Self::start(options, opened, metadata)?);
        index::reconcile(&node).await?;
        Ok(node)
    }

    fn start(options: NodeOptions, opened: Opened, metadata: Metadata) -> Result<Self, NodeError> {
        let Opened { lock, identity, copy } = opened;
        let (events, received) = crossbeam_channel::bounded(QUEUE_MAX);
        let board = Arc::new(JobBoard::default());
        let no_thread = |_| NodeError::Internal("the system starts no more threads");
        let (lanes, mut threads) = Lanes::start(options.threads, &board, &events).map_err(no_thread)?;
        let (progress, progress_seen) = watch::channel(0);
        let (log_bytes, log_bytes_seen) = watch::channel(copy.log_bytes());
        let reader = copy.consumer().reader();
        let driver = Driver {
            copy,
            metadata: metadata.clone(),
            events: received,
            lanes,
            log_bytes_max: options.log_bytes_max,
            progress,
            log_bytes,
            checkpoint: CheckpointState::default(),
        };
        let builder = thread::Builder::new().name("lavandin-group-1".to_owned());
        threads.push(builder.spawn(move || driver.run()).map_err(no_thread)?);
        Ok(Self {
            pool: Pool::new(options.threads),
            options,
            identity,
            metadata,
            reader,
            board,
            progress: progress_seen,
            log_bytes: log_bytes_seen,
            events,
            threads: Mutex::new(threads),
            started: Instant::now(),
            _lock: lock,
        })
    }

    /// Whether the node serves.
    pub fn ready(&self) -> Result<(), NodeError> {
        match self.metadata.status().failure {
            Some(reason) => Err(lavandin_consensus::MetadataError::Stopped { reason }.into()),
            None => Ok(()),
        }
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
        let (answer, stopped) = oneshot::channel();
        let events = self.events.clone();
        let sent = tokio::task::spawn_blocking(move || events.send(Event::Stop { answer }).is_ok()).await;
        let result = match sent {
            Ok(true) => stopped.await.unwrap_or(Err(NodeError::Stopping)),
            _ => Ok(()),
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
        let answer = self.send_request(context.request_id, request)?;
        self.wait_for(context, answer).await
    }

    /// Queues a request; requests are staged in the order in which they are queued.
    pub(crate) fn send_request(
        &self,
        request_id: RequestId,
        request: Request,
    ) -> Result<oneshot::Receiver<Result<Outcome, NodeError>>, NodeError> {
        let (answer, received) = oneshot::channel();
        self.send(Event::Propose { request_id, request: Box::new(request), answer })?;
        Ok(received)
    }

    pub(crate) async fn ask<T>(
        &self,
        context: &CallContext,
        event: impl FnOnce(Answer<T>) -> Event,
    ) -> Result<T, NodeError> {
        let (answer, received) = oneshot::channel();
        self.send(event(answer))?;
        self.wait_for(context, received).await
    }

    pub(crate) fn send(&self, event: Event) -> Result<(), NodeError> {
        self.events.try_send(event).map_err(|error| match error {
            TrySendError::Full(_) => NodeError::Overloaded,
            TrySendError::Disconnected(_) => NodeError::Stopping,
        })
    }

    pub(crate) async fn wait_for<T>(
        &self,
        context: &CallContext,
        answer: oneshot::Receiver<Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        match tokio::time::timeout_at(context.deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(NodeError::Stopping),
            Err(_) => Err(NodeError::Deadline(
                "the change may still happen; send it again with the same idempotency key to learn its outcome",
            )),
        }
    }
}

fn open_directory(options: &NodeOptions) -> Result<Opened, NodeError> {
    let unusable = |reason: &dyn std::fmt::Display| NodeError::DataDirectory {
        path: options.data_dir.clone(),
        reason: reason.to_string(),
    };
    let group_dir: PathBuf = options.data_dir.join("groups").join(GROUP.get().to_string());
    std::fs::create_dir_all(&group_dir).map_err(|error| unusable(&error))?;
    let lock = DataDirLock::acquire(&options.data_dir).map_err(|error| unusable(&error))?;
    let root = LocalDirectory::new(&options.data_dir).map_err(|error| unusable(&error))?;
    let identity = identity::load_or_create(&root)?;
    let directory: Arc<dyn Directory> =
        Arc::new(LocalDirectory::new(&group_dir).map_err(|error| unusable(&error))?);
    let limits = ShardLimits {
        collection_vectors_max: options.limits.collection_vectors_max,
        collection_vector_bytes_max: options.limits.collection_vector_bytes_max,
    };
    let make = |payload: Option<&[u8]>| Shard::open(Arc::clone(&directory), limits, payload);
    let mut copy =
        GroupCopy::open(Arc::clone(&directory), GroupOptions::new(GROUP, options.durability), make)?;
    copy.consumer_mut().publish();
    Ok(Opened { lock, identity, copy })
}
