//! One running node: it drives the metadata and the groups, owns their threads, and answers calls. It executes; what
//! to do is decided in the crates below (`cluster`, `shard`, `group`).
//!
//! Threads: the caller's async runtime; one thread a group, which alone changes that group (`driver`); two that run
//! jobs, one for checkpoints and one for merges and graph builds (`jobs`); blocking threads for long reads (`pool`).
//!
//! Invariants: a call that answered a write has it in the group's log, synced as the durability says; reads take a
//! view and wait for no writer; every queue is bounded; every thread is joined by `shutdown`. Deliberately absent:
//! HTTP and JSON (`server`, `wire`).

mod databases;
mod driver;
mod error;
mod identity;
mod index;
mod jobs;
mod node;
mod options;
mod pool;
mod reads;
mod statistics;
mod writes;

pub use databases::{CollectionInfo, RequireCollection};
pub use error::NodeError;
pub use lavandin_shard::{
    BatchIds, Change, Hit, Outcome, Record, RecordBatch, SearchProfile, VectorBatch, Which,
};
pub use lavandin_storage::Durability;
pub use node::Node;
pub use options::{CallContext, Limits, NodeOptions};
pub use reads::{Search, SearchReply};
pub use statistics::{CollectionStatistics, JobStatistics, NodeStatistics};
