//! One search: a walk over codes, then the full vectors of the best.
//!
//! 1. Code the query and walk towards it (or, with a filter, walk and collect the allowed rows).
//! 2. Compare the pool's rows on their full vectors in the order of their estimated distances: at least `k` and a few.
//! 3. Go on while the next row could still be among the best `k`, going by the largest error seen in this search: a row
//!    whose estimate exceeds the `k`-th distance by more than that is not worth its cache misses. (Estimates are good
//!    to a few thousandths; a fixed window would be too wide on most data and too narrow on some.)

use lavandin_types::Selection;

use super::GraphError;
use super::filtered::{Filtered, walk_filtered};
use super::format::GraphRef;
use super::key::{distance_of, row_of};
use super::scratch::Scratch;
use super::space::Space;
use super::walk::walk;
use crate::block::{Block, Row};
use crate::kernels::Kernels;
use crate::metric::Measure;
use crate::screen::prefetch_bytes;
use crate::top_k::{Neighbor, TopK};

/// What a search reads besides the graph.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub kernels: &'a Kernels,
    /// The rows that the graph was built over, and perhaps more after them.
    pub block: &'a Block<'a>,
    /// The rows that may be found, by the segment's row numbers; none means all.
    pub allowed: Option<&'a Selection>,
}

/// How much to find, and how hard to look.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub k: usize,
    /// Size of the pool (see `beam_for`); `k` if that is larger.
    pub beam: usize,
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Distances estimated on codes.
    pub estimated: u64,
    /// Distances computed on full vectors.
    pub compared: u64,
}

/// Rows compared in full beyond `k` before the error seen so far is trusted.
const MARGIN: usize = 3;

/// How many rows ahead of the comparisons full vectors are asked for.
const AHEAD: usize = 3;

impl GraphRef<'_> {
    /// Sets `out` to about the nearest `wanted.k` allowed rows, best first, with exact distances.
    ///
    /// There may be fewer than `k` although more are allowed, where the walk did not come across them; only
    /// `planned_search` makes up for that.
    pub fn search(
        &self,
        target: &Target<'_>,
        query: &[f32],
        wanted: Wanted,
        scratch: &mut Scratch,
        out: &mut Vec<Neighbor>,
    ) -> Result<Stats, GraphError> {
        out.clear();
        self.check(target.block, query)?;
        if wanted.k == 0 || self.rows() == 0 {
            return Ok(Stats::default());
        }
        let block = target.block;
        let Scratch { seen, walk: buffers, query: coded, found, entries } = scratch;
        coded.set(query, self.metric, block.codes.stride);
        let space = Space { codes: block.codes, terms: self.terms, kernels: target.kernels };
        let beam = wanted.beam.max(wanted.k).min(self.rows() as usize);
        let (estimated, pool) = match target.allowed {
            None => {
                let buffers = (self.entries, seen, &mut *buffers);
                (walk(&space, self, &coded.target(), beam, buffers, |_| ()), &scratch.walk.pool)
            }
            Some(allowed) => {
                let filter = Filtered::new(allowed, block.first_row, self.rows(), beam);
                filter.entries(self.entries, self.rows(), entries);
                let buffers = (&entries[..], seen, buffers, &mut *found);
                (walk_filtered(&space, self, &coded.target(), &filter, buffers), &*found)
            }
        };
        let measure = Measure::new(self.metric, target.kernels, query);
        let compared = rank(block, &measure, pool, wanted.k, out);
        Ok(Stats { estimated, compared })
    }

    fn check(&self, block: &Block<'_>, query: &[f32]) -> Result<(), GraphError> {
        if block.rows < self.rows() || block.dim != self.dim() {
            return Err(GraphError::Mismatch {
                rows: self.rows(),
                dim: self.dim(),
                block_rows: block.rows,
                block_dim: block.dim,
            });
        }
        if query.len() != block.dim {
            return Err(GraphError::QueryDimension { found: query.len(), expected: block.dim });
        }
        Ok(())
    }
}

/// Compares the rows of a pool, best estimate first, on their full vectors; returns how many.
fn rank(block: &Block<'_>, measure: &Measure<'_>, pool: &[u64], k: usize, out: &mut Vec<Neighbor>) -> u64 {
    for key in pool.iter().take(AHEAD) {
        prefetch_row(block, row_of(*key));
    }
    let mut best = TopK::new(k);
    let (mut compared, mut error) = (0, 0.0f32);
    for (index, key) in pool.iter().enumerate() {
        if compared >= k + MARGIN && distance_of(*key) - error > best.limit() {
            break;
        }
        if let Some(later) = pool.get(index + AHEAD) {
            prefetch_row(block, row_of(*later));
        }
        let row = row_of(*key);
        let distance = measure.distance(block.row(row as usize));
        error = error.max(distance_of(*key) - distance);
        best.offer(distance, block.first_row + row);
        compared += 1;
    }
    out.extend(best.into_sorted());
    compared as u64
}

/// Asks for a row's full vector.
#[inline]
fn prefetch_row(block: &Block<'_>, row: u32) {
    match block.row(row as usize) {
        Row::F32(row) => prefetch_bytes(row),
        Row::F16(row) => prefetch_bytes(row),
    }
}

#[cfg(test)]
mod tests;
