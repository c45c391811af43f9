//! What the catalogue knows of a collection.

use crate::bucket::BucketTableId;
use crate::form;
use crate::limit;
use lavandin_types::{BuildParameters, CollectionId, ElementType, IndexMode, IndexModeError, SchemaVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How integer ids of a collection enter the bucket hash; fixed by its first integer write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegerIdForm {
    /// No integer id was written yet.
    #[default]
    Unset,
    /// Ids that the user chose.
    External,
    /// Ids that the server assigned.
    Internal,
}

impl IntegerIdForm {
    /// The name in replies; `None` while it is not fixed.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::External => Some("external"),
            Self::Internal => Some("internal"),
        }
    }
}

/// The index that a user asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "IndexForm", into = "IndexForm")]
pub struct IndexDefinition {
    /// The mode as it was given.
    pub mode: String,
    /// What the engine acts on.
    pub build: BuildParameters,
    /// Every other parameter of the request by name, each as the JSON text of its value: stored to be shown.
    pub other: BTreeMap<String, String>,
}

impl IndexDefinition {
    pub fn new(mode: &IndexMode, build: BuildParameters) -> Self {
        Self { mode: mode.as_str().to_owned(), build, other: BTreeMap::new() }
    }

    /// The parts of the mode. Fails only where a newer version of the program wrote a mode that this one does not
    /// know.
    pub fn parse_mode(&self) -> Result<IndexMode, IndexModeError> {
        IndexMode::parse(&self.mode)
    }

    pub(crate) fn bytes(&self) -> usize {
        let other: usize = self.other.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.mode.len() + other
    }
}

/// The JSON form of an index definition.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexForm {
    mode: String,
    m: Option<u32>,
    ef_construction: Option<u32>,
    ef_search: Option<u32>,
    other: BTreeMap<String, String>,
}

impl From<IndexDefinition> for IndexForm {
    fn from(index: IndexDefinition) -> Self {
        let BuildParameters { m, ef_construction, ef_search } = index.build;
        Self { mode: index.mode, m, ef_construction, ef_search, other: index.other }
    }
}

impl From<IndexForm> for IndexDefinition {
    fn from(form: IndexForm) -> Self {
        let IndexForm { mode, m, ef_construction, ef_search, other } = form;
        Self { mode, build: BuildParameters { m, ef_construction, ef_search }, other }
    }
}

/// A collection's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionInfo {
    #[serde(with = "form::collection_id")]
    pub id: CollectionId,
    pub database: String,
    pub name: String,
    /// 0 until the first write fixes it.
    pub dim: u32,
    #[serde(with = "form::element_type")]
    pub element: ElementType,
    pub description: Option<String>,
    /// `None` until an index is asked for: an exact scan by inner product.
    pub index: Option<IndexDefinition>,
    /// From 1; raised by each change of `dim` or `index`.
    #[serde(with = "form::schema_version")]
    pub schema_version: SchemaVersion,
    pub integer_ids: IntegerIdForm,
    pub buckets: BucketTableId,
}

impl CollectionInfo {
    pub(crate) fn weight(&self) -> u64 {
        let description = self.description.as_ref().map_or(0, String::len);
        let index = self.index.as_ref().map_or(0, IndexDefinition::bytes);
        // The name is kept twice: here and in the database's map.
        limit::ENTRY_WEIGHT + (self.database.len() + 2 * self.name.len() + description + index) as u64
    }
}

impl Serialize for BucketTableId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

impl<'de> Deserialize<'de> for BucketTableId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::new)
    }
}
