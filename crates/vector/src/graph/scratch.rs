//! The buffers of a search, kept from one to the next.

use super::space::{EARLY, QueryTarget, Work};

/// Reusable buffers; one a thread serves all graphs. Grows to a byte per row of the largest graph it has walked,
/// plus the beam.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) seen: Seen,
    pub(super) walk: Walk,
    pub(super) query: QueryTarget,
    /// The nearest allowed rows of a filtered walk, as keys, ascending.
    pub(super) found: Vec<u64>,
    /// Entry points of a filtered walk.
    pub(super) entries: Vec<u32>,
}

/// Buffers of a walk apart from the marks, so that both can be borrowed.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The nearest rows seen, as [`super::key`]s, ascending.
    pub(super) pool: Vec<u64>,
    /// Unseen neighbours of the vertex being expanded.
    pub(super) fresh: Vec<u32>,
    /// All neighbours of that vertex, where they must be copied to be read.
    pub(super) row: Vec<u32>,
    pub(super) work: Work,
}

impl Scratch {
    pub fn new() -> Self {
        Self::default()
    }
}

/// Marks of the rows that a walk has seen. A new walk takes a new tag instead of clearing: one byte a row keeps the
/// marks of 50,000 rows in a first-level cache, and clearing every 255 walks costs next to nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    tags: Vec<u8>,
    tag: u8,
    /// Rows of the graph that is walked; there may be more tags.
    rows: usize,
}

impl Seen {
    /// Forgets all marks, for a graph of `rows` rows.
    pub(super) fn start(&mut self, rows: u32) {
        self.rows = rows as usize;
        if self.tags.len() < self.rows {
            self.tags.resize(self.rows, 0);
        }
        self.tag = self.tag.wrapping_add(1);
        if self.tag == 0 {
            self.tags.fill(0);
            self.tag = 1;
        }
    }

    /// Sets `fresh` to the rows that were not marked, and marks them. Numbers beyond the graph (padding, or damage)
    /// are left out. `early` is called with the first few fresh rows, for prefetching.
    #[inline(always)]
    pub(super) fn keep_fresh(&mut self, rows: &[u32], fresh: &mut Vec<u32>, early: impl Fn(u32)) {
        fresh.resize(rows.len(), 0);
        let (tags, current) = (&mut self.tags[..self.rows], self.tag);
        let mut count = 0;
        for row in rows {
            let Some(tag) = tags.get_mut(*row as usize) else {
                continue;
            };
            fresh[count] = *row;
            // No branch on what cannot be predicted: the next row overwrites one that was seen.
            let new = *tag != current;
            *tag = current;
            if new && count < EARLY {
                early(*row);
            }
            count += usize::from(new);
        }
        fresh.truncate(count);
    }
}

#[cfg(test)]
mod tests;
