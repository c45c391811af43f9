//! A copy of a group driven by the replication protocol: what the protocol decides is done to the copy, and what
//! concerns others is left as outputs.
//!
//! `node` owns one for each of its groups, on one thread: it passes on messages, the metadata's news and the clock,
//! calls `sync` whenever something is staged, and carries out the outputs after every call. Shipping does not wait for
//! the own disk: records are on their way while `sync` runs.
//!
//! An error means that this copy is at its end until it is opened again: its disk failed, or what it holds is damaged.

use crate::consumer::Consumer;
use crate::error::GroupError;
use crate::group_copy::{GroupCopy, Outcomes, Staged};
use crate::replication::{
    Action, Content, LogState, Message, Proposal, Refusal, ReplicationOptions, Replicator, Status, View,
};
use lavandin_types::{ErrorCode, NodeId, PrimaryEpoch, RequestId, SequenceNumber};
use std::fmt::Display;
use thiserror::Error;

/// What a replica leaves to its owner.
#[derive(Debug)]
pub enum Output<O> {
    /// `records` follow the message.
    Send { to: NodeId, message: Message, records: Vec<u8> },
    /// To be put to the metadata, and answered by `proposal_ended`.
    Propose(Proposal),
    /// Committed and applied. If not `certain`, too few copies are left to acknowledge it, and whoever waits is told that
    /// the outcome is unknown.
    Outcomes { outcomes: Outcomes<O>, certain: bool },
    /// Another copy is the primary now, or will be: for whoever still waits the outcome is unknown.
    ReignEnded,
    /// Get a snapshot from that copy and install it, or say that it failed.
    FetchSnapshot { from: NodeId },
    /// A part of the log that another copy needs is damaged. It counts as gone: that copy needs a snapshot, as of a
    /// checkpoint behind it.
    LogDamaged(GroupError),
}

/// Why a request was not staged. Nothing of it was logged.
#[derive(Clone, Debug, Error)]
pub enum StageError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl StageError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(_) => ErrorCode::Unavailable,
            Self::Group(error) => error.code(),
        }
    }
}

pub struct Replica<C: Consumer> {
    copy: GroupCopy<C>,
    replicator: Replicator,
    outputs: Vec<Output<C::Outcome>>,
}

impl<C: Consumer> Replica<C> {
    /// For a copy from `GroupCopy::open_replica`, after its node was registered as the incarnation in `options`.
    pub fn new(copy: GroupCopy<C>, options: ReplicationOptions) -> Self {
        let replicator = Replicator::new(options, copy.epoch());
        Self { copy, replicator, outputs: Vec::new() }
    }

    pub fn copy(&self) -> &GroupCopy<C> {
        &self.copy
    }

    pub fn replicator(&self) -> &Replicator {
        &self.replicator
    }

    /// For checkpoints and the consumer's own work.
    pub fn copy_mut(&mut self) -> &mut GroupCopy<C> {
        self.copy.set_pin(self.replicator.pin());
        &mut self.copy
    }

    pub fn take_outputs(&mut self) -> Vec<Output<C::Outcome>> {
        std::mem::take(&mut self.outputs)
    }

    /// A committed state of the metadata, not older than the node's registration.
    pub fn learn(&mut self, view: View, now: u64) -> Result<(), GroupError> {
        self.replicator.learn(view, log_state(&self.copy), now);
        self.carry_out(&[], now)
    }

    /// The metadata answered a heartbeat that was sent at `sent_ms`.
    pub fn extend_lease(&mut self, sent_ms: u64, now: u64) -> Result<(), GroupError> {
        self.replicator.extend_lease(sent_ms, log_state(&self.copy), now);
        self.carry_out(&[], now)
    }

    /// A message of another copy, and the records behind it.
    pub fn receive(
        &mut self,
        from: NodeId,
        message: Message,
        records: &[u8],
        now: u64,
    ) -> Result<(), GroupError> {
        self.replicator.receive(from, message, log_state(&self.copy), now);
        self.carry_out(records, now)
    }

    /// Validates a request and stages it; it is on its way to the other copies on return, and waits for `sync`.
    pub fn stage(
        &mut self,
        request_id: RequestId,
        request: C::Request,
        now: u64,
    ) -> Result<Staged<C>, StageError> {
        self.replicator.can_write(now)?;
        let staged = self.copy.stage(request_id, request)?;
        self.replicator.log_changed(log_state(&self.copy), now);
        self.carry_out(&[], now)?;
        Ok(staged)
    }

    /// Whether there is something for `sync` to do.
    pub fn wants_sync(&self) -> bool {
        self.copy.durable() != self.copy.last()
    }

    /// Makes durable what is staged or was received. The clock is read afterwards: the disk may have taken longer than
    /// the lease.
    pub fn sync(&mut self, clock: impl FnOnce() -> u64) -> Result<(), GroupError> {
        self.copy.write_and_sync()?;
        let now = clock();
        self.replicator.log_changed(log_state(&self.copy), now);
        self.carry_out(&[], now)
    }

    /// Time has passed. To be called every `commit_notice_ms`.
    pub fn tick(&mut self, now: u64) -> Result<(), GroupError> {
        self.replicator.tick(log_state(&self.copy), now);
        self.carry_out(&[], now)
    }

    /// The proposal had an answer, of whatever kind, or none in time.
    pub fn proposal_ended(&mut self, now: u64) {
        self.replicator.proposal_ended(now);
    }

    /// A record of that epoch and number was acknowledged, see `Replicator::learn_committed`.
    pub fn learn_committed(
        &mut self,
        epoch: PrimaryEpoch,
        sequence: SequenceNumber,
        now: u64,
    ) -> Result<(), GroupError> {
        self.replicator.learn_committed(epoch, sequence, log_state(&self.copy));
        self.carry_out(&[], now)
    }

    /// Begins a round of confirmation for a linearizable read, see `Replicator::confirm`.
    pub fn confirm(&mut self) -> Option<u64> {
        self.replicator.confirm()
    }

    /// A snapshot as of `position` goes to another copy.
    pub fn snapshot_taken(&mut self, to: NodeId, position: SequenceNumber) {
        self.replicator.snapshot_taken(to, position);
    }

    /// Becomes the copy that the snapshot was taken of; not one that leads by now, whose records are those that count.
    pub fn install_snapshot<E: Display>(
        &mut self,
        snapshot: &[u8],
        make: impl FnOnce(&[u8]) -> Result<C, E>,
        now: u64,
    ) -> Result<(), GroupError> {
        let installed = match self.replicator.reign() {
            None => self.copy.install_snapshot(snapshot, make),
            Some(_) => {
                let group = self.replicator.options().group;
                Err(GroupError::BrokenShipment { group, what: "this copy leads its group by now" })
            }
        };
        self.replicator.snapshot_ended(installed.is_ok());
        self.carry_out(&[], now)?;
        installed
    }

    /// The snapshot could not be had. The primary tells again that it is needed.
    pub fn snapshot_failed(&mut self) {
        self.replicator.snapshot_ended(false);
    }

    fn carry_out(&mut self, records: &[u8], now: u64) -> Result<(), GroupError> {
        loop {
            let actions = self.replicator.take_actions();
            if actions.is_empty() {
                self.ship(now)?;
                let notices = self.replicator.notices(log_state(&self.copy), now).into_iter();
                let notices = notices.map(|(to, message)| Output::Send { to, message, records: Vec::new() });
                self.outputs.extend(notices);
                return Ok(());
            }
            for action in actions {
                self.perform(action, records, now)?;
            }
        }
    }

    fn perform(&mut self, action: Action, records: &[u8], now: u64) -> Result<(), GroupError> {
        match action {
            Action::Promise(epoch) => self.copy.promise(epoch)?,
            Action::Lead(epoch) => self.lead(epoch, now)?,
            Action::Follow => {
                self.copy.follow();
                self.outputs.push(Output::ReignEnded);
            }
            Action::Accept { from, previous } => {
                let accepted = match self.copy.accept(self.copy.epoch(), previous, records) {
                    // What is malformed counts as lost on the way.
                    Err(GroupError::BrokenShipment { .. }) => return Ok(()),
                    accepted => accepted?,
                };
                self.replicator.accepted(from, accepted, log_state(&self.copy));
            }
            Action::Advance(committed) => {
                let outcomes = self.copy.advance(committed)?;
                if !outcomes.is_empty() {
                    let certain = self.replicator.can_acknowledge(now);
                    self.outputs.push(Output::Outcomes { outcomes, certain });
                }
            }
            Action::Send { to, message } => {
                self.outputs.push(Output::Send { to, message, records: Vec::new() });
            }
            Action::SendStatus { to } => self.send_status(to),
            Action::Propose(proposal) => self.outputs.push(Output::Propose(proposal)),
            Action::FetchSnapshot { from } => self.outputs.push(Output::FetchSnapshot { from }),
        }
        Ok(())
    }

    fn lead(&mut self, epoch: PrimaryEpoch, now: u64) -> Result<(), GroupError> {
        match self.copy.lead(epoch) {
            // A primary of a later epoch was heard of in an earlier life; its view is still to come.
            Err(GroupError::Fenced { .. }) => {
                self.replicator.cannot_lead();
                Ok(())
            }
            led => {
                led?;
                let barrier = self.copy.stage_barrier()?;
                self.replicator.began(barrier.sequence, log_state(&self.copy), now);
                Ok(())
            }
        }
    }

    fn send_status(&mut self, to: NodeId) {
        let options = self.replicator.options();
        let status = Status { last: self.copy.last().sequence, epochs: self.copy.epochs().clone() };
        let message = Message {
            group: options.group,
            epoch: self.copy.epoch(),
            incarnation: options.incarnation,
            content: Content::Status(status),
        };
        self.outputs.push(Output::Send { to, message, records: Vec::new() });
    }

    /// Sends every copy what its window has room for.
    fn ship(&mut self, now: u64) -> Result<(), GroupError> {
        while let Some((to, from, bytes_max)) = self.replicator.next_shipment(log_state(&self.copy)) {
            let shipment = match self.copy.read(from, bytes_max) {
                Err(error) if error.code() == ErrorCode::DataCorrupt => {
                    self.outputs.push(Output::LogDamaged(error));
                    None
                }
                read => read?,
            };
            let Some(message) = self.replicator.shipped(to, shipment.as_ref(), now) else { break };
            let records = shipment.map(|shipment| shipment.records).unwrap_or_default();
            self.outputs.push(Output::Send { to, message, records });
        }
        Ok(())
    }
}

fn log_state<C: Consumer>(copy: &GroupCopy<C>) -> LogState<'_> {
    LogState {
        last: copy.last(),
        durable: copy.durable().sequence,
        committed: copy.committed(),
        epochs: copy.epochs(),
    }
}
