//! How far an iteration is.

use crate::iterations::batches::Batch;
use crate::iterations::entry::Entry;
use crate::iterations::grant::blocks_of;
use crate::iterations::state::State;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Samples in progress that are listed one by one.
pub const IN_PROGRESS_LISTED_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Samples of the main shardset, filtered ones included; with fixed shares those that the ranks get, repeated ones
    /// included.
    pub total: u64,
    /// Samples that some rank has taken: completed, filtered, failed, in progress.
    pub current: u64,
    pub completed: u64,
    pub filtered: u64,
    pub failed: u64,
    /// The true number, whatever is listed.
    pub in_progress: u64,
    /// The newest of them, oldest first.
    pub listed: Vec<InProgress>,
    /// Every rank that came has taken all that it will get.
    pub finished: bool,
}

/// A sample in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProgress {
    pub index: u64,
    /// Of the ranks of a replication group that have it the one that was granted it last.
    pub rank: u32,
    /// When the rank was granted it. Exact in a rank's last 256 batches (in fewer if their samples lie very scattered),
    /// up to as many samples as are listed; before that the time of a batch that was granted later.
    pub started_ms: u64,
}

/// Samples of the newest batches by number.
type Newest = HashMap<u64, Granted>;

#[derive(Clone, Copy)]
struct Granted {
    rank: u32,
    group: u32,
    granted_ms: u64,
}

impl Entry {
    pub(crate) fn progress(&self) -> Progress {
        let batches = self.state().newest_batches();
        // Blocks may take long to make, so without the lock. What is granted meanwhile is listed next time.
        let newest = self.newest(&batches);
        let state = self.state();
        let (counters, in_progress) = (state.counters, state.in_progress());
        Progress {
            total: self.samples(),
            current: counters.settled().saturating_add(in_progress),
            completed: counters.completed,
            filtered: counters.filtered,
            failed: counters.failed,
            in_progress,
            listed: self.list(&state, &newest),
            finished: state.is_finished(self),
        }
    }

    fn newest(&self, batches: &[(u32, Batch)]) -> Newest {
        let mut newest = Newest::new();
        for (rank, batch) in batches {
            // Some of these are settled, so that a few more than can be listed are looked at.
            if newest.len() >= 2 * IN_PROGRESS_LISTED_MAX {
                break;
            }
            let Some(group) = self.definition.group_of(*rank) else { continue };
            let granted = Granted { rank: *rank, group, granted_ms: batch.granted_ms };
            let blocks = blocks_of(self, [&*batch.samples]);
            for place in batch.samples.iter() {
                let offset = u64::from(place.offset);
                if let Some(block) = blocks.get(&place.block).filter(|block| offset < block.len()) {
                    newest.entry(block.index(offset)).or_insert(granted);
                }
            }
        }
        newest
    }

    fn list(&self, state: &State, newest: &Newest) -> Vec<InProgress> {
        let is_open = |(index, granted): &(&u64, &Granted)| {
            state.groups.get(&granted.group).is_some_and(|group| group.open.contains(**index))
        };
        let in_progress = |(index, granted): (&u64, &Granted)| InProgress {
            index: *index,
            rank: granted.rank,
            started_ms: granted.granted_ms,
        };
        let mut listed: Vec<_> = newest.iter().filter(is_open).map(in_progress).collect();
        listed.sort_unstable_by_key(|one| (Reverse(one.started_ms), one.rank, one.index));
        listed.truncate(IN_PROGRESS_LISTED_MAX);
        for (ordinal, group) in &state.groups {
            let room = IN_PROGRESS_LISTED_MAX - listed.len();
            let (rank, started_ms) = self.older(state, *ordinal);
            let older = group.open.iter().filter(|index| !newest.contains_key(index)).take(room);
            listed.extend(older.map(|index| InProgress { index, rank, started_ms }));
        }
        listed.sort_unstable_by_key(|one| (one.started_ms, one.rank, one.index));
        listed
    }

    /// Whose the samples are, and since when, that are in none of the newest batches of a group.
    fn older(&self, state: &State, group: u32) -> (u32, u64) {
        let present = self.definition.ranks_of(group);
        let mut present = present.iter().filter_map(|rank| Some((*rank, state.ranks.get(rank)?)));
        let Some((rank, state)) = present.find(|(_, rank)| rank.taken > 0) else {
            return (0, self.created_ms);
        };
        let oldest_kept = state.batches.iter().next().map(|batch| batch.granted_ms);
        (rank, state.batches.forgotten_ms.or(oldest_kept).unwrap_or(self.created_ms))
    }
}

impl State {
    /// The kept batches of all ranks, newest first; of each rank only as many as could be listed.
    fn newest_batches(&self) -> Vec<(u32, Batch)> {
        let mut batches = Vec::new();
        if self.in_progress() == 0 {
            return batches;
        }
        for (rank, state) in &self.ranks {
            let mut samples = 0_u64;
            for batch in state.batches.iter().rev() {
                if samples >= IN_PROGRESS_LISTED_MAX as u64 {
                    break;
                }
                samples = samples.saturating_add(batch.samples.len());
                batches.push((*rank, batch.clone()));
            }
        }
        batches.sort_by_key(|(rank, batch)| (Reverse((batch.granted_ms, batch.number)), *rank));
        batches
    }
}
