//! Nodes and the metadata in a status.

use super::{
    ClusterStatus, LeaderStatus, MetadataView, NodeStatus, Observed, OwnerStatus, groups, place, seconds,
};
use lavandin_cluster::{NodeInfo, NodeRole};
use lavandin_consensus::PeerStatus;
use lavandin_types::NodeId;

pub(super) fn status(observed: &Observed<'_>, info: &NodeInfo) -> NodeStatus {
    let silent_ms = observed.liveness.map(|liveness| liveness.silent_ms(info.id));
    NodeStatus {
        node: info.id.get(),
        uri: info.address.clone(),
        role: match info.role {
            NodeRole::Data => "data",
            NodeRole::Coordinator => "coordinator",
        }
        .to_owned(),
        state: state(observed, info).to_owned(),
        retiring: info.retiring,
        copies: observed.catalogue.groups_of(info.id).count() as u32,
        incarnation: info.incarnation,
        protocol: info.protocol,
        silent_seconds: silent_ms.filter(|_| info.is_registered()).map(seconds),
        last_error: observed.unreachable.get(&info.id).cloned(),
    }
}

fn state(observed: &Observed<'_>, info: &NodeInfo) -> &'static str {
    let Observed { catalogue, liveness, .. } = *observed;
    match liveness {
        _ if info.lost => "lost",
        _ if !info.is_registered() => "new",
        None => "unknown",
        Some(liveness) if liveness.is_up(catalogue, info.id) => "up",
        Some(liveness) if liveness.is_down(catalogue, info.id) => "down",
        Some(_) => "silent",
    }
}

pub(super) fn leader(observed: &Observed<'_>) -> Option<LeaderStatus> {
    observed.liveness?;
    let chores = observed.catalogue.chores()?;
    let info = observed.catalogue.node(chores.node);
    Some(LeaderStatus {
        node: chores.node.get(),
        leader_uri: info.map(|info| info.address.clone()).unwrap_or_default(),
        lease_epoch: chores.epoch,
    })
}

pub(super) fn metadata(observed: &Observed<'_>) -> MetadataView {
    let status = observed.metadata;
    let owners: Vec<OwnerStatus> = status.voters.iter().map(|voter| owner(observed, *voter)).collect();
    let reason = why_degraded(observed);
    MetadataView {
        mode: if owners.len() > 1 { "replicated" } else { "single" }.to_owned(),
        degraded: reason.is_some(),
        reason,
        healthy_owners: owners.iter().filter(|owner| owner.healthy == Some(true)).count() as u32,
        quorum: (owners.len() / 2 + 1) as u32,
        owners,
        leader: status.leader.map(NodeId::get),
        term: status.term,
        committed_version: status.last_applied_index,
    }
}

/// A voter that is gone for good is missing at once, not only when it has been silent for a while.
fn why_degraded(observed: &Observed<'_>) -> Option<String> {
    let is_gone = |voter: &&NodeId| observed.catalogue.node(**voter).is_none_or(|info| info.lost);
    observed.metadata.degraded.clone().or_else(|| {
        let gone = observed.metadata.voters.iter().find(is_gone)?;
        observed.catalogue.cluster()?;
        Some(format!("metadata voter {gone} is gone; another node takes its place"))
    })
}

fn owner(observed: &Observed<'_>, voter: NodeId) -> OwnerStatus {
    let status = observed.metadata;
    let address = observed.catalogue.node(voter).map(|info| info.address.clone());
    let mut shown =
        OwnerStatus { node: voter.get(), uri: address.unwrap_or_default(), ..OwnerStatus::default() };
    if voter == status.node {
        shown.healthy = Some(status.failure.is_none());
        shown.version = status.last_applied_index;
        shown.error.clone_from(&status.failure);
    } else if let Some(peer) = status.peers.iter().find(|peer| peer.node == voter) {
        describe(observed, peer, &mut shown);
    }
    shown
}

/// What the leader of the metadata knows of another voter; anybody else knows nothing of it.
fn describe(observed: &Observed<'_>, peer: &PeerStatus, shown: &mut OwnerStatus) {
    if observed.metadata.leader != Some(observed.metadata.node) {
        return;
    }
    let silent_ms = peer.silent_for.map(|time| time.as_millis() as u64);
    let answers = silent_ms.is_some_and(|silent_ms| silent_ms < observed.catalogue.options().detection_ms);
    shown.healthy = Some(answers);
    shown.version =
        peer.lag.zip(observed.metadata.last_log_index).map(|(lag, last)| last.saturating_sub(lag));
    if !answers {
        let since = silent_ms.map_or("yet".to_owned(), |silent_ms| format!("for {} s", silent_ms / 1000));
        shown.error = Some(format!("it has not answered {since}"));
    }
}

/// What is wrong with the metadata and the nodes, a sentence each.
pub(super) fn obstacles(observed: &Observed<'_>, status: &ClusterStatus) -> Vec<String> {
    let mut found: Vec<String> = why_degraded(observed).into_iter().collect();
    if status.has_others()
        && let [only] = observed.metadata.voters[..]
    {
        let place = place(observed.catalogue, only);
        found.push(format!(
            "the metadata is on one node, {place}: while that is down nothing fails over; three nodes would bear it"
        ));
    }
    let nodes = observed.catalogue.nodes().filter(|node| node.is_registered() && !node.lost);
    found.extend(nodes.filter_map(|node| groups::silent(observed, node.id)));
    found
}
