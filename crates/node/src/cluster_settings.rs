//! What a node is told of its cluster when it starts.

use crate::peers::{Dialer, Tcp};
use lavandin_cluster::{NodeRole, StaticLayout};
use lavandin_peer::{PROTOCOLS, Protocols, Trust};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct ClusterSettings {
    pub role: NodeRole,
    /// Where this process listens; None for nowhere.
    pub listening: Option<SocketAddr>,
    /// Where this node is reached (`http://host:port`). None: whoever adopts it tells.
    pub advertised: Option<String>,
    pub trust: Trust,
    /// Protocol numbers to speak with other nodes. Anything but what the program speaks is for tests of upgrades.
    pub protocols: Protocols,
    /// How other nodes are reached: TCP, unless a test puts a network of its own between them.
    pub dialer: Arc<dyn Dialer>,
    /// The cluster to form where there is none, for coordinators.
    pub layout: Option<StaticLayout>,
    /// The nodes that are to vote on the metadata, by URI; none to have them chosen.
    pub owners: Vec<String>,
    /// A node that is silent for so long is dead.
    pub detection_ms: u64,
    /// In-sync copies that a write needs.
    pub min_in_sync: u32,
    /// URIs of nodes that may know the cluster.
    pub contacts: Vec<String>,
    /// The node that forms the cluster, for a data node that is to be a member from its first start on.
    pub head: Option<HeadSettings>,
}

/// How a data node without a cluster comes to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadSettings {
    /// Where the head is reached; it is this node if that is its own advertised address.
    pub uri: String,
    /// How long the head is waited for; None for ever.
    pub join_wait: Option<Duration>,
    /// Copies that each group of a cluster is to have which this node forms.
    pub copies: u32,
}

impl ClusterSettings {
    /// Whether an empty node waits for a cluster, and serves nothing before it has one.
    pub(crate) fn awaits_cluster(&self) -> bool {
        self.role == NodeRole::Coordinator || self.head.is_some()
    }
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            role: NodeRole::Data,
            listening: None,
            advertised: None,
            trust: Trust::Loopback,
            protocols: PROTOCOLS,
            dialer: Arc::new(Tcp),
            layout: None,
            owners: Vec::new(),
            detection_ms: 3_000,
            min_in_sync: 1,
            contacts: Vec::new(),
            head: None,
        }
    }
}
