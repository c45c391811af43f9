//! The copies of groups on this node, and what they share: the lock of the data directory, the threads that run jobs,
//! the pool for long reads.

use crate::clock::Clock;
use crate::driver::{Alignment, CheckpointState, Confirming, Driver, Links, Yielding};
use crate::error::NodeError;
use crate::group_client::GroupClient;
use crate::group_state::GroupState;
use crate::groups::{Lease, LocalGroup, Serving};
use crate::jobs::{JobBoard, Lanes};
use crate::node::FIRST_GROUP;
use crate::options::NodeOptions;
use crate::pool::Pool;
use crate::reservations::Reservations;
use crate::snapshots::Throttle;
use lavandin_consensus::Metadata;
use lavandin_group::replication::ReplicationOptions;
use lavandin_group::{GroupCopy, GroupOptions, Recovery, Replica};
use lavandin_storage::{DataDirLock, Durability};
use lavandin_types::{GroupId, NodeId, SequenceNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::sync::{oneshot, watch};

/// What snapshots and checks of this node's copies take while clients are served, so that requests keep their share of
/// disk, network and processor.
const BUSY_BYTES_PER_SECOND: u64 = 64 << 20;
const NO_THREAD: NodeError = NodeError::Internal("the system starts no more threads");

/// Which process of which node a copy belongs to, as it was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub node: NodeId,
    pub incarnation: u64,
}

pub(crate) struct GroupHost {
    options: NodeOptions,
    metadata: Metadata,
    links: Links,
    pub(crate) clock: Clock,
    pub(crate) lease: Arc<Lease>,
    lock: Arc<DataDirLock>,
    lanes: Mutex<Option<Lanes>>,
    pub(crate) board: Arc<JobBoard>,
    pub(crate) pool: Arc<Pool>,
    /// Of all snapshots that come and go, and all checks.
    pub(crate) throttle: Arc<Throttle>,
    /// Copies that were read and wait for the node's registration.
    read: Mutex<BTreeMap<GroupId, GroupCopy<GroupState>>>,
    groups: RwLock<BTreeMap<GroupId, Arc<LocalGroup>>>,
    /// Of the copies that were started.
    drivers: Mutex<BTreeMap<GroupId, JoinHandle<()>>>,
    /// Those that run jobs.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl GroupHost {
    pub(crate) fn new(
        options: &NodeOptions,
        metadata: &Metadata,
        (links, clock): (Links, Clock),
        lock: Arc<DataDirLock>,
    ) -> Result<Self, NodeError> {
        let board = Arc::new(JobBoard::default());
        let (lanes, threads) = Lanes::start(options.threads, &board, &lock).map_err(|_| NO_THREAD)?;
        Ok(Self {
            metadata: metadata.clone(),
            links,
            clock,
            lease: Arc::new(Lease::new(true)),
            lock,
            lanes: Mutex::new(Some(lanes)),
            board,
            pool: Arc::new(Pool::new(options.threads)),
            throttle: Arc::new(Throttle::new(BUSY_BYTES_PER_SECOND)),
            read: Mutex::default(),
            groups: RwLock::default(),
            drivers: Mutex::default(),
            threads: Mutex::new(threads),
            options: options.clone(),
        })
    }

    pub(crate) fn get(&self, group: GroupId) -> Option<Arc<LocalGroup>> {
        self.started().get(&group).map(Arc::clone)
    }

    /// All copies, by their groups' numbers.
    pub(crate) fn all(&self) -> Vec<Arc<LocalGroup>> {
        self.started().values().map(Arc::clone).collect()
    }

    /// Reads the node's copy of a group, which is created if it does not exist: what its disk holds is known by then, and
    /// nobody is answered. Blocks.
    pub(crate) fn read(&self, group: GroupId) -> Result<(), NodeError> {
        if self.get(group).is_some() || self.copies_read().contains_key(&group) {
            return Ok(());
        }
        self.check_files(group)?;
        let copy = read_copy(&self.options, group)?;
        self.check_catalogue(&copy)?;
        self.copies_read().insert(group, copy);
        Ok(())
    }

    /// Starts the thread of the node's copy of a group, once the node is registered. Reads the copy if that was not done.
    /// Blocks.
    pub(crate) fn start(&self, group: GroupId, part: Part) -> Result<Arc<LocalGroup>, NodeError> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.as_ref().ok_or(NodeError::Stopping)?;
        if let Some(started) = self.get(group) {
            return Ok(started);
        }
        self.read(group)?;
        let mut copy = self.copies_read().remove(&group).ok_or(NodeError::Stopping)?;
        self.promise(&mut copy, group)?;
        let local = Arc::new(self.drive(lanes, group, (copy, part))?);
        self.groups.write().unwrap_or_else(PoisonError::into_inner).insert(group, Arc::clone(&local));
        Ok(local)
    }

    /// An empty copy obeys nobody below the epoch that the group has by now: it may be in the place of one that had
    /// promised that.
    fn promise(&self, copy: &mut GroupCopy<GroupState>, group: GroupId) -> Result<(), NodeError> {
        let epoch = self.metadata.catalogue().group(group).map(|info| info.epoch);
        match epoch.filter(|_| copy.last().sequence == SequenceNumber::ZERO) {
            Some(epoch) => Ok(copy.promise(epoch)?),
            None => Ok(()),
        }
    }

    fn drive(
        &self,
        lanes: &Lanes,
        group: GroupId,
        (copy, part): (GroupCopy<GroupState>, Part),
    ) -> Result<LocalGroup, NodeError> {
        // Bounded by `GroupClient::send`: what waits in a bounded channel when its receiver goes is kept, unanswered,
        // until the senders go too.
        let (events, received) = crossbeam_channel::unbounded();
        // Bounded by the jobs' number: the shard hands each job out once.
        let (results_to, results) = crossbeam_channel::unbounded();
        let (log_bytes, log_bytes_seen) = watch::channel(copy.log_bytes());
        let (failure, failure_seen) = watch::channel(None);
        let readers = copy.consumer().readers();
        let directory = self.options.copies.open(&self.options.data_dir, group)?;
        // Bounded by `LocalGroup::take_message`, and by the metadata's commands.
        let (news_to, news) = crossbeam_channel::unbounded();
        let serving = Arc::new(Serving::new(self.clock, group));
        serving.show_log(copy.last().epoch, copy.last().sequence);
        let driver = Driver {
            replica: Replica::new(copy, self.replication(group, part)),
            directory: Arc::clone(&directory),
            limits: self.options.limits.of_collection(),
            readers: readers.clone(),
            alignment: Alignment { changes: self.metadata.changed(), last: Instant::now() },
            metadata: self.metadata.clone(),
            events: received,
            news,
            links: Arc::clone(&self.links),
            clock: self.clock,
            lease: Arc::clone(&self.lease),
            serving: Arc::clone(&serving),
            waiting: BTreeMap::new(),
            published: SequenceNumber::ZERO,
            results,
            results_to,
            lanes: lanes.clone(),
            board: Arc::clone(&self.board),
            log_bytes_max: self.options.log_bytes_max,
            log_bytes,
            failure,
            checkpoint: CheckpointState::default(),
            index_waiters: Vec::new(),
            confirming: Confirming::default(),
            reservations: Reservations::default(),
            yielding: Yielding::default(),
            resigning: None,
            _lock: Arc::clone(&self.lock),
        };
        let builder = thread::Builder::new().name(format!("lavandin-group-{}", group.get()));
        let thread = builder.spawn(move || driver.run()).map_err(|_| NO_THREAD)?;
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).insert(group, thread);
        Ok(LocalGroup {
            id: group,
            client: GroupClient::new(events),
            shard: readers.shard,
            iterations: readers.iterations,
            news: news_to,
            directory,
            serving,
            told: Mutex::default(),
            asked_to_yield: AtomicBool::new(false),
            rebuild: Arc::default(),
            log_bytes: log_bytes_seen,
            failure: failure_seen,
            pool: Arc::clone(&self.pool),
            throttle: Arc::clone(&self.throttle),
        })
    }

    fn replication(&self, group: GroupId, part: Part) -> ReplicationOptions {
        let detection_ms = self.metadata.catalogue().options().detection_ms;
        ReplicationOptions {
            #[cfg(feature = "mutations")]
            mutation: self.options.mutation,
            ..ReplicationOptions::new(group, part.node, part.incarnation, detection_ms)
        }
    }

    /// Refuses to begin anew with the only copy of records, whose files have vanished: it would come back empty, and nobody
    /// would notice. Other copies are rebuilt.
    fn check_files(&self, group: GroupId) -> Result<(), NodeError> {
        let catalogue = self.metadata.catalogue();
        let is_last = catalogue.group(group).is_some_and(|info| info.members.len() == 1);
        let holds_records =
            catalogue.has_collections(group) || group == FIRST_GROUP && catalogue.datasets().len() > 0;
        if !is_last || !holds_records || self.options.copies.exists(&self.options.data_dir, group)? {
            return Ok(());
        }
        let name = catalogue.group(group).map_or("", |info| info.name.as_str());
        let reason = format!(
            "the files of shard group {name} are gone (groups/{group}), and there is no other copy of it; restore that \
             folder from a backup, or make an empty one to go on without what it held",
            group = group.get()
        );
        Err(NodeError::DataDirectory { path: self.options.data_dir.clone(), reason })
    }

    /// Refuses records without a catalogue: they would be taken for dropped ones, and removed.
    fn check_catalogue(&self, copy: &GroupCopy<GroupState>) -> Result<(), NodeError> {
        if self.metadata.catalogue().cluster().is_some() || copy.last().sequence == SequenceNumber::ZERO {
            return Ok(());
        }
        let reason = "it holds records of collections, and its catalogue (metadata/) is empty; restore the \
                      catalogue from a backup"
            .to_owned();
        Err(NodeError::DataDirectory { path: self.options.data_dir.clone(), reason })
    }

    /// Closes a copy that the node is not to have any more, and removes its folder, and what was set aside of it.
    pub(crate) fn remove(&self, group: GroupId) -> Result<(), NodeError> {
        self.close(group)?;
        self.options.copies.remove(&self.options.data_dir, group)
    }

    /// Closes a copy that is of no use any more, and sets its folder aside, in the place of what was set aside before. Where
    /// that is; `None` where there was nothing. The next start begins with an empty copy.
    pub(crate) fn set_aside(&self, group: GroupId) -> Result<Option<PathBuf>, NodeError> {
        if let Err(error) = self.close(group) {
            // What it held is not used any more.
            tracing::error!(%group, %error, "the thread of a damaged copy ended badly");
        }
        self.options.copies.set_aside(&self.options.data_dir, group)
    }

    /// Removes what was set aside of a group's copy.
    pub(crate) fn discard_aside(&self, group: GroupId) -> Result<(), NodeError> {
        self.options.copies.discard_aside(&self.options.data_dir, group)
    }

    /// Whether there is space to go on with.
    pub(crate) fn has_space(&self) -> bool {
        self.options.copies.has_space(&self.options.data_dir)
    }

    /// Ends the thread of a copy. Callers that hold on to the copy are refused. It must not be started meanwhile. Blocks
    /// until no job works on its files.
    pub(crate) fn close(&self, group: GroupId) -> Result<(), NodeError> {
        self.copies_read().remove(&group);
        let local = self.groups.write().unwrap_or_else(PoisonError::into_inner).remove(&group);
        if let Some(local) = local {
            let (answer, _) = oneshot::channel();
            local.client.stop(answer);
        }
        let driver = self.drivers.lock().unwrap_or_else(PoisonError::into_inner).remove(&group);
        match driver.is_some_and(|driver| driver.join().is_err()) {
            true => Err(NodeError::Internal("a group's thread panicked")),
            false => Ok(()),
        }
    }

    /// Groups of which a copy is on the disk, open or not.
    pub(crate) fn on_disk(&self) -> Result<BTreeSet<GroupId>, NodeError> {
        self.options.copies.list(&self.options.data_dir)
    }

    /// Removes what a crash left of copies that were being removed. Blocks.
    pub(crate) fn clear_removed(&self) -> Result<(), NodeError> {
        self.options.copies.clear_removed(&self.options.data_dir)
    }

    pub(crate) fn durability(&self) -> Durability {
        self.options.durability
    }

    /// Whether all copies serve.
    pub(crate) fn ready(&self) -> Result<(), NodeError> {
        self.started().values().try_for_each(|group| group.ready())
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
        let mut threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let drivers = std::mem::take(&mut *self.drivers.lock().unwrap_or_else(PoisonError::into_inner));
        threads.extend(drivers.into_values());
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        match joined.await {
            Ok(true) => result,
            _ => Err(NodeError::Internal("a thread of the node panicked")),
        }
    }

    fn copies_read(&self) -> MutexGuard<'_, BTreeMap<GroupId, GroupCopy<GroupState>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<GroupId, Arc<LocalGroup>>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_copy(options: &NodeOptions, group: GroupId) -> Result<GroupCopy<GroupState>, NodeError> {
    let directory = options.copies.open(&options.data_dir, group)?;
    let limits = options.limits.of_collection();
    let make = |payload: Option<&[u8]>| GroupState::open(Arc::clone(&directory), limits, payload);
    let group_options = GroupOptions {
        #[cfg(feature = "mutations")]
        mutation: options.mutation,
        ..GroupOptions::new(group, options.durability)
    };
    let mut copy = GroupCopy::open_replica(Arc::clone(&directory), group_options, make)?;
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
