//! The catalogue: what is in the cluster, by name and by id. Reading lives here, changing in `apply`.
//!
//! Copies are cheap (entries are shared), because the state machine publishes one after every batch of commands
//! and readers keep theirs as long as they like.

mod apply;
mod datasets;
mod extending;
mod groups;
mod jobs;
mod nodes;
mod tables;

use crate::bucket::{BucketTable, BucketTableId};
use crate::chores::ChoresNode;
use crate::collection::CollectionInfo;
use crate::dataset::DatasetInfo;
use crate::error::CatalogueError;
use crate::group_info::GroupInfo;
use crate::job::JobInfo;
use crate::key::ApiKey;
use crate::node_info::NodeInfo;
use crate::options::ClusterOptions;
use lavandin_types::{ClusterId, CollectionId, DatasetId, GroupId, NodeId, StoreId};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use apply::database_weight;
pub(crate) use tables::{TableEntry, Tables, table_weight};

/// A database: the names of its collections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    pub(crate) collections: BTreeMap<Arc<str>, CollectionId>,
}

impl Database {
    /// The names of its collections, ascending, with their ids.
    pub fn collections(&self) -> impl ExactSizeIterator<Item = (&str, CollectionId)> {
        self.collections.iter().map(|(name, id)| (&**name, *id))
    }
}

/// The replicated state of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) databases: BTreeMap<Arc<str>, Arc<Database>>,
    pub(crate) collections: BTreeMap<CollectionId, Arc<CollectionInfo>>,
    pub(crate) tables: Tables,
    pub(crate) datasets: BTreeMap<DatasetId, Arc<DatasetInfo>>,
    pub(crate) dataset_names: BTreeMap<Arc<str>, DatasetId>,
    pub(crate) nodes: BTreeMap<NodeId, Arc<NodeInfo>>,
    pub(crate) groups: BTreeMap<GroupId, Arc<GroupInfo>>,
    pub(crate) keys: BTreeMap<String, Arc<ApiKey>>,
    /// By name.
    pub(crate) jobs: BTreeMap<String, Arc<JobInfo>>,
    pub(crate) options: ClusterOptions,
    /// `None` until the first one is appointed.
    pub(crate) chores: Option<ChoresNode>,
    /// The lowest id of each collection that no lease holds; absent before the first lease.
    pub(crate) id_ranges: BTreeMap<CollectionId, u64>,
    /// The last ids given out.
    pub(crate) last_collection: CollectionId,
    pub(crate) last_node: NodeId,
    pub(crate) last_group: GroupId,
    /// The sum of all entries' weights.
    pub(crate) bytes: u64,
}

impl Catalogue {
    /// `None` before the cluster is formed.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// What the catalogue weighs against `limit::METADATA_BYTES_MAX`.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All databases by name, ascending.
    pub fn databases(&self) -> impl ExactSizeIterator<Item = (&str, &Database)> {
        self.databases.iter().map(|(name, database)| (&**name, &**database))
    }

    pub fn database(&self, name: &str) -> Result<&Database, CatalogueError> {
        let missing = || CatalogueError::DatabaseNotFound { name: name.to_owned() };
        self.databases.get(name).map(|database| &**database).ok_or_else(missing)
    }

    /// A collection by its names; tells apart which of the two is unknown.
    pub fn collection(&self, database: &str, name: &str) -> Result<&Arc<CollectionInfo>, CatalogueError> {
        let missing = || CatalogueError::CollectionNotFound { name: name.to_owned() };
        let id = self.database(database)?.collections.get(name).ok_or_else(missing)?;
        self.collection_by_id(*id)
    }

    pub fn collection_by_id(&self, id: CollectionId) -> Result<&Arc<CollectionInfo>, CatalogueError> {
        self.collections.get(&id).ok_or(CatalogueError::CollectionDropped { id })
    }

    /// All collections by id, ascending.
    pub fn collections(&self) -> impl ExactSizeIterator<Item = &Arc<CollectionInfo>> {
        self.collections.values()
    }

    /// Whether a group has buckets of any collection.
    pub fn has_collections(&self, group: GroupId) -> bool {
        let mut tables = self.collections.values().filter_map(|info| self.tables.get(info.buckets));
        tables.any(|table| table.groups().contains(&group))
    }

    /// The table of a collection's buckets.
    pub fn bucket_table(&self, id: BucketTableId) -> Option<&Arc<BucketTable>> {
        self.tables.get(id)
    }

    /// All datasets by id: the oldest first.
    pub fn datasets(&self) -> impl DoubleEndedIterator<Item = &Arc<DatasetInfo>> + ExactSizeIterator {
        self.datasets.values()
    }

    pub fn dataset(&self, id: DatasetId) -> Result<&Arc<DatasetInfo>, CatalogueError> {
        self.datasets.get(&id).ok_or(CatalogueError::DatasetNotFound)
    }

    pub fn dataset_by_name(&self, name: &str) -> Result<&Arc<DatasetInfo>, CatalogueError> {
        let id = self.dataset_names.get(name).ok_or(CatalogueError::DatasetNotFound)?;
        self.dataset(*id)
    }

    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Arc<NodeInfo>> {
        self.nodes.values()
    }

    pub fn node(&self, id: NodeId) -> Option<&Arc<NodeInfo>> {
        self.nodes.get(&id)
    }

    pub fn node_of_store(&self, store: StoreId) -> Option<&Arc<NodeInfo>> {
        self.nodes.values().find(|node| node.store == Some(store))
    }

    /// The node at an address; nobody is at the empty one.
    pub fn node_at(&self, address: &str) -> Option<&Arc<NodeInfo>> {
        self.nodes.values().find(|node| !address.is_empty() && node.address == address)
    }

    /// The protocol that every registered node speaks: what may be sent and proposed.
    pub fn protocol(&self) -> u32 {
        let registered = self.nodes.values().filter(|node| node.is_registered() && !node.lost);
        registered.map(|node| node.protocol).min().unwrap_or(0)
    }

    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Arc<GroupInfo>> {
        self.groups.values()
    }

    pub fn group(&self, id: GroupId) -> Option<&Arc<GroupInfo>> {
        self.groups.get(&id)
    }

    /// The groups of which a node holds a copy, ascending.
    pub fn groups_of(&self, node: NodeId) -> impl Iterator<Item = &Arc<GroupInfo>> {
        self.groups.values().filter(move |group| group.members.contains(&node))
    }

    pub fn options(&self) -> &ClusterOptions {
        &self.options
    }

    /// Who does the chores; `None` until somebody was appointed.
    pub fn chores(&self) -> Option<ChoresNode> {
        self.chores
    }

    /// The lowest id of a collection that no lease holds.
    pub fn next_id(&self, collection: CollectionId) -> u64 {
        self.id_ranges.get(&collection).copied().unwrap_or(0)
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<ApiKey>> {
        self.keys.values()
    }

    pub fn key(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.keys.get(id)
    }

    /// Preprocessing jobs that run or have failed, by name.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = &Arc<JobInfo>> {
        self.jobs.values()
    }

    pub fn job(&self, name: &str) -> Option<&Arc<JobInfo>> {
        self.jobs.get(name)
    }
}

#[cfg(test)]
mod tests;
