//! The engine of one segment: vectors, their codes, exact search, the proximity graph and field columns. Synchronous;
//! no file is opened and no thread is started here but by the graph's builder.
//!
//! | Module | What it is |
//! |---|---|
//! | [`kernels`] | the inner loops, once per instruction set |
//! | [`codes`] | 8-bit codes with a proven bound on what they lose |
//! | [`block`] | some consecutive rows of one vector column: what searches read |
//! | [`metric`] | the sixteen distances |
//! | [`top_k`] | the best `k` of a stream of rows |
//! | [`screen`] | bounds of distances from codes; which full vectors must be compared |
//! | [`scan`], [`range`], [`batch`] | exact search: one query, all within a threshold, many queries |
//! | [`append`] | storage that grows under readers |
//! | [`graph`] | the proximity graph: approximate search |
//! | [`fields`] | field columns, which filters read |
//!
//! Invariants: rows are named by their position in the segment; a distance is smaller for what is nearer (the inner
//! product is negated); equal distances are ordered by row; whatever way a search takes, the distances it returns are
//! those of [`metric::Measure`] on the full vectors. Deliberately absent: record ids, tombstones and segments as files
//! (`shard`).

pub mod append;
pub mod batch;
pub mod block;
pub mod codes;
pub mod fields;
pub mod graph;
pub mod kernels;
pub mod metric;
pub mod range;
pub mod scan;
pub mod screen;
pub mod top_k;
