//! The order of training data, and the state of whoever iterates it.
//!
//! `order` says which sample comes when: a pure function of rows, seed, epoch and ranks. `iterations` is the consumer
//! of a group's log that remembers what was handed out and what is done. Driven by `node`. Deliberately absent: I/O,
//! clocks (times come with requests), file names, what a filter or a preprocessor does.

mod cursor;
pub mod iterations;
mod mt19937;
mod order;
mod permutation;
mod shard_rows;
mod steps;

pub use cursor::{Cursor, CursorError, PlanHash};
pub use order::{
    BLOCK_SAMPLES, Block, EpochOrder, LAVENDER_BLOCK_SAMPLES_MAX, LavenderShuffle, ORDER_BYTES, Order,
    OrderError, SAMPLES_MAX,
};
pub use shard_rows::ShardRows;
pub use steps::{Ending, Layout, Steps};
