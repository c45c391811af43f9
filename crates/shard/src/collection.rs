//! One collection as the group's thread changes it. Readers never touch it: they hold views that it publishes.
//!
//! Invariants: only applied operations change it, and applying never refuses; of an id at most one row is not dead;
//! `digest` is the multiset hash of the live records, equal on every copy at one sequence number whatever its
//! segments are.

use crate::digest::record_hash;
use crate::error::Damage;
use crate::growing::{GrowingWriter, NewRow};
use crate::op::{Ids, Rows as OpRows, take};
use crate::pending::Pending;
use crate::schema::Schema;
use crate::segment::{Rows, Segment};
use crate::view::{View, locate};
use arc_swap::ArcSwap;
use lavandin_group::MultisetHash;
use lavandin_types::{CollectionId, FieldsRef, RecordIdRef, SequenceNumber};
use std::sync::Arc;

/// Integer ids from here on never steer which ids the server allots (SETTLED 15).
pub(crate) const ALLOTTED_END: u64 = 1 << 63;

/// Places in the order of insertion are given up to here, so that counting on never overflows.
const PLACE_MAX: u64 = 1 << 62;

pub(crate) struct Collection {
    pub(crate) id: CollectionId,
    pub(crate) schema: Arc<Schema>,
    /// Oldest first; the last one is `growing`'s where that is some.
    pub(crate) segments: Vec<Segment>,
    growing: Option<GrowingWriter>,
    pub(crate) next_ordinal: u64,
    /// Records ever inserted.
    pub(crate) ever_written: u64,
    pub(crate) max_int: Option<u64>,
    /// A string id was ever written.
    pub(crate) has_strings: bool,
    pub(crate) live: u64,
    pub(crate) deleted: u64,
    pub(crate) digest: MultisetHash,
    /// Why the collection cannot be read.
    pub(crate) damage: Option<Damage>,
    /// An operation was applied without what a damaged segment should have told it. Such a state must not outlive the
    /// process: once the file is restored, the log makes the right one of it.
    incomplete: Option<Damage>,
    pub(crate) pending: Pending,
    pub(crate) view: Arc<ArcSwap<View>>,
    sequence: SequenceNumber,
    /// Changed since the view was published.
    dirty: bool,
    /// A merge is under way.
    pub(crate) merging: bool,
    /// Sealed segments are to be merged into as few as possible, for an index build.
    pub(crate) merge_wanted: bool,
}

/// What a checkpoint keeps of a collection beside its segments.
pub(crate) struct Saved {
    pub id: CollectionId,
    pub schema: Schema,
    pub next_ordinal: u64,
    pub ever_written: u64,
    pub max_int: Option<u64>,
    pub has_strings: bool,
    pub digest: MultisetHash,
    pub segments: Vec<Segment>,
    /// Why this must not become a checkpoint.
    pub incomplete: Option<Damage>,
    pub sequence: SequenceNumber,
}

impl Collection {
    pub(crate) fn new(id: CollectionId, schema: Schema, sequence: SequenceNumber) -> Self {
        Self::from_saved(Saved {
            id,
            schema,
            next_ordinal: 0,
            ever_written: 0,
            max_int: None,
            has_strings: false,
            digest: MultisetHash::default(),
            segments: Vec::new(),
            incomplete: None,
            sequence,
        })
    }

    pub(crate) fn from_saved(saved: Saved) -> Self {
        let deleted = saved.segments.iter().map(|segment| u64::from(segment.deleted.count())).sum();
        let rows: u64 =
            saved.segments.iter().map(|segment| u64::from(segment.len - segment.dead.count())).sum();
        let view = View {
            schema: Arc::new(saved.schema),
            segments: saved.segments,
            live: rows - deleted,
            deleted,
            max_int: saved.max_int,
            has_strings: saved.has_strings,
            ever_written: saved.ever_written,
            digest: saved.digest,
            sequence: saved.sequence,
            damage: None,
            known_fields: None,
        };
        Self {
            id: saved.id,
            schema: Arc::clone(&view.schema),
            segments: view.segments.clone(),
            growing: None,
            next_ordinal: saved.next_ordinal,
            ever_written: saved.ever_written,
            max_int: view.max_int,
            has_strings: view.has_strings,
            live: view.live,
            deleted,
            digest: saved.digest,
            damage: None,
            incomplete: saved.incomplete,
            pending: Pending::default(),
            view: Arc::new(ArcSwap::from_pointee(view)),
            sequence: saved.sequence,
            dirty: false,
            merging: false,
            merge_wanted: false,
        }
    }

    /// Whether it stands in for a collection whose opening is staged and not applied.
    pub(crate) fn is_placeholder(&self) -> bool {
        self.sequence == SequenceNumber::ZERO
    }

    /// The opening is applied; later ones change nothing.
    pub(crate) fn opened(&mut self, sequence: SequenceNumber) {
        if self.is_placeholder() {
            self.touch(sequence);
        }
    }

    /// The next id that the server would allot: above every integer id so far, and not below the number of records
    /// ever inserted.
    pub(crate) fn next_allotted(&self, pending_max: Option<u64>, pending_rows: u64) -> u64 {
        let above = self.max_int.max(pending_max).map_or(0, |largest| largest + 1);
        above.max(self.ever_written + pending_rows)
    }

    pub(crate) fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// Rows that are not dead.
    pub(crate) fn rows(&self) -> u64 {
        self.live + self.deleted
    }

    pub(crate) fn growing_rows(&self) -> u32 {
        self.growing.as_ref().map_or(0, GrowingWriter::rows)
    }

    pub(crate) fn growing_bytes(&self) -> u64 {
        self.growing.as_ref().map_or(0, |growing| growing.shared.bytes(growing.rows()))
    }

    /// Changes the index. The form of the vectors stays, whatever the operation says.
    pub(crate) fn set_schema(&mut self, schema: Schema, sequence: SequenceNumber) {
        let Schema { element, dim, .. } = *self.schema;
        self.schema = Arc::new(Schema { element, dim, ..schema });
        self.touch(sequence);
    }

    /// Applies an add or upsert. An operation that does not fit the schema cannot have been logged; on bytes that
    /// claim so it stops at what is whole, equally on every copy.
    pub(crate) fn apply_write(&mut self, upsert: bool, rows: &OpRows<'_>, sequence: SequenceNumber) -> u64 {
        let vector_bytes = self.schema.vector_bytes();
        let Some((vectors, mut fields)) = rows.split(vector_bytes) else { return 0 };
        if rows.ids.count == 0 {
            return 0;
        }
        self.open_growing();
        let first = self.growing_rows();
        let mut kept = Vec::new();
        for (row, (id, vector)) in rows.ids.iter().zip(vectors.chunks_exact(vector_bytes)).enumerate() {
            let given = fields.as_mut().and_then(next_fields);
            let mut ordinal = self.next_ordinal;
            let mut row_fields = given;
            let old = if upsert { locate(&self.segments, id) } else { None };
            if let Some((segment, row)) = old {
                ordinal = self.segments[segment].rows.ordinal(row);
                if given.is_none() && self.is_readable(segment) {
                    kept.clear();
                    let old_fields = self.segments[segment].rows.fields(row);
                    kept.extend_from_slice(old_fields.map_or(&[], FieldsRef::as_bytes));
                    row_fields = old_fields.is_some().then_some(kept.as_slice());
                }
                self.bury(segment, row);
            } else {
                let least = rows.places.map_or(0, |places| places.of(row));
                ordinal = ordinal.max(least.min(PLACE_MAX));
                self.next_ordinal = ordinal + 1;
                self.ever_written += 1;
            }
            self.digest.add(record_hash(id, vector, row_fields.unwrap_or_default()));
            self.live += 1;
            match id {
                RecordIdRef::Int(value) if value < ALLOTTED_END => {
                    self.max_int = self.max_int.max(Some(value));
                }
                RecordIdRef::Int(_) => {}
                RecordIdRef::Str(_) => self.has_strings = true,
            }
            if let Some(growing) = &mut self.growing {
                growing.push(&NewRow { id, ordinal, vector, fields: row_fields });
            }
        }
        self.close_write(first);
        self.touch(sequence);
        u64::from(rows.ids.count)
    }

    pub(crate) fn apply_delete(&mut self, ids: Ids<'_>, sequence: SequenceNumber) -> u64 {
        self.apply_tombstones(ids, sequence, true)
    }

    pub(crate) fn apply_restore(&mut self, ids: Ids<'_>, sequence: SequenceNumber) -> u64 {
        self.apply_tombstones(ids, sequence, false)
    }

    /// Buries the deleted rows; a merge takes them out of the files later.
    pub(crate) fn apply_compact(&mut self, sequence: SequenceNumber) -> u64 {
        let removed = self.deleted;
        for segment in &mut self.segments {
            if segment.deleted.is_empty() {
                continue;
            }
            let dead = Arc::make_mut(&mut segment.dead);
            dead.resize(segment.len);
            dead.or(&segment.deleted);
            segment.deleted = Arc::default();
            segment.refresh_live();
        }
        self.deleted = 0;
        self.touch(sequence);
        removed
    }

    fn apply_tombstones(&mut self, ids: Ids<'_>, sequence: SequenceNumber, delete: bool) -> u64 {
        let mut changed = vec![false; self.segments.len()];
        let mut count = 0;
        for id in ids.iter() {
            let Some((index, row)) = locate(&self.segments, id) else { continue };
            let segment = &mut self.segments[index];
            if segment.deleted.contains(row) == delete {
                continue;
            }
            let len = segment.len;
            Segment::mark(&mut segment.deleted, row, len, delete);
            changed[index] = true;
            count += 1;
            if !self.is_readable(index) {
                continue;
            }
            let hash = row_hash(&self.segments[index].rows, row);
            if delete {
                self.digest.remove(hash);
            } else {
                self.digest.add(hash);
            }
        }
        for (segment, _) in self.segments.iter_mut().zip(changed).filter(|(_, changed)| *changed) {
            segment.refresh_live();
        }
        if delete {
            self.live -= count;
            self.deleted += count;
        } else {
            self.live += count;
            self.deleted -= count;
        }
        self.touch(sequence);
        count
    }

    /// Marks a row dead because a newer one replaces it.
    fn bury(&mut self, index: usize, row: u32) {
        let is_readable = self.is_readable(index);
        let segment = &mut self.segments[index];
        let len = segment.len;
        if segment.deleted.contains(row) {
            Segment::mark(&mut segment.deleted, row, len, false);
            self.deleted -= 1;
        } else {
            if is_readable {
                self.digest.remove(row_hash(&segment.rows, row));
            }
            self.live -= 1;
        }
        Segment::mark(&mut segment.dead, row, len, true);
        // `live` is brought up to date once the whole operation is in.
        segment.live = Some(Arc::default());
    }

    /// Whether a segment's rows are what was written. `prepare` has made sure of it, so they are not only where a replay
    /// meets a file that was damaged since.
    fn is_readable(&mut self, index: usize) -> bool {
        match self.segments[index].rows.verify() {
            Ok(()) => true,
            Err(damage) => {
                self.damage = Some(damage.clone());
                self.incomplete = Some(damage);
                false
            }
        }
    }

    fn open_growing(&mut self) {
        if self.growing.is_none() {
            let growing = GrowingWriter::new(self.schema.element, self.schema.dim as usize);
            self.segments.push(Segment::new(Rows::Growing(Arc::clone(&growing.shared)), 0));
            self.growing = Some(growing);
        }
    }

    fn close_write(&mut self, first: u32) {
        if let (Some(growing), Some(segment)) = (&mut self.growing, self.segments.last_mut()) {
            growing.index_ids(first);
            segment.len = growing.rows();
            if segment.live.is_some() {
                segment.refresh_live();
            }
        }
        let stale =
            |segment: &&mut Segment| segment.live.as_ref().is_some_and(|live| live.len() != segment.len);
        self.segments.iter_mut().filter(stale).for_each(Segment::refresh_live);
    }

    fn touch(&mut self, sequence: SequenceNumber) {
        self.sequence = sequence;
        self.dirty = true;
    }

    pub(crate) fn incomplete(&self) -> Option<&Damage> {
        self.incomplete.as_ref()
    }

    /// Stops adding to the growing segment, so that it can be sealed.
    pub(crate) fn freeze(&mut self) {
        self.growing = None;
    }

    /// Shows readers what has been applied.
    pub(crate) fn publish(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.view.store(Arc::new(self.current_view()));
        }
    }

    /// Shows readers the same records in other segments.
    pub(crate) fn publish_layout(&mut self) {
        self.dirty = true;
        self.publish();
    }

    pub(crate) fn current_view(&self) -> View {
        View {
            schema: Arc::clone(&self.schema),
            segments: self.segments.clone(),
            live: self.live,
            deleted: self.deleted,
            max_int: self.max_int,
            has_strings: self.has_strings,
            ever_written: self.ever_written,
            digest: self.digest,
            sequence: self.sequence,
            damage: self.damage.clone(),
            known_fields: None,
        }
    }

    /// Checks the segments whose rows a change may have to read.
    pub(crate) fn verify(&mut self) -> Result<(), Damage> {
        let checked = match &self.damage {
            Some(damage) => Err(damage.clone()),
            None => self.segments.iter().try_for_each(|segment| segment.rows.verify()),
        };
        if let Err(damage) = &checked {
            self.damage = Some(damage.clone());
            self.dirty = true;
        }
        checked
    }
}

/// The hash of a stored record.
pub(crate) fn row_hash(rows: &Rows, row: u32) -> u128 {
    let fields = rows.fields(row).map_or(&[][..], FieldsRef::as_bytes);
    record_hash(rows.id(row), crate::digest::row_bytes(&rows.vector(row)), fields)
}

/// Takes the next record's fields off an operation's field bytes.
fn next_fields<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if take(rest, 1)?[0] == 0 {
        return None;
    }
    let (object, after) = FieldsRef::split(rest).ok()?;
    *rest = after;
    Some(object.as_bytes())
}
