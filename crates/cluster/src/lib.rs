//! Decisions of the cluster without I/O: what its nodes agree on, and what its leader proposes to change.
//!
//! - A [`Catalogue`] holds what every node must agree on: databases, collections, bucket tables, datasets, keys, nodes,
//!   shard groups, options. It changes only through [`Catalogue::apply`], a pure function of the state and a [`Command`]:
//!   no clock, no randomness, no I/O, ordered maps only, so that every node that applies the same commands holds equal
//!   bytes. Ids, hashes and random secrets are drawn by whoever proposes a command and travel inside it.
//! - A [`StaticLayout`] is a parsed `cluster.json`: what a cluster is formed from, and what is compared with it later.
//! - A [`Supervisor`] is fed with heartbeats and ticks by the leader of the metadata and answers the commands to
//!   propose: promotions, joiners, replacements. [`desired_voters`] says who should vote, [`Liveness`] who is alive.
//!
//! Invariants: a refused command changes nothing; ids of collections, nodes, groups and bucket tables are never reused;
//! no id of a record is leased twice; the whole stays under [`limit::METADATA_BYTES_MAX`]. Of a shard group: epoch and
//! version never fall, an epoch has one primary, the primary is in sync, and a copy that is not in sync never leads but
//! by `ForcePromote`. Safety never rests on liveness or times: what the supervisor proposes is checked where it is applied.
//!
//! `consensus` drives the catalogue (log, durability, snapshots); `node` proposes commands, reads the result and drives
//! the supervisor. Deliberately absent: records and their log (`group`, `shard`), shard files (a manifest lists them,
//! `feed`), how a primary replicates and when it proposes to shrink or grow its group (`group`), anything per record or
//! per request.

mod bucket;
mod catalogue;
mod chores;
mod collection;
mod command;
mod dataset;
mod error;
mod form;
mod group_change;
mod group_info;
mod job;
mod key;
mod layout;
pub mod limit;
mod liveness;
mod name;
mod node_info;
mod options;
mod reply;
mod snapshot;
mod supervisor;
mod voters;
mod writable;

pub use bucket::{BUCKET_COUNT, BucketNumber, BucketTable, BucketTableId, bucket_hash};
pub use catalogue::{Catalogue, Database};
pub use chores::ChoresNode;
pub use collection::{CollectionInfo, IndexDefinition, IntegerIdForm};
pub use command::{COMMAND_VERSION, Command, GroupSeed, LayoutSeed, NodeSeed};
pub use dataset::{
    ColumnChange, ColumnInfo, DatasetInfo, FoundColumns, ManifestChange, ManifestRef, NewColumn, NewDataset,
    NewShardset, ShardsetInfo,
};
pub use error::{CatalogueError, DecodeError, GroupRefusal, NameKind};
pub use group_info::{CopyState, GroupInfo, Joiner, Revision, StaleReason, UncleanPromotion};
pub use job::{JobFailure, JobInfo, JobSource};
pub use key::{ApiKey, KeyRole};
pub use layout::{GroupLayout, LayoutError, ReplicaLayout, StaticLayout, node_uri};
pub use liveness::{Heard, Liveness};
pub use name::{check_description, check_name};
pub use node_info::{BootId, LogCondition, NodeInfo, NodeRegistration, NodeRole, StartId, is_intact};
pub use options::{ClusterOptions, ELECTION_MS_MAX, ELECTION_MS_MIN, OptionsChange};
pub use reply::Reply;
pub use snapshot::SNAPSHOT_VERSION;
pub use supervisor::{
    Admission, CopyReport, Heartbeat, HeartbeatAnswer, PROPOSAL_MS, RETRY_MS, Rebuild, Supervisor,
};
pub use voters::{VoterChange, desired_voters, voters_of};
