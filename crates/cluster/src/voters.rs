//! Which nodes vote on the metadata.
//!
//! One voter for one or two nodes, three for three or four, five (or three, by option) for more, so that with three
//! nodes and more no single loss stops the metadata. Data nodes first, spread over the groups: first members of all
//! groups, then second ones. A coordinator votes only to make three where there are fewer than three data nodes.
//! Pinned owners are the voters, as they are given.
//!
//! The number stays odd: an even number of voters survives no more losses than one less, and needs one more to agree.

use crate::catalogue::Catalogue;
use crate::layout::{LayoutError, StaticLayout};
use crate::liveness::Liveness;
use crate::node_info::NodeRole;
use crate::options::ClusterOptions;
use lavandin_types::NodeId;
use std::collections::BTreeSet;

/// One change of the voters, to be made as one joint change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterChange {
    pub add: Vec<NodeId>,
    pub remove: Vec<NodeId>,
}

/// The first voters of a static layout, ascending: the same for every coordinator that reads it. Owners are addresses
/// of nodes of the layout; none to have the voters chosen.
pub fn voters_of(layout: &StaticLayout, owners: &[String]) -> Result<Vec<NodeId>, LayoutError> {
    let mut voters = layout.owner_nodes(owners)?;
    if voters.is_empty() {
        let members: Vec<Vec<NodeId>> = layout.groups.iter().map(|group| layout.members_of(group)).collect();
        let nodes = layout.node_count();
        let count = voter_count(nodes, 0, ClusterOptions::default().voters_max);
        voters = spread(&members.iter().map(Vec::as_slice).collect::<Vec<_>>());
        voters.truncate(count);
    }
    voters.sort_unstable();
    Ok(voters)
}

/// The next change that brings the voters nearer to what they should be; `None` if there is nothing to do, or nothing
/// that would leave a majority of live voters.
pub fn desired_voters(
    catalogue: &Catalogue,
    current: &BTreeSet<NodeId>,
    liveness: &Liveness,
) -> Option<VoterChange> {
    let owners = &catalogue.options().owners;
    let change = match owners.is_empty() {
        true => chosen(catalogue, current, liveness),
        false => pinned(catalogue, current, liveness),
    }?;
    let after: BTreeSet<NodeId> =
        current.iter().filter(|node| !change.remove.contains(node)).chain(&change.add).copied().collect();
    (has_majority(catalogue, current, liveness) && has_majority(catalogue, &after, liveness))
        .then_some(change)
}

fn has_majority(catalogue: &Catalogue, voters: &BTreeSet<NodeId>, liveness: &Liveness) -> bool {
    2 * voters.iter().filter(|node| liveness.is_up(catalogue, **node)).count() > voters.len()
}

/// All at once, as soon as every owner is up.
fn pinned(catalogue: &Catalogue, current: &BTreeSet<NodeId>, liveness: &Liveness) -> Option<VoterChange> {
    let owners: BTreeSet<NodeId> = catalogue.options().owners.iter().copied().collect();
    let add: Vec<NodeId> = owners.difference(current).copied().collect();
    let remove: Vec<NodeId> = current.difference(&owners).copied().collect();
    let ready = add.iter().all(|node| liveness.is_up(catalogue, *node));
    (ready && !(add.is_empty() && remove.is_empty())).then_some(VoterChange { add, remove })
}

fn chosen(catalogue: &Catalogue, current: &BTreeSet<NodeId>, liveness: &Liveness) -> Option<VoterChange> {
    let ranked = ranked(catalogue);
    let is_coordinator =
        |node: &NodeId| catalogue.node(*node).is_some_and(|info| info.role == NodeRole::Coordinator);
    let coordinators = ranked.iter().filter(|node| is_coordinator(node)).count();
    let data = ranked.len() - coordinators;
    let target = voter_count(data, coordinators, catalogue.options().voters_max);
    let is_ready = |node: &NodeId| !current.contains(node) && liveness.is_up(catalogue, *node);
    let ready: Vec<NodeId> = ranked.iter().copied().filter(is_ready).collect();
    // The least wanted first: gone, then dead for long, then the last of the ranking.
    let rank = |node: &NodeId| ranked.iter().position(|other| other == node).unwrap_or(usize::MAX);
    let is_gone = |node: &NodeId| rank(node) == usize::MAX;
    let is_dead = |node: &NodeId| liveness.is_given_up(catalogue, *node);
    let mut leaving: Vec<NodeId> = current.iter().copied().collect();
    leaving.sort_by_key(|node| std::cmp::Reverse((is_gone(node), is_dead(node), rank(node))));
    let to_odd = 1 + current.len() % 2;
    if current.len() > target {
        leaving.truncate(to_odd);
        return Some(VoterChange { add: Vec::new(), remove: leaving });
    }
    if current.len() < target && ready.len() >= to_odd {
        return Some(VoterChange { add: ready[..to_odd].to_vec(), remove: Vec::new() });
    }
    let (worst, best) = (*leaving.first()?, *ready.first()?);
    let misplaced = is_coordinator(&worst) && !is_coordinator(&best);
    (is_gone(&worst) || is_dead(&worst) || misplaced)
        .then(|| VoterChange { add: vec![best], remove: vec![worst] })
}

/// How many nodes vote.
fn voter_count(data: usize, coordinators: usize, voters_max: u32) -> usize {
    match (data, data + coordinators) {
        (5.., _) => voters_max as usize,
        (3 | 4, _) | (_, 3..) => 3,
        _ => 1,
    }
}

/// The registered nodes that stay, the first to vote first.
fn ranked(catalogue: &Catalogue) -> Vec<NodeId> {
    let members: Vec<&[NodeId]> = catalogue.groups().map(|group| group.members.as_slice()).collect();
    let mut ranked = spread(&members);
    let of_role = |role| catalogue.nodes().filter(move |node| node.role == role).map(|node| node.id);
    for node in of_role(NodeRole::Data).chain(of_role(NodeRole::Coordinator)) {
        if !ranked.contains(&node) {
            ranked.push(node);
        }
    }
    ranked.retain(|node| {
        catalogue.node(*node).is_some_and(|info| info.is_registered() && !info.lost && !info.retiring)
    });
    ranked
}

/// The first members of all groups, then the second ones, and so on; each node once.
fn spread(groups: &[&[NodeId]]) -> Vec<NodeId> {
    let longest = groups.iter().map(|members| members.len()).max().unwrap_or(0);
    let mut spread = Vec::new();
    for place in 0..longest {
        for node in groups.iter().filter_map(|members| members.get(place)) {
            if !spread.contains(node) {
                spread.push(*node);
            }
        }
    }
    spread
}

#[cfg(test)]
mod tests;
