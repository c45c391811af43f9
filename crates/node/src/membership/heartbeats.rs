//! Heartbeats to the metadata's leader, whose answers are the node's lease.

use super::{Membership, groups_in_sync};
use crate::peers::{ControlReply, ControlRequest, CopyForm, method};
use bytes::Bytes;
use lavandin_cluster::CopyReport;
use lavandin_peer::Lane;
use lavandin_types::NodeId;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Pause after a heartbeat that nobody answered.
const RETRY: Duration = Duration::from_millis(100);
/// How often a node alone looks whether it still is.
const ALONE_PAUSE: Duration = Duration::from_millis(500);

impl Membership {
    pub(super) async fn send_heartbeats(&self) {
        loop {
            let pause = Duration::from_millis(self.metadata.catalogue().options().heartbeat_ms());
            let begun = Instant::now();
            let answered = match self.heartbeat() {
                Some(request) => self.beat(&request, pause * 2).await,
                None => {
                    tokio::time::sleep(ALONE_PAUSE).await;
                    continue;
                }
            };
            let next = begun + if answered { pause } else { RETRY };
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.beat_now.notified() => {}
            }
        }
    }

    /// What to say now; nothing before the node is registered, and while there is nobody else.
    fn heartbeat(&self) -> Option<ControlRequest> {
        let part = (*self.part.borrow()).filter(|_| !self.is_alone())?;
        let report = |local: std::sync::Arc<crate::groups::LocalGroup>| {
            let (epoch, sequence) = local.serving.log_end();
            CopyForm::from(CopyReport {
                group: local.id,
                epoch,
                sequence,
                damaged: local.is_out_of_order(),
                yields: *local.serving.yields().borrow(),
                rebuild: local.rebuild.shown(),
            })
        };
        let closed = self.repairs.reports().into_iter().map(CopyForm::from);
        let copies = self.groups.all().into_iter().map(report).chain(closed).collect();
        let (node, incarnation) = (part.node.get(), part.incarnation);
        let stopping = self.stopping_soon.load(Ordering::Acquire);
        Some(ControlRequest::Heartbeat { node, incarnation, copies, stopping })
    }

    async fn beat(&self, request: &ControlRequest, timeout: Duration) -> bool {
        let sent_ms = self.clock.now_ms();
        match self.ask_leader(request, timeout).await {
            Ok(ControlReply::Renewed { index }) => {
                // The leader may have told the others something in the same breath that this node must know first.
                let mut applied = self.metadata.changed();
                let caught_up = applied.wait_for(|applied| *applied > index);
                if matches!(tokio::time::timeout(timeout, caught_up).await, Ok(Ok(_))) {
                    self.groups.lease.renew(sent_ms);
                    self.note_copies_in_sync(sent_ms);
                    return true;
                }
                false
            }
            Ok(ControlReply::Superseded) => {
                let part = *self.part.borrow();
                if let Some(part) = part {
                    drop(self.leave_superseded(part, part.incarnation + 1));
                }
                false
            }
            _ => false,
        }
    }

    /// Of what was acknowledged before that moment everything is in the logs of those copies that were in sync then.
    fn note_copies_in_sync(&self, moment_ms: u64) {
        for group in groups_in_sync(&self.metadata.catalogue(), self.identity.node) {
            if let Some(local) = self.groups.get(group) {
                local.serving.note_in_sync(moment_ms);
            }
        }
    }

    /// Asks who leads the metadata, as far as this node or those that it knows can tell.
    pub(super) async fn ask_leader(
        &self,
        request: &ControlRequest,
        timeout: Duration,
    ) -> Result<ControlReply, String> {
        let deadline = Instant::now() + timeout;
        let status = self.metadata.status();
        if status.leader == Some(self.identity.node) {
            return Ok(self.answer(request.clone()).await);
        }
        let leader = status.leader.and_then(|leader| {
            let peer = status.peers.iter().find(|peer| peer.node == leader)?;
            Some((leader, peer.address.clone()))
        });
        let known = match leader {
            Some(leader) => vec![leader],
            None => self.contacts(),
        };
        self.ask_around(known, request, deadline).await
    }

    /// Asks each in turn, and follows those who name the leader.
    pub(super) async fn ask_around(
        &self,
        mut known: Vec<(NodeId, String)>,
        request: &ControlRequest,
        deadline: Instant,
    ) -> Result<ControlReply, String> {
        let mut reason = "no member of the cluster is known".to_owned();
        let mut followed = false;
        known.reverse();
        while let Some((node, address)) = known.pop() {
            match self
                .control((&address, Some(node).filter(|node| *node != NodeId::ZERO)), request, deadline)
                .await
            {
                Ok(ControlReply::Elsewhere { leader: Some((node, address)) }) if !followed => {
                    followed = true;
                    known.push((NodeId::new(node), address));
                }
                Ok(ControlReply::Elsewhere { .. }) => reason = "the metadata has no leader yet".to_owned(),
                Ok(reply) => return Ok(reply),
                Err(error) => reason = error,
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(reason)
    }

    /// One control call.
    pub(super) async fn control(
        &self,
        (uri, node): (&str, Option<NodeId>),
        request: &ControlRequest,
        deadline: Instant,
    ) -> Result<ControlReply, String> {
        let payload = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let called =
            self.peers.call((uri, node), method::CONTROL, Lane::NONE, Bytes::from(payload), deadline);
        let reply = called.await.map_err(|error| format!("{uri}: {error}"))?;
        serde_json::from_slice(&reply)
            .map_err(|error| format!("{uri} gave an answer that cannot be read: {error}"))
    }

    /// Other nodes that may know the cluster.
    pub(super) fn contacts(&self) -> Vec<(NodeId, String)> {
        let catalogue = self.metadata.catalogue();
        let registered = catalogue.nodes().map(|info| (info.id, info.address.clone()));
        let seat = self.identity.seat.iter().flat_map(|seat| &seat.known);
        let seated = seat.map(|(node, address)| (NodeId::new(*node), address.clone()));
        let mut all: Vec<(NodeId, String)> = registered.chain(seated).collect();
        all.retain(|(node, address)| *node != self.identity.node && !address.is_empty());
        all.sort();
        all.dedup();
        all
    }
}
