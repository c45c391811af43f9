//! Opening and stopping a node.
//!
//! Data directory: `LOCK`, `identity`, `metadata/` (the catalogue), `groups/<number>/` (log, checkpoints, segments).

use crate::allotment::{IdLeases, PlaceClock};
use crate::datasets::DatasetRuntime;
use crate::error::NodeError;
use crate::group_client::GroupClient;
use crate::groups::{GroupHost, LocalGroup};
use crate::identity::{self, Identity};
use crate::options::{CallContext, NodeOptions};
use crate::routing::Layout;
use lavandin_cluster::{Catalogue, CollectionInfo, Command, GroupSeed};
use lavandin_consensus::{Metadata, MetadataOptions};
use lavandin_plan::iterations::IterationsReader;
use lavandin_storage::{DataDirLock, LocalDirectory};
use lavandin_types::{GroupId, NodeId};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The group of a node alone; it is there before the cluster is formed.
pub(crate) const FIRST_GROUP: GroupId = GroupId::new(1);

/// A running node.
pub struct Node {
    pub(crate) options: NodeOptions,
    pub(crate) identity: Identity,
    pub(crate) metadata: Metadata,
    pub(crate) groups: Arc<GroupHost>,
    /// Of the group that has the iterations.
    pub(crate) iterations: IterationsReader,
    pub(crate) group: GroupClient,
    pub(crate) id_leases: IdLeases,
    pub(crate) place_clock: PlaceClock,
    pub(crate) datasets: Arc<DatasetRuntime>,
    /// Itself, for what runs in the background.
    me: Weak<Self>,
    started: Instant,
}

/// A data directory that no other process has.
struct Claimed {
    lock: Arc<DataDirLock>,
    identity: Identity,
}

impl Node {
    /// Opens the data directory, replays what is not in checkpoints, and starts the node's threads. The directory
    /// is created if it does not exist; a second process is refused.
    pub async fn open(options: NodeOptions) -> Result<Arc<Self>, NodeError> {
        let blocking = options.clone();
        let claimed = tokio::task::spawn_blocking(move || claim(&blocking))
            .await
            .map_err(|_| NodeError::Internal("opening the data directory panicked"))??;
        let metadata_options = MetadataOptions {
            propose_timeout: options.request_timeout,
            ..MetadataOptions::new(options.data_dir.join("metadata"), claimed.identity.node)
        };
        let metadata = Metadata::open(metadata_options).await?;
        match Self::start(options, claimed, &metadata).await {
            Ok(node) => Ok(node),
            Err(error) => {
                metadata.shutdown().await;
                Err(error)
            }
        }
    }

    async fn start(
        options: NodeOptions,
        Claimed { lock, identity }: Claimed,
        metadata: &Metadata,
    ) -> Result<Arc<Self>, NodeError> {
        let groups = Arc::new(GroupHost::new(&options, metadata, lock)?);
        let started = Self::start_groups(&options, identity, metadata, &groups).await;
        let (first, datasets) = match started {
            Ok(started) => started,
            Err(error) => {
                // The first failure is the one to tell.
                drop(groups.shut_down().await);
                return Err(error);
            }
        };
        let node = Arc::new_cyclic(|me| Self {
            datasets: Arc::new(datasets),
            me: Weak::clone(me),
            options,
            identity,
            metadata: metadata.clone(),
            groups,
            iterations: first.iterations.clone(),
            group: first.client.clone(),
            id_leases: IdLeases::default(),
            place_clock: PlaceClock::default(),
            started: Instant::now(),
        });
        match node.catch_up().await {
            Ok(()) => Ok(node),
            Err(error) => {
                drop(node.shutdown().await);
                Err(error)
            }
        }
    }

    /// Opens the copies that this node has by the catalogue; before the cluster is formed, that of its first group.
    async fn start_groups(
        options: &NodeOptions,
        identity: Identity,
        metadata: &Metadata,
        groups: &Arc<GroupHost>,
    ) -> Result<(Arc<LocalGroup>, DatasetRuntime), NodeError> {
        let catalogue = metadata.catalogue();
        let mut wanted: Vec<GroupId> = groups_on(&catalogue, identity.node);
        if !wanted.contains(&FIRST_GROUP) {
            wanted.push(FIRST_GROUP);
        }
        open_groups(groups, wanted).await?;
        let first = groups.get(FIRST_GROUP).ok_or(NodeError::Stopping)?;
        let datasets = DatasetRuntime::open(
            &options.datasets,
            (&options.data_dir, options.threads),
            first.client.clone(),
            first.iterations.clone(),
        )?;
        Ok((first, datasets))
    }

    /// Does what a crash left undone between the catalogue and the logs.
    async fn catch_up(&self) -> Result<(), NodeError> {
        let context = CallContext::new(self.options.request_timeout);
        if self.metadata.catalogue().cluster().is_some() {
            self.add_groups(&context).await?;
        }
        for group in self.groups.all() {
            group.align(&context).await?;
            group.return_grants(&context).await?;
        }
        Ok(())
    }

    /// Adds groups to the cluster until it has as many as this node was told to begin with. They are for collections
    /// that are created from now on.
    pub(crate) async fn add_groups(&self, context: &CallContext) -> Result<(), NodeError> {
        let (node, wanted) = (self.identity.node, self.options.groups);
        for number in self.metadata.catalogue().groups().len()..wanted {
            let seed = GroupSeed { name: format!("sg{number}"), members: vec![node], primary: node };
            self.propose_command(context, Command::AddGroup(seed)).await?;
        }
        let here = groups_on(&self.metadata.catalogue(), node);
        open_groups(&self.groups, here).await
    }

    /// This node, unless it is about to go.
    pub(crate) fn arc(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Whether the node serves.
    pub fn ready(&self) -> Result<(), NodeError> {
        if let Some(reason) = self.metadata.status().failure {
            return Err(lavandin_consensus::MetadataError::Stopped { reason }.into());
        }
        self.groups.ready()
    }

    /// The copy of a group on this node.
    pub(crate) fn local_group(&self, group: GroupId) -> Result<Arc<LocalGroup>, NodeError> {
        self.groups
            .get(group)
            .ok_or(NodeError::Internal("this node has no copy of a group that it was to read"))
    }

    /// The groups that a collection lies over, ascending.
    pub(crate) fn groups_of(&self, info: &CollectionInfo) -> Result<Vec<Arc<LocalGroup>>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let groups = Layout::of(&catalogue, info)?.table.groups();
        groups.iter().map(|group| self.local_group(*group)).collect()
    }

    /// The catalogue of this moment.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.metadata.catalogue()
    }

    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    pub fn options(&self) -> &NodeOptions {
        &self.options
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Finishes accepted writes, syncs them and ends all threads. Later calls answer `Stopping`.
    pub async fn shutdown(&self) -> Result<(), NodeError> {
        self.groups.board.cancel.store(true, Ordering::Release);
        self.datasets.stop();
        let result = self.groups.shut_down().await;
        self.metadata.shutdown().await;
        result
    }
}

impl Drop for Node {
    /// Without a shutdown the threads end by themselves, the groups' as soon as nobody can tell them anything any more.
    fn drop(&mut self) {
        self.groups.board.cancel.store(true, Ordering::Release);
    }
}

/// Opens copies on a thread that may wait for the disk.
async fn open_groups(host: &Arc<GroupHost>, groups: Vec<GroupId>) -> Result<(), NodeError> {
    let host = Arc::clone(host);
    let open = move || groups.into_iter().try_for_each(|group| host.open(group).map(drop));
    let opened = tokio::task::spawn_blocking(open).await;
    opened.map_err(|_| NodeError::Internal("opening a group panicked"))?
}

/// The groups of which a node has a copy.
fn groups_on(catalogue: &Catalogue, node: NodeId) -> Vec<GroupId> {
    catalogue.groups().filter(|group| group.members.contains(&node)).map(|group| group.id).collect()
}

fn claim(options: &NodeOptions) -> Result<Claimed, NodeError> {
    let unusable = |reason: &dyn std::fmt::Display| NodeError::DataDirectory {
        path: options.data_dir.clone(),
        reason: reason.to_string(),
    };
    std::fs::create_dir_all(&options.data_dir).map_err(|error| unusable(&error))?;
    let lock = Arc::new(DataDirLock::acquire(&options.data_dir).map_err(|error| unusable(&error))?);
    let root = LocalDirectory::new(&options.data_dir).map_err(|error| unusable(&error))?;
    let identity = identity::load_or_create(&root)?;
    Ok(Claimed { lock, identity })
}
