//! The same rules over plain sets of sample numbers, as plainly as can be.

use crate::ShardRows;
use crate::order::Order;
use crate::steps::Steps;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Completed,
    Filtered,
    Failed,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ModelRank {
    pub taken: BTreeSet<u64>,
    pub next: u64,
    pub generation: u64,
    /// Grants of which the delivery is not known.
    pub open: BTreeMap<u64, Vec<u64>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub blocks: Vec<Vec<u64>>,
    /// The groups of the blocks taken so far.
    pub owners: Vec<u32>,
    groups: Option<Vec<Vec<u32>>>,
    pub ranks: BTreeMap<u32, ModelRank>,
    pub settled: BTreeMap<u64, Fate>,
    /// Returned by a rank, of its batch of this number, and taken by nobody since.
    pub returned: BTreeMap<u64, (u32, u64)>,
    pub total: u64,
    /// Shares are fixed: a batch was delivered as a whole or not at all.
    whole_batches: bool,
}

impl Model {
    pub(crate) fn new(order: &Order, rows: &ShardRows, groups: Option<Vec<Vec<u32>>>) -> Self {
        let order = order.prepare(rows).expect("a valid order");
        let blocks = (0..order.blocks()).map(|number| order.block(number).indices(0).collect());
        Self {
            blocks: blocks.collect(),
            owners: Vec::new(),
            groups,
            ranks: BTreeMap::new(),
            settled: BTreeMap::new(),
            returned: BTreeMap::new(),
            total: rows.total(),
            whole_batches: false,
        }
    }

    /// Each lane has its samples from the beginning.
    pub(crate) fn with_shares(
        order: &Order,
        rows: &ShardRows,
        groups: Option<Vec<Vec<u32>>>,
        steps: &Steps,
    ) -> Self {
        let order: Vec<u64> = Self::new(order, rows, None).blocks.concat();
        let number = |place: u64| order.get(place as usize).copied().unwrap_or(place);
        let of_lane = |lane| (0..steps.count()).flat_map(move |step| steps.places(lane, step)).map(number);
        let lanes = 0..steps.layout().lanes.get();
        let blocks: Vec<Vec<u64>> = lanes.clone().map(|lane| of_lane(lane).collect()).collect();
        Self {
            total: blocks.iter().map(|block| block.len() as u64).sum(),
            blocks,
            owners: lanes.collect(),
            groups,
            ranks: BTreeMap::new(),
            settled: BTreeMap::new(),
            returned: BTreeMap::new(),
            whole_batches: true,
        }
    }

    pub(crate) fn group_of(&self, rank: u32) -> u32 {
        match &self.groups {
            None => rank,
            Some(groups) => groups.iter().position(|ranks| ranks.contains(&rank)).expect("in a group") as u32,
        }
    }

    fn others(&self, rank: u32) -> Vec<u32> {
        let group = self.group_of(rank);
        self.ranks.keys().copied().filter(|other| *other != rank && self.group_of(*other) == group).collect()
    }

    /// What a rank gets next of the blocks that its group has.
    pub(crate) fn upcoming(&self, rank: u32) -> Vec<u64> {
        let group = self.group_of(rank);
        let owned = self.owners.iter().zip(&self.blocks).filter(|(owner, _)| **owner == group);
        let taken = self.ranks.get(&rank).map(|rank| &rank.taken);
        let left = |index: &u64| taken.is_none_or(|taken| !taken.contains(index));
        owned.flat_map(|(_, block)| block.iter().copied()).filter(left).collect()
    }

    pub(crate) fn in_progress(&self) -> BTreeSet<u64> {
        self.taken().into_iter().filter(|index| !self.settled.contains_key(index)).collect()
    }

    pub(crate) fn taken(&self) -> BTreeSet<u64> {
        self.ranks.values().flat_map(|rank| rank.taken.iter().copied()).collect()
    }

    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.settled.values().filter(|settled| **settled == fate).count() as u64
    }

    /// Everything is taken and settled, and no other rank is to come: there is nothing to return.
    pub(crate) fn is_closed(&self) -> bool {
        self.groups.is_none()
            && self.owners.len() == self.blocks.len()
            && self.settled.len() as u64 == self.total
            && !self.settled.values().any(|fate| *fate == Fate::Failed)
    }

    pub(crate) fn grant(&mut self, rank: u32, granted: Vec<u64>, filtered: &[u64], failed: &[u64]) {
        let others = self.others(rank);
        for index in granted.iter().chain(filtered).chain(failed) {
            let elsewhere = others.iter().any(|other| self.ranks[other].taken.contains(index));
            assert!(elsewhere || !self.settled.contains_key(index), "{index} is settled and granted again");
            assert!(self.ranks.entry(rank).or_default().taken.insert(*index), "{index} is granted twice");
            self.returned.remove(index);
        }
        for (list, fate) in [(filtered, Fate::Filtered), (failed, Fate::Failed)] {
            list.iter().for_each(|index| {
                self.settled.entry(*index).or_insert(fate);
            });
        }
        let rank = self.ranks.entry(rank).or_default();
        if !granted.is_empty() || !failed.is_empty() {
            rank.next += 1;
        }
        if !granted.is_empty() {
            rank.open.insert(rank.next - 1, granted);
        }
    }

    pub(crate) fn complete(&mut self, indices: &[u64]) {
        for index in indices {
            if self.in_progress().contains(index) {
                self.settled.insert(*index, Fate::Completed);
            } else if let Some(of) = self.returned.remove(index) {
                self.settled.insert(*index, Fate::Completed);
                let with: Vec<u64> = self
                    .returned
                    .iter()
                    .filter(|(_, other)| **other == of)
                    .map(|(index, _)| *index)
                    .collect();
                let rank = self.ranks.entry(of.0).or_default();
                rank.taken.insert(*index);
                if self.whole_batches {
                    self.returned.retain(|_, other| *other != of);
                    rank.taken.extend(with);
                }
                rank.generation += 1;
            }
        }
    }

    pub(crate) fn deliver(&mut self, rank: u32, number: u64) {
        if let Some(rank) = self.ranks.get_mut(&rank) {
            rank.open.remove(&number);
        }
    }

    pub(crate) fn give_back(&mut self, rank: u32, number: u64) {
        let others = self.others(rank);
        let elsewhere: BTreeSet<u64> =
            others.iter().flat_map(|other| self.ranks[other].taken.iter().copied()).collect();
        let Some(state) = self.ranks.get_mut(&rank) else { return };
        let batch: Vec<u64> = state.open.remove(&number).into_iter().flatten().collect();
        let is_done = |index: &u64| !elsewhere.contains(index) && self.settled.contains_key(index);
        if self.whole_batches && batch.iter().any(is_done) {
            return;
        }
        for index in batch {
            if elsewhere.contains(&index) || !self.settled.contains_key(&index) {
                state.taken.remove(&index);
                if !elsewhere.contains(&index) {
                    self.returned.insert(index, (rank, number));
                }
            }
        }
        state.generation += 1;
    }

    pub(crate) fn push_back(&mut self) {
        self.settled.retain(|_, fate| *fate != Fate::Failed);
        for rank in self.ranks.values_mut() {
            rank.taken.retain(|index| self.settled.contains_key(index));
            rank.open.clear();
            rank.generation += 1;
        }
    }
}
