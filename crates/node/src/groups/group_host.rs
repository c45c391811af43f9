//! The copies of groups on this node, and what they share: the lock of the data directory, the threads that run jobs,
//! the pool for long reads.

use crate::driver::{Alignment, CheckpointState, Driver};
use crate::error::NodeError;
use crate::group_client::GroupClient;
use crate::group_state::GroupState;
use crate::groups::LocalGroup;
use crate::jobs::{JobBoard, Lanes};
use crate::options::NodeOptions;
use crate::pool::Pool;
use crate::reservations::Reservations;
use lavandin_consensus::Metadata;
use lavandin_group::{GroupCopy, GroupOptions, Recovery};
use lavandin_storage::{DataDirLock, Directory, LocalDirectory};
use lavandin_types::GroupId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::sync::{oneshot, watch};

const NO_THREAD: NodeError = NodeError::Internal("the system starts no more threads");

pub(crate) struct GroupHost {
    options: NodeOptions,
    metadata: Metadata,
    lock: Arc<DataDirLock>,
    lanes: Mutex<Option<Lanes>>,
    pub(crate) board: Arc<JobBoard>,
    pub(crate) pool: Arc<Pool>,
    groups: RwLock<BTreeMap<GroupId, Arc<LocalGroup>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl GroupHost {
    pub(crate) fn new(
        options: &NodeOptions,
        metadata: &Metadata,
        lock: Arc<DataDirLock>,
    ) -> Result<Self, NodeError> {
        let board = Arc::new(JobBoard::default());
        let (lanes, threads) = Lanes::start(options.threads, &board, &lock).map_err(|_| NO_THREAD)?;
        Ok(Self {
            metadata: metadata.clone(),
            lock,
            lanes: Mutex::new(Some(lanes)),
            board,
            pool: Arc::new(Pool::new(options.threads)),
            groups: RwLock::default(),
            threads: Mutex::new(threads),
            options: options.clone(),
        })
    }

    pub(crate) fn get(&self, group: GroupId) -> Option<Arc<LocalGroup>> {
        self.read().get(&group).map(Arc::clone)
    }

    /// All copies, by their groups' numbers.
    pub(crate) fn all(&self) -> Vec<Arc<LocalGroup>> {
        self.read().values().map(Arc::clone).collect()
    }

    /// Opens the node's copy of a group, which is created if it does not exist, and starts its thread. Blocks.
    pub(crate) fn open(&self, group: GroupId) -> Result<Arc<LocalGroup>, NodeError> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.as_ref().ok_or(NodeError::Stopping)?;
        if let Some(open) = self.get(group) {
            return Ok(open);
        }
        let copy = open_copy(&self.options, group)?;
        self.check_catalogue(&copy)?;
        let local = Arc::new(self.start(lanes, group, copy)?);
        self.groups.write().unwrap_or_else(PoisonError::into_inner).insert(group, Arc::clone(&local));
        Ok(local)
    }

    fn start(
        &self,
        lanes: &Lanes,
        group: GroupId,
        copy: GroupCopy<GroupState>,
    ) -> Result<LocalGroup, NodeError> {
        // Bounded by `GroupClient::send`: what waits in a bounded channel when its receiver goes is kept, unanswered,
        // until the senders go too.
        let (events, received) = crossbeam_channel::unbounded();
        // Bounded by the jobs' number: the shard hands each job out once.
        let (results_to, results) = crossbeam_channel::unbounded();
        let (log_bytes, log_bytes_seen) = watch::channel(copy.log_bytes());
        let (failure, failure_seen) = watch::channel(None);
        let readers = copy.consumer().readers();
        let open_grants = copy.consumer().iterations.recover();
        let driver = Driver {
            copy,
            alignment: Alignment { changes: self.metadata.changed(), last: Instant::now() },
            metadata: self.metadata.clone(),
            events: received,
            results,
            results_to,
            lanes: lanes.clone(),
            board: Arc::clone(&self.board),
            log_bytes_max: self.options.log_bytes_max,
            log_bytes,
            failure,
            checkpoint: CheckpointState::default(),
            index_waiters: Vec::new(),
            reservations: Reservations::default(),
            _lock: Arc::clone(&self.lock),
        };
        let builder = thread::Builder::new().name(format!("lavandin-group-{}", group.get()));
        let thread = builder.spawn(move || driver.run()).map_err(|_| NO_THREAD)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(LocalGroup {
            id: group,
            client: GroupClient::new(events),
            shard: readers.shard,
            iterations: readers.iterations,
            open_grants: Mutex::new(open_grants),
            log_bytes: log_bytes_seen,
            failure: failure_seen,
            pool: Arc::clone(&self.pool),
        })
    }

    /// Refuses records without a catalogue: they would be taken for dropped ones, and removed.
    fn check_catalogue(&self, copy: &GroupCopy<GroupState>) -> Result<(), NodeError> {
        let collections = copy.consumer().shard.collection_ids().len();
        if self.metadata.catalogue().cluster().is_some() || collections == 0 {
            return Ok(());
        }
        let reason = format!(
            "it holds the records of {collections} collections, and its catalogue (metadata/) is empty; \
             restore the catalogue from a backup"
        );
        Err(NodeError::DataDirectory { path: self.options.data_dir.clone(), reason })
    }

    /// Whether all copies serve.
    pub(crate) fn ready(&self) -> Result<(), NodeError> {
        self.read().values().try_for_each(|group| group.ready())
    }

    /// Finishes accepted writes, syncs them and ends all threads; nothing is opened any more.
    pub(crate) async fn shut_down(&self) -> Result<(), NodeError> {
        drop(self.lanes.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut result = Ok(());
        for group in self.all() {
            let (answer, stopped) = oneshot::channel();
            if group.client.stop(answer) {
                result = result.and(stopped.await.unwrap_or(Ok(())));
            }
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        match joined.await {
            Ok(true) => result,
            _ => Err(NodeError::Internal("a thread of the node panicked")),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<GroupId, Arc<LocalGroup>>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_copy(options: &NodeOptions, group: GroupId) -> Result<GroupCopy<GroupState>, NodeError> {
    let folder = options.data_dir.join("groups").join(group.get().to_string());
    let unusable = |reason: &dyn std::fmt::Display| NodeError::DataDirectory {
        path: folder.clone(),
        reason: reason.to_string(),
    };
    std::fs::create_dir_all(&folder).map_err(|error| unusable(&error))?;
    let directory: Arc<dyn Directory> =
        Arc::new(LocalDirectory::new(&folder).map_err(|error| unusable(&error))?);
    let limits = options.limits.of_collection();
    let make = |payload: Option<&[u8]>| GroupState::open(Arc::clone(&directory), limits, payload);
    let mut copy =
        GroupCopy::open(Arc::clone(&directory), GroupOptions::new(group, options.durability), make)?;
    copy.consumer_mut().shard.publish();
    report(group, copy.recovery());
    Ok(copy)
}

/// Tells the operator what opening the group met.
fn report(group: GroupId, recovery: &Recovery) {
    if let Some(cut) = &recovery.cut {
        tracing::warn!(%group, ?cut, "the log had a torn end, which was cut off; nothing acknowledged was lost");
    }
    if let Some(damage) = &recovery.damaged_checkpoint {
        tracing::error!(%group, %damage, "the newest checkpoint is damaged; an older one and the log stood in for it");
    }
}
