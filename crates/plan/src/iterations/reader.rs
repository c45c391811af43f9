//! The readers' handle: progress, definitions, listings, walks. Any number of threads; none waits for the log's.

use crate::iterations::entry::Entry;
use crate::iterations::error::Rejection;
use crate::iterations::machine::OpenGrant;
use crate::iterations::outline::{IterationInfo, Outline};
use crate::iterations::owner::Owner;
use crate::iterations::progress::Progress;
use crate::iterations::walk::{Found, Look};
use lavandin_types::{DatasetId, IterationId};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) type Entries = BTreeMap<IterationId, Arc<Entry>>;

#[derive(Clone)]
pub struct IterationsReader {
    pub(crate) entries: Arc<RwLock<Entries>>,
}

/// Where a rank stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankStatus {
    /// It was there: it asked for the iteration, or was granted something.
    pub joined: bool,
    /// The number of its next batch.
    pub next: u64,
    /// How often samples of it came back; what a grant must name.
    pub generation: u64,
    /// Grants of which it is not known whether their answers have left, and who sees to it.
    pub open: Vec<(u64, Owner)>,
}

impl IterationsReader {
    pub(crate) fn new(entries: Arc<RwLock<Entries>>) -> Self {
        Self { entries }
    }

    pub fn outline(&self, iteration: IterationId) -> Result<Arc<Outline>, Rejection> {
        self.find(iteration).map(|entry| Arc::clone(&entry.outline))
    }

    /// All iterations, or those of one dataset; newest first.
    pub fn list(&self, dataset: Option<DatasetId>) -> Vec<IterationInfo> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = |entry: &&Arc<Entry>| dataset.is_none_or(|dataset| entry.dataset == dataset);
        let mut list: Vec<_> = entries.values().filter(wanted).map(|entry| entry.info()).collect();
        list.sort_by_key(|info| std::cmp::Reverse((info.created_ms, info.id)));
        list
    }

    pub fn progress(&self, iteration: IterationId) -> Option<Progress> {
        self.find(iteration).ok().map(|entry| entry.progress())
    }

    pub fn rank(&self, iteration: IterationId, rank: u32) -> Result<RankStatus, Rejection> {
        let entry = self.find(iteration)?;
        entry.definition.group_of(rank).ok_or(Rejection::UnknownRank(rank))?;
        let state = entry.state();
        let Some(rank) = state.ranks.get(&rank) else { return Ok(RankStatus::default()) };
        let open = rank.batches.open_numbers().collect();
        Ok(RankStatus { joined: true, next: rank.next, generation: rank.generation, open })
    }

    /// How many ranks have come so far.
    pub fn rank_count(&self, iteration: IterationId) -> usize {
        self.find(iteration).map_or(0, |entry| entry.state().ranks.len())
    }

    /// Which of these samples are in progress, or were returned and not taken since. A completion of others need not be
    /// logged.
    pub fn completable(&self, iteration: IterationId, indices: &[u64]) -> Result<Vec<u64>, Rejection> {
        let entry = self.find(iteration)?;
        let state = entry.state();
        let is_waited_for = |index: &u64| {
            let mut groups = state.groups.values();
            groups.any(|group| group.open.contains(*index) || group.returned.contains_key(index))
        };
        Ok(indices.iter().copied().filter(is_waited_for).collect())
    }

    /// What a walk finds from a block on.
    pub fn look(&self, look: Look) -> Result<Found, Rejection> {
        self.find(look.iteration)?.look(look)
    }

    /// Grants that are open. Of those whose owner is gone it is not known whether their answers have left, so that they
    /// are returned. Samples that were completed since stay completed.
    pub fn open_grants(&self) -> Vec<OpenGrant> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut open = Vec::new();
        for (id, entry) in &*entries {
            for (rank, state) in &entry.state().ranks {
                let numbers = state.batches.open_numbers();
                let grant = |(number, owner)| OpenGrant { iteration: *id, rank: *rank, number, owner };
                open.extend(numbers.map(grant));
            }
        }
        open
    }

    fn find(&self, iteration: IterationId) -> Result<Arc<Entry>, Rejection> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&iteration).cloned().ok_or(Rejection::UnknownIteration(iteration))
    }
}
