//! Decisions of the cluster without I/O. Today: the catalogue, the state machine behind the metadata log.
//!
//! A [`Catalogue`] holds what every node must agree on: databases, collections, bucket tables, datasets, nodes,
//! shard groups and keys. It changes only through [`Catalogue::apply`], a pure function of the state and a [`Command`]: no clock,
//! no randomness, no I/O, ordered maps only, so that every node that applies the same commands holds equal bytes.
//! Ids, hashes and random secrets are drawn by whoever proposes a command and travel inside it.
//!
//! Invariants: a refused command changes nothing; ids of collections, nodes, groups and bucket tables are never
//! reused; the whole stays under [`limit::METADATA_BYTES_MAX`].
//!
//! `consensus` drives it (log, durability, snapshots); `node` proposes commands and reads the result. Deliberately
//! absent: records and their log (`group`, `shard`), shard files (a manifest lists them, `feed`), replication decisions (they come with the second node),
//! anything per record or per request.

mod bucket;
mod catalogue;
mod collection;
mod command;
mod dataset;
mod error;
mod form;
pub mod limit;
mod name;
mod snapshot;
mod topology;

pub use bucket::{BUCKET_COUNT, BucketNumber, BucketTable, BucketTableId, bucket_hash, bucket_of};
pub use catalogue::{Catalogue, Database};
pub use collection::{CollectionInfo, IndexDefinition, IntegerIdForm};
pub use command::{COMMAND_VERSION, Command, NodeSeed, Reply};
pub use dataset::{
    ColumnChange, ColumnInfo, DatasetInfo, FoundColumns, ManifestChange, ManifestRef, NewColumn, NewDataset,
    NewShardset, ShardsetInfo,
};
pub use error::{CatalogueError, DecodeError, NameKind};
pub use name::{check_description, check_name};
pub use snapshot::SNAPSHOT_VERSION;
pub use topology::{ApiKey, GroupInfo, KeyRole, NodeInfo};
