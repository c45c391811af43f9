//! A group as its copies see it: the part of the metadata that replication needs.

use lavandin_types::{GroupId, NodeId, PrimaryEpoch};
use std::collections::BTreeMap;

/// What a change of the view expects it to be at. Both only rise: the epoch with each reign, the version with each
/// change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    pub epoch: PrimaryEpoch,
    pub version: u64,
}

/// A committed state of the group's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub group: GroupId,
    pub epoch: PrimaryEpoch,
    pub version: u64,
    pub primary: NodeId,
    /// The copies that hold every acknowledged write, the primary among them, each with the incarnation that does.
    pub in_sync: BTreeMap<NodeId, u64>,
    /// The copy that catches up, to be in sync.
    pub joiner: Option<(NodeId, u64)>,
    /// Copies that follow and are never waited for: the replicas of a group whose writes are not mirrored.
    pub observers: BTreeMap<NodeId, u64>,
    /// Fewer copies in sync than this take no writes.
    pub min_in_sync: usize,
    /// Whether replicas take part in writes. If not, the primary has everyone else removed from the in-sync set.
    pub mirror: bool,
}

impl View {
    pub fn revision(&self) -> Revision {
        Revision { epoch: self.epoch, version: self.version }
    }

    /// The copies that a primary ships to, with their incarnations.
    pub fn others(&self) -> impl Iterator<Item = (NodeId, u64)> {
        let all = self.in_sync.iter().chain(&self.observers).map(|(node, incarnation)| (*node, *incarnation));
        all.chain(self.joiner).filter(|(node, _)| *node != self.primary)
    }
}
