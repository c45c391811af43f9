//! One copy's part in the protocol: its role by the newest view, what it is told, and what is to be done.
//!
//! Driven by `Replica`: every input is followed by carrying out the actions in their order. `log` is the copy's log as it
//! is at that moment.

use super::follower::Follower;
use super::message::{Append, Content, Heartbeat, Message};
use super::options::{ReplicationOptions, mutated};
use super::primary::{Primary, Proposal, Refusal};
use super::view::View;
use crate::epoch_table::EpochTable;
use crate::group_copy::Accepted;
use crate::position::Position;
use crate::shipment::Shipment;
use lavandin_types::{NodeId, PrimaryEpoch, SequenceNumber};
use std::cmp::Ordering;

/// What the replicator knows of its copy's log.
#[derive(Clone, Copy)]
pub struct LogState<'a> {
    pub last: Position,
    pub durable: SequenceNumber,
    /// Everything up to here is known to be committed.
    pub committed: SequenceNumber,
    pub epochs: &'a EpochTable,
}

/// What is to be done with the copy, or said to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take no records of an epoch below any more, durably, before anything that follows.
    Promise(PrimaryEpoch),
    /// Begin a reign: promise, and stage the barrier. Then tell `began`.
    Lead(PrimaryEpoch),
    /// The reign is over. Whoever waits for an outcome gets none.
    Follow,
    /// Take the records that came with the message. Then tell `accepted`.
    Accept {
        from: NodeId,
        previous: Position,
    },
    /// Apply up to here.
    Advance(SequenceNumber),
    Send {
        to: NodeId,
        message: Message,
    },
    /// Say where this log stands.
    SendStatus {
        to: NodeId,
    },
    Propose(Proposal),
    /// Get a snapshot from the primary.
    FetchSnapshot {
        from: NodeId,
    },
}

enum Role {
    Primary(Box<Primary>),
    /// Also of copies that are no members at present: they obey whoever the metadata lets speak to them.
    Follower(Follower),
}

pub struct Replicator {
    options: ReplicationOptions,
    promised: PrimaryEpoch,
    view: Option<View>,
    role: Role,
    lease_until_ms: u64,
    actions: Vec<Action>,
}

impl Replicator {
    /// For a copy that has promised `promised`. The node is registered by then, so that a copy which has lost its disk
    /// learns the present epoch before it takes any record.
    pub fn new(options: ReplicationOptions, promised: PrimaryEpoch) -> Self {
        let role = Role::Follower(Follower::default());
        Self { options, promised, view: None, role, lease_until_ms: 0, actions: Vec::new() }
    }

    pub fn options(&self) -> &ReplicationOptions {
        &self.options
    }

    /// What there is to do; in this order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// A state of the metadata that is committed, and not older than the node's registration. Of states at one revision,
    /// which differ in their observers at most, the later one comes later.
    pub fn learn(&mut self, view: View, log: LogState<'_>, now: u64) {
        match self.view.as_ref().map(|known| known.revision().cmp(&view.revision())) {
            Some(Ordering::Greater) => return,
            Some(Ordering::Equal) => return self.learn_observers(view, log, now),
            Some(Ordering::Less) | None => self.view = Some(view.clone()),
        }
        if let Role::Primary(primary) = &mut self.role
            && primary.view.epoch == view.epoch
        {
            primary.update(view, &log, now);
            return self.commit(log, now);
        }
        if view.epoch < self.promised {
            // The primary of a later epoch has spoken already.
            return;
        }
        let mine = view.in_sync.get(&self.options.me) == Some(&self.options.incarnation);
        if view.primary == self.options.me && (mine || mutated!(self.options, ResumeEpoch)) {
            self.step_down();
            self.promised = view.epoch;
            self.actions.push(Action::Lead(view.epoch));
            self.role = Role::Primary(Box::new(Primary::new(view, log.committed, now)));
        } else if view.epoch > self.promised {
            self.promise(view.epoch);
        }
    }

    fn learn_observers(&mut self, view: View, log: LogState<'_>, now: u64) {
        if let Role::Primary(primary) = &mut self.role {
            primary.observe(view.observers.clone(), &log, now);
        }
        self.view = Some(view);
    }

    /// The copy has staged the barrier of its reign.
    pub fn began(&mut self, barrier: SequenceNumber, log: LogState<'_>, now: u64) {
        if let Role::Primary(primary) = &mut self.role {
            primary.began(barrier, now);
            self.commit(log, now);
        }
    }

    /// The reign could not begin: the copy has promised a later epoch than the view tells of.
    pub fn cannot_lead(&mut self) {
        self.role = Role::Follower(Follower::default());
    }

    /// The metadata answered a heartbeat that was sent at `sent_ms`.
    pub fn extend_lease(&mut self, sent_ms: u64, log: LogState<'_>, now: u64) {
        let from = if mutated!(self.options, LeaseFromReceipt) { now } else { sent_ms };
        self.lease_until_ms = self.lease_until_ms.max(from + self.options.lease_ms);
        self.commit(log, now);
    }

    /// The log has grown, or more of it is durable.
    pub fn log_changed(&mut self, log: LogState<'_>, now: u64) {
        if let Role::Primary(primary) = &mut self.role {
            primary.note_log(&log, now);
        }
        self.commit(log, now);
        self.settle(log);
    }

    pub fn receive(&mut self, from: NodeId, message: Message, log: LogState<'_>, now: u64) {
        if message.group != self.options.group {
            return;
        }
        match message.content {
            Content::Acknowledge { .. } | Content::Status(_) => {
                if let Role::Primary(primary) = &mut self.role {
                    primary.receive(&self.options, (from, message), &log, now);
                    self.commit(log, now);
                }
            }
            Content::Append(_) | Content::Heartbeat(_) | Content::SnapshotNeeded { .. } => {
                self.obey(from, message, log);
            }
        }
    }

    /// What became of the records of an `Accept`.
    pub fn accepted(&mut self, from: NodeId, accepted: Accepted, log: LogState<'_>) {
        let Role::Follower(follower) = &mut self.role else { return };
        match accepted {
            Accepted::Matched(position) => {
                follower.matched = follower.matched.max(position.sequence);
                follower.owes = true;
                self.settle(log);
            }
            Accepted::Mismatch => self.actions.push(Action::SendStatus { to: from }),
        }
    }

    /// Time has passed. To be called every `commit_notice_ms`.
    pub fn tick(&mut self, log: LogState<'_>, now: u64) {
        if let Role::Primary(primary) = &mut self.role {
            let (messages, proposal) = primary.tick(&self.options, &log, now);
            self.actions.extend(messages.into_iter().map(|(to, message)| Action::Send { to, message }));
            self.actions.extend(proposal.map(Action::Propose));
        }
        self.commit(log, now);
    }

    /// The proposal had an answer, of whatever kind, or none in time.
    pub fn proposal_ended(&mut self, now: u64) {
        if let Role::Primary(primary) = &mut self.role {
            primary.proposal_ended(&self.options, now);
        }
    }

    /// A copy to which records should go now: from which one on, and how many bytes at most. Answered by `shipped`.
    pub fn next_shipment(&self, log: LogState<'_>) -> Option<(NodeId, SequenceNumber, usize)> {
        match &self.role {
            Role::Primary(primary) => primary.next_shipment(&self.options, &log),
            Role::Follower(_) => None,
        }
    }

    /// The message that takes the records to their copy. `None` stands for records that the log no longer holds.
    pub fn shipped(&mut self, to: NodeId, shipment: Option<&Shipment>, now: u64) -> Option<Message> {
        let Role::Primary(primary) = &mut self.role else { return None };
        let committed = primary.committed;
        let peer = primary.peer(to)?;
        let content = match shipment {
            Some(shipment) => {
                peer.sent(shipment.last.sequence, shipment.records.len(), committed, now);
                Content::Append(Append { previous: shipment.previous, committed })
            }
            None => {
                peer.needs_snapshot = true;
                Content::SnapshotNeeded { from: peer.lacks() }
            }
        };
        let (epoch, incarnation) = (self.promised, peer.incarnation);
        Some(Message { group: self.options.group, epoch, incarnation, content })
    }

    /// Tells the other copies at once what is committed, unless records are on their way that will.
    pub fn notices(&mut self, log: LogState<'_>, now: u64) -> Vec<(NodeId, Message)> {
        match &mut self.role {
            Role::Primary(primary) => primary.notices(&self.options, &log, now),
            Role::Follower(_) => Vec::new(),
        }
    }

    /// A record of that epoch and number was acknowledged, whoever says so: it is committed, and all before it. A log that
    /// has it is the same up to there.
    pub fn learn_committed(&mut self, epoch: PrimaryEpoch, sequence: SequenceNumber, log: LogState<'_>) {
        let holds = sequence <= log.durable && log.epochs.epoch_of(sequence) == Some(epoch);
        if holds && matches!(self.role, Role::Follower(_)) {
            self.actions.push(Action::Advance(sequence));
        }
    }

    /// A snapshot as of `position` goes to a copy: the log behind it is kept.
    pub fn snapshot_taken(&mut self, to: NodeId, position: SequenceNumber) {
        if let Role::Primary(primary) = &mut self.role
            && let Some(peer) = primary.peer(to)
        {
            peer.pin = Some(position.next());
        }
    }

    /// A `FetchSnapshot` came to its end.
    pub fn snapshot_ended(&mut self, installed: bool) {
        let Role::Follower(follower) = &mut self.role else { return };
        follower.fetching = false;
        if let Some(leader) = follower.leader.filter(|_| installed) {
            self.actions.push(Action::SendStatus { to: leader });
        }
    }

    /// The oldest record that the log must keep for another copy.
    pub fn pin(&self) -> Option<SequenceNumber> {
        match &self.role {
            Role::Primary(primary) => primary.pin(),
            Role::Follower(_) => None,
        }
    }

    /// The epoch of this copy's reign, ready or not.
    pub fn reign(&self) -> Option<PrimaryEpoch> {
        match &self.role {
            Role::Primary(primary) => Some(primary.view.epoch),
            Role::Follower(_) => None,
        }
    }

    /// Whether a request may be staged now. Asked before anything is logged.
    pub fn can_write(&self, now: u64) -> Result<(), Refusal> {
        match &self.role {
            Role::Primary(primary) => primary.can_write(&self.options, self.is_leased(now)),
            Role::Follower(follower) => Err(Refusal::NotPrimary { primary: follower.leader }),
        }
    }

    /// Whether what is committed may be acknowledged now.
    pub fn can_acknowledge(&self, now: u64) -> bool {
        matches!(&self.role, Role::Primary(primary) if primary.has_enough_copies()) && self.is_leased(now)
    }

    /// Whether this copy holds every acknowledged write now, and no other copy has acknowledged more. To be asked after
    /// reading: a pause may have lasted longer than the lease.
    pub fn can_read_as_primary(&self, now: u64) -> bool {
        matches!(&self.role, Role::Primary(primary) if primary.is_ready(&self.options)) && self.is_leased(now)
    }

    /// Begins a round of confirmation, for a read that relies on no clock; its number. A primary that is alone in its
    /// in-sync set is never confirmed so: it asks the metadata.
    pub fn confirm(&mut self) -> Option<u64> {
        match &mut self.role {
            Role::Primary(primary) if primary.is_ready(&self.options) => Some(primary.confirm()),
            _ => None,
        }
    }

    pub fn is_confirmed(&self, round: u64) -> bool {
        matches!(&self.role, Role::Primary(primary) if primary.is_confirmed(round))
    }

    /// When the lease ends, on the clock of the caller.
    pub fn lease_until_ms(&self) -> u64 {
        self.lease_until_ms
    }

    fn is_leased(&self, now: u64) -> bool {
        now < self.lease_until_ms || mutated!(self.options, NoLease)
    }

    /// A message of a primary.
    fn obey(&mut self, from: NodeId, message: Message, log: LogState<'_>) {
        if message.incarnation != self.options.incarnation && !mutated!(self.options, AnyIncarnation) {
            return;
        }
        if message.epoch > self.promised {
            self.promise(message.epoch);
        } else if message.epoch < self.promised && !mutated!(self.options, IgnoreEpoch) {
            return self.actions.push(Action::SendStatus { to: from });
        }
        let Role::Follower(follower) = &mut self.role else { return };
        follower.leader = Some(from);
        match message.content {
            Content::Append(Append { previous, committed }) => {
                follower.told = follower.told.max(committed);
                self.actions.push(Action::Accept { from, previous });
            }
            Content::Heartbeat(Heartbeat { committed, round }) => {
                follower.told = follower.told.max(committed);
                follower.round = follower.round.max(round);
                self.acknowledge(log);
                self.settle(log);
            }
            // A snapshot was installed meanwhile, and the primary has not heard of it.
            Content::SnapshotNeeded { from: lacked } if log.committed >= lacked => {
                self.actions.push(Action::SendStatus { to: from });
            }
            Content::SnapshotNeeded { .. } if follower.fetching => {}
            Content::SnapshotNeeded { .. } => {
                follower.fetching = true;
                self.actions.push(Action::FetchSnapshot { from });
            }
            Content::Acknowledge { .. } | Content::Status(_) => {}
        }
    }

    /// Obeys nobody below `epoch` any more.
    fn promise(&mut self, epoch: PrimaryEpoch) {
        self.step_down();
        self.promised = epoch;
        self.actions.push(Action::Promise(epoch));
    }

    fn step_down(&mut self) {
        if matches!(self.role, Role::Primary(_)) {
            self.actions.push(Action::Follow);
        }
        let fetching = matches!(&self.role, Role::Follower(follower) if follower.fetching);
        self.role = Role::Follower(Follower { fetching, ..Follower::default() });
    }

    /// A primary commits what it may.
    fn commit(&mut self, log: LogState<'_>, now: u64) {
        let leased = self.is_leased(now);
        if let Role::Primary(primary) = &mut self.role {
            let committed = primary.commit(&self.options, &log, leased);
            self.actions.extend(committed.map(Action::Advance));
        }
    }

    /// A follower acknowledges what it owes once it is durable, and applies what it may.
    fn settle(&mut self, log: LogState<'_>) {
        let early = mutated!(self.options, AcknowledgeBeforeSync);
        let Role::Follower(follower) = &mut self.role else { return };
        if follower.owes && (follower.matched <= log.durable || early) {
            follower.owes = false;
            self.acknowledge(log);
        }
        let Role::Follower(follower) = &self.role else { return };
        let unmatched = mutated!(self.options, CommitUnmatched);
        let committed = if unmatched { follower.told } else { follower.committed() };
        if committed > SequenceNumber::ZERO {
            self.actions.push(Action::Advance(committed));
        }
    }

    fn acknowledge(&mut self, log: LogState<'_>) {
        let early = mutated!(self.options, AcknowledgeBeforeSync);
        let Role::Follower(Follower { leader: Some(leader), matched, round, .. }) = &self.role else {
            return;
        };
        let durable = if early { *matched } else { log.durable.min(*matched) };
        let content = Content::Acknowledge { durable, round: *round };
        let (group, incarnation) = (self.options.group, self.options.incarnation);
        let message = Message { group, epoch: self.promised, incarnation, content };
        self.actions.push(Action::Send { to: *leader, message });
    }
}

#[cfg(test)]
mod tests;
