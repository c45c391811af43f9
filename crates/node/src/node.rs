//! Opening and stopping a node.
//!
//! Data directory: `LOCK`, `identity`, `metadata/` (the catalogue), `groups/<number>/` (log, checkpoints, segments).

use crate::allotment::{IdLeases, PlaceClock};
use crate::clock::Clock;
use crate::cluster_settings::ClusterSettings;
use crate::copied;
use crate::databases::LeaderSilence;
use crate::datasets::{DatasetRuntime, keep_manifests, see_to_jobs};
use crate::error::NodeError;
use crate::groups::{GroupHost, PeerCalls, Router};
use crate::identity::{self, Identity};
use crate::membership::{GroupLinks, Membership, Parts};
use crate::options::{CallContext, NodeOptions};
use crate::peers::{Door, Mailboxes, PeerTransport, Peers, Runtime};
use crate::rebuilding::Rebuilding;
use crate::verifying::keep_comparing;
use futures_util::future::BoxFuture;
use lavandin_cluster::{Catalogue, Command, GroupSeed};
use lavandin_consensus::{Metadata, MetadataOptions, Start};
use lavandin_peer::{PeerIdentity, PeerServer, ServerOptions};
use lavandin_storage::{DataDirLock, Directory, LocalDirectory, create_folders};
use lavandin_types::{GroupId, NodeId};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The group of a node alone; it is there before the cluster is formed.
pub(crate) const FIRST_GROUP: GroupId = GroupId::new(1);

/// A running node.
pub struct Node {
    pub(crate) options: NodeOptions,
    pub(crate) identity: Identity,
    pub(crate) metadata: Metadata,
    pub(crate) groups: Arc<GroupHost>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) router: Arc<Router>,
    pub(crate) id_leases: IdLeases,
    pub(crate) place_clock: PlaceClock,
    pub(crate) datasets: Arc<DatasetRuntime>,
    pub(crate) door: Arc<PeerServer<Door>>,
    pub(crate) runtime: Runtime,
    pub(crate) leader_silence: LeaderSilence,
    /// Itself, for what runs in the background.
    me: Weak<Self>,
    started: Instant,
}

/// A data directory that no other process has.
struct Claimed {
    lock: Arc<DataDirLock>,
    identity: Identity,
    root: Arc<dyn Directory>,
}

/// What is there before the groups' copies are.
struct Base {
    claimed: Claimed,
    metadata: Metadata,
    peers: Peers,
    me: watch::Sender<PeerIdentity>,
    runtime: Runtime,
}

impl Claimed {
    /// What this node says of itself before it is registered.
    fn introduction(&self) -> PeerIdentity {
        let Identity { store, node, seat } = &self.identity;
        PeerIdentity { node: seat.as_ref().map(|_| *node), incarnation: 0, store: *store, cluster: None }
    }

    /// The directory is a copy of that of a process which lives.
    async fn begin_anew(&mut self, options: &NodeOptions) -> Result<(), NodeError> {
        let Some(seat) = self.identity.seat.take() else { return Ok(()) };
        tracing::warn!(
            event = "copied_directory",
            node = seat.node,
            address = seat.address,
            "this data directory is a copy of that of the node that runs at {}; what it holds is removed, and this node \
             begins as an empty one, whose copies the cluster rebuilds",
            seat.address
        );
        let (root, path) = (Arc::clone(&self.root), options.data_dir.clone());
        let copies = Arc::clone(&options.copies);
        self.identity =
            tokio::task::spawn_blocking(move || identity::give_up_seat(&*root, (&path, &*copies), seat))
                .await
                .map_err(|_| NodeError::Internal("clearing the data directory panicked"))??;
        Ok(())
    }
}

impl Node {
    /// Opens the data directory, replays what is not in checkpoints, and starts the node's threads. The directory
    /// is created if it does not exist; a second process is refused.
    ///
    /// A node of its own serves when this returns. A member of a cluster takes its part as soon as it reaches the others.
    pub fn open(options: NodeOptions) -> BoxFuture<'static, Result<Arc<Self>, NodeError>> {
        Box::pin(async move {
            let blocking = options.clone();
            let mut claimed = tokio::task::spawn_blocking(move || claim(&blocking))
                .await
                .map_err(|_| NodeError::Internal("opening the data directory panicked"))??;
            let runtime = Runtime::start()?;
            let me = watch::Sender::new(claimed.introduction());
            let peers = Peers::new(&options.cluster, &me.subscribe(), &runtime.handle())?;
            if let Some(listening) = options.cluster.listening
                && copied::original_lives(&peers, &claimed.identity, listening).await
            {
                claimed.begin_anew(&options).await?;
                me.send_replace(claimed.introduction());
            }
            let metadata_options = metadata_options(&options, &claimed.identity, &peers);
            let metadata = runtime
                .spawn(Metadata::open(metadata_options))
                .await
                .map_err(|_| NodeError::Internal("opening the metadata panicked"))??;
            let base = Base { claimed, metadata: metadata.clone(), peers, me, runtime };
            let starting: BoxFuture<'_, Result<Arc<Self>, NodeError>> = Box::pin(Self::start(options, base));
            match starting.await {
                Ok(node) => Ok(node),
                Err(error) => {
                    metadata.shutdown().await;
                    Err(error)
                }
            }
        })
    }

    async fn start(options: NodeOptions, base: Base) -> Result<Arc<Self>, NodeError> {
        let (membership, rebuilding) = Self::join(&options, &base)?;
        let Base { claimed: Claimed { identity, .. }, metadata, me, runtime, .. } = base;
        let groups = Arc::clone(&membership.groups);
        if let Err(error) = Self::take_part(&options, &membership, &runtime).await {
            // The first failure is the one to tell.
            membership.stop();
            drop(groups.shut_down().await);
            return Err(error);
        }
        let calls = PeerCalls::new(&membership.peers, &metadata);
        let router =
            Arc::new(Router::new(identity.node, metadata.clone(), Arc::clone(&groups), Arc::new(calls)));
        runtime.handle().spawn(keep_comparing(Arc::downgrade(&router)));
        let datasets = Arc::new(DatasetRuntime::open(&options, &membership, &router)?);
        let door = Door::new(Arc::clone(&membership), Arc::clone(&router), rebuilding, Arc::clone(&datasets));
        let ClusterSettings { trust, protocols, .. } = &options.cluster;
        let serving = ServerOptions { protocols: *protocols, ..ServerOptions::default() };
        let door = PeerServer::new(trust.clone(), me.subscribe(), Arc::new(door), serving);
        let node = Arc::new_cyclic(|me| Self {
            datasets,
            me: Weak::clone(me),
            options,
            identity,
            metadata,
            groups,
            membership,
            router,
            id_leases: IdLeases::default(),
            place_clock: PlaceClock::default(),
            door: Arc::new(door),
            runtime,
            leader_silence: LeaderSilence::default(),
            started: Instant::now(),
        });
        node.datasets.belong_to(&node);
        node.datasets.handle.spawn(keep_manifests(Arc::downgrade(&node)));
        node.datasets.handle.spawn(see_to_jobs(Arc::downgrade(&node)));
        match node.catch_up().await {
            Ok(()) => Ok(node),
            Err(error) => {
                drop(node.shutdown().await);
                Err(error)
            }
        }
    }

    /// Puts together what copies need to speak to others.
    fn join(options: &NodeOptions, base: &Base) -> Result<(Arc<Membership>, Arc<Rebuilding>), NodeError> {
        let Base { claimed: Claimed { lock, identity, root }, metadata, peers, me, runtime } = base;
        let clock = Clock::start();
        let rebuilding = Arc::new(Rebuilding::new(peers, metadata, identity.node));
        let links = Arc::new(GroupLinks {
            rebuilding: Arc::clone(&rebuilding),
            mailboxes: Mailboxes::new(peers, metadata, runtime.handle()),
            metadata: metadata.clone(),
            runtime: runtime.handle(),
            groups: OnceLock::new(),
        });
        let host = GroupHost::new(options, metadata, (links.clone(), clock), Arc::clone(lock))?;
        let groups = Arc::new(host);
        // It is set once.
        drop(links.groups.set(Arc::downgrade(&groups)));
        rebuilding.serve(&groups, &runtime.handle());
        let membership = Membership::new(Parts {
            identity: identity.clone(),
            settings: options.cluster.clone(),
            metadata: metadata.clone(),
            groups,
            peers: peers.clone(),
            clock,
            root: Arc::clone(root),
            me: me.clone(),
        })?;
        Ok((Arc::new(membership), rebuilding))
    }

    /// A node of its own has its copies when this returns; the others' follow.
    async fn take_part(
        options: &NodeOptions,
        membership: &Arc<Membership>,
        runtime: &Runtime,
    ) -> Result<(), NodeError> {
        if !membership.is_alone() {
            membership.start(&runtime.handle());
            return Ok(());
        }
        membership.take_part().await?;
        membership.follow_catalogue().await?;
        membership.start(&runtime.handle());
        if membership.metadata.catalogue().cluster().is_some() {
            let context = CallContext::new(options.request_timeout);
            for group in membership.groups.all() {
                group.wait_until_primary(&context).await?;
            }
        }
        Ok(())
    }

    /// Does what a crash left undone between the catalogue and the logs.
    async fn catch_up(&self) -> Result<(), NodeError> {
        if !self.membership.is_alone() || self.metadata.catalogue().cluster().is_none() {
            return Ok(());
        }
        let context = CallContext::new(self.options.request_timeout);
        self.add_groups(&context).await?;
        for group in self.groups.all() {
            group.align(&context).await?;
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
        self.membership.follow_catalogue().await?;
        for group in self.groups.all() {
            group.wait_until_primary(context).await?;
        }
        Ok(())
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
        self.membership.ready()?;
        self.groups.ready()
    }

    pub(crate) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.me)
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
    pub fn shutdown(&self) -> BoxFuture<'_, Result<(), NodeError>> {
        Box::pin(async move {
            self.groups.board.cancel.store(true, Ordering::Release);
            self.datasets.stop().await;
            self.membership.stop();
            let result = self.groups.shut_down().await;
            self.metadata.shutdown().await;
            self.membership.peers.shut_down().await;
            result
        })
    }
}

impl Drop for Node {
    /// Without a shutdown the threads end by themselves, the groups' as soon as nobody can tell them anything any more.
    fn drop(&mut self) {
        self.groups.board.cancel.store(true, Ordering::Release);
        self.datasets.iterations.stop();
        self.membership.stop();
    }
}

/// A directory that holds metadata goes on with it, whatever is said here.
fn metadata_options(options: &NodeOptions, identity: &Identity, peers: &Peers) -> MetadataOptions {
    let start = match &identity.seat {
        None if options.cluster.awaits_cluster() => Start::Join,
        None => Start::Alone,
        Some(seat) if seat.seed.is_some() && seat.known.contains_key(&seat.node) => {
            let voters = seat.known.iter();
            Start::Found(voters.map(|(node, address)| (NodeId::new(*node), address.clone())).collect())
        }
        Some(_) => Start::Join,
    };
    MetadataOptions {
        start,
        address: identity.seat.as_ref().map(|seat| seat.address.clone()).unwrap_or_default(),
        transport: Arc::new(PeerTransport(peers.clone())),
        propose_timeout: options.request_timeout,
        ..MetadataOptions::new(options.data_dir.join("metadata"), identity.node)
    }
}

fn claim(options: &NodeOptions) -> Result<Claimed, NodeError> {
    let unusable = |reason: &dyn std::fmt::Display| NodeError::DataDirectory {
        path: options.data_dir.clone(),
        reason: reason.to_string(),
    };
    create_folders(&options.data_dir).map_err(|error| unusable(&error))?;
    let lock = Arc::new(DataDirLock::acquire(&options.data_dir).map_err(|error| unusable(&error))?);
    let root = LocalDirectory::new(&options.data_dir).map_err(|error| unusable(&error))?;
    let identity = identity::load_or_create(&root, &options.data_dir, &*options.copies)?;
    Ok(Claimed { lock, identity, root: Arc::new(root) })
}
