//! What the leader of the metadata does for all.
//!
//! Every `TICK`: what `Supervisor` decides about groups is proposed. Every `CARE`: nodes become members of the metadata's
//! group, voters are changed where that is better, and nodes whose disk is new are given a seat again.

use super::Membership;
use super::adoption::registration_for;
use crate::error::NodeError;
use crate::identity::{self, Seat};
use crate::peers::{ControlReply, ControlRequest, IdentityForm};
use lavandin_cluster::{Command, NodeInfo, Supervisor, desired_voters};
use lavandin_types::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const TICK: Duration = Duration::from_millis(100);
const CARE: Duration = Duration::from_secs(1);
/// A leader that was away for longer knows nobody any more.
const GAP_MAX: Duration = Duration::from_secs(1);
const PROPOSAL_MAX: Duration = Duration::from_secs(3);
const MEMBERS_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(1);

impl Membership {
    pub(super) async fn supervise(self: Arc<Self>) {
        let mut leadership = self.metadata.leadership();
        loop {
            let leads = leadership.borrow_and_update().is_some();
            self.set_supervisor(leads.then(|| Supervisor::new(self.clock.now_ms())));
            if leads {
                tracing::info!(event = "metadata_leader", node = %self.identity.node, "this node leads the metadata");
                tokio::select! {
                    () = self.lead() => {}
                    _ = leadership.changed() => {}
                }
            } else if leadership.changed().await.is_err() {
                return;
            }
        }
    }

    fn set_supervisor(&self, supervisor: Option<Supervisor>) {
        *self.supervisor.lock().unwrap_or_else(PoisonError::into_inner) = supervisor;
    }

    /// For as long as this node leads.
    async fn lead(self: &Arc<Self>) {
        let mut changes = self.metadata.changed();
        let mut caring = None;
        let (mut ticked, mut cared) = (Instant::now(), Instant::now());
        loop {
            if self.is_alone() {
                // Nobody to supervise.
                if changes.changed().await.is_err() {
                    return;
                }
                ticked = Instant::now();
                continue;
            }
            tokio::time::sleep(TICK).await;
            if ticked.elapsed() > GAP_MAX {
                self.set_supervisor(Some(Supervisor::new(self.clock.now_ms())));
            }
            ticked = Instant::now();
            if !self.leads() {
                continue;
            }
            self.decide();
            let idle = caring.as_ref().is_none_or(tokio::task::JoinHandle::is_finished);
            if idle && cared.elapsed() >= CARE {
                cared = Instant::now();
                let this = Arc::clone(self);
                caring = Some(tokio::spawn(async move { this.care().await }));
            }
        }
    }

    /// Proposes what the supervisor decides.
    fn decide(self: &Arc<Self>) {
        let (catalogue, now) = (self.metadata.catalogue(), self.clock.now_ms());
        let commands = self.with_supervisor(|supervisor| supervisor.tick(&catalogue, now));
        for command in commands.unwrap_or_default() {
            tracing::info!(event = "supervision", command = ?command, "the cluster is changed");
            let this = Arc::clone(self);
            tokio::spawn(async move {
                let proposed = this.metadata.propose_within(command.clone(), PROPOSAL_MAX).await;
                if let Err(error) = &proposed {
                    tracing::debug!(%command, %error, "a change of the cluster was not made");
                }
                let now = this.clock.now_ms();
                this.with_supervisor(|supervisor| supervisor.answered(&command, proposed.is_ok(), now));
            });
        }
    }

    async fn care(&self) {
        self.care_for_layout().await;
        self.care_for_members().await;
        self.care_for_voters().await;
        self.care_for_new_disks().await;
    }

    /// Forms the layout that this node was adopted with.
    async fn care_for_layout(&self) {
        let seed = self.identity.seat.as_ref().and_then(|seat| seat.seed.clone());
        if let Some(seed) = seed.filter(|_| self.metadata.catalogue().cluster().is_none()) {
            // Another one's seed may have been first; then that cluster is the one.
            drop(self.metadata.propose_within(Command::FormLayout(seed), PROPOSAL_MAX).await);
        }
        // Registered, so that the catalogue has this node where the layout has it.
        let Some(seat) = self.brings_data().filter(|_| self.part.borrow().is_some()) else { return };
        match self.extend_layout(seat).await {
            Ok(()) => {
                tracing::info!(event = "layout_extended", "this node's data is part of the cluster");
                self.extended.store(true, Ordering::Release);
            }
            Err(error) => {
                tracing::warn!(event = "layout_extended", %error, "the data is not part of the cluster yet")
            }
        }
    }

    /// The seat of a node that is to make its cluster of one a layout's, until it has. Who founds a cluster of empty nodes
    /// knows its first voters; who brings data in knows nobody.
    pub(super) fn brings_data(&self) -> Option<&Seat> {
        let seat = self.identity.seat.as_ref()?;
        let wanted = seat.seed.is_some() && seat.known.is_empty() && !self.extended.load(Ordering::Acquire);
        wanted.then_some(seat)
    }

    async fn extend_layout(&self, seat: &Seat) -> Result<(), NodeError> {
        if let Some(seed) = seat.seed.clone() {
            self.metadata.propose_within(Command::ExtendLayout(seed), PROPOSAL_MAX).await?;
        }
        // Once only: whoever leaves the cluster later must not be brought back by the next start.
        identity::store_seat(&*self.root, &Seat { seed: None, ..seat.clone() })
    }

    /// Every node follows the metadata; one that is gone for good does not count any more.
    async fn care_for_members(&self) {
        let (catalogue, status) = (self.metadata.catalogue(), self.metadata.status());
        let members: BTreeMap<NodeId, String> =
            status.peers.iter().map(|peer| (peer.node, peer.address.clone())).collect();
        let here =
            |info: &&Arc<NodeInfo>| !info.lost && !info.address.is_empty() && info.id != self.identity.node;
        for info in catalogue.nodes().filter(here) {
            if members.get(&info.id) != Some(&info.address)
                && let Err(error) = self.metadata.add_learner(info.id, &info.address, ANSWER_MAX * 2).await
            {
                tracing::debug!(node = %info.id, %error, "a node does not follow the metadata yet");
            }
        }
        let gone = members.keys().filter(|node| catalogue.cluster().is_some() && is_gone(&catalogue, **node));
        for node in gone {
            // A voter is replaced first, by `care_for_voters`.
            if !status.voters.contains(node)
                && let Err(error) = self.metadata.remove(*node, MEMBERS_MAX).await
            {
                tracing::debug!(%node, %error, "a member that is gone cannot be removed yet");
            }
        }
    }

    async fn care_for_voters(&self) {
        let (catalogue, status) = (self.metadata.catalogue(), self.metadata.status());
        let current: BTreeSet<NodeId> = status.voters.iter().copied().collect();
        let now = self.clock.now_ms();
        let liveness = self.with_supervisor(|supervisor| supervisor.liveness(now)).unwrap_or_default();
        // Where nothing is to be changed, a change that an earlier leader began is ended.
        let change = desired_voters(&catalogue, &current, &liveness).unwrap_or_default();
        let removed: BTreeSet<NodeId> = change.remove.iter().copied().collect();
        let mut voters: BTreeSet<NodeId> = current.difference(&removed).copied().collect();
        voters.extend(&change.add);
        match self.metadata.set_voters(&voters, MEMBERS_MAX).await {
            Ok(()) if voters == current => {}
            Ok(()) => tracing::info!(event = "voters_changed", ?voters, "other nodes vote on the metadata"),
            Err(error) => tracing::debug!(?voters, %error, "the metadata's voters cannot be changed yet"),
        }
    }

    /// Looks for empty nodes at addresses of the cluster: nodes that were never adopted, or whose disk is new.
    async fn care_for_new_disks(&self) {
        let (catalogue, now) = (self.metadata.catalogue(), self.clock.now_ms());
        let liveness = self.with_supervisor(|supervisor| supervisor.liveness(now)).unwrap_or_default();
        let silent = |info: &&Arc<NodeInfo>| {
            !info.lost && !info.address.is_empty() && !liveness.is_up(&catalogue, info.id)
        };
        let asked: Vec<Arc<NodeInfo>> = catalogue.nodes().filter(silent).cloned().collect();
        let calls = asked.iter().map(|info| self.care_for_new_disk(info));
        futures_util::future::join_all(calls).await;
    }

    async fn care_for_new_disk(&self, info: &NodeInfo) {
        let deadline = Instant::now() + ANSWER_MAX;
        let identify = self.control((&info.address, None), &ControlRequest::Identify, deadline).await;
        let Ok(ControlReply::Identity(found)) = identify else { return };
        if found.node.is_some() || found.cluster.is_some() || info.id == self.identity.node {
            return;
        }
        // A seat that nobody took has a number already; a new disk is a new node.
        let node = if info.store.is_none() { Some(info.id) } else { self.register_for(info, &found).await };
        let Some(node) = node else { return };
        let adopted = self.give_seat(node, &info.address).await;
        tracing::info!(event = "adopting", %node, address = info.address, ?adopted, "an empty node is taken in");
    }

    /// Registers an empty node, which then only has to take its seat.
    async fn register_for(&self, present: &NodeInfo, found: &IdentityForm) -> Option<NodeId> {
        let registration = registration_for(found, &present.address, present.role).ok()?;
        match self.answer(ControlRequest::Register(Box::new(registration))).await {
            ControlReply::Registered(info) => Some(info.id),
            _ => None,
        }
    }
}

/// Whether a member of the metadata's group is no node of the cluster any more.
fn is_gone(catalogue: &lavandin_cluster::Catalogue, node: NodeId) -> bool {
    catalogue.node(node).is_none_or(|info| info.lost)
}
