//! What one rank has taken: whole blocks as a set of blocks, the others by the offsets in them.
//!
//! A rank walks its blocks in order, so nearly all of them are whole or untouched, and the state stays small however
//! large the dataset is.

use crate::iterations::batches::Batches;
use crate::iterations::places::{Place, Run};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Rank {
    /// The number of its next batch.
    pub next: u64,
    /// How often samples of it came back.
    pub generation: u64,
    /// How many samples it has taken.
    pub taken: u64,
    pub batches: Batches,
    /// Blocks of which it has taken all.
    whole: RoaringBitmap,
    /// Offsets taken of other blocks; none of them is empty.
    partial: BTreeMap<u32, RoaringBitmap>,
    /// It has taken all of its blocks before this one. Found out again after a restart.
    open_from: u32,
}

/// What a rank has taken of one block.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    Nothing,
    Offsets(RoaringBitmap),
    All,
}

impl Taken {
    pub(crate) fn contains(&self, offset: u32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Offsets(offsets) => offsets.contains(offset),
            Self::All => true,
        }
    }
}

impl Rank {
    pub(crate) fn new() -> Self {
        Self::from_saved(BTreeMap::new(), RoaringBitmap::new())
    }

    pub(crate) fn from_saved(partial: BTreeMap<u32, RoaringBitmap>, whole: RoaringBitmap) -> Self {
        Self { next: 0, generation: 0, taken: 0, batches: Batches::default(), whole, partial, open_from: 0 }
    }

    pub(crate) fn whole(&self) -> &RoaringBitmap {
        &self.whole
    }

    pub(crate) fn partial(&self) -> &BTreeMap<u32, RoaringBitmap> {
        &self.partial
    }

    /// What it has taken of a block.
    pub(crate) fn taken_of(&self, block: u32) -> Taken {
        if self.whole.contains(block) {
            return Taken::All;
        }
        self.partial.get(&block).map_or(Taken::Nothing, |offsets| Taken::Offsets(offsets.clone()))
    }

    pub(crate) fn has_taken(&self, place: Place) -> bool {
        self.whole.contains(place.block)
            || self.partial.get(&place.block).is_some_and(|offsets| offsets.contains(place.offset))
    }

    /// The first place of the run that it has taken.
    pub(crate) fn first_taken(&self, run: Run) -> Option<Place> {
        if self.whole.contains(run.block) {
            return Some(Place { block: run.block, offset: run.start });
        }
        let taken = self.partial.get(&run.block)?.range(run.start..=run.last()).next()?;
        Some(Place { block: run.block, offset: taken })
    }

    /// Takes a run of which nothing is taken.
    pub(crate) fn take(&mut self, run: Run, block_length: u64) {
        let offsets = self.partial.entry(run.block).or_default();
        self.taken += offsets.insert_range(run.start..=run.last());
        if offsets.len() >= block_length {
            self.partial.remove(&run.block);
            self.whole.insert(run.block);
        }
    }

    /// Forgets that it took some offsets of a block.
    pub(crate) fn put_back(&mut self, block: u32, back: &RoaringBitmap, block_length: u64) {
        if back.is_empty() {
            return;
        }
        if self.whole.remove(block)
            && let Some(last) = block_length.checked_sub(1)
        {
            let mut offsets = RoaringBitmap::new();
            offsets.insert_range(0..=u32::try_from(last).unwrap_or(u32::MAX));
            self.partial.insert(block, offsets);
        }
        let Some(offsets) = self.partial.get_mut(&block) else { return };
        self.taken = self.taken.saturating_sub(offsets.intersection_len(back));
        *offsets -= back;
        if offsets.is_empty() {
            self.partial.remove(&block);
        }
        self.open_from = self.open_from.min(block);
    }

    /// Forgets all that it took.
    pub(crate) fn put_back_all(&mut self) {
        self.whole.clear();
        self.partial.clear();
        self.taken = 0;
        self.open_from = 0;
    }

    /// The first of its group's blocks, from `from` on, of which it has not taken all.
    pub(crate) fn next_open_block(&mut self, owned: &RoaringBitmap, from: u32) -> Option<u32> {
        let start = from.max(self.open_from);
        let block = owned.range(start..).find(|block| !self.whole.contains(*block));
        if start == self.open_from {
            // Blocks that are owned later come after all that are owned now.
            self.open_from = block.or_else(|| owned.max()?.checked_add(1)).unwrap_or(start);
        }
        block
    }

    /// Keeps the numbers that outlive a finished iteration.
    pub(crate) fn close(&mut self) {
        self.whole = RoaringBitmap::new();
        self.partial = BTreeMap::new();
        self.batches.clear();
    }
}

#[cfg(test)]
mod tests;
