//! Commands, and a command's bytes in the metadata log.
//!
//! Bytes of a command: one byte with the version, then JSON (docs/formats/metadata.md). A command is written in the
//! lowest version that has it. An unknown field is an
//! error and not skipped: a node that does not understand a command must stop rather than drift from the others.

use crate::collection::{IndexDefinition, IntegerIdForm};
use crate::dataset::{ColumnChange, FoundColumns, ManifestChange, NewDataset, NewShardset};
use crate::error::DecodeError;
use crate::form;
use crate::group_info::{Revision, StaleReason};
use crate::job::{JobFailure, JobInfo};
use crate::key::ApiKey;
use crate::node_info::NodeRegistration;
use crate::options::{ClusterOptions, OptionsChange};
use lavandin_types::{ClusterId, CollectionId, DatasetId, ElementType, GroupId, NodeId, ShardsetId, StoreId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The highest version that `Command::encode` writes.
pub const COMMAND_VERSION: u8 = 7;
/// The version from which on layouts may say how many copies there are of a group.
const VERSION_OF_PLACING: u8 = 6;

/// What a node says of itself when it forms a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSeed {
    /// The id under which it already votes.
    #[serde(with = "form::node_id")]
    pub id: NodeId,
    #[serde(with = "form::store_id")]
    pub store: StoreId,
    /// Where other nodes reach it; empty for none.
    pub address: String,
}

/// The parts of `Command::FormLayout`: a function of the cluster's configuration but for the id, so that two
/// coordinators that start at once propose the same cluster, and the first one's id stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutSeed {
    #[serde(with = "form::cluster_id")]
    pub cluster: ClusterId,
    /// Addresses of the data nodes, which are numbered from 1 in this order.
    pub nodes: Vec<String>,
    pub groups: Vec<GroupSeed>,
    pub options: ClusterOptions,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSeed {
    pub name: String,
    /// In order of preference.
    #[serde(with = "form::list")]
    pub members: Vec<NodeId>,
    #[serde(with = "form::node_id")]
    pub primary: NodeId,
}

/// A change of the catalogue. Every command may be proposed again after an unknown outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Gives this metadata its cluster id, its first node and that node's group `sg0`. A compare-and-set: proposed
    /// again it does nothing, with another id it is refused. Answers `Formed`.
    FormCluster {
        #[serde(with = "form::cluster_id")]
        cluster: ClusterId,
        node: NodeSeed,
    },
    /// Gives this metadata its cluster id and the nodes and groups of a static layout. The nodes take their seats as
    /// they register; until then each group is led by a node that was never seen, at epoch 0, and its other members
    /// are stale. A compare-and-set as `FormCluster` is. Answers `Formed`.
    FormLayout(LayoutSeed),
    /// Makes a cluster of one, which has this id and holds data, the layout that has it as a primary: its group gets
    /// the layout's name and replicas, the other nodes and groups are as in `FormLayout`. Once there are more data nodes it
    /// does nothing. Answers `Formed`.
    ExtendLayout(LayoutSeed),
    /// Adds a node, or starts another incarnation of a known store: see `node_info`. Answers `Node`.
    RegisterNode(NodeRegistration),
    /// Makes sure that a node does not exist; refused while it holds a copy of a group. Answers `Done`.
    RemoveNode {
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    /// Takes a copy other than the primary out of the in-sync set. A compare-and-set. Answers `Group`, as all changes
    /// of groups do.
    ShrinkGroup {
        #[serde(with = "form::group_id")]
        group: GroupId,
        expected: Revision,
        #[serde(with = "form::node_id")]
        remove: NodeId,
        #[serde(default)]
        reason: StaleReason,
    },
    /// Lets a stale copy catch up. A compare-and-set.
    AddJoiner {
        #[serde(with = "form::group_id")]
        group: GroupId,
        expected: Revision,
        #[serde(with = "form::node_id")]
        node: NodeId,
        incarnation: u64,
    },
    /// Gives up the joining copy. A compare-and-set.
    DropJoiner {
        #[serde(with = "form::group_id")]
        group: GroupId,
        expected: Revision,
    },
    /// Takes the joining copy into the in-sync set. A compare-and-set.
    GrowGroup {
        #[serde(with = "form::group_id")]
        group: GroupId,
        expected: Revision,
        #[serde(with = "form::node_id")]
        node: NodeId,
        incarnation: u64,
    },
    /// Makes another in-sync copy the primary; or lifts a suspicion from the present one. A compare-and-set.
    Promote {
        #[serde(with = "form::group_id")]
        group: GroupId,
        expected: Revision,
        #[serde(with = "form::node_id")]
        primary: NodeId,
    },
    /// Makes a copy the primary that may lack acknowledged writes. Only a user proposes it. A compare-and-set.
    ForcePromote {
        #[serde(with = "form::group_id")]
        group: GroupId,
        expected: Revision,
        #[serde(with = "form::node_id")]
        primary: NodeId,
    },
    /// Adds a group for collections to come. Proposed again it does nothing; another one of its name is refused.
    AddGroup(GroupSeed),
    /// Adds a copy, in place of another one or as one more. Proposed again it does nothing.
    AddReplica {
        #[serde(with = "form::group_id")]
        group: GroupId,
        #[serde(with = "form::node_id")]
        node: NodeId,
        /// The member that leaves once enough others are in sync.
        #[serde(default, with = "form::optional")]
        replaces: Option<NodeId>,
    },
    /// Makes sure that a node holds no copy; one copy less is wanted then, unless it was leaving. The primary is only
    /// marked as leaving: it goes after another copy was promoted.
    RemoveReplica {
        #[serde(with = "form::group_id")]
        group: GroupId,
        #[serde(with = "form::node_id")]
        node: NodeId,
    },
    /// Moves all copies off a node: each to `to`; without it, to wherever the cluster places them, or, where it places none
    /// or has too few nodes, one copy less of each group is wanted. All of it or nothing. Each copy goes once enough others are in sync. If it `retires`, the node is removed when it holds none,
    /// unless it is given another copy before. Proposed again it does nothing. Answers `Node`.
    MoveCopies {
        #[serde(with = "form::node_id")]
        from: NodeId,
        #[serde(with = "form::optional")]
        to: Option<NodeId>,
        retires: bool,
    },
    /// Reserves integer ids of a collection for a node; they are given to nobody else, ever. Answers `Ids`.
    LeaseIds {
        #[serde(with = "form::collection_id")]
        collection: CollectionId,
        #[serde(with = "form::node_id")]
        node: NodeId,
        count: u64,
        /// The largest integer id below 2^63 that the node knows to be in the collection: the range is above it.
        largest_known: Option<u64>,
    },
    /// Answers `Options`.
    SetClusterOptions(OptionsChange),
    /// Moves the chores to another node. A compare-and-set on the epoch of the chores. Answers `Chores`.
    AppointChores {
        #[serde(with = "form::node_id")]
        node: NodeId,
        expected: u64,
    },
    /// Makes sure that a database exists. Answers `Database`.
    CreateDatabase { name: String, drop_if_exists: bool },
    /// Makes sure that a database does not exist. Answers `Dropped`.
    DropDatabase { name: String },
    /// Creates or opens a collection. An existing one keeps its dimension and description; another element type
    /// than its own is refused. Answers `Collection`.
    CreateCollection {
        database: String,
        name: String,
        /// 0 to let the first write decide.
        dim: u32,
        #[serde(with = "form::element_type")]
        element: ElementType,
        description: Option<String>,
        drop_if_exists: bool,
    },
    /// Makes sure that a collection does not exist; its database must. Answers `Dropped`.
    DropCollection { database: String, name: String },
    /// Answers `Updated`.
    SetDescription {
        #[serde(with = "form::collection_id")]
        collection: CollectionId,
        description: Option<String>,
    },
    /// Fixes the dimension of a collection that has none. Done already with the same one is well; another one is
    /// refused. Answers `Updated`.
    FixDimension {
        #[serde(with = "form::collection_id")]
        collection: CollectionId,
        dim: u32,
    },
    /// Sets the index, or removes it. Answers `Updated`.
    SetIndex {
        #[serde(with = "form::collection_id")]
        collection: CollectionId,
        index: Option<IndexDefinition>,
    },
    /// Fixes how integer ids are hashed, unless that is fixed already: then what is fixed stays, and the reply
    /// tells. Answers `Updated`.
    SetIntegerIdForm {
        #[serde(with = "form::collection_id")]
        collection: CollectionId,
        form: IntegerIdForm,
    },
    /// Adds or replaces a key. Answers `Done`.
    PutApiKey { key: ApiKey },
    /// Makes sure that a key does not exist. Answers `Done`.
    RemoveApiKey { id: String },
    /// Creates a dataset. Proposed again it does nothing; another one of its name is refused. Answers `Dataset`.
    CreateDataset(NewDataset),
    /// Makes sure that a dataset does not exist. Answers `DatasetDropped`.
    DeleteDataset {
        #[serde(with = "form::dataset_id")]
        dataset: DatasetId,
    },
    /// Adds a shardset, and those of its columns that the dataset does not have. Proposed again it does nothing;
    /// another one at its location is refused. Answers `Dataset`.
    CreateShardset(NewShardset),
    /// Makes sure that a shardset does not exist; its dataset must. Its columns go with it, but for the uid column
    /// while another shardset is left: that one has it as well. Answers `ShardsetDropped`.
    DeleteShardset {
        #[serde(with = "form::dataset_id")]
        dataset: DatasetId,
        #[serde(with = "form::shardset_id")]
        shardset: ShardsetId,
    },
    /// Makes a shardset the main one, and no other; or just not the main one. Answers `Dataset`.
    SetMainShardset {
        #[serde(with = "form::dataset_id")]
        dataset: DatasetId,
        #[serde(with = "form::shardset_id")]
        shardset: ShardsetId,
        is_main: bool,
    },
    /// Answers `Dataset`.
    UpdateColumn(ColumnChange),
    /// Replaces a shardset's manifest. A compare-and-set on its version. Answers `Dataset`.
    SetManifest(ManifestChange),
    /// Adds those columns that the dataset does not have. Answers `Dataset`.
    AddColumns(FoundColumns),
    /// Begins a preprocessing job, unless one of its name runs; one that has failed it replaces. Where there are as many as
    /// there may be, the oldest failed one goes. It goes with its dataset. Answers `Job`: the one of that name.
    BeginJob { job: JobInfo },
    /// Ends a run of a job: it is gone, or says why it is not done. Of another run, or one that has ended, it does nothing.
    /// Answers `Done`.
    EndJob { name: String, run: u64, failure: Option<JobFailure> },
}

impl Command {
    /// The name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FormCluster { .. } => "form_cluster",
            Self::FormLayout(_) => "form_layout",
            Self::ExtendLayout(_) => "extend_layout",
            Self::RegisterNode(_) => "register_node",
            Self::RemoveNode { .. } => "remove_node",
            Self::ShrinkGroup { .. } => "shrink_group",
            Self::AddJoiner { .. } => "add_joiner",
            Self::DropJoiner { .. } => "drop_joiner",
            Self::GrowGroup { .. } => "grow_group",
            Self::Promote { .. } => "promote",
            Self::ForcePromote { .. } => "force_promote",
            Self::AddGroup(_) => "add_group",
            Self::AddReplica { .. } => "add_replica",
            Self::RemoveReplica { .. } => "remove_replica",
            Self::MoveCopies { .. } => "move_copies",
            Self::LeaseIds { .. } => "lease_ids",
            Self::SetClusterOptions(_) => "set_cluster_options",
            Self::AppointChores { .. } => "appoint_chores",
            Self::CreateDatabase { .. } => "create_database",
            Self::DropDatabase { .. } => "drop_database",
            Self::CreateCollection { .. } => "create_collection",
            Self::DropCollection { .. } => "drop_collection",
            Self::SetDescription { .. } => "set_description",
            Self::FixDimension { .. } => "fix_dimension",
            Self::SetIndex { .. } => "set_index",
            Self::SetIntegerIdForm { .. } => "set_integer_id_form",
            Self::PutApiKey { .. } => "put_api_key",
            Self::RemoveApiKey { .. } => "remove_api_key",
            Self::CreateDataset(_) => "create_dataset",
            Self::DeleteDataset { .. } => "delete_dataset",
            Self::CreateShardset(_) => "create_shardset",
            Self::DeleteShardset { .. } => "delete_shardset",
            Self::SetMainShardset { .. } => "set_main_shardset",
            Self::UpdateColumn(_) => "update_column",
            Self::SetManifest(_) => "set_manifest",
            Self::AddColumns(_) => "add_columns",
            Self::BeginJob { .. } => "begin_job",
            Self::EndJob { .. } => "end_job",
        }
    }

    /// The lowest version that has the command as it is written now.
    const fn version(&self) -> u8 {
        match self {
            // A program that does not know of them would place no copies.
            Self::FormLayout(seed) | Self::ExtendLayout(seed) if seed.options.copies > 0 => {
                VERSION_OF_PLACING
            }
            Self::FormCluster { .. }
            | Self::CreateDatabase { .. }
            | Self::DropDatabase { .. }
            | Self::CreateCollection { .. }
            | Self::DropCollection { .. }
            | Self::SetDescription { .. }
            | Self::FixDimension { .. }
            | Self::SetIndex { .. }
            | Self::SetIntegerIdForm { .. }
            | Self::RemoveApiKey { .. } => 1,
            Self::PutApiKey { .. }
            | Self::CreateDataset(_)
            | Self::DeleteDataset { .. }
            | Self::CreateShardset(_)
            | Self::DeleteShardset { .. }
            | Self::SetMainShardset { .. }
            | Self::UpdateColumn(_)
            | Self::SetManifest(_)
            | Self::AddColumns(_) => 2,
            Self::FormLayout(_)
            | Self::RegisterNode(_)
            | Self::RemoveNode { .. }
            | Self::ShrinkGroup { .. }
            | Self::AddJoiner { .. }
            | Self::DropJoiner { .. }
            | Self::GrowGroup { .. }
            | Self::Promote { .. }
            | Self::ForcePromote { .. }
            | Self::AddGroup(_)
            | Self::AddReplica { .. }
            | Self::RemoveReplica { .. }
            | Self::LeaseIds { .. }
            | Self::SetClusterOptions(_)
            | Self::AppointChores { .. } => 3,
            Self::MoveCopies { .. } => 4,
            Self::ExtendLayout(_) => 5,
            Self::BeginJob { .. } | Self::EndJob { .. } => 7,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.version()];
        serde_json::to_writer(&mut bytes, self).expect("a command has only string keys and writes to memory");
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_versioned("metadata command", COMMAND_VERSION, bytes)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads JSON behind a version byte of 1 to `known`.
pub(crate) fn decode_versioned<T: for<'de> Deserialize<'de>>(
    what: &'static str,
    known: u8,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let (&version, json) = bytes.split_first().ok_or(DecodeError::Empty { what })?;
    if version == 0 || version > known {
        return Err(DecodeError::Version { what, found: version, known });
    }
    serde_json::from_slice(json).map_err(|error| DecodeError::Malformed { what, reason: error.to_string() })
}

#[cfg(test)]
mod tests;
