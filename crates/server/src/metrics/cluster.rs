//! The cluster in metrics: what this node knows of it without asking another. What only the leader of the metadata
//! knows (which groups are writable) is in its text alone, so that alerts take the minimum or maximum over all nodes.

use super::text::Text;
use lavandin_node::{ClusterStatus, GroupStatus};
use std::fmt::Display;

pub(super) fn of_cluster(text: &mut Text, status: &ClusterStatus) {
    if status.cluster.is_none() {
        return;
    }
    text.gauge(
        "metadata_degraded",
        "1 while the metadata lacks a voter or a leader",
        u8::from(status.metadata.degraded),
    );
    text.counter(
        "metadata_leader_changes_total",
        "Elections of a metadata leader: the term",
        status.metadata.term,
    );
    text.gauge("chores_epoch", "Rises when the leading coordinator changes", status.chores_epoch);
    by_group(text, status, ("group_in_sync", "Copies that hold every acknowledged write"), |group| {
        Some(group.in_sync)
    });
    by_group(text, status, ("group_copies_wanted", "Copies that a group should have"), |group| {
        Some(group.copies_wanted)
    });
    by_group(text, status, ("group_primary_epoch", "Rises when a primary changes or restarts"), |group| {
        Some(group.primary_epoch)
    });
    by_group(
        text,
        status,
        ("group_writable", "1 while the group takes writes; told by the metadata leader"),
        |group| group.writable.map(u8::from),
    );
    text.family("replica_stale", "gauge", "1 for a replica that does not hold every acknowledged write");
    for group in &status.shard_groups {
        for replica in &group.replicas {
            let labels = format!("{},uri=\"{}\"", label(group), escaped(&replica.uri));
            text.sample("replica_stale", &labels, u8::from(replica.state == "stale"));
        }
    }
}

fn by_group<T: Display>(
    text: &mut Text,
    status: &ClusterStatus,
    (name, help): (&str, &str),
    value: impl Fn(&GroupStatus) -> Option<T>,
) {
    text.family(name, "gauge", help);
    for group in &status.shard_groups {
        if let Some(value) = value(group) {
            text.sample(name, &label(group), value);
        }
    }
}

fn label(group: &GroupStatus) -> String {
    format!("group=\"{}\"", escaped(&group.name))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
