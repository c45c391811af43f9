//! The dataset wing of a node: datasets and their shard files, iterations, and what runs for them in the background.
//!
//! `runtime` holds what all of it shares (stores, decoded chunks, Python workers, tasks, sessions); `catalogue` changes the
//! metadata; `sync` turns a directory of shard files into a manifest. `iterations` begins one; a `session` makes batches
//! ahead for one rank with a `maker::Maker`, which walks the plan (`plan_cache`), reads rows (`files`) and runs user code;
//! `next` grants them and hands them out. What was granted is in the dataset's group, on whatever nodes that is:
//! `iteration_groups` is the way there, `request_queue` keeps a session's requests in order, `grants` knows which are this
//! node's to deliver. `draft_exchange` has nodes put batches through user code for each other; `peer_calls` is what they
//! ask each other besides. Deliberately absent: the order of samples (`plan`), reading and encoding (`feed`), JSON and
//! HTTP (`server`).

mod batch_cache;
mod catalogue;
mod chores;
mod draft_exchange;
mod feeding;
mod file_finder;
mod files;
mod grants;
mod inspection;
mod iteration_groups;
mod iterations;
mod listings;
mod made;
mod maker;
mod manifest_keeper;
mod manifests;
mod next;
mod peer_calls;
mod plan_cache;
mod preprocess;
mod preview;
mod request_queue;
mod results;
mod runtime;
mod session;
mod shard_files;
mod steps;
mod stored_files;
mod sync;
mod tasks;
mod user_code;

pub use catalogue::{ColumnSpec, NewShardsetRequest};
pub(crate) use catalogue::{random, unix_ms};
pub use feeding::{FeedingNode, FeedingRank};
pub use iterations::{
    Function, IterationInfo, IterationOptions, IterationProgress, IterationRequest, OrderKind, ShuffleOptions,
};
pub use lavandin_cluster::{ColumnInfo, DatasetInfo, ManifestRef, ShardsetInfo};
pub use lavandin_feed::python::Kind as FunctionKind;
pub use lavandin_plan::{Cursor, Ending};
pub(crate) use manifest_keeper::keep_manifests;
pub use next::{Batch, BatchFailure, BatchFormat, Delivery, NextOptions, NextOutcome};
pub use preprocess::PreprocessRequest;
pub(crate) use preprocess::see_to_jobs;
pub use preview::{Preview, PreviewState};
pub use runtime::DatasetOptions;
pub(crate) use runtime::DatasetRuntime;
pub use shard_files::{FunctionSpec, ShardFileInfo};
pub use steps::{ShareOptions, StepsInfo, parse_cursor};
pub use tasks::{TaskName, TaskStatus};
