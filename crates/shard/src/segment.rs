//! A segment as a view holds it: growing or sealed rows, and which of them are dead or deleted.
//!
//! *Dead* rows are gone for good (replaced by an upsert, or removed by a compaction) and wait for a merge; *deleted*
//! ones can be restored. A row is live when it is neither. Tombstones are shared between the writer and its views and
//! copied when the writer changes them, so a view never changes.

use crate::error::Damage;
use crate::growing::Growing;
use crate::sealed::Sealed;
use lavandin_types::{FieldsRef, RecordIdRef, Selection};
use lavandin_vector::block::{Block, Row};
use lavandin_vector::codes::CodeMeta;
use lavandin_vector::fields::SegmentFields;
use std::sync::Arc;

/// A segment's rows.
#[derive(Clone)]
pub(crate) enum Rows {
    Growing(Arc<Growing>),
    Sealed(Arc<Sealed>),
}

/// Rows, how many of them are seen, and their tombstones.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) rows: Rows,
    pub(crate) len: u32,
    /// Universes may be shorter than `len`; rows beyond them are not in the set.
    pub(crate) dead: Arc<Selection>,
    pub(crate) deleted: Arc<Selection>,
    /// The live rows; `None` when all of them are.
    pub(crate) live: Option<Arc<Selection>>,
}

impl Rows {
    pub(crate) fn id(&self, row: u32) -> RecordIdRef<'_> {
        match self {
            Self::Growing(rows) => rows.id(row),
            Self::Sealed(rows) => rows.id(row),
        }
    }

    /// The record's place in the order of insertion.
    pub(crate) fn ordinal(&self, row: u32) -> u64 {
        match self {
            Self::Growing(rows) => rows.ordinal(row),
            Self::Sealed(rows) => rows.ordinal(row),
        }
    }

    pub(crate) fn vector(&self, row: u32) -> Row<'_> {
        match self {
            Self::Growing(rows) => rows.vector(row),
            Self::Sealed(rows) => rows.vector(row),
        }
    }

    pub(crate) fn code(&self, row: u32) -> (&[u8], CodeMeta) {
        match self {
            Self::Growing(rows) => rows.code(row),
            Self::Sealed(rows) => rows.code(row),
        }
    }

    /// The row's field object; `None` where none was given.
    pub(crate) fn fields(&self, row: u32) -> Option<FieldsRef<'_>> {
        match self {
            Self::Growing(rows) => rows.fields.object(row),
            Self::Sealed(rows) => rows.fields.record(row),
        }
    }

    /// The first row of `id` that `accept` takes.
    pub(crate) fn find(&self, id: RecordIdRef<'_>, accept: impl FnMut(u32) -> bool) -> Option<u32> {
        match self {
            Self::Growing(rows) => rows.find(id, accept),
            Self::Sealed(rows) => rows.find(id, accept),
        }
    }

    pub(crate) fn blocks(&self, len: u32) -> Vec<Block<'_>> {
        match self {
            Self::Growing(rows) => rows.blocks(len),
            Self::Sealed(rows) => vec![rows.block()],
        }
    }

    /// Bytes of the file, or of the first `len` rows in memory.
    pub(crate) fn bytes(&self, len: u32) -> u64 {
        match self {
            Self::Growing(rows) => rows.bytes(len),
            Self::Sealed(rows) => rows.bytes(),
        }
    }

    /// Checks what a sealed segment has not checked yet.
    pub(crate) fn verify(&self) -> Result<(), Damage> {
        match self {
            Self::Growing(_) => Ok(()),
            Self::Sealed(rows) => rows.verify(),
        }
    }
}

impl Segment {
    pub(crate) fn new(rows: Rows, len: u32) -> Self {
        Self { rows, len, dead: Arc::default(), deleted: Arc::default(), live: None }
    }

    /// The row of `id` that is not dead.
    pub(crate) fn find(&self, id: RecordIdRef<'_>) -> Option<u32> {
        self.rows.find(id, |row| row < self.len && !self.dead.contains(row))
    }

    pub(crate) fn is_live(&self, row: u32) -> bool {
        row < self.len && !self.dead.contains(row) && !self.deleted.contains(row)
    }

    /// Recomputes `live` after `len` or the tombstones changed.
    pub(crate) fn refresh_live(&mut self) {
        self.live = if self.dead.is_empty() && self.deleted.is_empty() {
            None
        } else {
            let mut live = Selection::all(self.len);
            live.and_not(&self.dead);
            live.and_not(&self.deleted);
            Some(Arc::new(live))
        };
    }

    /// Sets or clears one row in a tombstone set.
    pub(crate) fn mark(set: &mut Arc<Selection>, row: u32, len: u32, present: bool) {
        if set.contains(row) == present {
            return;
        }
        let set = Arc::make_mut(set);
        if set.len() < len {
            set.resize(len);
        }
        if present {
            set.insert(row);
        } else {
            set.remove(row);
        }
    }
}
