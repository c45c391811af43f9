//! How the cluster stands. Only the leader of the metadata hears from all nodes; the others ask it.

use super::Membership;
use crate::cluster_status::{ClusterStatus, Observed};
use crate::peers::{ControlReply, ControlRequest};
use lavandin_cluster::{Catalogue, CopyReport, Heard, Liveness, NodeInfo};
use lavandin_types::{GroupId, NodeId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl Membership {
    /// The leader's view; this node's own where none answers in time.
    pub(crate) async fn leader_status(&self, timeout: Duration) -> ClusterStatus {
        if self.is_alone() {
            return self.known_status();
        }
        match self.ask_leader(&ControlRequest::Status, timeout).await {
            Ok(ControlReply::Status(status)) => {
                serde_json::from_value(status).unwrap_or_else(|_| self.known_status())
            }
            _ => self.known_status(),
        }
    }

    /// What this node knows without asking another.
    pub(crate) fn known_status(&self) -> ClusterStatus {
        let (catalogue, metadata) = (self.metadata.catalogue(), self.metadata.status());
        let now = self.clock.now_ms();
        let observed = match self.is_alone() {
            true => Some((alone(&catalogue), BTreeMap::new())),
            false if self.leads() => self.with_supervisor(|supervisor| {
                let copies =
                    catalogue.groups().flat_map(|group| group.members.iter().map(|node| (*node, group.id)));
                let report = |(node, group): (NodeId, GroupId)| {
                    Some(((node, group), *supervisor.report(&catalogue, node, group)?))
                };
                (supervisor.liveness(now), copies.filter_map(report).collect())
            }),
            false => None,
        };
        let (liveness, reports): (Option<Liveness>, BTreeMap<(NodeId, GroupId), CopyReport>) =
            observed.map_or_else(Default::default, |(liveness, reports)| (Some(liveness), reports));
        let liveness = liveness.as_ref();
        ClusterStatus::of(&Observed {
            catalogue: &catalogue,
            metadata: &metadata,
            liveness,
            reports: &reports,
            unreachable: &liveness.map_or_else(BTreeMap::new, |known| self.unreachable(&catalogue, known)),
        })
    }

    /// Why nodes cannot be reached from here that are not up: they are asked who they are every second.
    fn unreachable(&self, catalogue: &Catalogue, liveness: &Liveness) -> BTreeMap<NodeId, String> {
        let own = self.address();
        let not_up = catalogue.nodes().filter(|info| !info.lost && !liveness.is_up(catalogue, info.id));
        let reason = |info: &Arc<NodeInfo>| {
            Some((info.id, format!("seen from {own}: {}", self.peers.failure(&info.address)?)))
        };
        not_up.filter_map(reason).collect()
    }
}

/// Who is alive where there is one node.
fn alone(catalogue: &Catalogue) -> Liveness {
    let heard =
        catalogue.nodes().map(|info| (info.id, Heard { incarnation: info.incarnation, silent_ms: 0 }));
    Liveness { observed_ms: u64::MAX, heard: heard.collect() }
}
