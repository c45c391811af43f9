//! How the metadata stands: for the status, the metrics, and for members that ask each other. Soft state, so its bytes
//! are JSON, and a field that is not there has its default.

use crate::directory::DirectoryId;
use lavandin_types::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the metadata stands, as one node sees it. Only the leader knows how far its peers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataStatus {
    /// Whose view this is.
    pub node: NodeId,
    /// The metadata directory of that node.
    pub directory: DirectoryId,
    /// The cluster that the catalogue says this is, once it was formed.
    pub cluster: Option<ClusterId>,
    pub leader: Option<NodeId>,
    pub term: u64,
    /// Nobody, as long as the node belongs to no group.
    pub voters: Vec<NodeId>,
    pub learners: Vec<NodeId>,
    /// All other members.
    pub peers: Vec<PeerStatus>,
    /// Why the metadata could not bear the loss that it is made for, or why it does not work; `None` while all is well.
    pub degraded: Option<String>,
    /// Entries in the log, from the first ever; `None` before the first.
    pub last_log_index: Option<u64>,
    pub last_applied_index: Option<u64>,
    /// The last entry that the snapshot holds.
    pub snapshot_index: Option<u64>,
    /// Why the metadata takes no more commands, once it stopped.
    pub failure: Option<String>,
}

/// Another member, as a leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    pub node: NodeId,
    pub address: String,
    pub voter: bool,
    /// Entries that it lacks; `None` where the view is not the leader's, or nothing was heard from it yet.
    pub lag: Option<u64>,
    /// How long ago the last message was sent that it answered; `None` as above.
    pub silent_for: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
struct Form {
    node: u64,
    directory: DirectoryId,
    cluster: Option<String>,
    leader: Option<u64>,
    term: u64,
    voters: Vec<u64>,
    learners: Vec<u64>,
    peers: Vec<PeerForm>,
    degraded: Option<String>,
    last_log_index: Option<u64>,
    last_applied_index: Option<u64>,
    snapshot_index: Option<u64>,
    failure: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct PeerForm {
    node: u64,
    address: String,
    voter: bool,
    lag: Option<u64>,
    silent_ms: Option<u64>,
}

impl MetadataStatus {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.get()).collect();
        let peer = |peer: &PeerStatus| PeerForm {
            node: peer.node.get(),
            address: peer.address.clone(),
            voter: peer.voter,
            lag: peer.lag,
            silent_ms: peer.silent_for.map(|time| time.as_millis() as u64),
        };
        let form = Form {
            node: self.node.get(),
            directory: self.directory,
            cluster: self.cluster.map(|cluster| cluster.to_string()),
            leader: self.leader.map(NodeId::get),
            term: self.term,
            voters: numbers(&self.voters),
            learners: numbers(&self.learners),
            peers: self.peers.iter().map(peer).collect(),
            degraded: self.degraded.clone(),
            last_log_index: self.last_log_index,
            last_applied_index: self.last_applied_index,
            snapshot_index: self.snapshot_index,
            failure: self.failure.clone(),
        };
        serde_json::to_vec(&form).expect("numbers and strings always encode")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let form: Form = serde_json::from_slice(bytes)?;
        let nodes = |numbers: Vec<u64>| numbers.into_iter().map(NodeId::new).collect();
        let peer = |peer: PeerForm| PeerStatus {
            node: NodeId::new(peer.node),
            address: peer.address,
            voter: peer.voter,
            lag: peer.lag,
            silent_for: peer.silent_ms.map(Duration::from_millis),
        };
        let cluster = form.cluster.map(|text| {
            let value = u128::from_str_radix(&text, 16);
            value.map(ClusterId::new).map_err(|_| serde::de::Error::custom("a cluster id is 32 hex digits"))
        });
        Ok(Self {
            node: NodeId::new(form.node),
            directory: form.directory,
            cluster: cluster.transpose()?,
            leader: form.leader.map(NodeId::new),
            term: form.term,
            voters: nodes(form.voters),
            learners: nodes(form.learners),
            peers: form.peers.into_iter().map(peer).collect(),
            degraded: form.degraded,
            last_log_index: form.last_log_index,
            last_applied_index: form.last_applied_index,
            snapshot_index: form.snapshot_index,
            failure: form.failure,
        })
    }
}
