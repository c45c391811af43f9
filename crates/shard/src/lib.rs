//! Collections as a consumer of a group's log: records with ids, vectors and fields; searches over snapshots.
//!
//! A group's thread drives a `Shard`: it prepares requests (all validation), applies what is logged, publishes, and
//! installs the results of jobs that other threads ran. Readers take a `View` from a `ShardReader` at any time and
//! search it without waiting for anybody.
//!
//! Invariants: applying never refuses and is deterministic in the records (not in the segments); an acknowledged
//! change is in the log, whatever happens to segments; a view never changes. Deliberately absent: clocks, async,
//! networks, and the decision when to fsync (`lavandin-group`).
//!
//! Find your way: `request` is what is asked; `prepare` refuses, by what is applied and `pending`, `op` is the
//! bytes, `collection` applies; `growing` and `sealed` hold rows, `segment` adds tombstones, `view` is a moment of all;
//! `search`, `filtering` and `read` answer; `jobs`, `maintenance`, `merge_policy` and `checkpoint` keep house; `snapshot_files` and `digest` serve other copies.

mod checkpoint;
mod collection;
mod digest;
mod engine;
mod error;
mod file_check;
mod filter_cache;
mod filtering;
mod folder;
mod graph_file;
mod growing;
mod id_table;
mod jobs;
mod maintenance;
mod merge_policy;
mod op;
mod pending;
mod prepare;
mod read;
mod request;
mod schema;
mod sealed;
mod search;
mod segment;
mod segment_file;
mod segment_write;
mod shard;
mod snapshot_files;
mod stored_set;
mod view;

pub use checkpoint::with_folder;
pub use digest::{Comparison, Digest, DigestSum, compare};
pub use error::{Damage, ReadError, Rejection};
pub use file_check::FileCheck;
pub use filtering::{FieldKinds, check_filter, field_kinds};
pub use folder::{remove_segment_folder, segment_folder, segment_folders};
pub use jobs::{Job, JobContext, JobResult};
pub use prepare::{ID_BYTES_MAX, Reservation, ShardLimits, check_batch};
pub use read::{contains, deleted_ids, records};
pub use request::{
    BatchIds, Change, Hit, Outcome, Places, Record, RecordBatch, SearchProfile, SearchRequest, VectorBatch,
    Which,
};
pub use schema::{IndexSpec, Schema};
pub use search::{SearchResult, search, search_range};
pub use shard::{Request, Shard, ShardReader};
pub use snapshot_files::{FileKind, HeldFile, SegmentFile, SnapshotFiles, hold_files};
pub use view::{Statistics, View};
