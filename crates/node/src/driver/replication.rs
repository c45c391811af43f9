//! What other copies and the metadata say, and what is committed by it.

use super::{Driver, News};
use crate::error::NodeError;
use crate::group_state::{GroupOutcome, GroupState};
use crate::snapshots::{self, Fetched, Standing};
use lavandin_group::replication::View;
use lavandin_group::{GroupError, Outcomes, Output, Position};
use lavandin_types::RequestId;

/// Applied records that a primary with other copies keeps in memory for them.
const RECENT_BYTES_MAX: usize = 32 << 20;

impl Driver {
    pub(super) fn take_news(&mut self, news: News) {
        if self.failure.borrow().is_some() {
            return;
        }
        let now = self.now();
        let taken = match news {
            News::View(view) => {
                let others = view.others().next().is_some();
                self.tidy_up(&view);
                self.replica.copy_mut().keep_recent(if others { RECENT_BYTES_MAX } else { 0 });
                self.replica.learn(*view, now)
            }
            News::Yield { wanted } => {
                self.yielding.ask(wanted);
                Ok(())
            }
            News::Message { from, message, records } => self.replica.receive(from, *message, &records, now),
            News::Acknowledged { epoch, sequence } => self.replica.learn_committed(epoch, sequence, now),
            News::Resign { reason } => {
                self.resign(reason);
                Ok(())
            }
            News::ProposalEnded => {
                self.replica.proposal_ended(now);
                Ok(())
            }
            News::Snapshot(Ok(fetched)) => self.install(&fetched, now),
            News::Snapshot(Err(_)) => {
                self.replica.snapshot_failed();
                Ok(())
            }
            News::SnapshotTaken { to, sequence, kept } => {
                self.replica.snapshot_taken(to, sequence);
                // Tells the copy's log of it.
                self.replica.copy_mut();
                let _ = kept.send(());
                Ok(())
            }
        };
        self.note_end(taken);
    }

    /// Becomes the copy that a snapshot was taken of.
    fn install(&mut self, fetched: &Fetched, now: u64) -> Result<(), GroupError> {
        let (directory, limits) = (std::sync::Arc::clone(&self.directory), self.limits);
        let make = |payload: &[u8]| GroupState::open_beside(directory, limits, payload);
        match self.replica.install_snapshot(&fetched.snapshot, make, now) {
            Ok(()) => {
                self.replica.copy_mut().consumer_mut().take_over(&self.readers);
                self.forget_checkpoints();
                tracing::info!(
                    event = "rebuild_done", group = %self.group(), sequence = %fetched.sequence,
                    "the copy was rebuilt from a snapshot"
                );
                Ok(())
            }
            Err(error @ GroupError::Poisoned { .. }) => Err(error),
            // The copy is as it was; the primary tells again what is needed.
            Err(error) => {
                tracing::warn!(group = %self.group(), %error, "a snapshot cannot be installed");
                Ok(())
            }
        }
    }

    /// A copy that is in sync needs nothing any more of a snapshot that it was fetching.
    fn tidy_up(&mut self, view: &View) {
        let me = self.replica.replicator().options().me;
        let was = self.replica.replicator().view().is_some_and(|view| view.in_sync.contains_key(&me));
        if was || !view.in_sync.contains_key(&me) {
            return;
        }
        let folder = self.replica.copy().consumer().shard.folder();
        if let Err(error) = snapshots::discard_unfinished(&*self.directory, folder) {
            tracing::warn!(group = %self.group(), %error, "files of an unfinished snapshot stay on the disk");
        }
    }

    /// Makes durable what is staged or was received, and does what follows from it.
    pub(super) fn settle(&mut self) {
        if self.failure.borrow().is_none() {
            let now = self.now();
            let ticked = self.replica.tick(now);
            self.note_end(ticked);
            // Messages go out while the own disk is at work.
            self.send_outputs();
            if self.replica.wants_sync() && self.failure.borrow().is_none() {
                // Alone, a lease does not end while the disk is at work.
                let (clock, alone) = (self.clock, self.lease.is_alone());
                let synced = self.replica.sync(|| if alone { now } else { clock.now_ms() });
                self.note_end(synced);
            }
        }
        // Once the primary hears that records are on this disk they may be acknowledged.
        let last = self.replica.copy().last();
        self.serving.show_log(last.epoch, last.sequence);
        self.send_outputs();
        self.show();
    }

    fn send_outputs(&mut self) {
        let outputs = self.replica.take_outputs();
        if outputs.iter().any(|output| matches!(output, Output::Outcomes { .. })) {
            self.publish();
        }
        let group = self.group();
        for output in outputs {
            match output {
                Output::Send { to, message, records } => {
                    let mut bytes = Vec::with_capacity(128 + records.len());
                    message.encode(&mut bytes);
                    bytes.extend_from_slice(&records);
                    self.links.send(to, group, bytes);
                }
                Output::Propose(proposal) => self.links.propose(group, proposal),
                Output::Outcomes { outcomes, certain } => self.answer(&outcomes, certain),
                Output::ReignEnded => {
                    self.reservations.clear();
                    self.forget_waiting();
                }
                Output::FetchSnapshot { from } => {
                    let copy = self.replica.copy();
                    let (applied, folder) = (copy.applied().sequence, copy.consumer().shard.folder());
                    self.links.fetch_snapshot(group, from, Standing { applied, folder });
                }
                Output::LogDamaged(error) => {
                    tracing::error!(event = "copy_damaged", %group, %error, "a part of the log is damaged");
                    self.serving.show_damage(&error.to_string());
                    // Whoever needs that part gets a snapshot, as of a checkpoint behind it.
                    self.checkpoint.want();
                }
            }
        }
    }

    /// Shows readers what is applied.
    fn publish(&mut self) {
        let Position { epoch, sequence: applied, .. } = self.replica.copy().applied();
        if applied != self.published {
            self.published = applied;
            self.replica.copy_mut().consumer_mut().shard.publish();
            self.serving.show_applied(epoch, applied);
            self.log_bytes.send_replace(self.replica.copy().log_bytes());
        }
    }

    /// Shows readers and routers where this copy stands.
    fn show(&mut self) {
        self.publish();
        let now = self.now();
        let yields = self.has_yielded();
        let replicator = self.replica.replicator();
        let serves = replicator.can_read_as_primary(now) && !yields;
        let until_ms = match serves && self.failure.borrow().is_none() {
            true if self.lease.is_alone() => u64::MAX,
            true => replicator.lease_until_ms(),
            false => 0,
        };
        let primary = replicator.view().map(|view| view.primary);
        let writable = replicator.can_write(now).is_ok() && !self.yielding.is_wanted();
        self.serving.set_primary(until_ms, primary, writable);
        // Whoever hears of it may promote another copy at once.
        self.serving.show_yield(yields);
    }

    fn answer(&mut self, outcomes: &Outcomes<GroupOutcome>, certain: bool) {
        for (sequence, outcome) in outcomes.iter() {
            for waiting in self.waiting.remove(sequence).unwrap_or_default() {
                let unknown = NodeError::OutcomeUnknown { request_id: waiting.request_id };
                // A caller that has gone away does not need its answer.
                drop(waiting.answer.send(if certain { Ok(outcome.clone()) } else { Err(unknown) }));
            }
        }
    }

    /// Nobody here will learn what becomes of what was staged.
    pub(super) fn forget_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.waiting).into_values().flatten() {
            let unknown = NodeError::OutcomeUnknown { request_id: waiting.request_id };
            drop(waiting.answer.send(Err(unknown)));
        }
    }

    /// A copy that failed is at its end until it is opened again.
    pub(super) fn note_end(&mut self, result: Result<(), GroupError>) {
        if let Err(error) = result {
            self.fail(&NodeError::from(error));
        }
    }

    pub(super) fn fail(&mut self, error: &NodeError) {
        self.reservations.clear();
        if self.failure.borrow().is_none() {
            tracing::error!(
                event = "copy_failed", group = %self.group(), %error,
                "the group's copy takes no more writes until it is opened again"
            );
            self.failure.send_replace(Some(error.clone()));
        }
        for waiting in std::mem::take(&mut self.waiting).into_values().flatten() {
            drop(waiting.answer.send(Err(self.lost(waiting.request_id, error))));
        }
    }

    /// What to say of a request that was staged before the copy failed: another copy may have it.
    pub(super) fn lost(&self, request_id: RequestId, error: &NodeError) -> NodeError {
        if self.is_alone_in_sync() { error.clone() } else { NodeError::OutcomeUnknown { request_id } }
    }

    /// Remembers that the copy takes no more writes, if that is what went wrong.
    pub(super) fn note_failure<T>(&mut self, result: Result<T, NodeError>) -> Result<T, NodeError> {
        if let Err(NodeError::Group(error @ GroupError::Poisoned { .. })) = &result {
            self.note_end(Err(error.clone()));
        }
        result
    }
}
