//! How the cluster stands, for people and programs: what `/cluster_info`, `/coordinator_status` and the metrics say.
//!
//! A pure function of the catalogue, the metadata's own status and, where the leader of the metadata says it, what it
//! heard from the nodes. The leader's whole status travels to whoever was asked; without a leader a node answers with
//! what its own catalogue says, and leaves open what only a leader knows: who is alive, who leads, what is writable.
//! Soft state: its bytes are JSON, and a field that is not there has its default.

mod groups;
mod members;

use lavandin_cluster::{Catalogue, CopyReport, Liveness};
use lavandin_consensus::MetadataStatus;
use lavandin_types::{GroupId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a status is made of.
pub(crate) struct Observed<'a> {
    pub catalogue: &'a Catalogue,
    pub metadata: &'a MetadataStatus,
    /// `None` where this is not the leader's view.
    pub liveness: Option<&'a Liveness>,
    /// What the nodes said last of their copies, as the incarnations that are registered now.
    pub reports: &'a BTreeMap<(NodeId, GroupId), CopyReport>,
    /// Why nodes that are not up cannot be reached, where that is known.
    pub unreachable: &'a BTreeMap<NodeId, String>,
}

/// How the cluster stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// Whose view it is: the leader's of the metadata, or that of a node that reaches none.
    pub seen_by: u64,
    /// 32 hex digits; `None` before the cluster is formed.
    pub cluster: Option<String>,
    /// Rises with every change of the metadata.
    pub meta_epoch: u64,
    pub bucket_count: u16,
    pub write_mirror_replicas: bool,
    /// Silence, in milliseconds, after which a node counts as dead.
    pub detection_ms: u64,
    /// In-sync copies that a write needs.
    pub min_in_sync: u32,
    /// The highest protocol that all members speak.
    pub protocol: u32,
    pub shard_groups: Vec<GroupStatus>,
    pub nodes: Vec<NodeStatus>,
    /// The node that does the chores, which the documents call the leading coordinator; `None` while no leader of the
    /// metadata answers.
    pub leader: Option<LeaderStatus>,
    /// Rises whenever the chores move; 0 before anybody does them.
    pub chores_epoch: u64,
    pub metadata: MetadataView,
    /// What is wrong, a sentence each; empty while all is well.
    pub degraded: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupStatus {
    pub name: String,
    /// A URI; empty of a node alone, which nobody else reaches.
    pub primary: String,
    pub primary_epoch: u64,
    /// The primary's copy goes once enough others are in sync; another one is promoted first.
    pub primary_leaving: bool,
    /// What is wrong with the primary's copy, or with its node.
    pub primary_error: Option<String>,
    /// All other copies.
    pub replicas: Vec<ReplicaStatus>,
    /// Copies that hold every acknowledged write, the primary among them.
    pub in_sync: u32,
    /// Copies that are wanted.
    pub copies_wanted: u32,
    /// `None` where it is not known.
    pub writable: Option<bool>,
    /// Why it is not writable, or not known to be.
    pub why_not: Option<String>,
    /// The loss of one more node may lose acknowledged writes, although copies of them are wanted.
    pub at_risk: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicaStatus {
    pub uri: String,
    /// `active`: it holds every acknowledged write and may be promoted. `stale`: it does not, yet.
    pub state: String,
    /// Why it is stale.
    pub reason: Option<String>,
    /// It is catching up.
    pub joining: bool,
    /// It goes once enough others are in sync.
    pub leaving: bool,
    /// Records that the primary has and it did not when each was heard last.
    pub lag: Option<u64>,
    /// Of a stale copy: the share of the primary's records that it has, or of the snapshot from which it is rebuilt, 0 to 1.
    pub progress: Option<f64>,
    /// Bytes of that snapshot.
    pub rebuild_bytes: Option<u64>,
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub node: u64,
    pub uri: String,
    /// `data` or `coordinator`.
    pub role: String,
    /// `up`, `down`, `silent` (not long enough to be down), `lost` (another disk took its place), `new` (it never
    /// started) or `unknown` (no leader of the metadata says).
    pub state: String,
    /// It is removed once it holds no copies.
    pub retiring: bool,
    /// Copies that it holds.
    pub copies: u32,
    pub incarnation: u64,
    /// The highest protocol that its program speaks.
    pub protocol: u32,
    pub silent_seconds: Option<f64>,
    /// Why it cannot be reached, as the leader of the metadata sees it.
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaderStatus {
    pub node: u64,
    pub leader_uri: String,
    /// Rises whenever the chores move to another node.
    pub lease_epoch: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataView {
    /// `single` or `replicated`.
    pub mode: String,
    pub degraded: bool,
    /// What is degraded.
    pub reason: Option<String>,
    /// The nodes that vote on the metadata.
    pub owners: Vec<OwnerStatus>,
    pub healthy_owners: u32,
    /// Owners that must agree.
    pub quorum: u32,
    pub leader: Option<u64>,
    pub term: u64,
    pub committed_version: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnerStatus {
    pub node: u64,
    pub uri: String,
    /// `None` where it is not known.
    pub healthy: Option<bool>,
    /// The last change that it surely has.
    pub version: Option<u64>,
    pub error: Option<String>,
}

impl ClusterStatus {
    pub(crate) fn of(observed: &Observed<'_>) -> Self {
        let Observed { catalogue, metadata, .. } = *observed;
        let options = catalogue.options();
        let mut status = Self {
            seen_by: metadata.node.get(),
            cluster: catalogue.cluster().map(|cluster| cluster.to_string()),
            meta_epoch: metadata.last_applied_index.unwrap_or(0),
            bucket_count: options.bucket_count,
            write_mirror_replicas: options.mirror,
            detection_ms: options.detection_ms,
            min_in_sync: options.min_in_sync,
            protocol: catalogue.protocol(),
            shard_groups: catalogue.groups().map(|group| groups::status(observed, group)).collect(),
            nodes: catalogue.nodes().map(|node| members::status(observed, node)).collect(),
            leader: members::leader(observed),
            chores_epoch: catalogue.chores().map_or(0, |chores| chores.epoch),
            metadata: members::metadata(observed),
            degraded: Vec::new(),
        };
        status.degraded = members::obstacles(observed, &status);
        for (group, shown) in catalogue.groups().zip(&status.shard_groups) {
            groups::obstacles(group, shown, &mut status.degraded);
        }
        status
    }

    /// Whether other nodes belong to the cluster.
    pub fn has_others(&self) -> bool {
        self.nodes.len() > 1
    }

    /// What node `node` is: `leader`, `standby` or, alone, `single`.
    pub fn role_of(&self, node: u64) -> &'static str {
        match &self.leader {
            _ if !self.has_others() => "single",
            Some(leader) if leader.node == node => "leader",
            _ => "standby",
        }
    }

    /// With an address for the node that has none, because it is alone; and with its group to come where the cluster is
    /// not formed yet.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        if self.cluster.is_none() {
            let writable = Some(true);
            let group =
                GroupStatus { name: "sg0".to_owned(), primary_epoch: 1, in_sync: 1, ..Default::default() };
            self.shard_groups = vec![GroupStatus { copies_wanted: 1, writable, ..group }];
        }
        if self.has_others() {
            return self;
        }
        let primaries = self.shard_groups.iter_mut().map(|group| &mut group.primary);
        let nodes = self.nodes.iter_mut().map(|node| &mut node.uri);
        let owners = self.metadata.owners.iter_mut().map(|owner| &mut owner.uri);
        let leader = self.leader.iter_mut().map(|leader| &mut leader.leader_uri);
        for uri in primaries.chain(nodes).chain(owners).chain(leader).filter(|uri| uri.is_empty()) {
            *uri = address.to_owned();
        }
        self
    }
}

/// A node in a sentence: its address where it has one.
fn place(catalogue: &Catalogue, node: NodeId) -> String {
    match catalogue.node(node) {
        Some(info) if !info.address.is_empty() => info.address.clone(),
        _ => format!("node {node}"),
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests;
