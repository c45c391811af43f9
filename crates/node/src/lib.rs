//! One running node: it drives the metadata and the groups, owns their threads, and answers calls. It executes; what
//! to do is decided in the crates below (`cluster`, `shard`, `group`).
//!
//! Threads: the caller's async runtime, where requests are served; one of two threads for all that nodes say to each
//! other (`peers`); one thread a group, which alone changes that copy (`driver`); two that run jobs, one for checkpoints
//! and one for merges and graph builds (`jobs`); blocking threads for long reads (`pool`).
//!
//! Invariants: a call that answered a write has it in the group's log, synced as the durability says; reads take a
//! view and wait for no writer; every queue is bounded; every thread is joined by `shutdown`. Deliberately absent:
//! HTTP and JSON (`server`, `wire`).

mod allotment;
mod checking;
mod clock;
mod cluster_settings;
mod cluster_status;
mod copied;
mod databases;
mod datasets;
mod driver;
mod error;
mod group_client;
mod group_state;
mod groups;
mod identity;
mod index;
mod jobs;
mod keys;
mod last_durability;
mod member;
mod members;
mod membership;
mod node;
mod node_statistics;
mod options;
mod peers;
mod pool;
mod reading;
mod reads;
mod rebuilding;
mod reservations;
mod routing;
mod shard_writer;
mod snapshots;
mod verifying;
mod writes;
mod writes_over_groups;

pub use cluster_settings::{ClusterSettings, HeadSettings};
pub use cluster_status::{
    ClusterStatus, GroupStatus, LeaderStatus, MetadataView, NodeStatus, OwnerStatus, ReplicaStatus,
};
pub use databases::{CollectionInfo, RequireCollection};
pub use datasets::{
    Batch, BatchFailure, BatchFormat, ColumnInfo, ColumnSpec, Cursor, DatasetInfo, DatasetOptions, Delivery,
    Ending, FeedingNode, FeedingRank, Function, FunctionKind, FunctionSpec, IterationInfo, IterationOptions,
    IterationProgress, IterationRequest, ManifestRef, NewShardsetRequest, NextOptions, NextOutcome,
    OrderKind, PreprocessRequest, Preview, PreviewState, ShardFileInfo, ShardsetInfo, ShareOptions,
    ShuffleOptions, StepsInfo, TaskName, TaskStatus, parse_cursor,
};
pub use error::NodeError;
pub use groups::CopyStore;
pub use lavandin_cluster::{ApiKey, Catalogue, KeyRole, LayoutError, NodeRole, StaticLayout};
/// Whose panics are caught and reported as damage.
pub use lavandin_consensus::OPENING_THREAD;
pub use lavandin_feed::location::{HfSettings, S3Settings};
pub use lavandin_feed::parquet_writer::ParquetWriteError;
/// What a sync finds out about columns.
pub use lavandin_feed::statistics;
pub use lavandin_shard::{
    BatchIds, Change, Hit, Outcome, Record, RecordBatch, SearchProfile, VectorBatch, Which,
};
pub use lavandin_storage::Durability;
pub use members::{MemberChange, MembersChanged};
pub use membership::RepairStatistics;
pub use node::Node;
pub use node_statistics::{CollectionStatistics, FeedStatistics, JobStatistics, NodeStatistics};
pub use options::{CallContext, Limits, NodeOptions};
pub use peers::{Dialer, PeerStream};
pub use reading::{Consistency, Progress, Reading};
pub use reads::{Search, SearchReply};
pub use shard_writer::{PlainColumn, write_parquet};
pub use verifying::{CopyVerdict, GroupVerdict, Verdict};
