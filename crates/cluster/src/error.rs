//! What the catalogue refuses, and what its bytes can be wrong with.

use crate::chores::ChoresNode;
use crate::form;
use crate::group_info::{GroupInfo, Revision};
use crate::limit;
use lavandin_types::{ClusterId, CollectionId, ElementType, ErrorCode, GroupId, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameKind {
    Database,
    Collection,
    Key,
    Group,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Collection => "collection",
            Self::Key => "API key",
            Self::Group => "group",
        })
    }
}

/// Why a command was refused. The texts of the first variants are part of the HTTP API, which is why they do not
/// follow the house's lower case.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CatalogueError {
    #[error("Database not found: {name}")]
    DatabaseNotFound { name: String },
    #[error("Collection not found: {name}")]
    CollectionNotFound { name: String },
    /// The collection was dropped between the caller's look-up and its command.
    #[error("Collection not found: {id} (it was dropped)")]
    CollectionDropped {
        #[serde(with = "form::collection_id")]
        id: CollectionId,
    },
    #[error("Dataset not found")]
    DatasetNotFound,
    #[error("Shardset not found")]
    ShardsetNotFound,
    #[error("Column not found")]
    ColumnNotFound,
    #[error(
        "Dataset name must be unique: there is a dataset named {name:?} already; use it or choose another name"
    )]
    DatasetExists { name: String },
    #[error(
        "unique constraint failed: the dataset already has a shardset at {location:?}; sync that one instead"
    )]
    ShardsetExists { location: String },
    #[error("unique constraint failed: the dataset already has a column named {name:?}")]
    ColumnExists { name: String },
    #[error("column names must be unique: {name:?} is given twice")]
    ColumnGivenTwice { name: String },
    /// An id that the proposer drew belongs to something else.
    #[error("unique constraint failed: the id {id} is in use; draw another one")]
    IdInUse { id: String },
    /// A manifest was replaced between the caller's look-up and its command.
    #[error(
        "the shardset was synced by someone else: version {expected} of its manifest was to be replaced, it has {found}"
    )]
    ManifestMoved { expected: u64, found: u64 },
    #[error("Invalid argument: version {version} of a manifest cannot follow version {expected}")]
    ManifestOrder { expected: u64, version: u64 },
    #[error("Invalid argument: a {what} must not be empty")]
    Empty { what: String },
    #[error("Dimension mismatch: expected {expected}, got {got}")]
    DimensionMismatch { expected: u32, got: u32 },
    #[error("Invalid argument: dimension {got} is outside of 1 to {max}", max = limit::DIMENSION_MAX)]
    DimensionOutOfRange { got: u32 },
    #[error(
        "Invalid argument: collection {name} stores {stored}, {asked} was asked for; \
         open it with its own element type or drop it first",
        stored = stored.name(), asked = asked.name()
    )]
    ElementTypeMismatch {
        name: String,
        #[serde(with = "form::element_type")]
        stored: ElementType,
        #[serde(with = "form::element_type")]
        asked: ElementType,
    },
    #[error(
        "Invalid argument: {kind} name {name:?} is not of 1 to 128 characters among letters, digits, '.', '_', '-', \
         without \"..\""
    )]
    InvalidName { kind: NameKind, name: String },
    #[error("Invalid argument: the description has {chars} characters, at most 500 are allowed")]
    DescriptionTooLong { chars: u64 },
    #[error("Invalid argument: {what} of {got} bytes is longer than the {max} allowed")]
    TooLong { what: String, got: u64, max: u64 },
    #[error("Invalid argument: the limit of {max} {what} is reached; drop some that are no longer needed")]
    LimitReached { what: String, max: u64 },
    #[error("this node belongs to no cluster yet; form one before anything is stored in it")]
    NotFormed,
    #[error("this node already belongs to cluster {cluster}; a node never changes its cluster")]
    AlreadyFormed {
        #[serde(with = "form::cluster_id")]
        cluster: ClusterId,
    },
    #[error("there is no node {node}; it was removed or never registered")]
    NodeNotFound {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("there is no group {group}")]
    GroupNotFound {
        #[serde(with = "form::group_id")]
        group: GroupId,
    },
    /// A compare-and-set missed: the group is not where the proposer saw it.
    #[error("group {name} is at {present}, not at {expected} any more; look at it again", name = .group.name, present = .group.revision())]
    GroupMoved { expected: Revision, group: Box<GroupInfo> },
    /// The group is where it was expected, and the change is not one that it can make.
    #[error("group {group}: {reason}")]
    NotPossible {
        #[serde(with = "form::group_id")]
        group: GroupId,
        reason: GroupRefusal,
    },
    #[error("there is a group named {name:?} with other members already; choose another name")]
    GroupExists { name: String },
    #[error("another node or store uses {address}: {holder} is alive there; give this one its own address")]
    AddressInUse {
        address: String,
        #[serde(with = "form::node_id")]
        holder: NodeId,
    },
    #[error(
        "the store of this data directory is in use by {node} at {address}: the directory is a copy; it needs a store id of its own"
    )]
    StoreInUse {
        #[serde(with = "form::node_id")]
        node: NodeId,
        address: String,
    },
    #[error("node {node} still holds copies of {count} groups, of {group} among them; move or remove them first", count = .groups.len(), group = .groups.first().copied().unwrap_or_default())]
    NodeHoldsCopies {
        #[serde(with = "form::node_id")]
        node: NodeId,
        #[serde(with = "form::list")]
        groups: Vec<GroupId>,
    },
    #[error("node {node} is a pinned metadata owner; pin others first")]
    PinnedOwner {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("node {node} is a coordinator and holds no copies; choose a data node")]
    NotADataNode {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("Invalid argument: {what} is {got}, allowed are {allowed}")]
    OutOfRange { what: String, got: u64, allowed: String },
    #[error("Invalid argument: {node} is given twice")]
    NodeGivenTwice {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("Invalid argument: the primary {primary} of group {name:?} is not among its members")]
    PrimaryIsNoMember {
        name: String,
        #[serde(with = "form::node_id")]
        primary: NodeId,
    },
    #[error("the chores have moved on: epoch {expected} was to be replaced")]
    ChoresMoved { expected: u64, present: Option<ChoresNode> },
}

/// Why a group cannot make a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupRefusal {
    #[error("{node} is not a member of it")]
    NotAMember {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} holds a copy of it already; choose another node")]
    AlreadyAMember {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is not in sync, so that acknowledged writes could be lost")]
    NotInSync {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is not a stale copy")]
    NotStale {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is not the joining copy")]
    NotJoining {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("nobody is joining")]
    NoJoiner,
    #[error("{node} is joining already; one copy joins at a time")]
    JoinerPresent {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is the primary; promote another copy first")]
    IsPrimary {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is the last copy that holds every write; add another one first")]
    LastCopy {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is leaving it")]
    IsLeaving {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is at incarnation {found}, not {expected}")]
    OtherIncarnation {
        #[serde(with = "form::node_id")]
        node: NodeId,
        expected: u64,
        found: u64,
    },
    #[error("{node} never registered, or lost its disk")]
    NotRegistered {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("{node} is in sync: promoting it loses nothing and needs no force")]
    NeedsNoForce {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    #[error("its last copy may have lost writes that another one holds; decide that first")]
    Suspect,
    #[error("its replicas take no part in writes (write_mirror_replicas is false)")]
    NotMirrored,
}

impl CatalogueError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::DatabaseNotFound { .. }
            | Self::CollectionNotFound { .. }
            | Self::CollectionDropped { .. }
            | Self::DatasetNotFound
            | Self::ShardsetNotFound
            | Self::ColumnNotFound
            | Self::NodeNotFound { .. }
            | Self::GroupNotFound { .. } => ErrorCode::NotFound,
            Self::DimensionMismatch { .. }
            | Self::DimensionOutOfRange { .. }
            | Self::ElementTypeMismatch { .. }
            | Self::InvalidName { .. }
            | Self::DescriptionTooLong { .. }
            | Self::TooLong { .. }
            | Self::LimitReached { .. }
            | Self::ColumnGivenTwice { .. }
            | Self::ManifestOrder { .. }
            | Self::Empty { .. }
            | Self::NodeHoldsCopies { .. }
            | Self::PinnedOwner { .. }
            | Self::NotADataNode { .. }
            | Self::OutOfRange { .. }
            | Self::NodeGivenTwice { .. }
            | Self::PrimaryIsNoMember { .. }
            | Self::NotPossible { .. } => ErrorCode::InvalidArgument,
            Self::NotFormed => ErrorCode::Unavailable,
            Self::AlreadyFormed { .. }
            | Self::DatasetExists { .. }
            | Self::ShardsetExists { .. }
            | Self::ColumnExists { .. }
            | Self::IdInUse { .. }
            | Self::GroupMoved { .. }
            | Self::GroupExists { .. }
            | Self::AddressInUse { .. }
            | Self::StoreInUse { .. }
            | Self::ChoresMoved { .. }
            | Self::ManifestMoved { .. } => ErrorCode::AlreadyExists,
        }
    }
}

/// Why bytes are no command or snapshot of this version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("the {what} is empty")]
    Empty { what: &'static str },
    #[error("the {what} has format version {found}, this program reads up to {known}; run a newer version")]
    Version { what: &'static str, found: u8, known: u8 },
    #[error("the {what} cannot be read: {reason}")]
    Malformed { what: &'static str, reason: String },
}

impl DecodeError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Version { .. } => ErrorCode::Unavailable,
            Self::Empty { .. } | Self::Malformed { .. } => ErrorCode::DataCorrupt,
        }
    }
}
