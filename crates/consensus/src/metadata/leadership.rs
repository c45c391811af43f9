//! Leading, and being sure of it: what the supervisor of the data groups goes by.

use super::{ELECTION_MAX_MS, Metadata};
use crate::network::Network;
use crate::raft_types::{Raft, TypeConfig};
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::WatchReceiver;
use openraft::{Instant as _, RaftMetrics, ServerState, TokioInstant};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long after a send that a majority answered this node may act as the leader. Those who answered vote for nobody
/// else for `ELECTION_MAX_MS` after they received it; a sixth of that is left for clocks that run at different rates.
const LEASE: Duration = Duration::from_millis(ELECTION_MAX_MS * 5 / 6);

/// Longer than the followers' lease and election time together.
const QUORUM_LOSS_SILENCE: Duration = Duration::from_millis(3_000);

/// A time during which this node leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
    /// When this node noticed; never earlier than its election.
    pub since: Instant,
}

impl Metadata {
    /// Whether this node leads, and since when. Being elected says nothing of now: see `quorum_lease`.
    pub fn leadership(&self) -> watch::Receiver<Option<Leadership>> {
        self.shared.leadership.clone()
    }

    /// Whether this node leads at `now` for sure, and its catalogue shows all that earlier leaders committed: a majority
    /// has answered something it sent in the last second, so no other leader can have been elected, and an entry of its
    /// own term is applied. Rests on clocks that run at about the same rate, not on what they show.
    pub fn quorum_lease(&self, now: Instant) -> bool {
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        let sole = metrics.membership_config.membership().voter_ids().eq([self.shared.node]);
        let answered = metrics.last_quorum_acked.is_some_and(|at| now < time_of(*at) + LEASE);
        let knows = metrics.last_applied.is_some_and(|id| id.leader_id.term == metrics.current_term);
        let leads = metrics.running_state.is_ok() && metrics.state == ServerState::Leader;
        leads && knows && (sole || answered)
    }
}

/// Knows whether a majority answers this node while it leads.
pub(crate) struct QuorumWatch {
    node: u64,
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    leadership: watch::Receiver<Option<Leadership>>,
}

impl QuorumWatch {
    pub(super) fn new(raft: &Raft, leadership: watch::Receiver<Option<Leadership>>) -> Self {
        Self { node: *raft.node_id(), metrics: raft.metrics(), leadership }
    }

    /// Whether this node leads and should not be heard: no majority answered it while its lease lasted. Then it is
    /// silent for `QUORUM_LOSS_SILENCE` at a time, so that followers who hear it, but whom it cannot hear, elect
    /// another, and tries again for as long. The library's own check of this kind holds back heartbeats only, and what
    /// is sent again because its answer was lost renews the followers' lease as well.
    pub(crate) fn silent(&self, now: Instant) -> bool {
        let Some(leads) = *self.leadership.borrow() else { return false };
        let answered = {
            let metrics = self.metrics.borrow_watched();
            if metrics.membership_config.membership().voter_ids().eq([self.node]) {
                return false;
            }
            metrics.last_quorum_acked.map(|at| time_of(*at))
        };
        let last = answered.map_or(leads.since, |at| at.max(leads.since));
        let lost = now.saturating_duration_since(last).checked_sub(Duration::from_millis(ELECTION_MAX_MS));
        lost.is_some_and(|lost| (lost.as_millis() / QUORUM_LOSS_SILENCE.as_millis()).is_multiple_of(2))
    }
}

/// The same instant on tokio's clock; early by what the conversion takes, never late.
pub(super) fn time_of(at: TokioInstant) -> Instant {
    let now = Instant::now();
    now.checked_sub(at.elapsed()).unwrap_or(now)
}

/// Follows elections and members until the metadata stops.
pub(super) fn observe(
    raft: &Raft,
    network: Network,
    mut stopping: watch::Receiver<bool>,
) -> (watch::Receiver<Option<Leadership>>, JoinHandle<()>) {
    let mut metrics = raft.server_metrics();
    let (sender, receiver) = watch::channel(None);
    let task = tokio::spawn(async move {
        loop {
            let (leads, term) = {
                let metrics = metrics.borrow_and_update();
                network.set_members(metrics.membership_config.membership().clone());
                (metrics.state == ServerState::Leader, metrics.vote.leader_id.term)
            };
            sender.send_if_modified(|known: &mut Option<Leadership>| {
                let news = leads != known.is_some() || known.is_some_and(|known| known.term != term);
                if news {
                    *known = leads.then(|| Leadership { term, since: Instant::now() });
                }
                news
            });
            tokio::select! {
                changed = metrics.changed() => if changed.is_err() { break },
                _ = stopping.wait_for(|stopping| *stopping) => break,
            }
        }
        sender.send_replace(None);
    });
    (receiver, task)
}
