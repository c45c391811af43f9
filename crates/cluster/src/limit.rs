//! Bounds of the catalogue. They are part of the state machine: every node must refuse the same command, so a
//! change of one of them needs a new command version (docs/formats/metadata.md).

/// All of the catalogue, by the weights below.
pub const METADATA_BYTES_MAX: u64 = 64 << 20;
pub const DATABASES_MAX: usize = 10_000;
pub const COLLECTIONS_MAX: usize = 100_000;
pub const DATASETS_MAX: usize = 100_000;
pub const SHARDSETS_PER_DATASET_MAX: usize = 1_000;
pub const COLUMNS_PER_SHARDSET_MAX: usize = 4_096;
pub const COLUMNS_PER_DATASET_MAX: usize = 16_384;
pub const NODES_MAX: usize = 256;
pub const GROUPS_MAX: usize = 1_024;
/// Groups that the cluster adds by itself; people may add more.
pub const PLACED_GROUPS_MAX: usize = 64;
/// Copies of one group.
pub const COPIES_MAX: usize = 16;
/// Unclean promotions that a group remembers.
pub const UNCLEAN_MAX: usize = 16;
/// Ids of one lease.
pub const IDS_PER_LEASE_MAX: u64 = 1 << 32;
/// Ids that are given out are below it; larger integers are only ever chosen by users.
pub const GENERATED_ID_MAX: u64 = (1 << 63) - 1;
/// Metadata voters that a user may pin.
pub const OWNERS_MAX: usize = 9;
pub const KEYS_MAX: usize = 10_000;
/// Bytes of a database's or a collection's name.
pub const NAME_BYTES_MAX: usize = 128;
/// Unicode scalar values of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 500;
/// Bytes of a dataset's or a column's name.
pub const DATASET_NAME_BYTES_MAX: usize = 512;
pub const LOCATION_BYTES_MAX: usize = 2_048;
/// Bytes of a column's type: nested types name all of their parts.
pub const COLUMN_TYPE_BYTES_MAX: usize = 8_192;
pub const COLUMN_DESCRIPTION_BYTES_MAX: usize = 4_096;
pub const KEY_NOTE_BYTES_MAX: usize = 1_024;
/// Preprocessing jobs that run or have failed.
pub const JOBS_MAX: usize = 1_000;
/// Bytes of a job's name: it has its functions' names and a location in it.
pub const JOB_NAME_BYTES_MAX: usize = 8_192;
pub const JOB_REQUEST_BYTES_MAX: usize = 65_536;
/// Of the sentence why a job failed; longer ones are cut.
pub const JOB_REASON_BYTES_MAX: usize = 4_096;
pub const DIMENSION_MAX: u32 = 65_536;
/// Bytes of a node's address.
pub const ADDRESS_BYTES_MAX: usize = 512;
/// Bytes of an index definition: its mode's text and all other parameters.
pub const INDEX_BYTES_MAX: usize = 4_096;

/// What each entry, a dataset's column or shardset included, weighs besides its texts: an upper estimate of its fixed part in memory and in a snapshot.
pub(crate) const ENTRY_WEIGHT: u64 = 256;
/// What each shardset of a job weighs.
pub(crate) const JOB_SOURCE_WEIGHT: u64 = 64;
/// What the id range of a collection weighs.
pub(crate) const ID_RANGE_WEIGHT: u64 = 64;
