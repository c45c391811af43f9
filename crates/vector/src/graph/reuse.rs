//! Taking an older graph's links over, when rows were added, dropped or renumbered.
//!
//! 1. A row's neighbours are renumbered; dropped ones fall out.
//! 2. A row that lost more than an eighth of its neighbours is mended as in FreshDiskANN: the dropped neighbours' own
//!    neighbours become candidates, and pruning chooses among all.
//! 3. A row that keeps no neighbour is inserted like a new one.
//!
//! Mending reads the older graph only, so that rows are independent of each other. It costs a fifth of inserting.

use super::GraphError;
use super::build::{Build, Worker};
use super::format::GraphRef;
use crate::block::Block;

/// The new row number of a row that is no more.
pub const DROPPED: u32 = u32::MAX;

/// An older graph and where its rows are now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reuse<'a> {
    pub(super) graph: GraphRef<'a>,
    /// By old row; none where rows kept their numbers.
    pub(super) new_rows: Option<&'a [u32]>,
}

impl Reuse<'_> {
    /// Whether the graph and the numbers fit a block.
    pub(super) fn check(&self, block: &Block<'_>) -> Result<(), GraphError> {
        let graph = &self.graph;
        let fits = graph.dim() == block.dim
            && match self.new_rows {
                None => graph.rows() <= block.rows,
                Some(new_rows) => {
                    new_rows.len() == graph.rows() as usize
                        && new_rows.iter().all(|row| *row < block.rows || *row == DROPPED)
                }
            };
        let mismatch = GraphError::Mismatch {
            rows: graph.rows(),
            dim: graph.dim(),
            block_rows: block.rows,
            block_dim: block.dim,
        };
        if fits { Ok(()) } else { Err(mismatch) }
    }

    /// The entry points that are left: all of the older graph can be reached from them, or nearly.
    pub(super) fn entries(&self) -> impl Iterator<Item = u32> {
        self.graph.entries.iter().filter_map(|row| self.new_row(*row))
    }

    fn new_row(&self, row: u32) -> Option<u32> {
        let new = self.new_rows.map_or(Some(row), |rows| rows.get(row as usize).copied());
        new.filter(|row| *row != DROPPED)
    }

    /// Takes the links of one old row over.
    pub(super) fn take(&self, row: u32, build: &Build<'_>, worker: &mut Worker) {
        let Some(new) = self.new_row(row) else {
            return;
        };
        worker.rows.clear();
        let mut had = 0;
        for neighbour in self.graph.neighbours_of(row) {
            had += 1;
            worker.rows.extend(self.new_row(neighbour));
        }
        let lost = had - worker.rows.len();
        let degree = build.links.room() * 2 / 3;
        if lost * 8 <= had && worker.rows.len() <= degree {
            build.links.lock(new).replace(&worker.rows);
            return;
        }
        for neighbour in self.graph.neighbours_of(row) {
            if self.new_row(neighbour).is_none() {
                let second = self.graph.neighbours_of(neighbour);
                worker.rows.extend(second.filter_map(|row| self.new_row(row)).filter(|row| *row != new));
            }
        }
        let chosen = build.choose(new, worker);
        build.links.lock(new).replace(chosen);
    }
}

#[cfg(test)]
mod tests;
