//! What the catalogue knows of a dataset: its columns and its shardsets, not their files.
//!
//! The files of a shardset are listed in an immutable file of the dataset's owner group, its manifest; the
//! catalogue holds the manifest's version and hash. So a dataset weighs the same with ten shard files and with a
//! million. All of a dataset is one entry: a change replaces it as a whole, which is why its parts are bounded.

use crate::error::CatalogueError;
use crate::form;
use crate::limit;
use lavandin_types::{ColumnId, DatasetId, GroupId, ShardsetId};
use serde::{Deserialize, Serialize};

/// Names the manifest of a shardset: what its last sync found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRef {
    /// From 1; rises with each manifest of the shardset.
    pub version: u64,
    /// Of the manifest's bytes.
    #[serde(with = "form::wide_hash")]
    pub hash: u128,
    pub shard_count: u32,
    pub total_samples: u64,
    /// Of all shard files together.
    pub bytes: u64,
}

/// A shardset of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardsetInfo {
    #[serde(with = "form::shardset_id")]
    pub id: ShardsetId,
    /// The directory as the user gave it.
    pub location: String,
    /// Whether a user made it the main one; see [`DatasetInfo::main_shardset`].
    pub is_main: bool,
    pub created_at_s: u64,
    /// `None` until a sync has ended.
    pub manifest: Option<ManifestRef>,
}

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnInfo {
    #[serde(with = "form::column_id")]
    pub id: ColumnId,
    /// The shardset that declared it first.
    #[serde(with = "form::shardset_id")]
    pub shardset: ShardsetId,
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
    pub description: Option<String>,
    pub created_at_s: u64,
}

/// A dataset's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetInfo {
    #[serde(with = "form::dataset_id")]
    pub id: DatasetId,
    pub name: String,
    /// The column by which shardsets are joined.
    pub uid_column_name: String,
    pub created_at_s: u64,
    /// Keeps its manifests and the state of its iterations.
    #[serde(with = "form::group_id")]
    pub group: GroupId,
    /// In the order in which they became known; names are unique.
    pub columns: Vec<ColumnInfo>,
    /// In the order in which they were created; locations are unique.
    pub shardsets: Vec<ShardsetInfo>,
}

impl DatasetInfo {
    pub fn shardset(&self, id: ShardsetId) -> Result<&ShardsetInfo, CatalogueError> {
        self.shardsets.iter().find(|shardset| shardset.id == id).ok_or(CatalogueError::ShardsetNotFound)
    }

    pub fn column(&self, id: ColumnId) -> Result<&ColumnInfo, CatalogueError> {
        self.columns.iter().find(|column| column.id == id).ok_or(CatalogueError::ColumnNotFound)
    }

    pub fn column_by_name(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The uid column, once a shardset has declared it.
    pub fn uid_column(&self) -> Option<&ColumnInfo> {
        self.column_by_name(&self.uid_column_name)
    }

    /// The columns that a shardset declared first.
    pub fn columns_of(&self, shardset: ShardsetId) -> impl Iterator<Item = &ColumnInfo> {
        self.columns.iter().filter(move |column| column.shardset == shardset)
    }

    /// The shardset that decides the order of the samples and how many there are: the one that a user made the
    /// main one, else the oldest; of two as old the one with the lower id.
    pub fn main_shardset(&self) -> Option<&ShardsetInfo> {
        main_among(self.shardsets.iter())
    }

    /// The main shardset of those chosen for an iteration. Unknown ids count as not chosen.
    pub fn main_shardset_of(&self, chosen: &[ShardsetId]) -> Option<&ShardsetInfo> {
        main_among(self.shardsets.iter().filter(|shardset| chosen.contains(&shardset.id)))
    }

    pub(crate) fn weight(&self) -> u64 {
        let columns: u64 = self.columns.iter().map(ColumnInfo::weight).sum();
        let shardsets: u64 = self.shardsets.iter().map(ShardsetInfo::weight).sum();
        // The name is kept twice: here and in the catalogue's map of names.
        let texts = 2 * self.name.len() + self.uid_column_name.len();
        limit::ENTRY_WEIGHT + texts as u64 + columns + shardsets
    }
}

fn main_among<'a>(shardsets: impl Iterator<Item = &'a ShardsetInfo>) -> Option<&'a ShardsetInfo> {
    shardsets.min_by_key(|shardset| (!shardset.is_main, shardset.created_at_s, shardset.id))
}

impl ShardsetInfo {
    fn weight(&self) -> u64 {
        limit::ENTRY_WEIGHT + self.location.len() as u64
    }
}

impl ColumnInfo {
    fn weight(&self) -> u64 {
        let description = self.description.as_ref().map_or(0, String::len);
        limit::ENTRY_WEIGHT + (self.name.len() + self.column_type.len() + description) as u64
    }
}

/// A column that a command declares. Its id is drawn by whoever proposes the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewColumn {
    #[serde(with = "form::column_id")]
    pub id: ColumnId,
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
    pub description: Option<String>,
}

/// The parts of `Command::CreateDataset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDataset {
    #[serde(with = "form::dataset_id")]
    pub id: DatasetId,
    pub name: String,
    pub uid_column_name: String,
    pub created_at_s: u64,
}

/// The parts of `Command::CreateShardset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewShardset {
    #[serde(with = "form::dataset_id")]
    pub dataset: DatasetId,
    #[serde(with = "form::shardset_id")]
    pub id: ShardsetId,
    pub location: String,
    pub columns: Vec<NewColumn>,
    pub created_at_s: u64,
}

/// The parts of `Command::AddColumns`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundColumns {
    #[serde(with = "form::dataset_id")]
    pub dataset: DatasetId,
    #[serde(with = "form::shardset_id")]
    pub shardset: ShardsetId,
    pub columns: Vec<NewColumn>,
    pub created_at_s: u64,
}

/// The parts of `Command::UpdateColumn`; `None` leaves a part as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnChange {
    #[serde(with = "form::dataset_id")]
    pub dataset: DatasetId,
    #[serde(with = "form::column_id")]
    pub column: ColumnId,
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub column_type: Option<String>,
    pub description: Option<String>,
}

/// The parts of `Command::SetManifest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestChange {
    #[serde(with = "form::dataset_id")]
    pub dataset: DatasetId,
    #[serde(with = "form::shardset_id")]
    pub shardset: ShardsetId,
    pub manifest: ManifestRef,
    /// The version that it replaces; 0 for none.
    pub expected: u64,
}
