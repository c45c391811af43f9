//! What staged operations will have changed once they are applied, as far as the next ones must know.
//!
//! Nothing is staged between the logging of operations and their application, so this is forgotten as a whole.

use crate::iterations::entry::Entry;
use crate::iterations::owner::Owner;
use lavandin_types::IterationId;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    operations: usize,
    /// Iterations that are being created.
    pub created: BTreeMap<IterationId, Arc<Entry>>,
    /// Iterations that are being dropped.
    pub gone: BTreeSet<IterationId>,
    pub iterations: BTreeMap<IterationId, Staged>,
}

/// What is staged for one iteration.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// Blocks being taken, and by which group.
    pub blocks: BTreeMap<u32, u32>,
    pub ranks: BTreeMap<u32, StagedRank>,
    /// Grants that are open and will not be: delivered or returned; rank and number.
    pub closing: BTreeSet<(u32, u64)>,
    pub pushback: bool,
}

/// What is staged for one rank; with nothing in it, that the rank will be there.
#[derive(Debug, Default)]
pub(crate) struct StagedRank {
    /// Numbers being spent on batches and failures, and by whom.
    pub batches: BTreeMap<u64, Owner>,
    /// Something of it is being returned, or completed after its return.
    pub returns: bool,
    /// Offsets being taken, by block.
    pub taken: BTreeMap<u32, RoaringBitmap>,
}

impl Pending {
    /// An operation is staged.
    pub(crate) fn staged_one(&mut self) {
        self.operations += 1;
    }

    /// One staged operation has been applied; when none is left, nothing is pending.
    pub(crate) fn applied_one(&mut self) {
        self.operations = self.operations.saturating_sub(1);
        if self.operations == 0 {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn of(&self, iteration: IterationId) -> Option<&Staged> {
        self.iterations.get(&iteration)
    }

    pub(crate) fn of_mut(&mut self, iteration: IterationId) -> &mut Staged {
        self.iterations.entry(iteration).or_default()
    }
}

impl Staged {
    pub(crate) fn rank_mut(&mut self, rank: u32) -> &mut StagedRank {
        self.ranks.entry(rank).or_default()
    }
}
