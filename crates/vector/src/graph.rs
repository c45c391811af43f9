//! A flat proximity graph over one sealed segment: approximate search by inner product, L2 and cosine.
//!
//! The graph is Vamana's (Subramanya et al., "DiskANN: Fast accurate billion-point nearest neighbor search on a single
//! node", NeurIPS 2019), built by inserting row after row as in "FreshDiskANN" (Singh et al., 2021): every row (a
//! *vertex*) has at most `degree` neighbours, some near and some far, chosen so that a greedy walk from a fixed entry
//! point comes close to any query in few steps.
//!
//! Building ([`GraphBuilder`]):
//! 1. Compute each row's term, which turns integer dot products of codes into distances ([`space`]).
//! 2. Where an older graph is reused, take its links over by the new row numbers; mend rows that lost neighbours
//!    ([`reuse`]).
//! 3. Insert the rows that have no links, on all threads: walk towards the row ([`walk`]), prune the vertices that the walk
//!    expanded to the row's neighbours ([`prune`]), and link those back, pruning where a row is full ([`links`]).
//! 4. Trim rows to `degree`, then link whatever cannot be reached from the entry points ([`reach`]).
//! 5. Write everything into one run of bytes, which is both what is searched and the file ([`format`]).
//!
//! Searching ([`GraphRef::search`]): walk towards the query over 8-bit codes with a pool of `beam` rows, then compare
//! the best of the pool on their full vectors ([`search`]). With a filter, [`planned_search`] scans the matches or
//! walks and collects only those ([`filtered`], [`plan`]).
//!
//! Invariants: every row can be reached from the entry points; the distances in results are those of
//! [`crate::metric::Measure`] on full vectors; no bytes, however damaged, make a search panic or read out of bounds. A
//! graph never changes once it is built. Driven by `shard`: builds as jobs, searches over mapped files.
//! Deliberately absent: deletion (tombstones are a filter; merges rebuild), and threads beyond the builder's.

mod build;
mod filtered;
mod format;
mod key;
mod links;
mod parameters;
mod plan;
mod prune;
mod reach;
mod reuse;
mod scratch;
mod search;
mod space;
mod walk;

use thiserror::Error;

use lavandin_types::ErrorCode;

pub use build::GraphBuilder;
pub use format::{Graph, GraphRef};
pub use parameters::{DEGREE_MAX, Parameters, beam_for};
pub use plan::{Costs, Path, Plan, Planned, plan, planned_search};
pub use reuse::DROPPED;
pub use scratch::Scratch;
pub use search::{Stats, Target, Wanted};

/// Why there is no graph, or no answer from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GraphError {
    #[error("a graph holds at most {max} rows, not {rows}")]
    TooManyRows { rows: u32, max: u32 },
    #[error("there is no graph for the metric {0}")]
    Metric(&'static str),
    #[error("a graph's vertices have 1 to {DEGREE_MAX} neighbours, not {0}")]
    Degree(u32),
    #[error("the build was cancelled")]
    Cancelled,
    #[error("the bytes are no graph")]
    NotAGraph,
    #[error("the graph has format version {found}; this program reads version {known}")]
    Version { found: u32, known: u32 },
    #[error("the graph is damaged: {0}")]
    Damaged(&'static str),
    #[error("the graph is of {rows} rows of {dim} dimensions, the block of {block_rows} of {block_dim}")]
    Mismatch { rows: u32, dim: usize, block_rows: u32, block_dim: usize },
    #[error("the query has {found} dimensions, not {expected}")]
    QueryDimension { found: usize, expected: usize },
}

impl GraphError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Metric(_) | Self::Degree(_) | Self::QueryDimension { .. } => ErrorCode::InvalidArgument,
            Self::Cancelled => ErrorCode::Unavailable,
            Self::TooManyRows { .. } | Self::Mismatch { .. } => ErrorCode::Internal,
            Self::NotAGraph | Self::Version { .. } | Self::Damaged(_) => ErrorCode::DataCorrupt,
        }
    }
}

#[cfg(test)]
mod tests;
