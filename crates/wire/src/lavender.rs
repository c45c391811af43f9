//! The JSON of datasets and iterations, as the published `lavender-data` 0.1.10 client and server speak it.
//!
//! Requests are read with the leniency and answered with the error bodies of the framework behind the published
//! server: all faults of a body at once, each with its place in it ([`Invalid`], status 422). Replies are plain
//! structs, for a server to write and for a client to read.
//!
//! Invariants:
//! - unknown fields of requests are ignored, and `null` asks for the default wherever there is one;
//! - fields of ours are optional, additional to the published ones and listed in one place, [`extension`];
//! - no input makes a function panic or allocate more than a small multiple of the bytes that came with it; how many
//!   faults are told, and how much of the input with them, is bounded.
//!
//! Deliberately absent: ids as more than text (an unknown id is a 404 and not a 422), rules that need a dataset
//! (`node`), and how batches are encoded (`feed`); [`sample`] only decodes one, for people to see.

mod check;
mod cluster;
mod dataset;
pub mod extension;
mod invalid;
mod iteration;
mod query;
mod reply;
pub mod sample;
mod statistics;
mod timestamp;

pub use check::{Body, parse};
pub use cluster::{ClusterNode, NodeUrl};
pub use dataset::{
    ColumnOptions, CreateDataset, CreatePreview, CreateShardset, PreprocessDataset, SyncShardset,
    UpdateColumn, UpdateShardset,
};
pub use invalid::{Fault, Invalid, Place};
pub use iteration::{CreateIteration, NamedFunction};
pub use query::{CursorQuery, DatasetsQuery, IterationsQuery, NextQuery, PageQuery, parse_index};
pub use reply::{
    CacheKey, Column, CursorReply, Dataset, DatasetFull, Detail, FuncSpec, InProgress, Iteration,
    IterationFull, Named, Preview, PreviewId, Progress, Shard, ShardPage, Shardset, ShardsetFull,
    ShardsetWithShards, TaskId, TaskItem, TaskStatus, Version, header, phrase,
};
pub use statistics::{
    CategoricalColumn, ColumnStatistics, DatasetStatistics, Histogram, NumericColumn, NumericShard,
    ShardColumnStatistics, ShardStatistics,
};
pub use timestamp::Timestamp;
