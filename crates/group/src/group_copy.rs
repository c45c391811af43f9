//! One copy of a group: staging, logging, applying.
//!
//! A commit goes: `stage` any number of requests (each is validated against applied plus pending and becomes a
//! record), `write_and_sync` their records with one write and one sync, `apply_synced` them in order. `commit` does the
//! last two. Replication will wait for the other copies between them. Nothing is staged between them, so that a ticket
//! is a place in one commit.

use crate::checkpoint::{self, CheckpointHeader};
use crate::consumer::Consumer;
use crate::epoch;
use crate::error::GroupError;
use crate::record::{self, RECORD_HEADER_BYTES, Record};
use crate::replay::{Replayed, check_reach, replay};
use crate::request_table::RequestTable;
use lavandin_storage::wal::{Cut, FrameHead, Wal, WalOptions};
use lavandin_storage::{Directory, Durability};
use lavandin_types::{CollectionId, GroupId, PrimaryEpoch, RecordHash, RequestId, SequenceNumber};
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

const LOG: &str = "log";
/// Staging memory kept between commits; a larger batch's is given back.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

#[derive(Clone, Copy, Debug)]
pub struct GroupOptions {
    pub group: GroupId,
    pub durability: Durability,
    /// A log file is closed once it is this large.
    pub log_segment_bytes: u64,
    /// Answers kept for retried requests.
    pub request_table_entries: usize,
}

impl GroupOptions {
    pub fn new(group: GroupId, durability: Durability) -> Self {
        Self { group, durability, log_segment_bytes: 64 << 20, request_table_entries: 65_536 }
    }
}

/// A place in the log: the last record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub sequence: SequenceNumber,
    pub epoch: PrimaryEpoch,
    pub hash: RecordHash,
}

/// The place of a staged request among the outcomes of the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(usize);

impl Ticket {
    pub fn index(self) -> usize {
        self.0
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
    /// Its outcome comes with the next commit.
    Pending(Ticket),
    /// It was applied before, under its request id.
    Answered(C::Outcome),
    Rejected(C::Rejection),
}

/// A record that is staged and not yet applied.
struct StagedRecord {
    bytes: Range<usize>,
    request_id: RequestId,
    collection: CollectionId,
    position: Position,
}

/// One copy of a group.
pub struct GroupCopy<C: Consumer> {
    directory: Arc<dyn Directory>,
    options: GroupOptions,
    wal: Wal,
    consumer: C,
    requests: RequestTable,
    epoch: PrimaryEpoch,
    /// The last applied record.
    applied: Position,
    /// The last staged record.
    last: Position,
    staged: Vec<StagedRecord>,
    /// The staged records' bytes, one after the other.
    buffer: Vec<u8>,
    /// The staged records are synced and wait to be applied.
    synced: bool,
    /// The session's barrier has gone to the log.
    barrier: bool,
    /// Bytes of the records replayed and logged in this session, and how many of them the last checkpoint covers.
    logged_bytes: u64,
    checkpointed_bytes: u64,
    recovery: Recovery,
    poison: Option<Arc<GroupError>>,
}

impl<C: Consumer> GroupCopy<C> {
    /// Opens the copy in `directory`: the newest checkpoint, then the log after it. `make` builds the consumer from
    /// the checkpoint's payload; by then it is certain that the log goes on from there. A new primary epoch is durable
    /// on return.
    pub fn open<E: Display>(
        directory: Arc<dyn Directory>,
        options: GroupOptions,
        make: impl FnOnce(Option<&[u8]>) -> Result<C, E>,
    ) -> Result<Self, GroupError> {
        let is_outcome = |bytes: &[u8]| C::decode_outcome(bytes).is_some();
        let found = checkpoint::load(&*directory, options.group, options.request_table_entries, is_outcome)?;
        let damage = found.damage;
        let (start, mut requests, payload) = match found.loaded {
            Some(loaded) => (loaded.position, loaded.requests, Some(loaded.payload)),
            None => (Position::default(), RequestTable::new(options.request_table_entries), None),
        };
        let wal_options =
            WalOptions { segment_bytes_max: options.log_segment_bytes, durability: options.durability };
        let check = |head: &FrameHead, payload: &[u8]| record::hash(payload) == head.hash;
        let wal = Wal::open(Arc::clone(&directory), LOG, wal_options, check)?;
        // Where an older checkpoint cannot stand in for a damaged one, the damage is what went wrong.
        let explain = |error| damage.clone().unwrap_or(error);
        check_reach(&wal, options.group, start.sequence, found.newest).map_err(explain)?;
        let made = make(payload.as_deref()).map_err(|error| GroupError::Consumer(error.to_string()));
        let mut consumer = made.map_err(explain)?;
        let Replayed { end, bytes } = replay(&wal, options.group, start, &mut consumer, &mut requests)?;
        checkpoint::remove_unfinished(&*directory)?;
        let epoch = epoch::load(&*directory)?.max(end.epoch).next();
        epoch::store(&*directory, epoch)?;
        Ok(Self {
            directory,
            options,
            recovery: Recovery { cut: wal.cut().cloned(), damaged_checkpoint: damage },
            wal,
            consumer,
            requests,
            epoch,
            applied: end,
            last: end,
            staged: Vec::new(),
            buffer: Vec::new(),
            synced: false,
            barrier: false,
            logged_bytes: bytes,
            checkpointed_bytes: 0,
            poison: None,
        })
    }

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

    /// The epoch of this session.
    pub fn epoch(&self) -> PrimaryEpoch {
        self.epoch
    }

    /// What opening met.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Bytes of the records since the last checkpoint, which a start would replay.
    pub fn log_bytes(&self) -> u64 {
        self.logged_bytes - self.checkpointed_bytes
    }

    /// Bytes of the staged records.
    pub fn staged_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Validates a request and makes its record. Nothing is durable before `commit`. A request id that was applied, or
    /// is staged, is not staged again.
    ///
    /// Panics if records are synced and not applied, see the header.
    pub fn stage(&mut self, request_id: RequestId, request: C::Request) -> Result<Staged<C>, GroupError> {
        self.check_poison()?;
        assert!(!self.synced, "what is synced is applied before more is staged");
        if !request_id.is_none() {
            if let Some(bytes) = self.requests.get(request_id) {
                let outcome = C::decode_outcome(bytes).expect("encoded by `C`, or checked by `open`");
                return Ok(Staged::Answered(outcome));
            }
            if let Some(index) = self.staged.iter().position(|record| record.request_id == request_id) {
                return Ok(Staged::Pending(Ticket(index)));
            }
        }
        self.log_barrier()?;
        let start = self.buffer.len();
        self.buffer.resize(start + RECORD_HEADER_BYTES, 0);
        match self.consumer.prepare(request, &mut self.buffer) {
            Ok(collection) => {
                assert!(collection != CollectionId::ZERO, "collection 0 marks barriers");
                self.stage_record(start, request_id, collection);
                Ok(Staged::Pending(Ticket(self.staged.len() - 1)))
            }
            Err(rejection) => {
                self.buffer.truncate(start);
                Ok(Staged::Rejected(rejection))
            }
        }
    }

    /// What a request came to that was applied under its id.
    pub fn answered(&self, request_id: RequestId) -> Option<C::Outcome> {
        let known = Some(request_id).filter(|id| !id.is_none());
        known.and_then(|id| self.requests.get(id)).and_then(C::decode_outcome)
    }

    /// Logs and applies what is staged; the outcomes by ticket. On failure nothing of it is acknowledged, and the
    /// copy takes no more writes.
    pub fn commit(&mut self) -> Result<Vec<C::Outcome>, GroupError> {
        self.write_and_sync()?;
        Ok(self.apply_synced())
    }

    /// Writes the staged records with one write and makes them durable as the options say.
    pub fn write_and_sync(&mut self) -> Result<(), GroupError> {
        self.check_poison()?;
        if self.staged.is_empty() || self.synced {
            return Ok(());
        }
        if let Err(error) = self.log_staged() {
            self.consumer.discard_pending();
            self.staged.clear();
            self.buffer.clear();
            return Err(self.poisoned_by(error));
        }
        self.synced = true;
        self.logged_bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Applies what has been synced; the outcomes by ticket.
    pub fn apply_synced(&mut self) -> Vec<C::Outcome> {
        let mut outcomes = Vec::new();
        if !std::mem::take(&mut self.synced) {
            return outcomes;
        }
        outcomes.reserve(self.staged.len());
        let mut outcome_bytes = Vec::new();
        for record in self.staged.drain(..) {
            self.applied = record.position;
            let op = &self.buffer[record.bytes][RECORD_HEADER_BYTES..];
            let outcome = self.consumer.apply(record.position.sequence, record.collection, op);
            if !record.request_id.is_none() {
                outcome_bytes.clear();
                C::encode_outcome(&outcome, &mut outcome_bytes);
                self.requests.insert(record.request_id, &outcome_bytes);
            }
            outcomes.push(outcome);
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        outcomes
    }

    /// What a checkpoint of the consumer's present state needs; take it together with that state.
    ///
    /// Panics if something is staged: the consumer's state has reservations for it.
    pub fn checkpoint_header(&self) -> CheckpointHeader {
        assert!(self.staged.is_empty(), "a checkpoint is taken between commits");
        let mut requests = Vec::new();
        self.requests.encode(&mut requests);
        CheckpointHeader { position: self.applied, requests, logged_bytes: self.logged_bytes }
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
        checkpoint::remove_older(&*self.directory, header.position.sequence)?;
        self.wal.truncate_front(header.position.sequence)?;
        Ok(())
    }

    /// Makes everything logged durable, under `Durability::Os` too. On failure the copy takes no more writes.
    pub fn flush(&mut self) -> Result<(), GroupError> {
        self.check_poison()?;
        self.wal.sync_always().map_err(|error| self.poisoned_by(error.into()))
    }

    /// Opens this session's epoch in the log, before its first record. The consumer does not see it.
    fn log_barrier(&mut self) -> Result<(), GroupError> {
        if self.barrier {
            return Ok(());
        }
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let position = self.seal(&mut bytes, RequestId::NONE, CollectionId::ZERO);
        self.wal.append(position.sequence, position.hash, &[&bytes])?;
        self.last = position;
        self.barrier = true;
        Ok(())
    }

    fn stage_record(&mut self, start: usize, request_id: RequestId, collection: CollectionId) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let position = self.seal(&mut buffer[start..], request_id, collection);
        self.buffer = buffer;
        self.last = position;
        let bytes = start..self.buffer.len();
        self.staged.push(StagedRecord { bytes, request_id, collection, position });
    }

    /// Completes a record whose operation is in place; returns its position.
    fn seal(&self, bytes: &mut [u8], request_id: RequestId, collection: CollectionId) -> Position {
        let sequence = self.last.sequence.next();
        let record = Record {
            group: self.options.group,
            epoch: self.epoch,
            sequence,
            previous: self.last.hash,
            request_id,
            collection,
            op: &[],
        };
        record.write_header(bytes);
        Position { sequence, epoch: self.epoch, hash: record::hash(bytes) }
    }

    fn log_staged(&mut self) -> Result<(), GroupError> {
        for record in &self.staged {
            let Position { sequence, hash, .. } = record.position;
            self.wal.append(sequence, hash, &[&self.buffer[record.bytes.clone()]])?;
        }
        self.wal.write()?;
        Ok(self.wal.sync()?)
    }

    /// After a failed write or sync nobody knows what the log holds: nothing more is promised.
    fn poisoned_by(&mut self, error: GroupError) -> GroupError {
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
