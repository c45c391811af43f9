//! Grants applied, and undone: returned one by one, or all pushed back.
//!
//! What a rank takes, and its group:
//! - A sample that no other rank of the group has taken becomes open, or settled if it was filtered or failed.
//! - One that another rank has taken is open or settled already; only a filter's or a failure's word can settle it.
//!
//! What comes back:
//! - Of a returned grant: what another rank has taken too, which stays as it is for that rank; and what is open, which is
//!   remaining again. What was settled by nobody but this rank stays with it, else it would be granted again.
//! - Of a pushback: what is open or failed, for all ranks.

use crate::iterations::batches::Batch;
use crate::iterations::entry::Entry;
use crate::iterations::op::Granted;
use crate::iterations::places::{Place, Places, Run};
use crate::iterations::rank::Rank;
use crate::iterations::state::{RETURNED_MAX, Returned, State};
use crate::order::Block;
use roaring::{RoaringBitmap, RoaringTreemap};
use std::collections::BTreeMap;
use std::sync::Arc;

type Blocks = BTreeMap<u32, Arc<Block>>;

/// What became of a sample on its way into a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Granted,
    Filtered,
    Failed,
}

/// The blocks that places lie in. Not to be called with the iteration's state held: some take long to make.
pub(crate) fn blocks_of<'a>(entry: &Entry, lists: impl IntoIterator<Item = &'a Places>) -> Blocks {
    let mut blocks = Blocks::new();
    for run in lists.into_iter().flat_map(|places| places.runs()) {
        if !blocks.contains_key(&run.block)
            && let Some(block) = entry.block(run.block)
        {
            blocks.insert(run.block, block);
        }
    }
    blocks
}

/// Takes the samples for the rank; how many were granted.
pub(crate) fn grant(entry: &Entry, granted: Granted) -> u64 {
    let Granted { rank, now_ms, owner, samples, filtered, failed, delivered, .. } = granted;
    let Some(group) = entry.definition.group_of(rank) else { return 0 };
    let blocks = blocks_of(entry, [&samples, &filtered, &failed]);
    let mut taking = Taking { rank, group, others: entry.definition.ranks_of(group), blocks };
    taking.others.retain(|other| *other != rank);
    let mut state = entry.state();
    state.deliver(&delivered);
    state.active_ms = state.active_ms.max(now_ms);
    state.join(rank);
    if state.closed {
        return 0;
    }
    for (places, fate) in [(&samples, Fate::Granted), (&filtered, Fate::Filtered), (&failed, Fate::Failed)] {
        places.runs().iter().for_each(|run| taking.take(&mut state, *run, fate));
    }
    let count = samples.len();
    if let Some(rank) = state.ranks.get_mut(&rank)
        && (count > 0 || !failed.is_empty())
    {
        // Which is the operation's number: `prepare` refuses others.
        let number = rank.next;
        rank.next = number.saturating_add(1);
        if count > 0 {
            let samples = Arc::new(samples);
            rank.batches.push(Batch { number, granted_ms: now_ms, delivered: false, owner, samples });
        }
    }
    state.close_if_ended(entry);
    drop(state);
    forget_old(entry, delivered.iter().map(|(rank, _)| *rank));
    count
}

struct Taking {
    rank: u32,
    group: u32,
    /// The other ranks of the group.
    others: Vec<u32>,
    blocks: Blocks,
}

impl Taking {
    fn take(&self, state: &mut State, run: Run, fate: Fate) {
        let Some(block) = self.blocks.get(&run.block).filter(|block| run.end() <= block.len()) else {
            return;
        };
        let is_owned = state.groups.get(&self.group).is_some_and(|group| group.owned.contains(run.block));
        let Some(rank) = state.ranks.get_mut(&self.rank) else { return };
        // `prepare` refuses both; an operation that it did not make changes nothing.
        if !is_owned || rank.first_taken(run).is_some() {
            return;
        }
        rank.take(run, block.len());
        for offset in run.offsets() {
            let place = Place { block: run.block, offset: offset as u32 };
            let elsewhere = state.is_taken_by_any(&self.others, place);
            self.note(state, (block.index(offset), place), elsewhere, fate);
        }
    }

    fn note(&self, state: &mut State, (index, place): (u64, Place), elsewhere: bool, fate: Fate) {
        let Some(group) = state.groups.get_mut(&self.group) else { return };
        if !group.returned.is_empty() {
            group.returned.remove(&index);
        }
        let counter = match fate {
            Fate::Granted => {
                if !elsewhere {
                    group.open.insert(index);
                }
                return;
            }
            Fate::Filtered => &mut state.counters.filtered,
            Fate::Failed => &mut state.counters.failed,
        };
        if !elsewhere || group.remove_open(index) {
            group.settle_one();
            *counter = counter.saturating_add(1);
            if fate == Fate::Failed {
                group.failed.entry(place.block).or_default().insert(place.offset);
            }
        }
    }
}

/// Takes an open grant back; how many of its samples can be granted again.
pub(crate) fn give_back(entry: &Entry, rank: u32, number: u64) -> u64 {
    let Some(ordinal) = entry.definition.group_of(rank) else { return 0 };
    let Some(samples) = entry.state().ranks.get(&rank).and_then(|rank| rank.batches.open_samples(number))
    else {
        return 0;
    };
    let blocks = blocks_of(entry, [&*samples]);
    let mut others = entry.definition.ranks_of(ordinal);
    others.retain(|other| *other != rank);
    let mut state = entry.state();
    // Where the sequence of batches is fixed none comes in part: who has done one sample of it has it.
    if entry.lanes.is_some() && is_done_in_part(&state, (ordinal, &others), &samples, &blocks) {
        state.ranks.get_mut(&rank).map(|rank| rank.batches.deliver(number));
        state.close_if_ended(entry);
        return 0;
    }
    let Some(batch) = state.ranks.get_mut(&rank).and_then(|rank| rank.batches.remove_open(number)) else {
        return 0;
    };
    let mut returned = 0;
    for place in batch.samples.iter() {
        let offset = u64::from(place.offset);
        let Some(block) = blocks.get(&place.block).filter(|block| offset < block.len()) else { continue };
        let elsewhere = state.is_taken_by_any(&others, place);
        let Some(group) = state.groups.get_mut(&ordinal) else { continue };
        let index = block.index(offset);
        if elsewhere || group.remove_open(index) {
            returned += 1;
            if !elsewhere && group.returned.len() < RETURNED_MAX {
                let length = block.len();
                group.returned.insert(index, Returned { rank, number, place, length });
            }
            if let Some(rank) = state.ranks.get_mut(&rank) {
                rank.put_back(place.block, &RoaringBitmap::from([place.offset]), block.len());
            }
        }
    }
    if let Some(rank) = state.ranks.get_mut(&rank) {
        rank.generation = rank.generation.saturating_add(1);
    }
    state.close_if_ended(entry);
    returned
}

/// Whether the only rank of its group that has taken one of these samples has done it.
fn is_done_in_part(state: &State, (group, others): (u32, &[u32]), samples: &Places, blocks: &Blocks) -> bool {
    let Some(group) = state.groups.get(&group) else { return false };
    samples.iter().any(|place| {
        let offset = u64::from(place.offset);
        let block = blocks.get(&place.block).filter(|block| offset < block.len());
        block.is_some_and(|block| {
            !group.open.contains(block.index(offset)) && !state.is_taken_by_any(others, place)
        })
    })
}

/// Makes everything in progress and everything that failed remaining again; how many samples.
pub(crate) fn push_back(entry: &Entry) -> u64 {
    let mut guard = entry.state();
    let state = &mut *guard;
    let mut count = 0;
    for (ordinal, group) in &mut state.groups {
        let open = std::mem::take(&mut group.open);
        let old = std::mem::take(&mut group.old);
        let failed = std::mem::take(&mut group.failed);
        let failures: u64 = failed.values().map(RoaringBitmap::len).sum();
        group.settled = group.settled.saturating_sub(failures);
        state.counters.failed = state.counters.failed.saturating_sub(failures);
        count += open.len() + failures;
        let ranks = entry.definition.ranks_of(*ordinal);
        let found = match group.settled {
            0 => None,
            _ => Some(find_open(entry, &open, candidates(&state.ranks, &ranks, old), failed)),
        };
        for rank in ranks {
            match (state.ranks.get_mut(&rank), &found) {
                (Some(rank), None) => rank.put_back_all(),
                (Some(rank), Some(found)) => {
                    found
                        .iter()
                        .for_each(|(block, (offsets, length))| rank.put_back(*block, offsets, *length));
                }
                (None, _) => {}
            }
        }
    }
    for rank in state.ranks.values_mut() {
        rank.batches.clear();
        rank.generation = rank.generation.saturating_add(1);
    }
    count
}

/// Offsets by block.
type Offsets = BTreeMap<u32, RoaringBitmap>;

/// The places where open samples of a group may be.
fn candidates(all: &BTreeMap<u32, Rank>, ranks: &[u32], old: Offsets) -> Offsets {
    let mut candidates = old;
    let batches = ranks.iter().filter_map(|rank| all.get(rank)).flat_map(|rank| rank.batches.iter());
    for run in batches.flat_map(|batch| batch.samples.runs()) {
        candidates.entry(run.block).or_default().insert_range(run.start..=run.last());
    }
    candidates
}

/// Those of the places whose samples are open, and what failed; with the blocks' lengths.
fn find_open(
    entry: &Entry,
    open: &RoaringTreemap,
    mut candidates: Offsets,
    mut failed: Offsets,
) -> BTreeMap<u32, (RoaringBitmap, u64)> {
    let mut found = BTreeMap::new();
    failed.keys().for_each(|block| {
        candidates.entry(*block).or_default();
    });
    for (number, mut offsets) in candidates {
        let Some(block) = entry.block_once(number) else { continue };
        offsets.retain(|offset| {
            u64::from(offset) < block.len() && open.contains(block.index(u64::from(offset)))
        });
        offsets |= failed.remove(&number).unwrap_or_default();
        found.insert(number, (offsets, block.len()));
    }
    found
}

/// Forgets the oldest batches of these ranks, if there are too many, but for the places of what is still open of them.
pub(crate) fn forget_old(entry: &Entry, ranks: impl IntoIterator<Item = u32>) {
    for rank in ranks {
        loop {
            let forgotten = entry.state().ranks.get_mut(&rank).and_then(|rank| rank.batches.forget_one());
            let Some(batch) = forgotten else { break };
            let Some(group) = entry.definition.group_of(rank) else { break };
            let blocks = blocks_of(entry, [&*batch.samples]);
            let mut state = entry.state();
            let Some(group) = state.groups.get_mut(&group).filter(|group| !group.open.is_empty()) else {
                continue;
            };
            for run in batch.samples.runs() {
                let Some(block) = blocks.get(&run.block).filter(|block| run.end() <= block.len()) else {
                    continue;
                };
                let is_open = |offset: &u64| group.open.contains(block.index(*offset));
                let mut open = run.offsets().filter(is_open).map(|offset| offset as u32).peekable();
                if open.peek().is_some() {
                    let old = group.old.entry(run.block).or_default();
                    old.extend(open);
                    // Blocks that nobody completes are kept as one run.
                    if old.len() >= block.len() {
                        old.optimize();
                    }
                }
            }
        }
    }
}
