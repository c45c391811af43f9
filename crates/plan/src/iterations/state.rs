//! What changes of an iteration.
//!
//! A sample that some rank has taken is in its group's `open` set until it is settled. So what is settled needs no set of
//! its own: it is what a rank has taken and is not open. The open set is kept by the sample's number, because that is
//! what completions name; what ranks have taken is kept by place, because that is how they walk.

use crate::iterations::entry::Entry;
use crate::iterations::outline::Outline;
use crate::iterations::places::{Place, Run};
use crate::iterations::rank::Rank;
use roaring::{RoaringBitmap, RoaringTreemap};
use std::collections::BTreeMap;

/// A replication group's blocks. Groups share none.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub owned: RoaringBitmap,
    /// Samples of the blocks that it owns.
    pub samples: u64,
    /// Samples in progress, by number.
    pub open: RoaringTreemap,
    /// Places of all samples in progress that are in no batch that is kept: offsets by block. Some of these are settled
    /// by now.
    pub old: BTreeMap<u32, RoaringBitmap>,
    /// Samples settled.
    pub settled: u64,
    /// Of these, what failed: offsets by block. A pushback gives it another chance.
    pub failed: BTreeMap<u32, RoaringBitmap>,
    /// Samples of returned grants that nobody has taken since, by number. An answer may have arrived although nobody
    /// knows, so who completes one of them is believed.
    pub returned: BTreeMap<u64, Returned>,
}

/// Where a returned sample is, and whose it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    pub rank: u32,
    /// Of the batch that it was in.
    pub number: u64,
    pub place: Place,
    /// Samples of its block.
    pub length: u64,
}

/// Returned samples that a group remembers.
pub(crate) const RETURNED_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub completed: u64,
    pub filtered: u64,
    pub failed: u64,
}

impl Counters {
    pub(crate) fn settled(self) -> u64 {
        self.completed.saturating_add(self.filtered).saturating_add(self.failed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The first block that no group has taken.
    pub next_block: u32,
    /// Those that own blocks.
    pub groups: BTreeMap<u32, Group>,
    /// Those that joined or were granted something.
    pub ranks: BTreeMap<u32, Rank>,
    pub counters: Counters,
    /// The latest time that a request brought.
    pub active_ms: u64,
    /// Everything is taken by everybody and settled; only numbers are left.
    pub closed: bool,
    /// The iteration is not one any more; for readers that still hold it.
    pub dropped: bool,
}

impl State {
    /// Of a new iteration. Where shares are fixed, all blocks are given out.
    pub(crate) fn begin(outline: &Outline) -> Self {
        let mut state = Self::default();
        let Some(lanes) = outline.lanes.as_ref().filter(|lanes| lanes.count() > 0) else { return state };
        state.next_block = lanes.count();
        for lane in 0..lanes.steps().layout().lanes.get() {
            let group = state.groups.entry(lane).or_default();
            group.owned.insert_range(lanes.of_lane(lane));
            group.samples = lanes.steps().samples_of(lane, 0..u64::MAX);
        }
        state
    }

    /// A rank asks for the iteration.
    pub(crate) fn join(&mut self, rank: u32) {
        self.ranks.entry(rank).or_insert_with(Rank::new);
    }

    /// Samples in progress.
    pub(crate) fn in_progress(&self) -> u64 {
        self.groups.values().map(|group| group.open.len()).sum()
    }

    /// All blocks are taken, and in each group whoever is there has taken all of them.
    pub(crate) fn is_finished(&self, entry: &Entry) -> bool {
        self.closed
            || self.next_block >= entry.blocks
                && self.groups.iter().all(|(ordinal, group)| {
                    let ranks = entry.definition.ranks_of(*ordinal);
                    let mut present = ranks.iter().filter_map(|rank| self.ranks.get(rank)).peekable();
                    present.peek().is_some() && present.all(|rank| rank.taken >= group.samples)
                })
    }

    /// Whether the rank's group has samples that this rank has not taken.
    pub(crate) fn has_left(&self, entry: &Entry, rank: u32) -> bool {
        let group = entry.definition.group_of(rank).and_then(|group| self.groups.get(&group));
        let taken = self.ranks.get(&rank).map_or(0, |rank| rank.taken);
        group.is_some_and(|group| group.samples > taken)
    }

    /// Gives the next block, of this many samples, to a group. An empty block is nobody's. False if another one is next.
    pub(crate) fn take_block(&mut self, group: u32, block: u32, length: u64) -> bool {
        if block != self.next_block {
            return false;
        }
        self.next_block += 1;
        if length > 0 {
            let group = self.groups.entry(group).or_default();
            group.owned.insert(block);
            group.samples = group.samples.saturating_add(length);
        }
        true
    }

    /// Notes grants whose answers have left; how many of them were open. `grant::forget_old` is due afterwards.
    pub(crate) fn deliver(&mut self, grants: &[(u32, u64)]) -> u64 {
        let deliver = |(rank, number): &&(u32, u64)| {
            self.ranks.get_mut(rank).is_some_and(|rank| rank.batches.deliver(*number))
        };
        grants.iter().filter(deliver).count() as u64
    }

    /// Settles samples as done; how many were in progress.
    pub(crate) fn complete(&mut self, outline: &Outline, indices: &[u64]) -> u64 {
        let whole_batches = outline.lanes.is_some();
        let mut done = 0;
        // Mostly they are all of one rank's batch.
        let mut last = None;
        for index in indices {
            let hit = last.filter(|ordinal| self.groups.get_mut(ordinal).is_some_and(|g| g.complete(*index)));
            let hit = hit.or_else(|| {
                self.groups.iter_mut().find_map(|(ordinal, group)| group.complete(*index).then_some(*ordinal))
            });
            if hit.is_some() {
                done += 1;
                last = hit;
            } else {
                done += u64::from(self.complete_returned(*index, whole_batches));
            }
        }
        self.counters.completed = self.counters.completed.saturating_add(done);
        done
    }

    /// Settles a sample that was returned: the rank that it was returned from had it after all. It had the whole batch
    /// then; where the sequence of batches is fixed the others of it are in progress again, so that none comes in part.
    fn complete_returned(&mut self, index: u64, whole_batches: bool) -> bool {
        let find = |group: &mut Group| {
            let returned = group.returned.remove(&index)?;
            group.settle_one();
            let others = if whole_batches { group.reopen(returned) } else { Vec::new() };
            Some((returned, others))
        };
        let Some((returned, others)) = self.groups.values_mut().find_map(find) else { return false };
        if let Some(rank) = self.ranks.get_mut(&returned.rank) {
            for Returned { place, length, .. } in others.into_iter().chain([returned]) {
                rank.take(Run { block: place.block, start: place.offset, length: 1 }, length);
            }
            rank.generation = rank.generation.saturating_add(1);
        }
        true
    }

    /// Gives up the sets of an iteration that needs them no more: every rank of every group that owns blocks, those
    /// that are still to come included, has taken all, all is settled, and no return or pushback can change that.
    pub(crate) fn close_if_ended(&mut self, entry: &Entry) {
        if self.closed || self.next_block < entry.blocks {
            return;
        }
        let has_all =
            |rank: &u32, samples: u64| self.ranks.get(rank).is_some_and(|rank| rank.taken >= samples);
        let ended = self.groups.iter().all(|(ordinal, group)| {
            let ranks = || entry.definition.ranks_of(*ordinal);
            group.open.is_empty()
                && group.failed.is_empty()
                && ranks().iter().all(|rank| has_all(rank, group.samples))
        });
        // What others of its group have settled, a rank may still return for itself.
        let is_returnable = |rank: &Rank| rank.batches.open() > 0;
        let shared = entry.definition.replication_groups.is_some();
        if ended && !(shared && self.ranks.values().any(is_returnable)) {
            self.closed = true;
            self.groups.clear();
            self.ranks.values_mut().for_each(Rank::close);
        }
    }

    /// Whether any of these ranks has taken a place.
    pub(crate) fn is_taken_by_any(&self, ranks: &[u32], place: Place) -> bool {
        ranks.iter().any(|rank| self.ranks.get(rank).is_some_and(|rank| rank.has_taken(place)))
    }
}

impl Group {
    fn complete(&mut self, index: u64) -> bool {
        let was_open = self.remove_open(index);
        if was_open {
            self.settle_one();
        }
        was_open
    }

    /// Has all that was returned with a sample in progress again.
    fn reopen(&mut self, with: Returned) -> Vec<Returned> {
        let is_with = |other: &Returned| (other.rank, other.number) == (with.rank, with.number);
        let mut reopened = Vec::new();
        self.returned.retain(|index, returned| {
            if is_with(returned) {
                self.open.insert(*index);
                self.old.entry(returned.place.block).or_default().insert(returned.place.offset);
                reopened.push(*returned);
            }
            !is_with(returned)
        });
        reopened
    }

    pub(crate) fn settle_one(&mut self) {
        self.settled = self.settled.saturating_add(1);
    }

    /// Takes a sample out of those in progress; false if it was not.
    pub(crate) fn remove_open(&mut self, index: u64) -> bool {
        let was_open = self.open.remove(index);
        if was_open && !self.old.is_empty() && self.open.is_empty() {
            self.old.clear();
        }
        was_open
    }
}
