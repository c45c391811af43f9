//! Applying commands. Each one checks everything first and only then changes anything, so that a refusal leaves no
//! trace; what it checks is only the state and the command itself.

use super::tables::table_weight;
use super::{Catalogue, Database};
use crate::bucket::BucketTable;
use crate::collection::{CollectionInfo, IndexDefinition, IntegerIdForm};
use crate::command::Command;
use crate::error::{CatalogueError, NameKind};
use crate::group_info::{GroupInfo, Joiner};
use crate::key::ApiKey;
use crate::limit;
use crate::name::{check_description, check_name};
use crate::reply::Reply;
use lavandin_types::{CollectionId, ElementType, GroupId, SchemaVersion};
use std::sync::Arc;

/// The parts of `Command::CreateCollection`.
struct NewCollection {
    database: String,
    name: String,
    dim: u32,
    element: ElementType,
    description: Option<String>,
    drop_if_exists: bool,
}

impl Catalogue {
    /// Carries out one command of the metadata log. A refused command changes nothing.
    pub fn apply(&mut self, command: Command) -> Result<Reply, CatalogueError> {
        match command {
            Command::FormCluster { cluster, node } => self.form_cluster(cluster, node),
            Command::FormLayout(seed) => self.form_layout(seed),
            Command::ExtendLayout(seed) => self.extend_layout(seed),
            Command::RegisterNode(new) => self.register_node(new),
            Command::RemoveNode { node } => self.remove_node(node),
            Command::CreateDatabase { name, drop_if_exists } => self.create_database(name, drop_if_exists),
            Command::DropDatabase { name } => Ok(self.drop_database(&name)),
            Command::CreateCollection { database, name, dim, element, description, drop_if_exists } => self
                .create_collection(NewCollection {
                    database,
                    name,
                    dim,
                    element,
                    description,
                    drop_if_exists,
                }),
            Command::DropCollection { database, name } => self.drop_collection(&database, &name),
            Command::SetDescription { collection, description } => {
                self.set_description(collection, description)
            }
            Command::FixDimension { collection, dim } => self.fix_dimension(collection, dim),
            Command::SetIndex { collection, index } => self.set_index(collection, index),
            Command::SetIntegerIdForm { collection, form } => self.set_integer_id_form(collection, form),
            Command::PutApiKey { key } => self.put_api_key(key),
            Command::RemoveApiKey { id } => Ok(self.remove_api_key(&id)),
            Command::BeginJob { job } => self.begin_job(job),
            Command::EndJob { name, run, failure } => Ok(self.end_job(&name, run, failure)),
            Command::CreateDataset(new) => self.create_dataset(new),
            Command::DeleteDataset { dataset } => Ok(self.delete_dataset(dataset)),
            Command::CreateShardset(new) => self.create_shardset(new),
            Command::DeleteShardset { dataset, shardset } => self.delete_shardset(dataset, shardset),
            Command::SetMainShardset { dataset, shardset, is_main } => {
                self.set_main_shardset(dataset, shardset, is_main)
            }
            Command::UpdateColumn(change) => self.update_column(change),
            Command::SetManifest(change) => self.set_manifest(change),
            Command::AddColumns(found) => self.add_columns(found),
            Command::SetClusterOptions(change) => self.set_options(change),
            Command::AppointChores { node, expected } => self.appoint_chores(node, expected),
            Command::LeaseIds { collection, node, count, largest_known } => {
                self.node_or_error(node)?;
                self.lease_ids(collection, count, largest_known)
            }
            Command::ShrinkGroup { group, expected, remove, reason } => {
                self.change_group(group, expected, |group| group.shrink(remove, reason))
            }
            Command::AddJoiner { group, expected, node, incarnation } => {
                self.join_group(group, expected, Joiner { node, incarnation })
            }
            Command::DropJoiner { group, expected } => {
                self.change_group(group, expected, GroupInfo::drop_joiner)
            }
            Command::GrowGroup { group, expected, node, incarnation } => {
                self.grow_group(group, expected, Joiner { node, incarnation })
            }
            Command::Promote { group, expected, primary } => self.promote(group, expected, primary),
            Command::ForcePromote { group, expected, primary } => {
                self.force_promote(group, expected, primary)
            }
            Command::AddGroup(seed) => self.add_group(seed),
            Command::AddReplica { group, node, replaces } => self.add_replica(group, node, replaces),
            Command::RemoveReplica { group, node } => self.remove_replica(group, node),
            Command::MoveCopies { from, to, retires } => self.move_copies(from, to, retires),
        }
    }

    fn create_database(&mut self, name: String, drop_if_exists: bool) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        check_name(NameKind::Database, &name)?;
        let exists = self.databases.contains_key(name.as_str());
        if exists && !drop_if_exists {
            return Ok(Reply::Database { created: false, dropped: Vec::new() });
        }
        let weight = database_weight(&name);
        if !exists {
            check_count("databases", self.databases.len(), limit::DATABASES_MAX)?;
            self.check_room(weight, 0)?;
        }
        let dropped = self.remove_database(&name);
        self.databases.insert(name.into(), Arc::default());
        self.bytes += weight;
        Ok(Reply::Database { created: true, dropped })
    }

    fn drop_database(&mut self, name: &str) -> Reply {
        Reply::Dropped { collections: self.remove_database(name) }
    }

    fn remove_database(&mut self, name: &str) -> Vec<CollectionId> {
        let Some(database) = self.databases.remove(name) else {
            return Vec::new();
        };
        self.bytes -= database_weight(name);
        let dropped: Vec<CollectionId> = database.collections.values().copied().collect();
        for id in &dropped {
            self.remove_entry(*id);
        }
        dropped
    }

    fn create_collection(&mut self, new: NewCollection) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        check_name(NameKind::Collection, &new.name)?;
        if new.dim > limit::DIMENSION_MAX {
            return Err(CatalogueError::DimensionOutOfRange { got: new.dim });
        }
        check_description(new.description.as_deref().unwrap_or_default())?;
        let present = self.database(&new.database)?.collections.get(new.name.as_str()).copied();
        let present = present.map(|id| self.collection_by_id(id).cloned()).transpose()?;
        if let Some(info) = &present
            && !new.drop_if_exists
        {
            if info.element != new.element {
                let (stored, asked) = (info.element, new.element);
                return Err(CatalogueError::ElementTypeMismatch { name: new.name, stored, asked });
            }
            return Ok(Reply::Collection { info: info.clone(), created: false, dropped: None });
        }
        let groups: Vec<GroupId> = self.groups.keys().copied().collect();
        let table =
            BucketTable::spread(&groups, self.options.bucket_count).ok_or(CatalogueError::NotFormed)?;
        let dropped = present.as_ref().map(|info| info.id);
        if present.is_none() {
            check_count("collections", self.collections.len(), limit::COLLECTIONS_MAX)?;
        }
        let added_table = if self.tables.find(&table).is_some() { 0 } else { table_weight(&table) };
        let mut info = CollectionInfo {
            id: self.last_collection.next(),
            database: new.database,
            name: new.name,
            dim: new.dim,
            element: new.element,
            description: new.description,
            index: None,
            schema_version: SchemaVersion::new(1),
            integer_ids: IntegerIdForm::Unset,
            buckets: Default::default(),
        };
        self.check_room(info.weight() + added_table, present.map_or(0, |info| info.weight()))?;
        // The new collection takes its table before the old one gives up its own: they may be the same.
        info.buckets = self.tables.acquire(table);
        self.bytes += info.weight() + added_table;
        if let Some(id) = dropped {
            self.remove_entry(id);
        }
        let info = Arc::new(info);
        self.last_collection = info.id;
        self.database_mut(&info.database)?.collections.insert(info.name.as_str().into(), info.id);
        self.collections.insert(info.id, info.clone());
        Ok(Reply::Collection { info, created: true, dropped })
    }

    fn drop_collection(&mut self, database: &str, name: &str) -> Result<Reply, CatalogueError> {
        self.database(database)?;
        let dropped = self.database_mut(database)?.collections.remove(name);
        if let Some(id) = dropped {
            self.remove_entry(id);
        }
        Ok(Reply::Dropped { collections: dropped.into_iter().collect() })
    }

    fn set_description(
        &mut self,
        id: CollectionId,
        description: Option<String>,
    ) -> Result<Reply, CatalogueError> {
        check_description(description.as_deref().unwrap_or_default())?;
        let present = self.collection_by_id(id)?;
        if present.description == description {
            return Ok(unchanged(present));
        }
        self.replace(CollectionInfo { description, ..CollectionInfo::clone(present) })
    }

    fn fix_dimension(&mut self, id: CollectionId, dim: u32) -> Result<Reply, CatalogueError> {
        let present = self.collection_by_id(id)?;
        if dim == 0 || dim > limit::DIMENSION_MAX {
            return Err(CatalogueError::DimensionOutOfRange { got: dim });
        }
        match present.dim {
            0 => {
                let schema_version = present.schema_version.next();
                self.replace(CollectionInfo { dim, schema_version, ..CollectionInfo::clone(present) })
            }
            fixed if fixed == dim => Ok(unchanged(present)),
            expected => Err(CatalogueError::DimensionMismatch { expected, got: dim }),
        }
    }

    fn set_index(
        &mut self,
        id: CollectionId,
        index: Option<IndexDefinition>,
    ) -> Result<Reply, CatalogueError> {
        let bytes = index.as_ref().map_or(0, IndexDefinition::bytes);
        check_length("index definition", bytes, limit::INDEX_BYTES_MAX)?;
        let present = self.collection_by_id(id)?;
        if present.index == index {
            return Ok(unchanged(present));
        }
        let schema_version = present.schema_version.next();
        self.replace(CollectionInfo { index, schema_version, ..CollectionInfo::clone(present) })
    }

    fn set_integer_id_form(
        &mut self,
        id: CollectionId,
        form: IntegerIdForm,
    ) -> Result<Reply, CatalogueError> {
        let present = self.collection_by_id(id)?;
        if present.integer_ids != IntegerIdForm::Unset || form == IntegerIdForm::Unset {
            return Ok(unchanged(present));
        }
        self.replace(CollectionInfo { integer_ids: form, ..CollectionInfo::clone(present) })
    }

    fn put_api_key(&mut self, key: ApiKey) -> Result<Reply, CatalogueError> {
        self.check_formed()?;
        check_name(NameKind::Key, &key.id)?;
        check_length("note", key.note.as_ref().map_or(0, String::len), limit::KEY_NOTE_BYTES_MAX)?;
        let freed = match self.keys.get(&key.id) {
            Some(present) => present.weight(),
            None => {
                check_count("API keys", self.keys.len(), limit::KEYS_MAX)?;
                0
            }
        };
        self.check_room(key.weight(), freed)?;
        self.bytes = self.bytes + key.weight() - freed;
        self.keys.insert(key.id.clone(), Arc::new(key));
        Ok(Reply::Done)
    }

    fn remove_api_key(&mut self, id: &str) -> Reply {
        if let Some(key) = self.keys.remove(id) {
            self.bytes -= key.weight();
        }
        Reply::Done
    }

    /// Puts a changed collection in the place of itself.
    fn replace(&mut self, info: CollectionInfo) -> Result<Reply, CatalogueError> {
        let freed = self.collection_by_id(info.id)?.weight();
        self.check_room(info.weight(), freed)?;
        self.bytes = self.bytes + info.weight() - freed;
        let info = Arc::new(info);
        self.collections.insert(info.id, info.clone());
        Ok(Reply::Updated { info, changed: true })
    }

    /// Removes a collection whose name is gone or about to be replaced.
    fn remove_entry(&mut self, id: CollectionId) {
        if let Some(info) = self.collections.remove(&id) {
            self.bytes -= info.weight();
            if self.id_ranges.remove(&id).is_some() {
                self.bytes -= limit::ID_RANGE_WEIGHT;
            }
            self.bytes -= self.tables.release(info.buckets);
        }
    }

    fn database_mut(&mut self, name: &str) -> Result<&mut Database, CatalogueError> {
        let missing = || CatalogueError::DatabaseNotFound { name: name.to_owned() };
        self.databases.get_mut(name).map(Arc::make_mut).ok_or_else(missing)
    }

    pub(super) fn check_formed(&self) -> Result<(), CatalogueError> {
        self.cluster.map(|_| ()).ok_or(CatalogueError::NotFormed)
    }

    pub(super) fn check_room(&self, added: u64, freed: u64) -> Result<(), CatalogueError> {
        if added > freed && self.bytes + (added - freed) > limit::METADATA_BYTES_MAX {
            let what = "bytes of metadata".to_owned();
            return Err(CatalogueError::LimitReached { what, max: limit::METADATA_BYTES_MAX });
        }
        Ok(())
    }
}

fn unchanged(info: &Arc<CollectionInfo>) -> Reply {
    Reply::Updated { info: info.clone(), changed: false }
}

pub(crate) fn database_weight(name: &str) -> u64 {
    limit::ENTRY_WEIGHT + name.len() as u64
}

pub(super) fn check_count(what: &str, count: usize, max: usize) -> Result<(), CatalogueError> {
    if count >= max {
        return Err(CatalogueError::LimitReached { what: what.to_owned(), max: max as u64 });
    }
    Ok(())
}

pub(super) fn check_length(what: &str, got: usize, max: usize) -> Result<(), CatalogueError> {
    if got > max {
        let what = what.to_owned();
        return Err(CatalogueError::TooLong { what, got: got as u64, max: max as u64 });
    }
    Ok(())
}

pub(super) fn check_address(address: &str) -> Result<(), CatalogueError> {
    check_length("node address", address.len(), limit::ADDRESS_BYTES_MAX)
}
