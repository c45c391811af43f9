//! This node's part in its cluster: it registers, keeps its lease, tells its copies what the metadata says of their
//! groups, and, while it leads the metadata, supervises the cluster.
//!
//! A node is in one of these states, and only goes down the list; the way back is to close the node and open it again
//! (`reopen_wanted`), which costs no process:
//!
//! 1. *Of its own*: an empty directory, or one of a cluster of one. A coordinator may adopt it while it is empty.
//! 2. *Adopted*: its directory has a seat in a cluster. It follows the metadata, and registers as soon as that has a
//!    leader.
//! 3. *Registered*: its copies run. Another registration of its store ends that.
//!
//! - `registration`: the start of a node; `heartbeats`: the lease; `supervision`: what the leader of the metadata does;
//!   `founding`: what a coordinator does where there is no cluster yet; `joining`: what a data node does that was told of a
//!   head; `adoption`: taking in a node; `answers`: what other nodes are answered; `departures`: handing over before a stop, and copies that go; `repairs`: copies that are damaged;
//!   `status`: how the cluster stands; `links`: what the groups' threads leave to others.
//!
//! Invariants: no copy hears of the metadata before its node is registered; a lease counts only once the metadata that
//! the leader had when it granted it is applied here; whoever leads the metadata decides only while it surely leads.

mod adoption;
mod answers;
mod departures;
mod founding;
mod heartbeats;
mod joining;
mod links;
mod registration;
mod repairs;
mod status;
mod supervision;

use crate::clock::Clock;
use crate::cluster_settings::ClusterSettings;
use crate::error::NodeError;
use crate::groups::{GroupHost, Part, view_of};
use crate::identity::Identity;
use crate::peers::{Peers, host_and_port};
use departures::Departures;
use lavandin_cluster::{BootId, Catalogue, CopyState, NodeRole, StartId, Supervisor};
use lavandin_consensus::Metadata;
use lavandin_peer::PeerIdentity;
use lavandin_storage::Directory;
use lavandin_types::{GroupId, NodeId};
pub(crate) use links::GroupLinks;
pub use repairs::RepairStatistics;
use repairs::Repairs;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

pub(crate) struct Membership {
    pub(crate) identity: Identity,
    pub(crate) settings: ClusterSettings,
    pub(crate) metadata: Metadata,
    pub(crate) groups: Arc<GroupHost>,
    pub(crate) peers: Peers,
    pub(crate) clock: Clock,
    /// The data directory.
    root: Arc<dyn Directory>,
    start_id: StartId,
    boot_id: BootId,
    /// Which part this process has, once it is registered; of an empty directory of its own, the first.
    part: watch::Sender<Option<Part>>,
    reopen: watch::Sender<bool>,
    /// Why this node comes to no cluster, once it has given up.
    given_up: watch::Sender<Option<String>>,
    /// The number under which somebody who knows the secret looked for this node, while it has none.
    called: watch::Sender<Option<NodeId>>,
    me: watch::Sender<PeerIdentity>,
    /// Held by whoever makes a cluster of this node, so that nobody else does meanwhile.
    pub(crate) forming: tokio::sync::Mutex<()>,
    /// Held while copies are started and told. The groups whose copy here was in sync when they were told last.
    following: tokio::sync::Mutex<BTreeSet<GroupId>>,
    /// Of the term in which this node leads the metadata.
    supervisor: Mutex<Option<Supervisor>>,
    stopping: watch::Sender<bool>,
    /// The node is about to go down: its primaries are to hand over.
    stopping_soon: AtomicBool,
    /// The cluster has the layout that this node was to bring its data into.
    extended: AtomicBool,
    /// A heartbeat is due at once.
    beat_now: Notify,
    departures: Departures,
    repairs: Arc<Repairs>,
}

/// What a membership is made of.
pub(crate) struct Parts {
    pub identity: Identity,
    pub settings: ClusterSettings,
    pub metadata: Metadata,
    pub groups: Arc<GroupHost>,
    pub peers: Peers,
    pub clock: Clock,
    pub root: Arc<dyn Directory>,
    pub me: watch::Sender<PeerIdentity>,
}

impl Membership {
    pub(crate) fn new(parts: Parts) -> Result<Self, NodeError> {
        Ok(Self {
            identity: parts.identity,
            settings: parts.settings,
            metadata: parts.metadata,
            groups: parts.groups,
            peers: parts.peers,
            clock: parts.clock,
            root: parts.root,
            start_id: StartId::new(crate::identity::random()?),
            boot_id: registration::boot_id(),
            part: watch::Sender::new(None),
            reopen: watch::Sender::new(false),
            given_up: watch::Sender::new(None),
            called: watch::Sender::new(None),
            me: parts.me,
            forming: tokio::sync::Mutex::default(),
            following: tokio::sync::Mutex::default(),
            supervisor: Mutex::default(),
            stopping: watch::Sender::new(false),
            stopping_soon: AtomicBool::new(false),
            extended: AtomicBool::new(false),
            beat_now: Notify::new(),
            departures: Departures::default(),
            repairs: Arc::default(),
        })
    }

    /// Starts everything that goes on by itself, until `stop`.
    pub(crate) fn start(self: &Arc<Self>, runtime: &Handle) {
        self.spawn(runtime, |this| async move { this.follow_metadata().await });
        self.spawn(runtime, |this| async move { this.send_heartbeats().await });
        self.spawn(runtime, |this| async move { this.keep_copies_whole().await });
        self.spawn(runtime, |this| async move { this.supervise().await });
        if self.identity.seat.is_some() {
            return;
        }
        match self.settings.role {
            NodeRole::Coordinator => self.spawn(runtime, |this| async move { this.found_or_join().await }),
            NodeRole::Data => self.spawn(runtime, |this| async move { this.come_to_head().await }),
        }
    }

    fn spawn<F>(self: &Arc<Self>, runtime: &Handle, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut stopping = self.stopping.subscribe();
        let work = work(Arc::clone(self));
        runtime.spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        });
    }

    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// True once the node should be closed and opened again.
    pub(crate) fn reopen_wanted(&self) -> watch::Receiver<bool> {
        self.reopen.subscribe()
    }

    /// Why the process should end, once there is a reason: it was to join a cluster, and cannot.
    pub(crate) fn given_up(&self) -> watch::Receiver<Option<String>> {
        self.given_up.subscribe()
    }

    /// Which part this process has in its cluster, once it has one.
    pub(crate) fn part(&self) -> Option<Part> {
        *self.part.borrow()
    }

    /// Whether this is the only node of its cluster, or of none.
    pub(crate) fn is_alone(&self) -> bool {
        self.identity.seat.is_none() && self.metadata.catalogue().nodes().len() <= 1
    }

    /// Whether it has its part in the cluster.
    pub(crate) fn ready(&self) -> Result<(), NodeError> {
        if self.lacks_cluster() {
            let head = self.settings.head.as_ref().filter(|_| self.identity.seat.is_none());
            return Err(
                head.map_or(NodeError::NoCluster, |head| NodeError::Joining { head: head.uri.clone() })
            );
        }
        if self.part.borrow().is_none() { Err(NodeError::NotRegistered) } else { Ok(()) }
    }

    /// Whether it belongs to a cluster, and does not have its metadata yet.
    pub(crate) fn lacks_cluster(&self) -> bool {
        let belongs = self.settings.awaits_cluster() || self.identity.seat.is_some();
        belongs && self.metadata.catalogue().cluster().is_none()
    }

    /// Registers, then keeps telling the copies what the metadata says.
    async fn follow_metadata(&self) {
        let mut changes = self.metadata.changed();
        if let Err(error) = self.take_part().await {
            tracing::error!(%error, "this node cannot take part in its cluster");
            return;
        }
        self.compare_layout();
        loop {
            changes.borrow_and_update();
            if let Err(error) = self.follow_catalogue().await {
                tracing::error!(%error, "a group's copy cannot be opened");
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    return;
                },
                () = self.departures.ended() => {}
            }
        }
    }

    /// Says how the layout that a coordinator was given differs from the cluster: that counts.
    fn compare_layout(&self) {
        let catalogue = self.metadata.catalogue();
        let layout = self.settings.layout.as_ref().filter(|_| catalogue.cluster().is_some());
        for difference in layout.into_iter().flat_map(|layout| layout.differences(&catalogue)) {
            tracing::warn!(event = "layout_differs", "{difference}");
        }
    }

    /// Starts the copies that this node has by the catalogue, and tells them all how their groups stand.
    pub(crate) async fn follow_catalogue(&self) -> Result<(), NodeError> {
        let mut in_sync = self.following.lock().await;
        let catalogue = self.metadata.catalogue();
        let Some(part) = *self.part.borrow() else { return Ok(()) };
        self.groups.lease.set_alone(self.is_alone());
        self.introduce(part);
        let Some(registered) = catalogue.node(part.node).filter(|_| catalogue.cluster().is_some()) else {
            return Ok(());
        };
        if registered.incarnation != part.incarnation || registered.lost {
            return self.leave_superseded(part, registered.incarnation);
        }
        let known = self.contacts();
        self.peers.retain(|address| known.iter().any(|(_, uri)| host_and_port(uri) == address));
        let groups: Vec<GroupId> = catalogue.groups_of(part.node).map(|group| group.id).collect();
        self.let_go(&catalogue, &groups);
        let is_missing = |group: &GroupId| {
            let held = self.departures.holds(*group) || self.repairs.holds(*group);
            self.groups.get(*group).is_none() && !held
        };
        let missing: Vec<GroupId> = groups.iter().copied().filter(is_missing).collect();
        let mut opened = Ok(());
        if !missing.is_empty() {
            opened = self.open_copies(missing, part).await;
        }
        for group in groups {
            if let (Some(local), Some(view)) = (self.groups.get(group), view_of(&catalogue, group)) {
                local.tell(view);
            }
        }
        self.ask_to_yield(&catalogue, part);
        let now_in_sync = groups_in_sync(&catalogue, part.node);
        if !now_in_sync.is_subset(&in_sync) {
            // Such a copy may stand in for its primary from the first answered heartbeat on. The next one may be too late:
            // the metadata's leader and the primary may be one node, and die before.
            self.beat_now.notify_one();
        }
        *in_sync = now_in_sync;
        opened
    }

    /// One that cannot be opened keeps no other from being so. The first failure.
    async fn open_copies(&self, missing: Vec<GroupId>, part: Part) -> Result<(), NodeError> {
        let (host, repairs) = (Arc::clone(&self.groups), Arc::clone(&self.repairs));
        let open = move || {
            let mut first = Ok(());
            for group in missing {
                let opened = host.start(group, part).map(drop);
                if !matches!(opened, Err(NodeError::Stopping)) {
                    repairs.note_opening(group, opened.as_ref().copied());
                }
                first = first.and(opened);
            }
            first
        };
        tokio::task::spawn_blocking(open)
            .await
            .unwrap_or(Err(NodeError::Internal("opening a group panicked")))
    }

    /// Another process registered on this node's store, or a late message of an earlier start did.
    fn leave_superseded(&self, part: Part, registered: u64) -> Result<(), NodeError> {
        tracing::warn!(
            event = "superseded", node = %part.node, incarnation = part.incarnation, registered,
            "another start of this node was registered; starting over"
        );
        self.part.send_replace(None);
        self.reopen.send_replace(true);
        Ok(())
    }

    /// What this node says of itself on new connections.
    fn introduce(&self, part: Part) {
        let cluster = self.metadata.catalogue().cluster();
        let registered = self.identity.seat.is_some() || cluster.is_some();
        let identity = PeerIdentity {
            node: registered.then_some(part.node),
            incarnation: part.incarnation,
            store: self.identity.store,
            cluster,
        };
        self.me.send_if_modified(|known| std::mem::replace(known, identity) != identity);
    }

    fn with_supervisor<T>(&self, work: impl FnOnce(&mut Supervisor) -> T) -> Option<T> {
        self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(work)
    }
}

/// The groups of which a node's copy is in sync.
fn groups_in_sync(catalogue: &Catalogue, node: NodeId) -> BTreeSet<GroupId> {
    let in_sync = catalogue.groups_of(node).filter(|info| info.state_of(node) == Some(CopyState::InSync));
    in_sync.map(|info| info.id).collect()
}
