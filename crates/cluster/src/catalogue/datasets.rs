//! Applying the commands of datasets. As everywhere in the catalogue: check everything, then change.
//!
//! A dataset is one shared entry, so each change makes a copy, changes that and puts it in the place of the old one
//! (`replace_dataset`, which also keeps the weight).

use super::Catalogue;
use super::apply::{check_count, check_length};
use crate::dataset::{
    ColumnChange, ColumnInfo, DatasetInfo, FoundColumns, ManifestChange, NewColumn, NewDataset, NewShardset,
    ShardsetInfo,
};
use crate::error::CatalogueError;
use crate::limit;
use crate::reply::Reply;
use lavandin_types::{DatasetId, ShardsetId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Catalogue {
    pub(super) fn create_dataset(&mut self, new: NewDataset) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        if let Some(present) = self.datasets.get(&new.id) {
            return match present.name == new.name && present.uid_column_name == new.uid_column_name {
                true => Ok(unchanged(present)),
                false => Err(CatalogueError::IdInUse { id: new.id.to_string() }),
            };
        }
        check_text("dataset name", &new.name, limit::DATASET_NAME_BYTES_MAX)?;
        check_text("uid column name", &new.uid_column_name, limit::DATASET_NAME_BYTES_MAX)?;
        if self.dataset_names.contains_key(new.name.as_str()) {
            return Err(CatalogueError::DatasetExists { name: new.name });
        }
        check_count("datasets", self.datasets.len(), limit::DATASETS_MAX)?;
        let info = DatasetInfo {
            id: new.id,
            name: new.name,
            uid_column_name: new.uid_column_name,
            created_at_s: new.created_at_s,
            // The first group, until placement spreads datasets over them.
            group: self.groups.keys().next().copied().ok_or(CatalogueError::NotFormed)?,
            columns: Vec::new(),
            shardsets: Vec::new(),
        };
        self.check_room(info.weight(), 0)?;
        self.bytes += info.weight();
        let info = Arc::new(info);
        self.dataset_names.insert(info.name.as_str().into(), info.id);
        self.datasets.insert(info.id, info.clone());
        Ok(Reply::Dataset { info, changed: true })
    }

    pub(super) fn delete_dataset(&mut self, id: DatasetId) -> Reply {
        let dropped = self.datasets.remove(&id);
        if let Some(info) = &dropped {
            self.bytes -= info.weight();
            self.dataset_names.remove(info.name.as_str());
            self.remove_jobs_of(id);
        }
        Reply::DatasetDropped { info: dropped.map(|info| Box::new(Arc::unwrap_or_clone(info))) }
    }

    pub(super) fn create_shardset(&mut self, new: NewShardset) -> Result<Reply, CatalogueError> {
        let present = self.dataset(new.dataset)?;
        if let Ok(shardset) = present.shardset(new.id) {
            return match shardset.location == new.location {
                true => Ok(unchanged(present)),
                false => Err(CatalogueError::IdInUse { id: new.id.to_string() }),
            };
        }
        check_text("shardset location", &new.location, limit::LOCATION_BYTES_MAX)?;
        check_columns(&new.columns)?;
        if present.shardsets.iter().any(|shardset| shardset.location == new.location) {
            return Err(CatalogueError::ShardsetExists { location: new.location });
        }
        check_count("shardsets of a dataset", present.shardsets.len(), limit::SHARDSETS_PER_DATASET_MAX)?;
        let mut info = DatasetInfo::clone(present);
        info.shardsets.push(ShardsetInfo {
            id: new.id,
            location: new.location,
            is_main: false,
            created_at_s: new.created_at_s,
            manifest: None,
        });
        declare(&mut info, new.id, new.columns, new.created_at_s)?;
        self.replace_dataset(info)
    }

    pub(super) fn delete_shardset(
        &mut self,
        dataset: DatasetId,
        id: ShardsetId,
    ) -> Result<Reply, CatalogueError> {
        let present = self.dataset(dataset)?;
        let Some(place) = present.shardsets.iter().position(|shardset| shardset.id == id) else {
            return Ok(Reply::ShardsetDropped { info: present.clone(), dropped: None });
        };
        let mut info = DatasetInfo::clone(present);
        let dropped = info.shardsets.remove(place);
        // Every shardset has the uid column, so it stays while one is left.
        let heir = info.main_shardset().map(|shardset| shardset.id);
        let uid_column_name = &info.uid_column_name;
        info.columns.retain_mut(|column| match heir {
            _ if column.shardset != id => true,
            Some(heir) if column.name == *uid_column_name => {
                column.shardset = heir;
                true
            }
            _ => false,
        });
        match self.replace_dataset(info)? {
            Reply::Dataset { info, .. } => Ok(Reply::ShardsetDropped { info, dropped: Some(dropped) }),
            other => Ok(other),
        }
    }

    pub(super) fn set_main_shardset(
        &mut self,
        dataset: DatasetId,
        id: ShardsetId,
        is_main: bool,
    ) -> Result<Reply, CatalogueError> {
        let present = self.dataset(dataset)?;
        present.shardset(id)?;
        let mut info = DatasetInfo::clone(present);
        for shardset in &mut info.shardsets {
            if shardset.id == id {
                shardset.is_main = is_main;
            } else if is_main {
                shardset.is_main = false;
            }
        }
        self.replace_dataset(info)
    }

    pub(super) fn update_column(&mut self, change: ColumnChange) -> Result<Reply, CatalogueError> {
        let ColumnChange { dataset, column, name, column_type, description } = change;
        let present = self.dataset(dataset)?;
        let now = present.column(column)?;
        let mut new = ColumnInfo::clone(now);
        new.name = name.unwrap_or(new.name);
        new.column_type = column_type.unwrap_or(new.column_type);
        new.description = description.or(new.description);
        check_column(&new.name, &new.column_type, new.description.as_deref())?;
        if present.column_by_name(&new.name).is_some_and(|other| other.id != column) {
            return Err(CatalogueError::ColumnExists { name: new.name });
        }
        let mut info = DatasetInfo::clone(present);
        for column in info.columns.iter_mut().filter(|column| column.id == new.id) {
            column.clone_from(&new);
        }
        self.replace_dataset(info)
    }

    pub(super) fn set_manifest(&mut self, change: ManifestChange) -> Result<Reply, CatalogueError> {
        let ManifestChange { dataset, shardset, manifest, expected } = change;
        let present = self.dataset(dataset)?;
        let now = present.shardset(shardset)?.manifest;
        if now == Some(manifest) {
            return Ok(unchanged(present));
        }
        let found = now.map_or(0, |manifest| manifest.version);
        if found != expected {
            return Err(CatalogueError::ManifestMoved { expected, found });
        }
        if manifest.version <= expected {
            return Err(CatalogueError::ManifestOrder { expected, version: manifest.version });
        }
        let mut info = DatasetInfo::clone(present);
        for entry in info.shardsets.iter_mut().filter(|entry| entry.id == shardset) {
            entry.manifest = Some(manifest);
        }
        self.replace_dataset(info)
    }

    pub(super) fn add_columns(&mut self, found: FoundColumns) -> Result<Reply, CatalogueError> {
        let present = self.dataset(found.dataset)?;
        present.shardset(found.shardset)?;
        check_columns(&found.columns)?;
        let mut info = DatasetInfo::clone(present);
        declare(&mut info, found.shardset, found.columns, found.created_at_s)?;
        self.replace_dataset(info)
    }

    /// Puts a changed dataset in the place of itself. Its name is not among what changes.
    fn replace_dataset(&mut self, info: DatasetInfo) -> Result<Reply, CatalogueError> {
        let present = self.dataset(info.id)?;
        if **present == info {
            return Ok(unchanged(present));
        }
        let freed = present.weight();
        self.check_room(info.weight(), freed)?;
        self.bytes = self.bytes + info.weight() - freed;
        let info = Arc::new(info);
        self.datasets.insert(info.id, info.clone());
        Ok(Reply::Dataset { info, changed: true })
    }
}

fn unchanged(info: &Arc<DatasetInfo>) -> Reply {
    Reply::Dataset { info: info.clone(), changed: false }
}

/// Adds those columns whose names the dataset does not have.
fn declare(
    info: &mut DatasetInfo,
    shardset: ShardsetId,
    columns: Vec<NewColumn>,
    created_at_s: u64,
) -> Result<(), CatalogueError> {
    let known: BTreeSet<&str> = info.columns.iter().map(|column| column.name.as_str()).collect();
    let mut ids: BTreeSet<_> = info.columns.iter().map(|column| column.id).collect();
    let mut added = Vec::new();
    for NewColumn { id, name, column_type, description } in columns {
        if known.contains(name.as_str()) {
            continue;
        }
        if !ids.insert(id) {
            return Err(CatalogueError::IdInUse { id: id.to_string() });
        }
        added.push(ColumnInfo { id, shardset, name, column_type, description, created_at_s });
    }
    info.columns.append(&mut added);
    let own = info.columns_of(shardset).count();
    check_most("columns of a shardset", own, limit::COLUMNS_PER_SHARDSET_MAX)?;
    check_most("columns of a dataset", info.columns.len(), limit::COLUMNS_PER_DATASET_MAX)
}

/// What can be wrong with columns whatever the dataset is.
fn check_columns(columns: &[NewColumn]) -> Result<(), CatalogueError> {
    check_most("columns of a shardset", columns.len(), limit::COLUMNS_PER_SHARDSET_MAX)?;
    let mut names = BTreeSet::new();
    for column in columns {
        check_column(&column.name, &column.column_type, column.description.as_deref())?;
        if !names.insert(column.name.as_str()) {
            return Err(CatalogueError::ColumnGivenTwice { name: column.name.clone() });
        }
    }
    Ok(())
}

fn check_column(name: &str, column_type: &str, description: Option<&str>) -> Result<(), CatalogueError> {
    check_text("column name", name, limit::DATASET_NAME_BYTES_MAX)?;
    check_text("column type", column_type, limit::COLUMN_TYPE_BYTES_MAX)?;
    let description = description.map_or(0, str::len);
    check_length("column description", description, limit::COLUMN_DESCRIPTION_BYTES_MAX)
}

fn check_text(what: &str, text: &str, max: usize) -> Result<(), CatalogueError> {
    if text.is_empty() {
        return Err(CatalogueError::Empty { what: what.to_owned() });
    }
    check_length(what, text.len(), max)
}

/// As `check_count`, for a number that is reached already.
fn check_most(what: &str, count: usize, max: usize) -> Result<(), CatalogueError> {
    check_count(what, count.saturating_sub(1), max)
}

#[cfg(test)]
mod tests;
