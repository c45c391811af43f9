//! The consumer: requests in, operations out, operations applied.

use crate::ShardRows;
use crate::iterations::block_cache::BlockCache;
use crate::iterations::entry::Entry;
use crate::iterations::error::Rejection;
use crate::iterations::grant;
use crate::iterations::limits::{BLOCK_SAMPLES_MAX, IterationLimits};
use crate::iterations::op::{Created, Op};
use crate::iterations::outline::Outline;
use crate::iterations::owner::Owner;
use crate::iterations::pending::Pending;
use crate::iterations::reader::{Entries, IterationsReader};
use crate::iterations::request::{Outcome, Request};
use crate::iterations::state::State;
use lavandin_types::{DatasetId, IterationId};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The iterations of one group.
pub struct Iterations {
    entries: Arc<RwLock<Entries>>,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) limits: IterationLimits,
    pub(crate) pending: Pending,
}

/// A grant of which it is not known whether its answer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenGrant {
    pub iteration: IterationId,
    pub rank: u32,
    pub number: u64,
    pub owner: Owner,
}

impl Iterations {
    pub fn new(limits: IterationLimits) -> Self {
        Self::with_entries(limits, Entries::new(), Arc::default())
    }

    pub(crate) fn with_entries(limits: IterationLimits, entries: Entries, cache: Arc<BlockCache>) -> Self {
        let request_samples_max = limits.request_samples_max.min(1 << 24);
        let limits = IterationLimits { request_samples_max, ..limits };
        Self { entries: Arc::new(RwLock::new(entries)), cache, limits, pending: Pending::default() }
    }

    pub fn reader(&self) -> IterationsReader {
        IterationsReader::new(Arc::clone(&self.entries))
    }

    /// Shows this state to the readers of the one that it replaces, who hold `reader` or clones of it.
    pub fn take_over(&mut self, reader: &IterationsReader) {
        let entries = std::mem::take(&mut *self.write());
        self.entries = Arc::clone(&reader.entries);
        *self.write() = entries;
    }

    /// Checks a request against applied plus pending operations. On success appends the operation's bytes to `op`, whose
    /// first one is 64 or more, and reserves what it takes; on rejection leaves no trace.
    pub fn prepare(&mut self, request: Request, op: &mut Vec<u8>) -> Result<(), Rejection> {
        let prepared = self.prepare_op(request)?;
        self.pending.stage(&prepared);
        prepared.encode(op);
        Ok(())
    }

    /// Applies an operation that some `prepare` made, perhaps in another life of the process. Never refuses.
    pub fn apply(&mut self, op: &[u8]) -> Outcome {
        // The log's checksum held, so a later version wrote it; start-up refuses such logs by version.
        let Some(op) = Op::decode(op) else { return Outcome::Count(0) };
        self.pending.settle(&op);
        let outcome = self.apply_op(op);
        if !self.pending.gone.is_empty() {
            self.forget_gone();
        }
        outcome
    }

    /// What is not there any more need not be hidden.
    fn forget_gone(&mut self) {
        let mut gone = std::mem::take(&mut self.pending.gone);
        gone.retain(|id| self.is_known(*id));
        self.pending.gone = gone;
    }

    /// The staged operations will not be logged: forget their reservations.
    pub fn discard_pending(&mut self) {
        self.pending.clear();
    }

    pub fn encode_outcome(outcome: &Outcome, out: &mut Vec<u8>) {
        outcome.encode(out);
    }

    pub fn decode_outcome(bytes: &[u8]) -> Option<Outcome> {
        Outcome::decode(bytes)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The iterations there will be once everything staged is applied.
    pub(crate) fn present(&self) -> Vec<Arc<Entry>> {
        let entries = self.read();
        let present = |entry: &&Arc<Entry>| !self.pending.gone.contains(&entry.id);
        entries.values().chain(self.pending.created.values()).filter(present).cloned().collect()
    }

    /// One of them.
    pub(crate) fn find(&self, id: IterationId) -> Result<Arc<Entry>, Rejection> {
        let entry = self.read().get(&id).or_else(|| self.pending.created.get(&id)).cloned();
        entry.filter(|_| !self.pending.gone.contains(&id)).ok_or(Rejection::UnknownIteration(id))
    }

    /// Whether the id is used, be it by an iteration that is about to go.
    pub(crate) fn is_known(&self, id: IterationId) -> bool {
        self.read().contains_key(&id) || self.pending.created.contains_key(&id)
    }

    /// The same rows in memory that is already taken, if another iteration of the dataset has them.
    pub(crate) fn share_rows(&self, dataset: DatasetId, rows: ShardRows) -> ShardRows {
        let present = self.present();
        let alike = present.iter().find(|entry| entry.dataset == dataset && entry.rows == rows);
        alike.map_or(rows, |entry| entry.rows.clone())
    }

    fn applied(&self, id: IterationId) -> Option<Arc<Entry>> {
        self.read().get(&id).cloned()
    }

    fn apply_op(&mut self, op: Op) -> Outcome {
        // Operations of an iteration that is gone change nothing.
        let id = match op {
            Op::Create(created) => return self.apply_create(*created),
            Op::DropDataset { dataset } => return Outcome::Count(self.drop_dataset(dataset)),
            Op::Join { id, .. }
            | Op::TakeBlock { id, .. }
            | Op::Delivered { id, .. }
            | Op::Return { id, .. }
            | Op::Complete { id, .. }
            | Op::Pushback { id } => id,
            Op::Grant(ref granted) => granted.id,
        };
        let Some(entry) = self.applied(id) else { return Outcome::Count(0) };
        Outcome::Count(match op {
            Op::Join { rank, .. } => {
                entry.state().join(rank);
                return Outcome::Iteration { id, joined: true };
            }
            Op::TakeBlock { group, block, .. } => {
                let length = entry.block(block).map(|block| block.len());
                // `prepare` refuses both; an operation that it did not make changes nothing.
                let is_valid =
                    |length: &u64| *length <= BLOCK_SAMPLES_MAX && entry.definition.has_group(group);
                let length = length.filter(is_valid);
                length.map_or(0, |length| u64::from(entry.state().take_block(group, block, length)))
            }
            Op::Grant(granted) => grant::grant(&entry, *granted),
            Op::Delivered { grants, .. } => {
                let mut state = entry.state();
                let delivered = state.deliver(&grants);
                state.close_if_ended(&entry);
                drop(state);
                grant::forget_old(&entry, grants.iter().map(|(rank, _)| *rank));
                delivered
            }
            Op::Return { rank, number, .. } => grant::give_back(&entry, rank, number),
            Op::Complete { indices, .. } => {
                let mut state = entry.state();
                let completed = state.complete(&entry, &indices);
                state.close_if_ended(&entry);
                completed
            }
            Op::Pushback { .. } => grant::push_back(&entry),
            Op::Create(_) | Op::DropDataset { .. } => 0,
        })
    }

    fn apply_create(&mut self, created: Created) -> Outcome {
        let Created { id, dataset, now_ms, rank, given_up, rows, definition } = created;
        let rows = self.share_rows(dataset, rows);
        given_up.iter().for_each(|id| self.remove(*id));
        // `prepare` has checked both.
        let blocks = definition.blocks(&rows).unwrap_or(u32::MAX);
        let (definition, cache) = (Arc::new(definition), Arc::clone(&self.cache));
        let Some(outline) = Outline::assemble((id, dataset, now_ms), rows, definition, blocks, cache) else {
            return Outcome::Count(0);
        };
        let state = State { active_ms: now_ms, ..State::begin(&outline) };
        let entry = Entry::new(outline, state);
        entry.state().join(rank);
        self.write().entry(id).or_insert_with(|| Arc::new(entry));
        Outcome::Iteration { id, joined: false }
    }

    fn drop_dataset(&mut self, dataset: DatasetId) -> u64 {
        let ids: Vec<_> =
            self.read().values().filter(|entry| entry.dataset == dataset).map(|entry| entry.id).collect();
        ids.iter().for_each(|id| self.remove(*id));
        ids.len() as u64
    }

    fn remove(&mut self, id: IterationId) {
        if let Some(entry) = self.write().remove(&id) {
            entry.state().dropped = true;
        }
    }
}
