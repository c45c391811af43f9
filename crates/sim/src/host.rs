//! A machine: disks that survive its processes, and a process with the copies that it has opened.

use crate::group_state::GroupState;
use crate::plan::Plan;
use crate::world::TrainerAnswer;
use lavandin_group::replication::ReplicationOptions;
use lavandin_group::{GroupCopy, GroupError, GroupOptions, Replica};
use lavandin_storage::{Directory, Durability, FaultyDirectory, MemoryDirectory};
use lavandin_types::{GroupId, NodeId, SequenceNumber, StoreId};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Host {
    pub store: StoreId,
    pub disks: BTreeMap<GroupId, MemoryDirectory>,
    pub process: Option<Process>,
    /// Processes that were started.
    pub lives: u64,
    pub paused_until_ms: u64,
    /// How long a sync takes, until when.
    pub slow: (u64, u64),
    /// The identity of the last process.
    pub last_identity: Option<(NodeId, u64)>,
}

/// A process, from its start to its end.
pub(crate) struct Process {
    pub life: u64,
    /// Its node and incarnation, once registered.
    pub identity: Option<(NodeId, u64)>,
    /// The newest state of the metadata that it knows.
    pub index: u64,
    pub slots: BTreeMap<GroupId, Slot>,
    /// Until when it may acknowledge and read, as the outside knows it.
    pub lease_until_ms: u64,
    pub asked_ms: u64,
}

/// Somebody who waits for a record to be committed.
pub(crate) struct Waiting {
    pub sequence: SequenceNumber,
    pub waiter: Waiter,
}

pub(crate) enum Waiter {
    Client {
        client: usize,
        attempt: u64,
        operation: u64,
    },
    /// Told what is the answer then.
    Trainer {
        trainer: usize,
        epoch: u64,
        attempt: u64,
        answer: TrainerAnswer,
    },
}

/// A copy in a process.
pub(crate) struct Slot {
    pub replica: Replica<GroupState>,
    pub directory: FaultyDirectory,
    pub waiting: Vec<Waiting>,
    /// The last record that was staged here for each rank of a training job.
    pub staged_for: BTreeMap<u32, SequenceNumber>,
    pub syncing: bool,
    pub proposal_until_ms: Option<u64>,
    pub fetch_until_ms: Option<u64>,
    /// The last checkpoint that was stored, as a snapshot.
    pub checkpoint: Option<(SequenceNumber, Vec<u8>)>,
}

impl Host {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            store: StoreId::new(number as u128 + 1),
            disks: BTreeMap::new(),
            process: None,
            lives: 0,
            paused_until_ms: 0,
            slow: (0, 0),
            last_identity: None,
        }
    }

    /// An empty disk in place of the present one.
    pub(crate) fn wipe(&mut self) {
        self.store = StoreId::new(self.store.get() + 1000);
        self.disks.clear();
    }

    /// What loss of power leaves of the disks.
    pub(crate) fn lose_power(&mut self, seed: u64) {
        for disk in self.disks.values_mut() {
            *disk = disk.crash(seed);
        }
    }

    /// What a failed sync does to pages that the operating system still shows.
    pub(crate) fn lose_unsynced(&self) {
        for disk in self.disks.values() {
            let log = disk.list("log").unwrap_or_default().into_iter().map(|name| format!("log/{name}"));
            let names = disk.list("").unwrap_or_default();
            names.into_iter().chain(log).for_each(|name| disk.lose_unsynced(&name));
        }
    }

    pub(crate) fn sync_ms(&self, now: u64) -> u64 {
        if now < self.slow.1 { self.slow.0 } else { 0 }
    }
}

impl Process {
    pub(crate) fn new(life: u64) -> Self {
        Self { life, identity: None, index: 0, slots: BTreeMap::new(), lease_until_ms: 0, asked_ms: 0 }
    }
}

impl Slot {
    /// Opens the copy; the directory tells whether a planned fault is why it failed.
    pub(crate) fn open(
        plan: &Plan,
        group: GroupId,
        disk: &MemoryDirectory,
        (node, incarnation): (NodeId, u64),
    ) -> Result<Self, GroupError> {
        let directory = FaultyDirectory::new(Arc::new(disk.clone()));
        let options = GroupOptions {
            log_segment_bytes: plan.segment_bytes,
            request_table_entries: 10_000,
            pending_bytes_max: 16_000,
            recent_bytes_max: plan.recent_bytes,
            pinned_bytes_max: plan.pinned_bytes,
            #[cfg(feature = "mutations")]
            mutation: mutation(plan),
            ..GroupOptions::replicated(group, Durability::Fsync)
        };
        #[cfg_attr(not(feature = "mutations"), expect(unused_mut))]
        let mut copy =
            GroupCopy::open_replica(Arc::new(directory.clone()), options, GroupState::from_payload)?;
        #[cfg(feature = "mutations")]
        if mutation(plan) == Some(lavandin_group::replication::Mutation::ApplyLogAtStart) {
            copy.advance(copy.last().sequence)?;
        }
        let options = ReplicationOptions {
            in_flight_bytes_max: plan.in_flight_bytes,
            message_bytes_max: plan.in_flight_bytes / 3 + 1,
            #[cfg(feature = "mutations")]
            mutation: mutation(plan),
            ..ReplicationOptions::new(group, node, incarnation, plan.detection_ms)
        };
        Ok(Self {
            replica: Replica::new(copy, options),
            directory,
            waiting: Vec::new(),
            staged_for: BTreeMap::new(),
            syncing: false,
            proposal_until_ms: None,
            fetch_until_ms: None,
            checkpoint: None,
        })
    }
}

#[cfg(feature = "mutations")]
pub(crate) fn mutation(plan: &Plan) -> Option<lavandin_group::replication::Mutation> {
    match plan.mutant {
        Some(crate::plan::Mutant::Replication(mutation)) => Some(mutation),
        _ => None,
    }
}
