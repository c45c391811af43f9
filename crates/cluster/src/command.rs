//! Commands and their replies, and a command's bytes in the metadata log.
//!
//! Bytes of a command: one byte with the version, then JSON (docs/formats/metadata.md). A command is written in the
//! lowest version that has it. An unknown field is an
//! error and not skipped: a node that does not understand a command must stop rather than drift from the others.

use crate::collection::{CollectionInfo, IndexDefinition, IntegerIdForm};
use crate::dataset::{
    ColumnChange, DatasetInfo, FoundColumns, ManifestChange, NewDataset, NewShardset, ShardsetInfo,
};
use crate::error::DecodeError;
use crate::form;
use crate::topology::{ApiKey, NodeInfo};
use lavandin_types::{ClusterId, CollectionId, DatasetId, ElementType, GroupId, NodeId, ShardsetId, StoreId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The highest version that `Command::encode` writes.
pub const COMMAND_VERSION: u8 = 2;

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
    /// Adds a node, or starts another incarnation of a known store; the latter also raises epoch and version of
    /// every group that it leads, so that each session of a primary has an epoch of its own. Answers `Node`.
    RegisterNode {
        #[serde(with = "form::store_id")]
        store: StoreId,
        address: String,
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
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    Formed {
        #[serde(with = "form::cluster_id")]
        cluster: ClusterId,
        #[serde(with = "form::group_id")]
        group: GroupId,
    },
    Node(NodeInfo),
    Database {
        created: bool,
        /// Collections of the database that it replaced.
        #[serde(with = "form::list")]
        dropped: Vec<CollectionId>,
    },
    Collection {
        #[serde(with = "form::shared")]
        info: Arc<CollectionInfo>,
        created: bool,
        /// The collection that it replaced.
        #[serde(with = "form::optional")]
        dropped: Option<CollectionId>,
    },
    /// The collections whose data may be removed; none if there was nothing to drop.
    Dropped {
        #[serde(with = "form::list")]
        collections: Vec<CollectionId>,
    },
    /// The collection after the command, and whether the command changed it.
    Updated {
        #[serde(with = "form::shared")]
        info: Arc<CollectionInfo>,
        changed: bool,
    },
    /// The dataset after the command, and whether the command changed it.
    Dataset {
        #[serde(with = "form::shared")]
        info: Arc<DatasetInfo>,
        changed: bool,
    },
    /// The dataset as it was, whose files may be removed; none if there was nothing to drop.
    DatasetDropped {
        info: Option<Box<DatasetInfo>>,
    },
    /// The dataset after the command, and the shardset whose files may be removed.
    ShardsetDropped {
        #[serde(with = "form::shared")]
        info: Arc<DatasetInfo>,
        dropped: Option<ShardsetInfo>,
    },
    Done,
}

impl Command {
    /// The name in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FormCluster { .. } => "form_cluster",
            Self::RegisterNode { .. } => "register_node",
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
        }
    }

    /// The lowest version that has the command as it is written now.
    const fn version(&self) -> u8 {
        match self {
            Self::FormCluster { .. }
            | Self::RegisterNode { .. }
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
            | Self::AddColumns(_) => COMMAND_VERSION,
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
