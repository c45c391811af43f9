//! The disk of a node's copies: in memory, so that it can lose what was not synced, fail and be slow.
//!
//! Identity and metadata lie on real files: a killed node's metadata is closed as it was at that moment, and loses
//! nothing when the power goes (`consensus` has tests of that).

use crate::network::lock;
use lavandin_node::{CopyStore, NodeError};
use lavandin_storage::{Directory, Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::GroupId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct State {
    copies: BTreeMap<GroupId, (MemoryDirectory, FaultyDirectory)>,
    delay: Duration,
    /// The process that had it is gone.
    ended: bool,
}

/// The disk as one life of a node has it.
#[derive(Default)]
pub(crate) struct Disk(Mutex<State>);

impl Disk {
    /// Plans a failure of each copy, so many calls from now.
    pub(crate) fn fail(&self, calls: u64, fault: Fault) {
        for (_, faulty) in lock(&self.0).copies.values() {
            faulty.fail_at(faulty.calls().mutating + calls, fault);
        }
    }

    /// Whether one of the planned failures came about.
    pub(crate) fn has_struck(&self) -> bool {
        lock(&self.0).copies.values().any(|(_, faulty)| faulty.has_struck())
    }

    /// Makes syncs slow.
    pub(crate) fn slow_syncs(&self, delay: Duration) {
        let mut state = lock(&self.0);
        state.delay = delay;
        state.copies.values().for_each(|(_, faulty)| faulty.slow_syncs(delay));
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.slow_syncs(Duration::ZERO);
        let state = lock(&self.0);
        if !state.ended {
            state.copies.values().for_each(|(_, faulty)| faulty.heal());
        }
    }

    /// Nothing that the present process does from now on reaches the disk; what the next one finds. Without power,
    /// what was not synced is lost or torn as the seed says.
    pub(crate) fn end(&self, power_cut: Option<u64>) -> Self {
        let mut state = lock(&self.0);
        state.ended = true;
        let survivor = |(group, (memory, faulty)): (&GroupId, &(MemoryDirectory, FaultyDirectory))| {
            faulty.slow_syncs(Duration::ZERO);
            faulty.fail_at(0, Fault::Crash);
            let memory = power_cut.map_or_else(|| memory.clone(), |seed| memory.crash(seed ^ group.get()));
            (*group, with_faults(memory))
        };
        let copies = state.copies.iter().map(survivor).collect();
        Self(Mutex::new(State { copies, ..State::default() }))
    }
}

fn with_faults(memory: MemoryDirectory) -> (MemoryDirectory, FaultyDirectory) {
    (memory.clone(), FaultyDirectory::new(Arc::new(memory)))
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a disk in memory")
    }
}

impl CopyStore for Disk {
    fn open(&self, _: &Path, group: GroupId) -> Result<Arc<dyn Directory>, NodeError> {
        let mut state = lock(&self.0);
        if state.ended {
            return Err(NodeError::Internal("the process is gone"));
        }
        let delay = state.delay;
        let (_, faulty) = state.copies.entry(group).or_insert_with(|| with_faults(MemoryDirectory::new()));
        faulty.slow_syncs(delay);
        Ok(Arc::new(faulty.clone()))
    }

    fn exists(&self, _: &Path, group: GroupId) -> Result<bool, NodeError> {
        Ok(lock(&self.0).copies.contains_key(&group))
    }

    fn list(&self, _: &Path) -> Result<BTreeSet<GroupId>, NodeError> {
        let state = lock(&self.0);
        let has_log = |memory: &MemoryDirectory| memory.exists("log").unwrap_or(false);
        Ok(state.copies.iter().filter(|(_, (memory, _))| has_log(memory)).map(|(group, _)| *group).collect())
    }

    fn set_aside(&self, _: &Path, group: GroupId) -> Result<Option<PathBuf>, NodeError> {
        let removed = lock(&self.0).copies.remove(&group);
        Ok(removed.map(|_| PathBuf::from(group.to_string())))
    }

    fn discard_aside(&self, _: &Path, _: GroupId) -> Result<(), NodeError> {
        Ok(())
    }

    fn has_space(&self, _: &Path) -> bool {
        true
    }

    fn remove(&self, _: &Path, group: GroupId) -> Result<(), NodeError> {
        lock(&self.0).copies.remove(&group);
        Ok(())
    }

    fn clear_removed(&self, _: &Path) -> Result<(), NodeError> {
        Ok(())
    }

    fn remove_all(&self, _: &Path) -> Result<(), NodeError> {
        lock(&self.0).copies.clear();
        Ok(())
    }
}
