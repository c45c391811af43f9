//! The catalogue's groups as replication sees them, and its proposals as commands.

use lavandin_cluster::{Catalogue, Command, Revision, StaleReason};
use lavandin_group::replication::{self, Proposal, View};
use lavandin_types::{GroupId, NodeId, PrimaryEpoch};

/// `None` for a group that serves nothing: its first primary was never seen, or it is suspect.
pub(crate) fn view_of(catalogue: &Catalogue, group: GroupId) -> Option<View> {
    let info = catalogue.group(group)?;
    if info.suspect || info.epoch == PrimaryEpoch::ZERO {
        return None;
    }
    let incarnation = |node: &NodeId| catalogue.node(*node).map_or(0, |info| info.incarnation);
    let observers = info.stale.keys().filter(|node| !info.mirror && incarnation(node) > 0);
    Some(View {
        group,
        epoch: info.epoch,
        version: info.version,
        primary: info.primary,
        in_sync: info.in_sync.clone(),
        joiner: info.joiner.map(|joiner| (joiner.node, joiner.incarnation)),
        observers: observers.map(|node| (*node, incarnation(node))).collect(),
        min_in_sync: catalogue.options().min_in_sync as usize,
        mirror: info.mirror,
    })
}

pub(crate) fn command_of(group: GroupId, proposal: Proposal) -> Command {
    let at = |expected: replication::Revision| Revision { epoch: expected.epoch, version: expected.version };
    match proposal {
        Proposal::Shrink { expected, remove } => {
            Command::ShrinkGroup { group, expected: at(expected), remove, reason: StaleReason::MissedWrite }
        }
        Proposal::Grow { expected, node, incarnation } => {
            Command::GrowGroup { group, expected: at(expected), node, incarnation }
        }
        Proposal::DropJoiner { expected } => Command::DropJoiner { group, expected: at(expected) },
    }
}

#[cfg(test)]
mod tests;
