//! A primary's reign: what is committed, who is waited for, whose removal and admission is proposed.
//!
//! 1. The reign begins with a barrier behind everything in the log. Once that is committed, so is all before it, and
//!    requests are taken.
//! 2. A record is committed when `commit_point` reaches it. That function is the acknowledgement rule.
//! 3. A copy that stays behind is proposed for removal. It is waited for until the removal is known to be committed.
//! 4. A joiner that keeps up is waited for, too, and then proposed for admission. It stops being waited for only when
//!    the view is known to have changed otherwise, for until then its admission may yet be committed.

use super::message::{Content, Heartbeat, Message, Status};
use super::options::{ReplicationOptions, mutated};
use super::peer::Peer;
use super::replicator::LogState;
use super::view::{Revision, View};
use lavandin_types::{NodeId, SequenceNumber};
use std::collections::BTreeMap;
use thiserror::Error;

/// A change of the view that the primary wants, to be made only where the view is still at `expected`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// That copy missed a write.
    Shrink { expected: Revision, remove: NodeId },
    /// The joiner holds everything that was acknowledged.
    Grow { expected: Revision, node: NodeId, incarnation: u64 },
    /// The joiner does not answer.
    DropJoiner { expected: Revision },
}

/// Why a copy takes no writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Another copy is the primary, if it is known which.
    #[error("this copy is not the group's primary; ask for the present one and try again")]
    NotPrimary { primary: Option<NodeId> },
    /// It has not committed its barrier.
    #[error(
        "this copy has become the group's primary and is settling what it found; try again after a moment"
    )]
    NotReady,
    /// The metadata has not answered for the length of a lease.
    #[error(
        "this node has had no answer from the cluster's metadata for too long; check the network, then try again"
    )]
    LeaseOver,
    #[error(
        "{in_sync} copies of the group are in sync, and {min_in_sync} are required for writes; bring a replica back, or lower the minimum"
    )]
    TooFewCopies { in_sync: usize, min_in_sync: usize },
}

pub(super) struct Primary {
    pub view: View,
    /// The barrier; `None` until the copy has staged it.
    barrier: Option<SequenceNumber>,
    pub committed: SequenceNumber,
    peers: BTreeMap<NodeId, Peer>,
    /// The joiner counts as if it were in sync.
    joiner_required: bool,
    /// The end of the log at some moment: a joiner that has it by `join_lag_ms` later keeps up.
    join_mark: (SequenceNumber, u64),
    proposal: Option<Proposal>,
    propose_from_ms: u64,
    round: u64,
    /// Another copy has told of a later epoch.
    fenced: bool,
    ticked_ms: u64,
}

impl Primary {
    pub(super) fn new(view: View, committed: SequenceNumber, now: u64) -> Self {
        Self {
            view,
            barrier: None,
            committed,
            peers: BTreeMap::new(),
            joiner_required: false,
            join_mark: Default::default(),
            proposal: None,
            propose_from_ms: 0,
            round: 0,
            fenced: false,
            ticked_ms: now,
        }
    }

    /// The barrier is staged. Everyone is asked whether they hold the record before it.
    pub(super) fn began(&mut self, barrier: SequenceNumber, now: u64) {
        self.barrier = Some(barrier);
        self.join_mark = (barrier, now);
        self.meet_peers(barrier, now);
    }

    /// The acknowledgement rule. Up to here every copy that could be promoted has the log on its disk:
    ///
    /// - this one, and
    /// - every copy of the in-sync set as it is *known* to be: one whose removal is proposed counts until the removal is
    ///   known to be committed, and
    /// - the joiner from the moment it is required, which is before its admission is proposed.
    ///
    /// What is not up to here must not be acknowledged. What is, may be, while the lease is valid.
    fn commit_point(&self, options: &ReplicationOptions, log: &LogState<'_>) -> SequenceNumber {
        let mine = if mutated!(options, CommitBeforeLocalSync) { log.last.sequence } else { log.durable };
        let waited_for = self.waited_for(options).map(|node| self.matched(node));
        waited_for.fold(mine, SequenceNumber::min)
    }

    /// The other copies that the commit point waits for.
    fn waited_for(&self, options: &ReplicationOptions) -> impl Iterator<Item = NodeId> {
        let excused = match &self.proposal {
            Some(Proposal::Shrink { remove, .. }) if mutated!(options, AcknowledgeBeforeShrink) => {
                Some(*remove)
            }
            _ => None,
        };
        let joiner = self.view.joiner.filter(|_| self.joiner_required).map(|(node, _)| node);
        let in_sync =
            self.view.in_sync.keys().copied().chain(joiner).filter(|node| *node != self.view.primary);
        in_sync.filter(move |node| excused != Some(*node))
    }

    fn matched(&self, node: NodeId) -> SequenceNumber {
        self.peers.get(&node).map(|peer| peer.matched).unwrap_or_default()
    }

    /// Moves the commit point as far as it may go. The new one, if it moved.
    pub(super) fn commit(
        &mut self,
        options: &ReplicationOptions,
        log: &LogState<'_>,
        leased: bool,
    ) -> Option<SequenceNumber> {
        if self.fenced || self.barrier.is_none() || !leased {
            return None;
        }
        let point = self.commit_point(options, log);
        (point > self.committed).then(|| {
            self.committed = point;
            point
        })
    }

    /// Whether the barrier is committed, and with it all that an earlier primary may have acknowledged.
    pub(super) fn is_ready(&self, options: &ReplicationOptions) -> bool {
        self.barrier.is_some_and(|barrier| self.committed >= barrier || mutated!(options, NoBarrier))
            && !self.fenced
    }

    pub(super) fn has_enough_copies(&self) -> bool {
        self.view.in_sync.len() >= self.view.min_in_sync
    }

    pub(super) fn can_write(&self, options: &ReplicationOptions, leased: bool) -> Result<(), Refusal> {
        if !self.is_ready(options) {
            Err(Refusal::NotReady)
        } else if !leased {
            Err(Refusal::LeaseOver)
        } else if !self.has_enough_copies() {
            let (in_sync, min_in_sync) = (self.view.in_sync.len(), self.view.min_in_sync);
            Err(Refusal::TooFewCopies { in_sync, min_in_sync })
        } else {
            Ok(())
        }
    }

    /// A later version of the same epoch.
    pub(super) fn update(&mut self, view: View, log: &LogState<'_>, now: u64) {
        self.view = view;
        self.joiner_required = false;
        self.join_mark = (log.last.sequence, now);
        self.proposal = None;
        self.propose_from_ms = now;
        self.meet_peers(log.last.sequence.next(), now);
    }

    /// Other copies follow, or other incarnations of them. Nobody waits for those, so no proposal is touched.
    pub(super) fn observe(&mut self, observers: BTreeMap<NodeId, u64>, log: &LogState<'_>, now: u64) {
        if observers != self.view.observers {
            self.view.observers = observers;
            self.meet_peers(log.last.sequence.next(), now);
        }
    }

    /// Keeps those that it knows, lets go of those that left, and begins with the others at `next`.
    fn meet_peers(&mut self, next: SequenceNumber, now: u64) {
        if self.barrier.is_none() {
            return;
        }
        let mut known = std::mem::take(&mut self.peers);
        for (node, incarnation) in self.view.others() {
            let peer = known.remove(&node).filter(|peer| peer.incarnation == incarnation);
            self.peers.insert(node, peer.unwrap_or_else(|| Peer::new(incarnation, next, now)));
        }
    }

    pub(super) fn receive(
        &mut self,
        options: &ReplicationOptions,
        (from, message): (NodeId, Message),
        log: &LogState<'_>,
        now: u64,
    ) {
        if message.epoch > self.view.epoch {
            self.fenced = true;
        }
        let of_this_reign = message.epoch == self.view.epoch || mutated!(options, AcknowledgementsOfAnyEpoch);
        let Some(peer) = self.peers.get_mut(&from).filter(|_| of_this_reign) else { return };
        if peer.incarnation != message.incarnation && !mutated!(options, AnyIncarnation) {
            return;
        }
        match message.content {
            Content::Acknowledge { durable, round } => {
                peer.acknowledged(durable.min(log.last.sequence), log.last.sequence, now);
                peer.round = peer.round.max(round.min(self.round));
            }
            Content::Status(Status { last, epochs }) => {
                peer.heard(now);
                let fork = log.epochs.fork(log.last.sequence, &epochs, last);
                if self.view.observers.contains_key(&from) {
                    // Nobody counts on it, and it may have begun anew.
                    peer.matched = peer.matched.min(fork);
                }
                peer.restart_behind(fork, now);
            }
            Content::Append(_) | Content::Heartbeat(_) | Content::SnapshotNeeded { .. } => {}
        }
    }

    pub(super) fn note_log(&mut self, log: &LogState<'_>, now: u64) {
        self.peers.values_mut().for_each(|peer| peer.note_last(log.last.sequence, now));
    }

    /// A copy that should be sent records now: from which on, and how many bytes.
    pub(super) fn next_shipment(
        &self,
        options: &ReplicationOptions,
        log: &LogState<'_>,
    ) -> Option<(NodeId, SequenceNumber, usize)> {
        self.peers.iter().find_map(|(node, peer)| {
            let (from, bytes_max) = peer.due(options, log.last.sequence)?;
            Some((*node, from, bytes_max))
        })
    }

    pub(super) fn peer(&mut self, node: NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(&node)
    }

    /// The oldest record that a copy which catches up will need.
    pub(super) fn pin(&self) -> Option<SequenceNumber> {
        let catching_up = self.peers.iter().filter(|(node, _)| !self.view.in_sync.contains_key(node));
        catching_up.map(|(_, peer)| peer.needed()).min()
    }

    /// Asks the other in-sync copies whether this is still the primary; the round to ask `is_confirmed` about.
    pub(super) fn confirm(&mut self) -> u64 {
        self.round += 1;
        // The next heartbeats are due at once.
        self.peers.values_mut().for_each(|peer| peer.told(SequenceNumber::ZERO, 0));
        self.round
    }

    pub(super) fn is_confirmed(&self, round: u64) -> bool {
        let others = self.view.in_sync.keys().filter(|node| **node != self.view.primary);
        let confirmed = |node| self.peers.get(node).is_some_and(|peer: &Peer| peer.round >= round);
        self.view.in_sync.len() > 1 && others.into_iter().all(confirmed) && !self.fenced
    }

    /// Heartbeats that are due, and what is to be proposed. Called at least every `commit_notice_ms`.
    pub(super) fn tick(
        &mut self,
        options: &ReplicationOptions,
        log: &LogState<'_>,
        now: u64,
    ) -> (Vec<(NodeId, Message)>, Option<Proposal>) {
        if self.barrier.is_none() {
            return (Vec::new(), None);
        }
        if now > self.ticked_ms + options.silence_ms / 2 {
            self.peers.values_mut().for_each(|peer| peer.excuse(now));
        }
        self.ticked_ms = now;
        let mut messages = Vec::new();
        for (node, peer) in &mut self.peers {
            if peer.is_stuck(options, now) {
                if peer.needs_snapshot {
                    let content = Content::SnapshotNeeded { from: peer.lacks() };
                    messages.push((*node, message(options, &self.view, peer, content)));
                }
                peer.retry(now);
            }
            if peer.is_heartbeat_due(options, self.committed, now) {
                let heartbeat = Heartbeat { committed: self.committed, round: self.round };
                messages.push((*node, message(options, &self.view, peer, Content::Heartbeat(heartbeat))));
                peer.told(self.committed, now);
            }
        }
        self.require_joiner(options, log, now);
        (messages, self.propose(options, now))
    }

    /// What is committed is acknowledged in this moment: a copy that is told at once shows it, whatever becomes of this
    /// one. While more is on its way, the next records bring the news.
    pub(super) fn notices(
        &mut self,
        options: &ReplicationOptions,
        log: &LogState<'_>,
        now: u64,
    ) -> Vec<(NodeId, Message)> {
        if self.committed < log.last.sequence {
            return Vec::new();
        }
        let mut messages = Vec::new();
        for (node, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.told < self.committed) {
            let heartbeat = Heartbeat { committed: self.committed, round: self.round };
            messages.push((*node, message(options, &self.view, peer, Content::Heartbeat(heartbeat))));
            peer.told(self.committed, now);
        }
        messages
    }

    /// A joiner that has by now what the log held a moment ago is waited for from now on.
    fn require_joiner(&mut self, options: &ReplicationOptions, log: &LogState<'_>, now: u64) {
        let Some((node, _)) = self.view.joiner.filter(|_| self.view.mirror && self.is_ready(options)) else {
            return;
        };
        let (mark, marked_ms) = self.join_mark;
        if !self.joiner_required && self.matched(node) >= mark && self.matched(node) > SequenceNumber::ZERO {
            self.joiner_required = !mutated!(options, JoinerNotRequired);
        } else if now >= marked_ms + options.join_lag_ms {
            self.join_mark = (log.last.sequence, now);
        }
    }

    fn propose(&mut self, options: &ReplicationOptions, now: u64) -> Option<Proposal> {
        if self.proposal.is_some() || now < self.propose_from_ms || self.fenced {
            return None;
        }
        let expected = self.view.revision();
        let silent = |node: &NodeId| self.peers.get(node).is_some_and(|peer| peer.is_silent(options, now));
        let mut others = self.view.in_sync.keys().copied().filter(|node| *node != self.view.primary);
        self.proposal = match others.find(|node| !self.view.mirror || silent(node)) {
            Some(remove) => Some(Proposal::Shrink { expected, remove }),
            None => self.propose_about_joiner(options, now),
        };
        self.proposal.clone()
    }

    fn propose_about_joiner(&self, options: &ReplicationOptions, now: u64) -> Option<Proposal> {
        let expected = self.view.revision();
        let (node, incarnation) = self.view.joiner?;
        let peer = self.peers.get(&node)?;
        if peer.is_unheard(options, now) || self.joiner_required && peer.is_silent(options, now) {
            return Some(Proposal::DropJoiner { expected });
        }
        let unasked = mutated!(options, JoinerNotRequired) && self.is_ready(options);
        let forgotten = mutated!(options, ForgetJoiner) && self.join_mark.1 == u64::MAX / 2;
        let required = self.joiner_required || unasked || forgotten;
        (required && peer.matched >= self.committed && peer.matched > SequenceNumber::ZERO)
            .then_some(Proposal::Grow { expected, node, incarnation })
    }

    /// The proposal had an answer, or none in time. What came of it is learnt with the view.
    pub(super) fn proposal_ended(&mut self, options: &ReplicationOptions, now: u64) {
        self.proposal = None;
        self.propose_from_ms = now + options.retry_ms;
        if mutated!(options, ForgetJoiner) {
            self.joiner_required = false;
            self.join_mark = (SequenceNumber::new(u64::MAX), u64::MAX / 2);
        }
    }
}

/// A message to a peer.
pub(super) fn message(options: &ReplicationOptions, view: &View, peer: &Peer, content: Content) -> Message {
    Message { group: options.group, epoch: view.epoch, incarnation: peer.incarnation, content }
}

#[cfg(test)]
mod tests;
