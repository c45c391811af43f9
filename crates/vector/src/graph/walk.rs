//! The greedy beam search that builds and searches share.
//!
//! 1. The pool holds the `beam` nearest rows seen, ascending; it starts with the entry points.
//! 2. Take the nearest row of the pool that is not expanded yet; stop when there is none.
//! 3. List its neighbours that this walk has not seen, estimate their distances in one call, and insert those that
//!    are nearer than the pool's last.
//! 4. Go on with the nearest of the inserted ones or the next in the pool, whichever comes first.

use super::key::{EXPANDED, key, row_of};
use super::scratch::{Seen, Walk};
use super::space::{Space, Target};

/// Where a walk reads links.
pub(super) trait Links {
    fn rows(&self) -> u32;
    /// The neighbours of a row, in place or copied to `buffer`; numbers may be out of range in damaged bytes.
    fn neighbours<'a>(&'a self, row: u32, buffer: &'a mut Vec<u32>) -> &'a [u32];
    /// Asks for the cache lines of a row's links.
    fn prefetch(&self, row: u32);
}

/// Walks towards `target`. Afterwards the pool holds the nearest rows found, ascending; `expanded` was called with the
/// key of every row whose links were followed. Returns how many distances were estimated.
pub(super) fn walk<L: Links>(
    space: &Space<'_>,
    links: &L,
    target: &Target<'_>,
    beam: usize,
    (entries, seen, buffers): (&[u32], &mut Seen, &mut Walk),
    mut expanded: impl FnMut(u64),
) -> u64 {
    let Walk { pool, fresh, row: buffer, work } = buffers;
    seen.start(links.rows());
    pool.clear();
    seen.keep_fresh(entries, fresh, |_| ());
    let mut estimated = fresh.len() as u64;
    space.distances(fresh, target, work);
    for (row, distance) in fresh.iter().zip(&work.distances) {
        insert(pool, beam, key(*distance, *row));
    }
    let mut at = 0;
    while let Some(nearest) = pool.get_mut(at) {
        if *nearest & EXPANDED != 0 {
            at += 1;
            continue;
        }
        let current = *nearest;
        *nearest |= EXPANDED;
        expanded(current);
        if let Some(next) = pool.get(at + 1) {
            links.prefetch(row_of(*next));
        }
        let neighbours = links.neighbours(row_of(current), buffer);
        seen.keep_fresh(neighbours, fresh, |row| space.prefetch(row));
        estimated += fresh.len() as u64;
        space.distances(fresh, target, work);
        let mut lowest = at + 1;
        for (row, distance) in fresh.iter().zip(&work.distances) {
            lowest = lowest.min(insert(pool, beam, key(*distance, *row)));
        }
        at = lowest;
        if let Some(next) = pool.get(at) {
            links.prefetch(row_of(*next));
        }
    }
    estimated
}

/// Inserts into an ascending pool of at most `beam` keys; returns the place, `beam` if it is not among them.
#[inline(always)]
pub(super) fn insert(pool: &mut Vec<u64>, beam: usize, key: u64) -> usize {
    if pool.len() >= beam {
        match pool.last() {
            Some(last) if key < *last => {
                pool.pop();
            }
            _ => return beam,
        }
    }
    let place = pool.partition_point(|other| *other < key);
    pool.insert(place, key);
    place
}
