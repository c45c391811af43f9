//! A view: one moment of a collection, which readers hold for as long as they like. It never changes, and nothing
//! waits for it.

use crate::error::Damage;
use crate::filtering::FieldKinds;
use crate::request::SearchRequest;
use crate::schema::Schema;
use crate::segment::{Rows, Segment};
use lavandin_group::MultisetHash;
use lavandin_types::{RecordIdRef, SequenceNumber};
use std::sync::Arc;

/// One moment of a collection.
#[derive(Clone)]
pub struct View {
    pub(crate) schema: Arc<Schema>,
    /// Oldest first; at most the last is growing still.
    pub(crate) segments: Vec<Segment>,
    pub(crate) live: u64,
    pub(crate) deleted: u64,
    pub(crate) max_int: Option<u64>,
    pub(crate) has_strings: bool,
    pub(crate) ever_written: u64,
    /// Of the live records, as the operations made it.
    pub(crate) digest: MultisetHash,
    /// The last operation that the view shows.
    pub(crate) sequence: SequenceNumber,
    /// Why the collection cannot be read, if so.
    pub(crate) damage: Option<Damage>,
    /// Fields that filters may name besides those of its own records.
    pub(crate) known_fields: Option<Arc<FieldKinds>>,
}

/// What a view can say about its collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub live: u64,
    pub deleted: u64,
    /// The largest integer id ever written.
    pub max_int: Option<u64>,
    /// A string id was ever written.
    pub has_strings: bool,
    /// Records ever inserted.
    pub ever_written: u64,
    pub dim: u32,
    /// Rows that a graph covers.
    pub indexed_rows: u64,
    pub segments: u64,
    /// Bytes of its segment and graph files, and of its rows in memory.
    pub bytes: u64,
    pub index_bytes: u64,
}

impl View {
    /// The same moment, for filters that are bound to the fields of other groups' records as well: in none of these a
    /// field is unknown that another has.
    #[must_use]
    pub fn knowing(&self, fields: Arc<FieldKinds>) -> Self {
        Self { known_fields: Some(fields), ..self.clone() }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The last operation that this view shows.
    pub fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    pub fn statistics(&self) -> Statistics {
        let mut all = Statistics {
            live: self.live,
            deleted: self.deleted,
            max_int: self.max_int,
            has_strings: self.has_strings,
            ever_written: self.ever_written,
            dim: self.schema.dim,
            segments: self.segments.len() as u64,
            ..Statistics::default()
        };
        for segment in &self.segments {
            all.bytes += segment.rows.bytes(segment.len);
            if let Rows::Sealed(rows) = &segment.rows
                && let Some(graph) = &*rows.graph.load()
            {
                all.bytes += graph.bytes();
                all.index_bytes += graph.bytes();
                all.indexed_rows += u64::from(rows.rows);
            }
        }
        all
    }

    /// Bytes that a pass over all codes touches, for who decides where to run it.
    pub fn scan_bytes(&self) -> u64 {
        let rows: u64 = self.segments.iter().map(|segment| u64::from(segment.len)).sum();
        rows * u64::from(self.schema.dim)
    }

    /// Bytes that one query of a search touches, roughly.
    pub fn search_bytes(&self, request: &SearchRequest) -> u64 {
        let bytes = |segment: &Segment| match &segment.rows {
            Rows::Sealed(rows) if request.use_graph && rows.graph.load().is_some() => 1 << 20,
            _ => u64::from(segment.len) * u64::from(self.schema.dim),
        };
        self.segments.iter().map(bytes).sum()
    }

    /// Refuses to go on with damaged segments.
    pub(crate) fn verify(&self) -> Result<(), Damage> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        self.segments.iter().try_for_each(|segment| segment.rows.verify())
    }

    /// Where a record stands, deleted or not: segment and row.
    pub(crate) fn locate(&self, id: RecordIdRef<'_>) -> Option<(usize, u32)> {
        locate(&self.segments, id)
    }
}

/// Where a record stands; the newest segments are the likeliest.
pub(crate) fn locate(segments: &[Segment], id: RecordIdRef<'_>) -> Option<(usize, u32)> {
    segments.iter().enumerate().rev().find_map(|(index, segment)| Some((index, segment.find(id)?)))
}
