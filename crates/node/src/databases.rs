//! Databases and collections: the catalogue's part of the node.

use crate::error::NodeError;
use crate::groups::{Group, brief};
use crate::identity;
use crate::node::{FIRST_GROUP, Node};
use crate::options::CallContext;
use futures_util::future::join_all;
use lavandin_cluster::{Catalogue, Command, NodeSeed, Reply};
use lavandin_consensus::MetadataError;
use lavandin_shard::{IndexSpec, Schema};
use lavandin_types::{CollectionId, ElementType, IndexMode, Metric};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a call that drops collections waits for groups to remove the records.
const DROP_PATIENCE: Duration = Duration::from_secs(5);

/// How long the metadata's leader is waited for before a name counts as unknown.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(1);
/// How long it is before a listing shows what this node knows.
const LISTING_PATIENCE: Duration = Duration::from_millis(300);
/// How long a call waits for a node that was just started to find its cluster.
const CLUSTER_PATIENCE: Duration = Duration::from_secs(5);
/// How long listings do without a leader that was waited for in vain: a client makes several before it reads.
const SILENCE_KEPT: Duration = Duration::from_secs(1);

/// When a listing last waited for the metadata's leader in vain.
#[derive(Default)]
pub(crate) struct LeaderSilence(Mutex<Option<Instant>>);

impl LeaderSilence {
    fn is_recent(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < SILENCE_KEPT)
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// A collection as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInfo {
    pub id: CollectionId,
    pub database: String,
    pub name: String,
    /// 0 until the first write fixes it.
    pub dim: u32,
    pub element: ElementType,
    pub description: Option<String>,
    pub index: Option<IndexMode>,
}

/// What `require_collection` is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequireCollection {
    /// 0 to keep an existing one's, or to let the first write decide.
    pub dim: u32,
    /// `None` to keep an existing one's; 32-bit for a new one.
    pub element: Option<ElementType>,
    pub description: Option<String>,
    pub drop_if_exists: bool,
}

impl Node {
    pub async fn databases(&self) -> Result<Vec<String>, NodeError> {
        Ok(self.listed_catalogue().await?.databases().map(|(name, _)| name.to_owned()).collect())
    }

    pub async fn database_exists(&self, name: &str) -> Result<bool, NodeError> {
        Ok(self.metadata.catalogue().database(name).is_ok()
            || self.present_catalogue(LOOKUP_PATIENCE).await?.1.database(name).is_ok())
    }

    /// Creates a database unless it exists; with `drop_if_exists` an existing one is emptied.
    pub async fn create_database(
        &self,
        context: &CallContext,
        name: &str,
        drop_if_exists: bool,
    ) -> Result<(), NodeError> {
        let command = Command::CreateDatabase { name: name.to_owned(), drop_if_exists };
        match self.command(context, command).await? {
            Reply::Database { dropped, .. } => self.drop_data(context, dropped).await,
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// Removes a database and its collections; whether there was one.
    pub async fn drop_database(&self, context: &CallContext, name: &str) -> Result<bool, NodeError> {
        let existed = self.database_exists(name).await?;
        if existed {
            let command = Command::DropDatabase { name: name.to_owned() };
            self.dropping(context, command).await?;
        }
        Ok(existed)
    }

    /// The collections of a database, by name.
    pub async fn collections(&self, database: &str) -> Result<Vec<CollectionInfo>, NodeError> {
        let catalogue = self.listed_catalogue().await?;
        let listed = catalogue.database(database)?.collections();
        listed.map(|(_, id)| Ok(describe(catalogue.collection_by_id(id)?))).collect()
    }

    pub async fn collection(&self, database: &str, name: &str) -> Result<CollectionInfo, NodeError> {
        let info = self.lookup(database, name).await?;
        Ok(describe(&info))
    }

    /// Creates a collection or opens an existing one.
    pub async fn require_collection(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        wanted: RequireCollection,
    ) -> Result<CollectionInfo, NodeError> {
        let existing = self.lookup(database, name).await.ok();
        let element = match (wanted.element, &existing) {
            (Some(element), _) => element,
            (None, Some(existing)) if !wanted.drop_if_exists => existing.element,
            _ => ElementType::F32,
        };
        let command = Command::CreateCollection {
            database: database.to_owned(),
            name: name.to_owned(),
            dim: wanted.dim,
            element,
            description: wanted.description,
            drop_if_exists: wanted.drop_if_exists,
        };
        match self.command(context, command).await? {
            Reply::Collection { info, dropped, .. } => {
                self.drop_data(context, dropped).await?;
                Ok(describe(&info))
            }
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// Removes a collection; whether there was one.
    pub async fn drop_collection(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<bool, NodeError> {
        let existed = self.lookup(database, name).await.is_ok();
        if existed {
            let command = Command::DropCollection { database: database.to_owned(), name: name.to_owned() };
            self.dropping(context, command).await?;
        }
        Ok(existed)
    }

    pub async fn set_description(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        description: Option<String>,
    ) -> Result<(), NodeError> {
        let collection = self.lookup(database, name).await?.id;
        self.command(context, Command::SetDescription { collection, description }).await.map(drop)
    }

    /// The folder that holds the collection's records, among others': that of its first group here.
    pub async fn collection_path(&self, database: &str, name: &str) -> Result<PathBuf, NodeError> {
        let info = self.lookup(database, name).await?;
        let groups = self.groups_of(&info)?;
        let here = groups.iter().map(|group| group.id).find(|group| self.groups.get(*group).is_some());
        let group = here.unwrap_or(FIRST_GROUP);
        Ok(self.options.data_dir.join("groups").join(group.get().to_string()).join("segments"))
    }

    /// What another node has made a moment ago is found: before this node says that there is no such collection, it asks
    /// the metadata's leader.
    pub(crate) async fn lookup(
        &self,
        database: &str,
        name: &str,
    ) -> Result<Arc<lavandin_cluster::CollectionInfo>, NodeError> {
        if let Ok(found) = self.metadata.catalogue().collection(database, name) {
            return Ok(Arc::clone(found));
        }
        Ok(Arc::clone(self.present_catalogue(LOOKUP_PATIENCE).await?.1.collection(database, name)?))
    }

    /// The catalogue for listings, which go on while the metadata has no leader.
    pub(crate) async fn listed_catalogue(&self) -> Result<Arc<Catalogue>, NodeError> {
        if self.leader_silence.is_recent() {
            return Ok(self.metadata.catalogue());
        }
        let (is_present, catalogue) = self.present_catalogue(LISTING_PATIENCE).await?;
        if !is_present {
            self.leader_silence.note();
        }
        Ok(catalogue)
    }

    /// The catalogue with all that was committed before this call, or as this node knows it where no leader answers in
    /// time; which of the two.
    async fn present_catalogue(&self, patience: Duration) -> Result<(bool, Arc<Catalogue>), NodeError> {
        self.find_cluster().await?;
        // Without a leader nothing can be changed either, so that this node is behind by little.
        let is_present = self.membership.is_alone() || self.metadata.read_barrier(patience).await.is_ok();
        Ok((is_present, self.metadata.catalogue()))
    }

    /// Waits until a node of a cluster knows it: an empty catalogue is no answer.
    async fn find_cluster(&self) -> Result<(), NodeError> {
        let mut changes = self.metadata.changed();
        let found = changes.wait_for(|_| !self.membership.lacks_cluster());
        match timeout(CLUSTER_PATIENCE, found).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(NodeError::Stopping),
            Err(_) => Err(self.membership.ready().err().unwrap_or(NodeError::NoCluster)),
        }
    }

    /// Carries out a metadata command; forms the cluster first where this node belongs to none yet.
    pub(crate) async fn command(&self, context: &CallContext, command: Command) -> Result<Reply, NodeError> {
        if self.metadata.catalogue().cluster().is_none() {
            self.form_cluster(context).await?;
        }
        self.propose_command(context, command).await
    }

    /// Makes this node a cluster of one.
    async fn form_cluster(&self, context: &CallContext) -> Result<(), NodeError> {
        if self.membership.lacks_cluster() {
            return self.find_cluster().await;
        }
        let _forming = self.membership.forming.lock().await;
        if *self.membership.reopen_wanted().borrow() {
            // A cluster adopted this node just now.
            return Err(NodeError::Stopping);
        }
        let node = NodeSeed { id: self.identity.node, store: self.identity.store, address: String::new() };
        let form = Command::FormCluster { cluster: identity::new_cluster_id()?, node };
        match self.propose_command(context, form).await {
            // Another call of this node formed it meanwhile.
            Err(NodeError::Metadata(MetadataError::Refused(
                lavandin_cluster::CatalogueError::AlreadyFormed { .. },
            ))) => {}
            other => drop(other?),
        }
        self.add_groups(context).await
    }

    pub(crate) async fn propose_command(
        &self,
        context: &CallContext,
        command: Command,
    ) -> Result<Reply, NodeError> {
        context.check()?;
        let left = context.deadline.saturating_duration_since(std::time::Instant::now());
        Ok(self.metadata.propose_within(command, left).await?)
    }

    async fn dropping(&self, context: &CallContext, command: Command) -> Result<(), NodeError> {
        match self.command(context, command).await? {
            Reply::Dropped { collections } => self.drop_data(context, collections).await,
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// Removes the records of collections that the catalogue no longer has, in whichever group they are. Where that
    /// cannot be waited for, the group's thread does it by itself a little later.
    async fn drop_data(
        &self,
        context: &CallContext,
        collections: impl IntoIterator<Item = CollectionId>,
    ) -> Result<(), NodeError> {
        let context = &brief(context, DROP_PATIENCE);
        let groups: Vec<Group> =
            self.metadata.catalogue().groups().map(|group| self.group(group.id)).collect();
        for collection in collections {
            let dropped = groups.iter().map(|group| group.drop_collection(context, collection));
            for dropped in join_all(dropped).await {
                match dropped {
                    Err(NodeError::Overloaded | NodeError::Deadline(_) | NodeError::Unreachable { .. }) => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }
}

fn describe(info: &lavandin_cluster::CollectionInfo) -> CollectionInfo {
    CollectionInfo {
        id: info.id,
        database: info.database.clone(),
        name: info.name.clone(),
        dim: info.dim,
        element: info.element,
        description: info.description.clone(),
        index: info.index.as_ref().and_then(|index| index.parse_mode().ok()),
    }
}

/// The metric that the collection's searches are by.
pub(crate) fn metric_of(info: &lavandin_cluster::CollectionInfo) -> Metric {
    let mode = info.index.as_ref().and_then(|index| index.parse_mode().ok());
    mode.map_or(Metric::Ip, |mode| mode.metric)
}

/// The schema that the engine is to have for a collection; `None` before its dimension is known.
pub(crate) fn schema_of(info: &lavandin_cluster::CollectionInfo) -> Option<Schema> {
    let index = info.index.as_ref().and_then(|index| {
        let mode = index.parse_mode().ok()?;
        Some(IndexSpec { mode, parameters: index.build })
    });
    (info.dim > 0).then_some(Schema {
        version: info.schema_version,
        element: info.element,
        dim: info.dim,
        index,
    })
}
