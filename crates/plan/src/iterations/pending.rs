//! What staged operations will have changed once they are applied, as far as the next ones must know.
//!
//! Operations are applied in the order in which they were staged, and others are staged between the two: each leaves
//! with its own application, whatever is staged behind it.

use crate::iterations::entry::Entry;
use crate::iterations::op::{Granted, Op};
use crate::iterations::owner::Owner;
use crate::iterations::state::Returned;
use lavandin_types::IterationId;
use roaring::{RoaringBitmap, RoaringTreemap};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Iterations that are being created.
    pub created: BTreeMap<IterationId, Arc<Entry>>,
    /// Iterations that are being dropped.
    pub gone: BTreeSet<IterationId>,
    iterations: BTreeMap<IterationId, Staged>,
}

/// What is staged for one iteration.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    operations: usize,
    /// Blocks being taken, and by which group.
    pub blocks: BTreeMap<u32, u32>,
    pub ranks: BTreeMap<u32, StagedRank>,
    /// Grants that are open and will not be: delivered or returned; rank and number.
    pub closing: BTreeSet<(u32, u64)>,
    /// The indices of each completion.
    completing: VecDeque<RoaringTreemap>,
    pushbacks: usize,
}

/// What is staged for one rank; with nothing in it, that the rank will be there.
#[derive(Debug, Default)]
pub(crate) struct StagedRank {
    /// Numbers being spent on batches and failures, and by whom.
    pub batches: BTreeMap<u64, Owner>,
    /// Offsets being taken, by block.
    pub taken: BTreeMap<u32, RoaringBitmap>,
    returns: usize,
}

impl Pending {
    /// An operation is staged. What it creates or drops is its caller's to note.
    pub(crate) fn stage(&mut self, op: &Op) {
        if let Some(id) = op.iteration() {
            self.iterations.entry(id).or_default().stage(op);
        }
    }

    /// The first of the staged operations is about to be applied; or another one, where none is staged.
    pub(crate) fn settle(&mut self, op: &Op) {
        let Some(id) = op.iteration() else { return };
        self.created.remove(&id);
        let Some(staged) = self.iterations.get_mut(&id) else { return };
        match staged.operations {
            0 | 1 => drop(self.iterations.remove(&id)),
            _ => staged.settle(op),
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn of(&self, iteration: IterationId) -> Option<&Staged> {
        self.iterations.get(&iteration)
    }
}

impl Staged {
    fn stage(&mut self, op: &Op) {
        self.operations += 1;
        match op {
            Op::Create(created) => drop(self.ranks.entry(created.rank).or_default()),
            Op::Join { rank, .. } => drop(self.ranks.entry(*rank).or_default()),
            Op::TakeBlock { group, block, .. } => drop(self.blocks.insert(*block, *group)),
            Op::Grant(granted) => {
                self.closing.extend(&granted.delivered);
                self.ranks.entry(granted.rank).or_default().stage(granted);
            }
            Op::Delivered { grants, .. } => self.closing.extend(grants),
            Op::Return { rank, number, .. } => {
                self.closing.insert((*rank, *number));
                self.ranks.entry(*rank).or_default().returns += 1;
            }
            Op::Complete { indices, .. } => self.completing.push_back(indices.iter().copied().collect()),
            Op::Pushback { .. } => self.pushbacks += 1,
            Op::DropDataset { .. } => {}
        }
    }

    fn settle(&mut self, op: &Op) {
        self.operations -= 1;
        let rank = match op {
            Op::Create(created) => Some(created.rank),
            Op::Join { rank, .. } => Some(*rank),
            Op::TakeBlock { block, .. } => {
                self.blocks.remove(block);
                None
            }
            Op::Grant(granted) => {
                self.close(&granted.delivered);
                self.ranks.entry(granted.rank).and_modify(|rank| rank.settle(granted));
                Some(granted.rank)
            }
            Op::Delivered { grants, .. } => {
                self.close(grants);
                None
            }
            Op::Return { rank, number, .. } => {
                self.close(&[(*rank, *number)]);
                self.ranks.entry(*rank).and_modify(|rank| rank.returns = rank.returns.saturating_sub(1));
                Some(*rank)
            }
            Op::Complete { .. } => {
                self.completing.pop_front();
                None
            }
            Op::Pushback { .. } => {
                self.pushbacks = self.pushbacks.saturating_sub(1);
                None
            }
            Op::DropDataset { .. } => None,
        };
        // The rank is there now.
        if let Some(rank) = rank.filter(|rank| self.ranks.get(rank).is_some_and(StagedRank::is_empty)) {
            self.ranks.remove(&rank);
        }
    }

    /// A grant that is closed twice is closed by the first.
    fn close(&mut self, grants: &[(u32, u64)]) {
        for grant in grants {
            self.closing.remove(grant);
        }
    }

    /// Whether samples that any rank was granted come back.
    pub(crate) fn pushes_back(&self) -> bool {
        self.pushbacks > 0
    }

    /// Whether samples that the rank was granted come back.
    pub(crate) fn returns(&self, rank: u32) -> bool {
        self.pushes_back() || self.ranks.get(&rank).is_some_and(|rank| rank.returns > 0)
    }

    /// Whether any of the samples that were returned from the rank is about to be done.
    pub(crate) fn completes_returned(&self, rank: u32, returned: &BTreeMap<u64, Returned>) -> bool {
        if self.completing.is_empty() || returned.is_empty() {
            return false;
        }
        let is_its = |index| returned.get(&index).is_some_and(|of| of.rank == rank);
        self.completing.iter().any(|completion| match completion.len() < returned.len() as u64 {
            true => completion.iter().any(is_its),
            false => returned.iter().any(|(index, of)| of.rank == rank && completion.contains(*index)),
        })
    }
}

impl StagedRank {
    fn stage(&mut self, granted: &Granted) {
        if granted.has_number() {
            self.batches.insert(granted.number, granted.owner);
        }
        for run in granted.runs() {
            self.taken.entry(run.block).or_default().insert_range(run.start..=run.last());
        }
    }

    fn settle(&mut self, granted: &Granted) {
        if granted.has_number() {
            self.batches.remove(&granted.number);
        }
        for run in granted.runs() {
            if let Some(offsets) = self.taken.get_mut(&run.block) {
                offsets.remove_range(run.start..=run.last());
            }
        }
        self.taken.retain(|_, offsets| !offsets.is_empty());
    }

    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.taken.is_empty() && self.returns == 0
    }
}
