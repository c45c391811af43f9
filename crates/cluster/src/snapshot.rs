//! The catalogue as bytes: one byte with the version, then JSON (docs/formats/metadata.md).
//!
//! Everything derived is left out and rebuilt (names by database, users of a table, the weight), so that a snapshot
//! cannot contradict itself; what still could (two collections of one name, a table that is missing) is an error.
//! Owners of a bucket table are written as the shortest pattern that repeats: one group for a node alone.

use crate::bucket::{BUCKET_COUNT, BucketTable, BucketTableId};
use crate::catalogue::{Catalogue, Database, TableEntry, Tables, database_weight, table_weight};
use crate::chores::ChoresNode;
use crate::collection::CollectionInfo;
use crate::command::decode_versioned;
use crate::dataset::DatasetInfo;
use crate::error::DecodeError;
use crate::form;
use crate::group_info::GroupInfo;
use crate::job::JobInfo;
use crate::key::ApiKey;
use crate::limit;
use crate::node_info::NodeInfo;
use crate::options::ClusterOptions;
use lavandin_types::{ClusterId, CollectionId, DatasetId, GroupId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The highest version that `Catalogue::encode` writes.
pub const SNAPSHOT_VERSION: u8 = 6;
/// The version of a snapshot without preprocessing jobs.
const VERSION_BEFORE_JOBS: u8 = 5;
/// The version of such a one of a cluster that places no copies by itself.
const VERSION_BEFORE_PLACING: u8 = 4;
/// The version of such a one of which no node retires.
const VERSION_BEFORE_RETIRING: u8 = 3;

const WHAT: &str = "metadata snapshot";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    #[serde(with = "form::optional")]
    cluster: Option<ClusterId>,
    #[serde(with = "form::collection_id")]
    last_collection: CollectionId,
    #[serde(with = "form::node_id")]
    last_node: NodeId,
    #[serde(with = "form::group_id")]
    last_group: GroupId,
    last_table: BucketTableId,
    databases: Vec<String>,
    collections: Vec<SharedInfo>,
    tables: Vec<Table>,
    nodes: Vec<NodeInfo>,
    groups: Vec<GroupInfo>,
    keys: Vec<ApiKey>,
    /// Version 1 has none.
    #[serde(default)]
    datasets: Vec<SharedDataset>,
    /// Versions 1 and 2 have none of these.
    #[serde(default)]
    options: ClusterOptions,
    #[serde(default)]
    chores: Option<ChoresNode>,
    #[serde(default, with = "form::pairs")]
    id_ranges: BTreeMap<CollectionId, u64>,
    /// Earlier versions than 6 have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<JobInfo>,
}

impl Snapshot {
    /// The lowest version that has all that it holds.
    fn version(&self) -> u8 {
        if !self.jobs.is_empty() {
            return SNAPSHOT_VERSION;
        }
        if self.options.copies > 0 {
            return VERSION_BEFORE_JOBS;
        }
        match self.nodes.iter().any(|node| node.retiring) {
            true => VERSION_BEFORE_PLACING,
            false => VERSION_BEFORE_RETIRING,
        }
    }
}

/// A collection's entry, without copying it to write it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct SharedInfo(#[serde(with = "form::shared")] Arc<CollectionInfo>);

/// A dataset's entry, likewise.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct SharedDataset(#[serde(with = "form::shared")] Arc<DatasetInfo>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    id: BucketTableId,
    /// Repeated until all buckets have an owner.
    #[serde(with = "form::list")]
    pattern: Vec<GroupId>,
    /// Versions 1 and 2 have 4,096 only.
    #[serde(default = "default_count")]
    count: u16,
}

const fn default_count() -> u16 {
    BUCKET_COUNT
}

impl Catalogue {
    /// The bytes of a snapshot; equal catalogues give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let table = |(id, entry): (&BucketTableId, &TableEntry)| Table {
            id: *id,
            pattern: shortest_pattern(entry.table.owners()).to_vec(),
            count: entry.table.count(),
        };
        let snapshot = Snapshot {
            cluster: self.cluster,
            last_collection: self.last_collection,
            last_node: self.last_node,
            last_group: self.last_group,
            last_table: self.tables.last,
            databases: self.databases.keys().map(|name| name.to_string()).collect(),
            collections: self.collections.values().cloned().map(SharedInfo).collect(),
            tables: self.tables.entries.iter().map(table).collect(),
            nodes: self.nodes.values().map(|node| NodeInfo::clone(node)).collect(),
            groups: self.groups.values().map(|group| GroupInfo::clone(group)).collect(),
            keys: self.keys.values().map(|key| ApiKey::clone(key)).collect(),
            datasets: self.datasets.values().cloned().map(SharedDataset).collect(),
            options: self.options.clone(),
            chores: self.chores,
            id_ranges: self.id_ranges.clone(),
            jobs: self.jobs.values().map(|job| JobInfo::clone(job)).collect(),
        };
        let mut bytes = vec![snapshot.version()];
        serde_json::to_writer(&mut bytes, &snapshot)
            .expect("a snapshot has only string keys and writes to memory");
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let snapshot: Snapshot = decode_versioned(WHAT, SNAPSHOT_VERSION, bytes)?;
        restore(snapshot).map_err(|reason| DecodeError::Malformed { what: WHAT, reason })
    }
}

fn restore(snapshot: Snapshot) -> Result<Catalogue, String> {
    let mut tables = Tables { last: snapshot.last_table, entries: BTreeMap::new() };
    for Table { id, pattern, count } in snapshot.tables {
        if pattern.len() > usize::from(count) {
            return Err(format!("bucket table {id} has a pattern of {} owners", pattern.len()));
        }
        let table = BucketTable::spread(&pattern, count).ok_or("an empty bucket table")?;
        tables.entries.insert(id, TableEntry { table: Arc::new(table), users: 0 });
    }
    let mut databases: BTreeMap<Arc<str>, Database> =
        snapshot.databases.into_iter().map(|name| (name.into(), Database::default())).collect();
    let mut collections = BTreeMap::new();
    for SharedInfo(info) in snapshot.collections {
        let (id, name) = (info.id, &info.name);
        let database = databases
            .get_mut(info.database.as_str())
            .ok_or_else(|| format!("collection {id} is in database {:?}, which is missing", info.database))?;
        if database.collections.insert(name.as_str().into(), id).is_some() {
            return Err(format!("two collections are named {name:?} in database {:?}", info.database));
        }
        let table = tables.entries.get_mut(&info.buckets);
        table.ok_or_else(|| format!("collection {id} is laid out by a missing table"))?.users += 1;
        if id > snapshot.last_collection || collections.insert(id, info).is_some() {
            return Err(format!("collection id {id} is used twice or was never given out"));
        }
    }
    if let Some((id, _)) = tables.entries.iter().find(|(_, entry)| entry.users == 0) {
        return Err(format!("bucket table {id} has no user"));
    }
    for (id, next) in &snapshot.id_ranges {
        if !collections.contains_key(id) || *next > limit::GENERATED_ID_MAX + 1 {
            return Err(format!(
                "ids up to {next} are leased of collection {id}, which is too many or missing"
            ));
        }
    }
    snapshot.options.check().map_err(|error| error.to_string())?;
    check_groups(&snapshot.groups, &snapshot.nodes)?;
    let (datasets, dataset_names) = restore_datasets(snapshot.datasets)?;
    if let Some(job) = snapshot.jobs.iter().find(|job| !datasets.contains_key(&job.dataset)) {
        return Err(format!("job {:?} is of the dataset {}, which is missing", job.name, job.dataset));
    }
    let mut catalogue = Catalogue {
        datasets,
        dataset_names,
        cluster: snapshot.cluster,
        databases: databases.into_iter().map(|(name, database)| (name, Arc::new(database))).collect(),
        collections,
        tables,
        nodes: snapshot.nodes.into_iter().map(|node| (node.id, Arc::new(node))).collect(),
        groups: snapshot.groups.into_iter().map(|group| (group.id, Arc::new(group))).collect(),
        keys: snapshot.keys.into_iter().map(|key| (key.id.clone(), Arc::new(key))).collect(),
        jobs: snapshot.jobs.into_iter().map(|job| (job.name.clone(), Arc::new(job))).collect(),
        options: snapshot.options,
        chores: snapshot.chores,
        id_ranges: snapshot.id_ranges,
        last_collection: snapshot.last_collection,
        last_node: snapshot.last_node,
        last_group: snapshot.last_group,
        bytes: 0,
    };
    catalogue.bytes = weigh(&catalogue);
    Ok(catalogue)
}

fn check_groups(groups: &[GroupInfo], nodes: &[NodeInfo]) -> Result<(), String> {
    let nodes: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    for group in groups {
        if let Some(what) = group.contradiction() {
            return Err(format!("group {} {what}", group.id));
        }
        if let Some(node) = group.members.iter().find(|member| !nodes.contains(*member)) {
            return Err(format!("group {} has the member {node}, which is missing", group.id));
        }
    }
    Ok(())
}

type Datasets = (BTreeMap<DatasetId, Arc<DatasetInfo>>, BTreeMap<Arc<str>, DatasetId>);

fn restore_datasets(stored: Vec<SharedDataset>) -> Result<Datasets, String> {
    let (mut datasets, mut names) = Datasets::default();
    for SharedDataset(info) in stored {
        check_dataset(&info)?;
        if names.insert(info.name.as_str().into(), info.id).is_some() {
            return Err(format!("two datasets are named {:?}", info.name));
        }
        if let Some(twin) = datasets.insert(info.id, info) {
            return Err(format!("dataset id {} is used twice", twin.id));
        }
    }
    Ok((datasets, names))
}

fn check_dataset(info: &DatasetInfo) -> Result<(), String> {
    let mut shardsets = BTreeSet::new();
    if !info.shardsets.iter().all(|shardset| shardsets.insert(shardset.id)) {
        return Err(format!("dataset {} has two shardsets of one id", info.id));
    }
    let mut names = BTreeSet::new();
    for column in &info.columns {
        if !names.insert(&column.name) {
            return Err(format!("dataset {} has two columns named {:?}", info.id, column.name));
        }
        if !shardsets.contains(&column.shardset) {
            return Err(format!("column {} of dataset {} has no shardset", column.id, info.id));
        }
    }
    Ok(())
}

/// The sum of all weights, which `apply` keeps up to date.
pub(crate) fn weigh(catalogue: &Catalogue) -> u64 {
    let databases: u64 = catalogue.databases.keys().map(|name| database_weight(name)).sum();
    let collections: u64 = catalogue.collections.values().map(|info| info.weight()).sum();
    let tables: u64 = catalogue.tables.entries.values().map(|entry| table_weight(&entry.table)).sum();
    let nodes: u64 = catalogue.nodes.values().map(|node| node.weight()).sum();
    let groups: u64 = catalogue.groups.values().map(|group| group.weight()).sum();
    let keys: u64 = catalogue.keys.values().map(|key| key.weight()).sum();
    let datasets: u64 = catalogue.datasets.values().map(|info| info.weight()).sum();
    let jobs: u64 = catalogue.jobs.values().map(|job| job.weight()).sum();
    let id_ranges = limit::ID_RANGE_WEIGHT * catalogue.id_ranges.len() as u64;
    databases + collections + tables + nodes + groups + keys + datasets + jobs + id_ranges
}

/// The shortest beginning that gives all owners when it is repeated.
fn shortest_pattern(owners: &[GroupId]) -> &[GroupId] {
    let repeats = |length: usize| owners[length..].iter().zip(owners).all(|(owner, first)| owner == first);
    // Layouts by spreading repeat after as many owners as there are groups; others are written whole.
    let length = (1..=owners.len().min(64)).find(|length| repeats(*length)).unwrap_or(owners.len());
    &owners[..length]
}

#[cfg(test)]
mod tests;
