//! One copy of a group: staging, logging, applying.
//!
//! ```text
//! primary    stage … stage   validated against applied plus pending, made into records (each one's number is its ticket)
//! follower   accept          a primary's records, checked against this log, which is cut where it differs
//! both       write_and_sync  one write, one sync
//!            advance         applies what is committed
//! ```
//! Several batches may be staged, durable and not yet committed at a time. A copy that is alone commits what it has
//! synced (`commit`); otherwise `replication` says what is committed.
//!
//! A primary's reign begins with `lead`. What it then finds in its log behind the commit point may be acknowledged, so
//! it keeps all of it, and validates nothing before that is applied. Each reign opens with a barrier.

mod accept;
mod apply;
mod opening;
mod snapshot;

pub use accept::Accepted;

use crate::checkpoint::{self, CheckpointHeader};
use crate::consumer::Consumer;
use crate::epoch_table::EpochTable;
use crate::error::GroupError;
use crate::log::Log;
use crate::log_check::LogCheck;
use crate::position::Position;
use crate::promise;
use crate::record::{RECORD_HEADER_BYTES, Record};
use crate::replication::mutated;
use crate::request_table::RequestTable;
use crate::shipment::Shipment;
use lavandin_storage::wal::Cut;
use lavandin_storage::{Directory, Durability};
use lavandin_types::{CollectionId, GroupId, PrimaryEpoch, RequestId, SequenceNumber};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct GroupOptions {
    pub group: GroupId,
    pub durability: Durability,
    /// A log file is closed once it is this large.
    pub log_segment_bytes: u64,
    /// Answers kept for retried requests.
    pub request_table_entries: usize,
    /// Nothing is staged while records of this size wait for being committed.
    pub pending_bytes_max: usize,
    /// Applied records kept in memory for other copies. Zero for a copy that is alone.
    pub recent_bytes_max: usize,
    /// A log longer than this gives up records that are pinned for another copy.
    pub pinned_bytes_max: u64,
    #[cfg(any(test, feature = "mutations"))]
    pub mutation: Option<crate::replication::Mutation>,
}

impl GroupOptions {
    pub fn new(group: GroupId, durability: Durability) -> Self {
        Self {
            group,
            durability,
            log_segment_bytes: 64 << 20,
            request_table_entries: 65_536,
            pending_bytes_max: 256 << 20,
            recent_bytes_max: 0,
            pinned_bytes_max: 4 << 30,
            #[cfg(any(test, feature = "mutations"))]
            mutation: None,
        }
    }

    /// For a copy with others beside it.
    pub fn replicated(group: GroupId, durability: Durability) -> Self {
        Self { recent_bytes_max: 32 << 20, ..Self::new(group, durability) }
    }
}

/// What opening a copy met that its operator should hear of. None of it is loss of what was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// The torn end of the log that was cut off.
    pub cut: Option<Cut>,
    /// What is wrong with the newest checkpoint, which an older one and the log have stood in for.
    pub damaged_checkpoint: Option<GroupError>,
}

/// What became of a staged request.
#[derive(Debug)]
pub enum Staged<C: Consumer> {
    /// It is the record of that number. Its outcome comes when that is committed.
    Pending(SequenceNumber),
    /// It was applied before, under its request id.
    Answered(C::Outcome),
    Rejected(C::Rejection),
}

/// Outcomes of records that were staged here, by their numbers, ascending.
#[derive(Clone, Debug)]
pub struct Outcomes<O>(Vec<(SequenceNumber, O)>);

impl<O> Outcomes<O> {
    pub fn get(&self, sequence: SequenceNumber) -> Option<&O> {
        let at = self.0.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        self.0.get(at).map(|(_, outcome)| outcome)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(SequenceNumber, O)> {
        self.0.iter()
    }
}

/// A primary's session.
#[derive(Clone, Copy)]
struct Reign {
    /// The last record by its beginning.
    start: SequenceNumber,
    /// Its barrier is staged.
    barrier: bool,
}

/// One copy of a group.
pub struct GroupCopy<C: Consumer> {
    directory: Arc<dyn Directory>,
    options: GroupOptions,
    log: Log,
    consumer: C,
    requests: RequestTable,
    /// No record of an epoch below is taken.
    promised: PrimaryEpoch,
    reign: Option<Reign>,
    /// Requests staged in this reign and not yet applied.
    pending: HashMap<RequestId, SequenceNumber>,
    /// The last applied record.
    applied: Position,
    /// Everything up to here is known to be committed, applied or not.
    committed: SequenceNumber,
    /// The newest checkpoint came from another copy and the log begins behind it.
    detached: bool,
    /// Records from here on are kept in the log for another copy.
    pin: Option<SequenceNumber>,
    /// Bytes of the records replayed and logged in this session, and how many of them the last checkpoint covers.
    logged_bytes: u64,
    checkpointed_bytes: u64,
    recovery: Recovery,
    poison: Option<Arc<GroupError>>,
}

impl<C: Consumer> GroupCopy<C> {
    pub fn consumer(&self) -> &C {
        &self.consumer
    }

    pub fn consumer_mut(&mut self) -> &mut C {
        &mut self.consumer
    }

    /// The last applied record.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// The last record that is durable as the options say.
    pub fn durable(&self) -> Position {
        self.log.durable
    }

    /// The last staged or accepted record.
    pub fn last(&self) -> Position {
        self.log.last
    }

    /// The record of that number in this log: `None` before its front and behind its end.
    pub fn position_at(&self, sequence: SequenceNumber) -> Result<Option<Position>, GroupError> {
        self.log.position_at(sequence)
    }

    /// Which epochs wrote the log.
    pub fn epochs(&self) -> &EpochTable {
        &self.log.epochs
    }

    /// The highest epoch that this copy has led or followed.
    pub fn epoch(&self) -> PrimaryEpoch {
        self.promised
    }

    /// What opening met.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Bytes of the records since the last checkpoint, which a start would replay.
    pub fn log_bytes(&self) -> u64 {
        self.logged_bytes - self.checkpointed_bytes
    }

    /// Bytes of the records that are staged and not yet written.
    pub fn staged_bytes(&self) -> usize {
        self.log.tail.open_bytes()
    }

    /// Promises to take no record of an epoch below `epoch`; durable on return. No effect where that was promised. A
    /// reign under a lower epoch ends.
    pub fn promise(&mut self, epoch: PrimaryEpoch) -> Result<(), GroupError> {
        self.check_poison()?;
        if epoch > self.promised {
            promise::store(&*self.directory, epoch)?;
            self.promised = epoch;
            self.follow();
        }
        Ok(())
    }

    /// Begins a reign. The epoch is durable on return, and must be above that of every record here: a primary that was
    /// restarted has forgotten whom it waited for, so it does not go on under its old epoch.
    pub fn lead(&mut self, epoch: PrimaryEpoch) -> Result<(), GroupError> {
        let resumes = mutated!(self.options, ResumeEpoch) && epoch == self.log.last.epoch;
        if epoch < self.promised || epoch <= self.log.last.epoch && !resumes {
            let promised = self.promised.max(self.log.last.epoch);
            return Err(GroupError::Fenced { group: self.options.group, epoch, promised });
        }
        self.promise(epoch)?;
        self.follow();
        if mutated!(self.options, DropTailOnPromotion)
            && let Some(committed) = self.log.position_at(self.committed)?
        {
            self.log.truncate(committed)?;
        }
        self.reign = Some(Reign { start: self.log.last.sequence, barrier: false });
        Ok(())
    }

    /// Ends a reign, if there is one: what was not written is dropped, what was stays in the log and may yet be
    /// committed by the next primary. Whoever waits for an outcome does not learn it here.
    pub fn follow(&mut self) {
        if self.reign.take().is_some() {
            self.log.discard_unwritten();
            self.consumer.discard_pending();
            self.pending.clear();
        }
    }

    /// Stages the record that opens the reign, unless it is there. Its position.
    pub fn stage_barrier(&mut self) -> Result<Position, GroupError> {
        self.check_poison()?;
        self.open_reign()?;
        Ok(self.log.last)
    }

    /// Validates a request and makes its record. Nothing is durable before `write_and_sync`. A request id that was
    /// applied, or is staged, is not staged again.
    pub fn stage(&mut self, request_id: RequestId, request: C::Request) -> Result<Staged<C>, GroupError> {
        self.check_poison()?;
        let group = self.options.group;
        if self.reign.is_none_or(|reign| self.applied.sequence < reign.start) {
            return Err(GroupError::NotPrimary { group });
        }
        if !request_id.is_none() {
            if let Some(bytes) = self.requests.get(request_id) {
                let outcome = C::decode_outcome(bytes).expect("encoded by `C`, or checked when it was read");
                return Ok(Staged::Answered(outcome));
            }
            if let Some(sequence) = self.pending.get(&request_id) {
                return Ok(Staged::Pending(*sequence));
            }
        }
        if !self.has_room() {
            let (bytes, bytes_max) = (self.pending_bytes(), self.options.pending_bytes_max);
            return Err(GroupError::PipelineFull { group, bytes, bytes_max });
        }
        self.stage_new(request_id, request)
    }

    /// Whether a request would not be refused because too many wait.
    pub fn has_room(&self) -> bool {
        self.pending_bytes() < self.options.pending_bytes_max
    }

    /// Whether a request of this id is staged and not applied yet.
    pub fn is_staged(&self, request_id: RequestId) -> bool {
        self.pending.contains_key(&request_id)
    }

    /// What a request came to that was applied under its id.
    pub fn answered(&self, request_id: RequestId) -> Option<C::Outcome> {
        let known = Some(request_id).filter(|id| !id.is_none());
        known.and_then(|id| self.requests.get(id)).and_then(C::decode_outcome)
    }

    /// Logs, applies and answers what is staged, in a copy that is alone. On failure nothing of it is acknowledged, and
    /// the copy takes no more writes.
    pub fn commit(&mut self) -> Result<Outcomes<C::Outcome>, GroupError> {
        self.write_and_sync()?;
        self.advance(self.log.durable.sequence)
    }

    /// Writes the staged records with one write and makes them durable as the options say.
    pub fn write_and_sync(&mut self) -> Result<(), GroupError> {
        self.check_poison()?;
        match self.log.write_and_sync() {
            Ok(bytes) => {
                self.logged_bytes += bytes as u64;
                Ok(())
            }
            Err(error) => Err(self.poisoned_by(error)),
        }
    }

    /// Applies what is committed, as far as it is durable here. Returns the outcomes of what this reign staged.
    ///
    /// `committed` must be a place that this log shares with the primary's: nothing that is applied is taken back.
    pub fn advance(&mut self, committed: SequenceNumber) -> Result<Outcomes<C::Outcome>, GroupError> {
        self.committed = self.committed.max(committed.min(self.log.last.sequence));
        let end = self.committed.min(self.log.durable.sequence);
        let mut outcomes = Vec::new();
        if self.applied.sequence < end {
            self.apply_written(end)?;
            self.apply_tail(end, &mut outcomes);
            self.log.tail.drop_front(self.applied.sequence, self.options.recent_bytes_max);
        }
        Ok(Outcomes(outcomes))
    }

    /// The records from `from` on, for another copy: until `bytes_max` is reached or passed. What is staged is among
    /// them. `None` if the log does not reach back so far.
    pub fn read(&mut self, from: SequenceNumber, bytes_max: usize) -> Result<Option<Shipment>, GroupError> {
        self.log.read(from, bytes_max)
    }

    /// A check of what the log holds on the disk.
    pub fn log_check(&self) -> Result<LogCheck, GroupError> {
        let reader = self.log.wal.first().map(|first| self.log.wal.read_from(first)).transpose()?;
        Ok(LogCheck::new(self.options.group, reader))
    }

    /// Keeps the records from `pin` on in the log, whatever checkpoints are made; within `pinned_bytes_max`.
    pub fn set_pin(&mut self, pin: Option<SequenceNumber>) {
        self.pin = pin;
    }

    /// How many bytes of applied records are kept in memory for other copies.
    pub fn keep_recent(&mut self, bytes_max: usize) {
        self.options.recent_bytes_max = bytes_max;
    }

    /// Whether the consumer's state is free of reservations: nothing that was staged here waits for being applied.
    pub fn is_settled(&self) -> bool {
        self.reign.is_none() || self.applied.sequence == self.log.last.sequence
    }

    /// What a checkpoint of the consumer's present state needs; take it together with that state.
    ///
    /// Panics unless the copy is settled.
    pub fn checkpoint_header(&self) -> CheckpointHeader {
        assert!(self.is_settled(), "a checkpoint is taken between commits");
        let mut requests = Vec::new();
        self.requests.encode(&mut requests);
        let mut epochs = self.log.epochs.clone();
        epochs.truncate(self.applied.sequence);
        CheckpointHeader {
            position: self.applied,
            detached: self.detached && self.applied == self.log.floor,
            epochs,
            requests,
            logged_bytes: self.logged_bytes,
        }
    }

    /// Makes a checkpoint of this session durable, then removes what it makes superfluous. On failure the checkpoint
    /// may be durable or not; the copy goes on, and a later one may succeed.
    pub fn install_checkpoint(
        &mut self,
        header: &CheckpointHeader,
        payload: &[u8],
    ) -> Result<(), GroupError> {
        // Under `Durability::Os` the log's end may not be durable; it must not end before the checkpoint.
        self.flush()?;
        checkpoint::store(&*self.directory, self.options.group, header, payload)?;
        self.checkpointed_bytes = header.logged_bytes;
        (self.log.floor, self.detached) = (header.position, header.detached);
        checkpoint::remove_older(&*self.directory, header.position.sequence)?;
        let pinned = self.pin.filter(|_| self.log.wal.bytes() <= self.options.pinned_bytes_max);
        // The record before the pinned one stays, too: what follows is sent with its position.
        let pinned = pinned.map(|pin| SequenceNumber::new(pin.get().saturating_sub(1)));
        let needed = pinned.unwrap_or(header.position.sequence).min(header.position.sequence);
        self.log.wal.truncate_front(needed)?;
        Ok(())
    }

    /// Makes everything logged durable, under `Durability::Os` too. On failure the copy takes no more writes.
    pub fn flush(&mut self) -> Result<(), GroupError> {
        self.check_poison()?;
        self.log.wal.sync_always().map_err(|error| self.poisoned_by(error.into()))
    }

    /// Bytes of records in memory that are not applied.
    fn pending_bytes(&self) -> usize {
        match self.applied.sequence < self.log.last.sequence {
            true => self.log.tail.bytes().saturating_sub(self.options.recent_bytes_max),
            false => 0,
        }
    }

    fn stage_new(&mut self, request_id: RequestId, request: C::Request) -> Result<Staged<C>, GroupError> {
        let mark = self.log.tail.mark(self.log.last);
        let reign = self.open_reign()?;
        let buffer = self.log.tail.buffer();
        let start = buffer.len();
        buffer.resize(start + RECORD_HEADER_BYTES, 0);
        match self.consumer.prepare(request, buffer) {
            Ok(collection) => {
                assert!(collection != CollectionId::ZERO, "collection 0 marks barriers");
                let position = self.seal(start, request_id, collection);
                if !request_id.is_none() {
                    self.pending.insert(request_id, position.sequence);
                }
                Ok(Staged::Pending(position.sequence))
            }
            Err(rejection) => {
                // A reign whose requests are all refused logs nothing, not even its barrier.
                self.log.reset(&mark);
                self.reign = Some(reign);
                Ok(Staged::Rejected(rejection))
            }
        }
    }

    /// Opens this reign's epoch in the log, before its first record. The consumer does not see it. The reign as before.
    fn open_reign(&mut self) -> Result<Reign, GroupError> {
        let before = self.reign.ok_or(GroupError::NotPrimary { group: self.options.group })?;
        if !before.barrier {
            let buffer = self.log.tail.buffer();
            let start = buffer.len();
            buffer.resize(start + RECORD_HEADER_BYTES, 0);
            self.reign = Some(Reign { barrier: true, ..before });
            self.seal(start, RequestId::NONE, CollectionId::ZERO);
        }
        Ok(before)
    }

    /// Completes the record whose operation is in the tail's buffer.
    fn seal(&mut self, start: usize, request_id: RequestId, collection: CollectionId) -> Position {
        let last = self.log.last;
        let record = Record {
            group: self.options.group,
            epoch: self.promised,
            sequence: last.sequence.next(),
            previous: last.hash,
            request_id,
            collection,
            op: &[],
        };
        self.log.seal(start, record)
    }

    /// After a failed write or sync nobody knows what the log holds: nothing more is promised.
    fn poisoned_by(&mut self, error: GroupError) -> GroupError {
        self.follow();
        let cause = Arc::new(error);
        self.poison = Some(Arc::clone(&cause));
        GroupError::Poisoned { group: self.options.group, cause }
    }

    fn check_poison(&self) -> Result<(), GroupError> {
        match &self.poison {
            Some(cause) => Err(GroupError::Poisoned { group: self.options.group, cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }
}
