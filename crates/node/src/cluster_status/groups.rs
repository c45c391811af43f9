//! Shard groups and their copies in a status.

use super::{GroupStatus, Observed, ReplicaStatus, place};
use lavandin_cluster::{CopyReport, CopyState, GroupInfo, Rebuild};
use lavandin_types::NodeId;

const UNKNOWN: &str = "no leader of the metadata answers, so that nobody knows which nodes are alive";

const OUT_OF_ORDER: &str = "its files are damaged, or its disk failed or is full; its node's log says which";

pub(super) fn status(observed: &Observed<'_>, group: &GroupInfo) -> GroupStatus {
    let Observed { catalogue, liveness, .. } = *observed;
    let out_of_order = observed.reports.get(&(group.primary, group.id)).filter(|report| report.damaged);
    let why_not = match liveness {
        Some(liveness) => catalogue
            .why_not_writable(group.id, liveness)
            .or_else(|| out_of_order.map(|_| without_primary(observed, group))),
        None => Some(UNKNOWN.to_owned()),
    };
    let others = group.members.iter().filter(|member| **member != group.primary);
    GroupStatus {
        name: group.name.clone(),
        primary: catalogue.node(group.primary).map(|node| node.address.clone()).unwrap_or_default(),
        primary_epoch: group.epoch.get(),
        primary_error: last_error(observed, group.primary, out_of_order),
        primary_leaving: group.leaving.contains(&group.primary),
        replicas: others.map(|member| replica(observed, group, *member)).collect(),
        in_sync: group.in_sync.len() as u32,
        copies_wanted: group.rf,
        writable: liveness.map(|_| why_not.is_none()),
        why_not,
        at_risk: group.mirror && group.in_sync.len() < 2 && group.members_to_stay().count() > 1,
    }
}

/// Its primary is up and its copy is not.
fn without_primary(observed: &Observed<'_>, group: &GroupInfo) -> String {
    let (name, primary) = (&group.name, place(observed.catalogue, group.primary));
    match group.in_sync.len() {
        1 => format!(
            "group {name} has one in-sync copy, on {primary}, and it is out of order ({OUT_OF_ORDER}): mend the disk or \
             make space, restore the group from a backup, or decide with force-promote for another copy"
        ),
        _ => format!("group {name} waits for another copy to take over from {primary}: {OUT_OF_ORDER}"),
    }
}

fn replica(observed: &Observed<'_>, group: &GroupInfo, member: NodeId) -> ReplicaStatus {
    let Observed { catalogue, reports, .. } = *observed;
    let report = |node| reports.get(&(node, group.id));
    let (of_primary, own) = (report(group.primary), report(member));
    let state = group.state_of(member);
    let in_sync = state == Some(CopyState::InSync);
    ReplicaStatus {
        uri: catalogue.node(member).map(|node| node.address.clone()).unwrap_or_default(),
        state: if in_sync { "active" } else { "stale" }.to_owned(),
        reason: reason(group, state),
        joining: state == Some(CopyState::Joining),
        leaving: group.leaving.contains(&member),
        lag: of_primary
            .zip(own)
            .map(|(primary, own)| primary.sequence.get().saturating_sub(own.sequence.get())),
        progress: of_primary.zip(own).filter(|_| !in_sync).map(|(primary, own)| share(primary, own)),
        rebuild_bytes: own.and_then(|own| own.rebuild).map(|rebuild| rebuild.total),
        last_error: last_error(observed, member, own),
    }
}

fn reason(group: &GroupInfo, state: Option<CopyState>) -> Option<String> {
    let reason = match state? {
        CopyState::InSync => return None,
        CopyState::Joining => "it is catching up",
        CopyState::Stale(_) if !group.mirror => {
            "write_mirror_replicas is off: it follows the primary and takes no part in writes"
        }
        CopyState::Stale(reason) => reason.sentence(),
    };
    Some(reason.to_owned())
}

/// 0 to 1.
fn share(primary: &CopyReport, own: &CopyReport) -> f64 {
    if let Some(Rebuild { done, total }) = own.rebuild {
        return done as f64 / total.max(1) as f64;
    }
    match primary.sequence.get() {
        0 => 1.0,
        all => own.sequence.get().min(all) as f64 / all as f64,
    }
}

fn last_error(observed: &Observed<'_>, member: NodeId, own: Option<&CopyReport>) -> Option<String> {
    if own.is_some_and(|report| report.damaged) {
        return Some(OUT_OF_ORDER.to_owned());
    }
    Some(format!("its node {}", silence(observed, member)?))
}

/// What is wrong with a group, a sentence each.
pub(super) fn obstacles(group: &GroupInfo, shown: &GroupStatus, found: &mut Vec<String>) {
    let name = &group.name;
    if shown.writable == Some(false) {
        found.extend(shown.why_not.clone());
    }
    if shown.at_risk {
        found.push(format!(
            "group {name} has one in-sync copy left, on {}: its loss would lose acknowledged writes",
            shown.primary
        ));
    }
    for replica in shown.replicas.iter().filter(|replica| group.mirror && replica.state == "stale") {
        let reason = replica.reason.as_deref().unwrap_or("it is not in sync");
        found.push(format!("the copy of group {name} on {} is stale: {reason}", replica.uri));
    }
    if let Some(last) = group.unclean.last() {
        found.push(format!(
            "a copy of group {name} that may have lacked acknowledged writes was made the primary by force, at epoch {}",
            last.epoch.get()
        ));
    }
}

/// Which node a silent one is, for sentences about the whole cluster.
pub(super) fn silent(observed: &Observed<'_>, node: NodeId) -> Option<String> {
    Some(format!("{} {}", place(observed.catalogue, node), silence(observed, node)?))
}

/// Since when a node is silent, and why, if it is down.
fn silence(observed: &Observed<'_>, node: NodeId) -> Option<String> {
    let liveness = observed.liveness.filter(|liveness| liveness.is_down(observed.catalogue, node))?;
    let reason = observed.unreachable.get(&node).map_or_else(String::new, |reason| format!(": {reason}"));
    Some(format!("has been silent for {} s{reason}", liveness.silent_ms(node) / 1000))
}
