//! Who is alive, as the leader of the metadata knows it: the only one who hears every node's heartbeats.
//!
//! It is a value of one moment, in spans of the leader's monotonic clock, and no part of the replicated state. A node
//! is *up* if it was heard lately at its registered incarnation. It is *down* only if it was silent for the detection
//! time, or was never heard by a leader that waited long enough for the leases of its predecessor to end; between the
//! two it is neither, and nothing is decided about it.

use crate::catalogue::Catalogue;
use lavandin_types::NodeId;
use std::collections::BTreeMap;

/// The last heartbeat of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub incarnation: u64,
    /// How long ago it was received.
    pub silent_ms: u64,
}

/// What the leader of the metadata heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// How long it has been the leader.
    pub observed_ms: u64,
    pub heard: BTreeMap<NodeId, Heard>,
}

impl Liveness {
    /// How long a node has been silent; since the leader began if it was never heard.
    pub fn silent_ms(&self, node: NodeId) -> u64 {
        self.heard.get(&node).map_or(self.observed_ms, |heard| heard.silent_ms)
    }

    /// Whether a node was heard within the detection time, as the incarnation that is registered.
    pub fn is_up(&self, catalogue: &Catalogue, node: NodeId) -> bool {
        let registered = catalogue.node(node).map(|info| info.incarnation);
        let heard = self.heard.get(&node);
        heard.is_some_and(|heard| {
            Some(heard.incarnation) == registered && heard.silent_ms < catalogue.options().promotion_ms()
        })
    }

    /// Whether a node's silence is long enough to act on: every lease that it may hold is over.
    pub fn is_down(&self, catalogue: &Catalogue, node: NodeId) -> bool {
        let options = catalogue.options();
        let settled = self.observed_ms >= options.new_leader_ms();
        let heard = self.heard.get(&node);
        settled && heard.is_none_or(|heard| heard.silent_ms >= options.promotion_ms())
    }

    /// Whether a node has been down for as long as its copies are waited for.
    pub fn is_given_up(&self, catalogue: &Catalogue, node: NodeId) -> bool {
        self.is_down(catalogue, node) && self.silent_ms(node) >= catalogue.options().replace_after_ms
    }
}
