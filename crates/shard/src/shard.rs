//! The collections of one group, as the consumer of its log.
//!
//! Driven by one thread: `prepare` and `apply` (through `lavandin_group::GroupCopy`), then `publish`; between them
//! jobs are taken and their results installed. Readers use a `ShardReader` and never wait for that thread.

use crate::checkpoint;
use crate::collection::Collection;
use crate::error::{Damage, Rejection};
use crate::folder::SegmentFolder;
use crate::op::{self, Op};
use crate::prepare::{self, Reservation, ShardLimits};
use crate::request::{Change, Outcome, RecordBatch};
use crate::schema::Schema;
use crate::view::View;
use arc_swap::ArcSwap;
use lavandin_group::Consumer;
use lavandin_storage::Directory;
use lavandin_types::{CollectionId, SegmentId, SequenceNumber};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type Views = HashMap<CollectionId, Arc<ArcSwap<View>>>;

/// What is asked of the group.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Brings a collection into being, before its first use.
    Open {
        collection: CollectionId,
        schema: Schema,
    },
    /// Changes the index; element type and dimension stay.
    SetSchema {
        collection: CollectionId,
        schema: Schema,
    },
    /// Removes a collection and its records.
    Drop {
        collection: CollectionId,
    },
    Change {
        collection: CollectionId,
        change: Change,
    },
    /// Logs a write that was reserved.
    Reserved(Reservation),
}

/// The collections of one copy of a group.
pub struct Shard {
    pub(crate) folder: SegmentFolder,
    limits: ShardLimits,
    pub(crate) collections: BTreeMap<CollectionId, Collection>,
    views: Arc<ArcSwap<Views>>,
    pub(crate) next_segment: SegmentId,
    /// Files of segments that no view holds any more.
    pub(crate) retired: Vec<SegmentId>,
    pub(crate) checkpointing: bool,
    /// Collections changed since `publish`.
    touched: Vec<CollectionId>,
    /// Collections whose opening is staged and not applied.
    opening: BTreeMap<CollectionId, Schema>,
    /// Collections whose drop is staged and not applied.
    dropping: Vec<CollectionId>,
}

/// The readers' handle.
#[derive(Clone)]
pub struct ShardReader {
    views: Arc<ArcSwap<Views>>,
}

impl ShardReader {
    /// The present moment of a collection; `None` before its first write.
    pub fn view(&self, collection: CollectionId) -> Option<Arc<View>> {
        self.views.load().get(&collection).map(|view| view.load_full())
    }

    /// All collections, each at its present moment, by their ids.
    pub fn views(&self) -> Vec<(CollectionId, Arc<View>)> {
        let views = self.views.load();
        let mut views: Vec<_> = views.iter().map(|(id, view)| (*id, view.load_full())).collect();
        views.sort_unstable_by_key(|(id, _)| *id);
        views
    }

    /// The collections that hold something.
    pub fn collections(&self) -> Vec<CollectionId> {
        self.views.load().keys().copied().collect()
    }
}

impl Shard {
    /// A shard from its last checkpoint (or from nothing), and its segment files. Files that the checkpoint does not
    /// name are removed: they are what a crash left of jobs and of states that were replaced.
    pub fn open(
        directory: Arc<dyn Directory>,
        limits: ShardLimits,
        payload: Option<&[u8]>,
    ) -> Result<Self, Damage> {
        let shard = Self::load(directory, limits, payload)?;
        shard.folder.remove_strays(shard.collections.values().flat_map(Collection::sealed_ids))?;
        shard.remove_replaced()?;
        shard.publish_views();
        Ok(shard)
    }

    /// A shard from the payload of a snapshot, whose files are in a folder of their own. Nothing is removed and no reader
    /// sees it: until the snapshot is installed the state beside it is the one that counts. Then `take_over` is called.
    pub fn open_beside(
        directory: Arc<dyn Directory>,
        limits: ShardLimits,
        payload: &[u8],
    ) -> Result<Self, Damage> {
        Self::load(directory, limits, Some(payload))
    }

    /// Shows this state to the readers of the one that it replaces, who hold `reader` or clones of it.
    pub fn take_over(&mut self, reader: &ShardReader) {
        self.views = Arc::clone(&reader.views);
        self.publish_views();
    }

    /// Removes the files of states that this one has replaced. Readers who hold views of them go on reading.
    pub fn remove_replaced(&self) -> Result<(), Damage> {
        self.folder.remove_older().map_err(|error| Damage::new("segments", error))
    }

    fn load(
        directory: Arc<dyn Directory>,
        limits: ShardLimits,
        payload: Option<&[u8]>,
    ) -> Result<Self, Damage> {
        let loaded = checkpoint::load(&directory, payload)?;
        let collections =
            loaded.collections.into_iter().map(|saved| (saved.id, Collection::from_saved(saved))).collect();
        Ok(Self {
            folder: loaded.folder,
            limits,
            collections,
            views: Arc::default(),
            next_segment: loaded.next_segment,
            retired: Vec::new(),
            checkpointing: false,
            touched: Vec::new(),
            opening: BTreeMap::new(),
            dropping: Vec::new(),
        })
    }

    /// The number of the folder that its files are in (`segment_folder`).
    pub fn folder(&self) -> SequenceNumber {
        self.folder.number
    }

    pub fn reader(&self) -> ShardReader {
        ShardReader { views: Arc::clone(&self.views) }
    }

    /// Ids of the collections that hold something here.
    pub fn collection_ids(&self) -> Vec<CollectionId> {
        self.collections.keys().copied().collect()
    }

    /// The schema that a collection has, staged changes aside.
    pub fn schema(&self, collection: CollectionId) -> Option<&Schema> {
        self.collections.get(&collection).map(|collection| &*collection.schema)
    }

    /// The multiset hash of a collection's live records: equal on every copy at one sequence number.
    pub fn digest(&self, collection: CollectionId) -> Option<u128> {
        self.collections.get(&collection).map(|collection| collection.digest.get())
    }

    /// Checks an add (or, with `upsert`, an upsert) and holds its ids against other writes until it is logged or
    /// released: so that a batch over several groups is refused as a whole or not at all.
    pub fn reserve(
        &mut self,
        collection: CollectionId,
        batch: RecordBatch,
        upsert: bool,
    ) -> Result<Reservation, Rejection> {
        let limits = self.limits;
        prepare::reserve(self.known_or_opening(collection)?, &limits, batch, upsert)
    }

    /// Gives back what a write holds that will not be logged.
    pub fn release(&mut self, reservation: &Reservation) {
        if let Some(collection) = self.collections.get_mut(&reservation.collection) {
            prepare::release(collection, reservation);
        }
    }

    /// Shows readers what has been applied since the last call.
    pub fn publish(&mut self) {
        let mut set_changed = false;
        for id in self.touched.drain(..) {
            match self.collections.get_mut(&id) {
                Some(collection) => collection.publish(),
                None => set_changed = true,
            }
            let known = self.views.load().contains_key(&id);
            set_changed |= known != self.collections.contains_key(&id);
        }
        if set_changed {
            self.publish_views();
        }
    }

    fn publish_views(&self) {
        let views =
            self.collections.iter().map(|(id, collection)| (*id, Arc::clone(&collection.view))).collect();
        self.views.store(Arc::new(views));
    }

    fn prepare_open(&mut self, id: CollectionId, schema: Schema, out: &mut Vec<u8>) {
        // Opening twice is harmless: `apply` keeps what is there.
        op::encode_open(&schema, out);
        self.opening.insert(id, schema);
    }

    fn known_or_opening(&mut self, id: CollectionId) -> Result<&mut Collection, Rejection> {
        if self.dropping.contains(&id) {
            return Err(Rejection::UnknownCollection);
        }
        if !self.collections.contains_key(&id) {
            let schema = self.opening.get(&id).cloned().ok_or(Rejection::UnknownCollection)?;
            // The empty collection that the staged opening will make; applying it then finds it there.
            self.collections.insert(id, Collection::new(id, schema, SequenceNumber::ZERO));
        }
        self.collections.get_mut(&id).ok_or(Rejection::UnknownCollection)
    }

    fn remove(&mut self, id: CollectionId) {
        if let Some(collection) = self.collections.remove(&id) {
            self.retired.extend(collection.sealed_ids());
        }
    }

    fn apply_op(&mut self, sequence: SequenceNumber, id: CollectionId, op: Op<'_>) -> Outcome {
        if let Op::Open(schema) = op {
            self.opening.remove(&id);
            let collection =
                self.collections.entry(id).or_insert_with(|| Collection::new(id, schema, sequence));
            collection.opened(sequence);
            return Outcome::Count(0);
        }
        if let Op::Drop = op {
            self.dropping.retain(|dropping| *dropping != id);
            self.remove(id);
            return Outcome::Count(1);
        }
        // Changes of a collection that is gone were logged before its drop was known; they change nothing.
        let Some(collection) = self.collections.get_mut(&id) else { return Outcome::Count(0) };
        let outcome = match op {
            Op::SetSchema(schema) => {
                collection.set_schema(schema, sequence);
                Outcome::Count(1)
            }
            Op::Write { upsert, rows } => {
                let count = collection.apply_write(upsert, &rows, sequence);
                collection.pending.inserted(rows.ids);
                match rows.ids.range_start() {
                    Some(start) if !upsert => Outcome::Assigned { start, count: rows.ids.count },
                    _ => Outcome::Count(count),
                }
            }
            Op::Delete(ids) => Outcome::Count(collection.apply_delete(ids, sequence)),
            Op::Restore(ids) => Outcome::Count(collection.apply_restore(ids, sequence)),
            Op::Compact => Outcome::Count(collection.apply_compact(sequence)),
            Op::Allot { start, count } => Outcome::Assigned { start, count },
            Op::Open(_) | Op::Drop => Outcome::Count(0),
        };
        collection.pending.applied_one();
        outcome
    }
}

impl Consumer for Shard {
    type Request = Request;
    type Outcome = Outcome;
    type Rejection = Rejection;

    fn prepare(&mut self, request: Request, out: &mut Vec<u8>) -> Result<CollectionId, Rejection> {
        match request {
            Request::Open { collection, schema } => {
                self.prepare_open(collection, schema, out);
                Ok(collection)
            }
            Request::SetSchema { collection, schema } => {
                let known = self.known_or_opening(collection)?;
                op::encode_set_schema(&schema, out);
                known.pending.staged_one();
                Ok(collection)
            }
            Request::Drop { collection } => {
                op::encode_drop(out);
                self.dropping.push(collection);
                Ok(collection)
            }
            Request::Reserved(reservation) => {
                let known = self.known_or_opening(reservation.collection)?;
                prepare::prepare_reserved(known, &reservation, out);
                Ok(reservation.collection)
            }
            Request::Change { collection, change } => {
                let limits = self.limits;
                let known = self.known_or_opening(collection)?;
                prepare::prepare(known, &limits, change, out)?;
                Ok(collection)
            }
        }
    }

    fn apply(&mut self, sequence: SequenceNumber, collection: CollectionId, bytes: &[u8]) -> Outcome {
        self.touched.push(collection);
        match Op::decode(bytes) {
            Some(op) => self.apply_op(sequence, collection, op),
            // The log's checksum held, so a later version wrote it; start-up refuses such logs by version.
            None => Outcome::Count(0),
        }
    }

    fn discard_pending(&mut self) {
        self.dropping.clear();
        for id in std::mem::take(&mut self.opening).into_keys() {
            if self.collections.get(&id).is_some_and(Collection::is_placeholder) {
                self.collections.remove(&id);
            }
        }
        self.collections.values_mut().for_each(|collection| collection.pending.clear());
    }

    fn encode_outcome(outcome: &Outcome, out: &mut Vec<u8>) {
        match outcome {
            Outcome::Count(count) => {
                out.push(0);
                out.extend_from_slice(&count.to_le_bytes());
            }
            Outcome::Assigned { start, count } => {
                out.push(1);
                out.extend_from_slice(&start.to_le_bytes());
                out.extend_from_slice(&count.to_le_bytes());
            }
        }
    }

    fn decode_outcome(mut bytes: &[u8]) -> Option<Outcome> {
        Some(match op::take(&mut bytes, 1)?[0] {
            0 => Outcome::Count(op::read_u64(&mut bytes)?),
            1 => Outcome::Assigned { start: op::read_u64(&mut bytes)?, count: op::read_u32(&mut bytes)? },
            _ => return None,
        })
    }
}
