//! How the metadata stands, from what the consensus library reports.

use super::leadership::time_of;
use super::{ELECTION_MAX_MS, Metadata};
use crate::message::{Body, Reply, Request};
use crate::raft_types::{Member, TypeConfig};
use crate::status::{MetadataStatus, PeerStatus};
use futures_util::future::BoxFuture;
use lavandin_types::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::{RaftMetrics, ServerState};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// A voter that answered nothing for this long is missing.
pub(super) const SILENT_MAX: Duration = Duration::from_millis(2 * ELECTION_MAX_MS);
/// A voter that lacks more entries is behind.
const LAG_MAX: u64 = 1_000;

impl Metadata {
    /// How the metadata stands, as this node sees it. Never waits.
    pub fn status(&self) -> MetadataStatus {
        let shared = &self.shared;
        let metrics = shared.raft.metrics().borrow_watched().clone();
        let membership = metrics.membership_config.membership();
        let failure = metrics.running_state.as_ref().err().map(ToString::to_string);
        let peers = self.peers(&metrics);
        MetadataStatus {
            node: NodeId::new(shared.node),
            directory: shared.directory,
            cluster: self.catalogue().cluster(),
            leader: metrics.current_leader.map(NodeId::new),
            term: metrics.current_term,
            voters: membership.voter_ids().map(NodeId::new).collect(),
            learners: membership.learner_ids().map(NodeId::new).collect(),
            degraded: failure.clone().or_else(|| self.degraded(&metrics, &peers)),
            peers,
            last_log_index: metrics.last_log_index,
            last_applied_index: metrics.last_applied.map(|id| id.index),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            failure,
        }
    }

    /// The leader's view, which alone knows how far each member is; this node's own, degraded, where no leader answers
    /// in time.
    pub fn leader_status(&self, timeout: Duration) -> BoxFuture<'_, MetadataStatus> {
        Box::pin(async move {
            let own = self.status();
            let Some((node, Member { address, .. })) =
                self.leader().filter(|(node, _)| *node != self.shared.node)
            else {
                return own;
            };
            let request = Request { node, directory: None, body: Body::Status };
            match self.shared.network.call(&address, request, timeout).await {
                Ok(Reply::Status(status)) if status.leader == Some(status.node) => *status,
                _ => {
                    let silent = format!("the metadata leader, node {}, does not answer", NodeId::new(node));
                    MetadataStatus { degraded: own.degraded.or(Some(silent)), ..own }
                }
            }
        })
    }

    /// Who leads, as far as this node knows.
    pub(super) fn leader(&self) -> Option<(u64, Member)> {
        let metrics = self.shared.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader?;
        Some((leader, metrics.membership_config.membership().get_node(&leader)?.clone()))
    }

    fn peers(&self, metrics: &RaftMetrics<TypeConfig>) -> Vec<PeerStatus> {
        let membership = metrics.membership_config.membership();
        let now = Instant::now();
        let peer = |(node, member): (&u64, &Member)| PeerStatus {
            node: NodeId::new(*node),
            address: member.address.clone(),
            voter: membership.voter_ids().any(|voter| voter == *node),
            lag: lag(metrics, *node),
            silent_for: last_answered(metrics, *node).map(|at| now.saturating_duration_since(at)),
        };
        membership.nodes().filter(|(node, _)| **node != self.shared.node).map(peer).collect()
    }

    /// The first thing that is wrong.
    fn degraded(&self, metrics: &RaftMetrics<TypeConfig>, peers: &[PeerStatus]) -> Option<String> {
        if metrics.membership_config.membership().voter_ids().next().is_none() {
            let obstacle = self.shared.obstacle.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return obstacle.or(Some("this node waits for a metadata leader to add it".to_owned()));
        }
        if metrics.current_leader.is_none() {
            return Some("this node knows no metadata leader".to_owned());
        }
        if metrics.state != ServerState::Leader {
            return None;
        }
        let leads_for = self.shared.leadership.borrow().map_or(Duration::ZERO, |now| now.since.elapsed());
        if leads_for > SILENT_MAX && !self.quorum_lease(Instant::now()) {
            return Some("no majority of the metadata voters answers".to_owned());
        }
        if metrics.membership_config.membership().get_joint_config().len() > 1 {
            return Some("the metadata voters are being changed".to_owned());
        }
        peers.iter().filter(|peer| peer.voter).find_map(|peer| match (peer.silent_for, peer.lag) {
            (silent, _) if silent.unwrap_or(leads_for) > SILENT_MAX => {
                let seconds = silent.unwrap_or(leads_for).as_secs();
                Some(format!("metadata voter {} has not answered for {seconds} s", peer.node))
            }
            (_, Some(lag)) if lag > LAG_MAX => {
                Some(format!("metadata voter {} is {lag} entries behind", peer.node))
            }
            _ => None,
        })
    }
}

/// Entries that a member lacks, where this node leads and heard from it.
pub(super) fn lag(metrics: &RaftMetrics<TypeConfig>, node: u64) -> Option<u64> {
    let matched = metrics.replication.as_ref()?.get(&node)?.as_ref()?;
    Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched.index))
}

/// When the last message was sent that a member answered, where this node leads.
pub(super) fn last_answered(metrics: &RaftMetrics<TypeConfig>, node: u64) -> Option<Instant> {
    metrics.heartbeat.as_ref()?.get(&node)?.as_ref().map(|at| time_of(**at))
}
