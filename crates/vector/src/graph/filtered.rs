//! The walk of a filtered search: it follows all rows and collects only the allowed ones.
//!
//! Rows that are not allowed must be followed, for they are what connects the others. Two lists are kept: the pool of the
//! nearest rows seen, wide enough to hold about `beam` allowed ones if the filter has nothing to do with the
//! vectors; and the nearest allowed rows, `beam` to twice as many. Where the filter picks a region far from the query, the pool
//! alone would never get there; expanding from the second list does.
//!
//! 1. Start from the entry points and from a few allowed rows spread over the bitmap: where a filter picks a region,
//!    these lie in it.
//! 2. By turns expand the nearest unexpanded row of the pool and of the found rows. Every row seen is offered to the
//!    pool, and to the found rows if it is allowed.
//! 3. A pool row that is farther than a full list of found rows is not worth expanding. Stop when neither list has a row
//!    to expand.

use lavandin_types::Selection;

use super::key::{EXPANDED, key, row_of};
use super::scratch::{Seen, Walk};
use super::space::{Space, Target};
use super::walk::{Links, insert};

/// Allowed rows that a walk starts from.
const SEEDS: usize = 16;

/// The widest pool: a bound on memory and on the time to insert a row.
const POOL_MAX: usize = 4_096;

/// What a filtered walk collects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filtered<'a> {
    allowed: &'a Selection,
    /// The segment's row number of the graph's row 0.
    first_row: u32,
    /// How many allowed rows to collect. The selective filters are often those that have to do with the vectors, and need
    /// more: up to twice the beam.
    found: usize,
    /// How many rows of any kind to follow.
    pool: usize,
}

impl<'a> Filtered<'a> {
    /// For a graph of `rows` rows.
    pub(super) fn new(allowed: &'a Selection, first_row: u32, rows: u32, beam: usize) -> Self {
        let share = f64::from(allowed.count().min(rows)) / f64::from(rows.max(1));
        let pool = (beam as f64 / share.max(1e-9)).min(POOL_MAX as f64) as usize;
        let found = beam + (beam as f64 * (1.0 - 2.0 * share).max(0.0)) as usize;
        Self { allowed, first_row, found, pool: pool.max(beam) }
    }

    #[inline(always)]
    fn allows(&self, row: u32) -> bool {
        self.allowed.contains(self.first_row + row)
    }

    /// Sets `entries` to the rows that a walk starts from: the graph's entry points, and allowed rows from all parts
    /// of the bitmap.
    pub(super) fn entries(&self, graph: &[u32], rows: u32, entries: &mut Vec<u32>) {
        entries.clear();
        entries.extend_from_slice(graph);
        let words = self.allowed.words();
        let first = self.first_row as usize;
        let end = (first + rows as usize).div_ceil(64).min(words.len());
        let step = (end.saturating_sub(first / 64) / SEEDS).max(1);
        for start in (first / 64..end).step_by(step) {
            let set = (start..(start + step).min(end)).find(|word| words[*word] != 0);
            let row = set.map(|word| word as u32 * 64 + words[word].trailing_zeros());
            let row = row.and_then(|row| row.checked_sub(self.first_row));
            entries.extend(row.filter(|row| *row < rows));
        }
    }
}

/// Keys, ascending, and the place before which all are expanded.
struct List<'a> {
    keys: &'a mut Vec<u64>,
    limit: usize,
    next: usize,
}

impl List<'_> {
    #[inline(always)]
    fn offer(&mut self, key: u64) {
        self.next = self.next.min(insert(self.keys, self.limit, key));
    }

    /// The nearest key that is not expanded.
    #[inline(always)]
    fn nearest(&mut self) -> Option<u64> {
        while self.keys.get(self.next).is_some_and(|key| key & EXPANDED != 0) {
            self.next += 1;
        }
        self.keys.get(self.next).copied()
    }

    /// Marks a key as expanded, if it is here.
    #[inline(always)]
    fn expand(&mut self, key: u64) {
        let place = self.keys.partition_point(|other| *other < key);
        if let Some(found) = self.keys.get_mut(place).filter(|found| **found == key) {
            *found |= EXPANDED;
        }
    }

    /// Whether a key could not be taken.
    #[inline(always)]
    fn excludes(&self, key: u64) -> bool {
        self.keys.len() >= self.limit && self.keys.last().is_some_and(|last| key > *last)
    }
}

/// Walks towards `target`. Afterwards `found` holds the keys of the nearest allowed rows seen, ascending. Returns how
/// many distances were estimated.
pub(super) fn walk_filtered<L: Links>(
    space: &Space<'_>,
    links: &L,
    target: &Target<'_>,
    filter: &Filtered<'_>,
    (entries, seen, buffers, found): (&[u32], &mut Seen, &mut Walk, &mut Vec<u64>),
) -> u64 {
    let Walk { pool, fresh, row: buffer, work } = buffers;
    seen.start(links.rows());
    pool.clear();
    found.clear();
    let mut pool = List { keys: pool, limit: filter.pool, next: 0 };
    let mut found = List { keys: found, limit: filter.found, next: 0 };
    seen.keep_fresh(entries, fresh, |_| ());
    let (mut estimated, mut turn) = (0, false);
    loop {
        estimated += fresh.len() as u64;
        space.distances(fresh, target, work);
        for (row, distance) in fresh.iter().zip(&work.distances) {
            let key = key(*distance, *row);
            if !found.excludes(key) {
                pool.offer(key);
                if filter.allows(*row) {
                    found.offer(key);
                }
            }
        }
        let from_pool = pool.nearest().filter(|key| !found.excludes(*key));
        let from_found = found.nearest();
        turn = !turn;
        let chosen = if turn { from_pool.or(from_found) } else { from_found.or(from_pool) };
        let Some(current) = chosen else {
            return estimated;
        };
        pool.expand(current);
        found.expand(current);
        let neighbours = links.neighbours(row_of(current), buffer);
        seen.keep_fresh(neighbours, fresh, |row| space.prefetch(row));
        if let Some(next) = pool.nearest() {
            links.prefetch(row_of(next));
        }
    }
}

#[cfg(test)]
mod tests;
