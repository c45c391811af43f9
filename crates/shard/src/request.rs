//! What is asked of a collection: writes that become operations of the group's log, and reads of its snapshots.

use bytes::Bytes;
use lavandin_types::{ElementType, RecordId, RecordIdRef};

/// The ids of a batch of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchIds {
    /// The server allots the ids: this many, consecutive where possible.
    Assigned {
        count: u32,
    },
    /// `start .. start + count`.
    Range {
        start: u64,
        count: u32,
    },
    Ints(Vec<u64>),
    Mixed(Vec<RecordId>),
}

/// Vectors as they came: `rows * dim` little-endian elements, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorBatch {
    pub element: ElementType,
    pub dim: u32,
    pub bytes: Bytes,
}

/// The records' places in the collection's order of insertion, given where several groups share that order. A place is
/// raised where a record of the group has one as high already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub first: u64,
    /// For each record how far behind the first it is; ascending.
    pub offsets: Vec<u32>,
}

/// Records to insert or replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    pub ids: BatchIds,
    pub vectors: VectorBatch,
    /// For each record in order one byte 0 (no fields given), or one byte 1 and a field object
    /// (`lavandin_types::FieldsRef`); `None` where no record has fields. Checked by whoever built it.
    pub fields: Option<Bytes>,
    /// `None` for the next ones.
    pub places: Option<Places>,
}

/// A change of one collection's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Refused as a whole if any id exists, deleted ones included.
    Add(RecordBatch),
    /// Replaces the vector; replaces the fields where given, else keeps them; inserts what is missing.
    Upsert(RecordBatch),
    /// Hides records until they are restored; unknown ids are ignored.
    Delete(Vec<RecordId>),
    /// Shows deleted records again; other ids are ignored.
    Restore(Vec<RecordId>),
    /// Removes deleted records for good.
    Compact,
    /// Changes no record: its outcome is `Assigned` with these numbers. Logged under a name of a batch over several groups,
    /// which is given these ids, so that the batch is given the same ids whenever it is sent again.
    Allot { start: u64, count: u32 },
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ids the server allotted: `start .. start + count` with the listed exceptions skipped never occurs; the
    /// ids are always one run.
    Assigned { start: u64, count: u32 },
    /// Records written, deleted, restored or removed.
    Count(u64),
}

/// A search for the nearest records.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    /// One query after the other, `dim` numbers each.
    pub queries: Vec<f32>,
    pub k: usize,
    /// The filter's text.
    pub filter: Option<String>,
    /// The user's beam or probe width; 0 leaves it to the index.
    pub probe: u32,
    /// Whether hits carry their fields.
    pub with_fields: bool,
    /// Whether a graph may answer; a scan is always exact.
    pub use_graph: bool,
    /// Threads that one query's scan may use, the caller's included.
    pub threads: usize,
}

/// One hit: the score as users see it (IP: higher is nearer).
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub id: RecordId,
    pub score: f32,
    /// The field object's bytes; empty where they were not asked for.
    pub fields: Vec<u8>,
    /// Its place in the collection's order of insertion, by which equal scores are ordered.
    pub place: u64,
}

/// How one search was answered, for `search_profile` and the slow-query log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchProfile {
    /// `flat`, `flat_filtered`, `graph`, `graph_filtered`, or several joined by `+`.
    pub path: String,
    pub total_vectors: u64,
    /// Records that the filter matched; `None` without one.
    pub filter_matches: Option<u64>,
    pub scanned_vectors: u64,
    pub filter_us: u64,
    pub search_us: u64,
    pub rerank_us: u64,
    pub total_us: u64,
    /// One line a segment: what the planner chose and why.
    pub explain: Vec<String>,
}

/// Which records a listing wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Which {
    /// All that match the filter text, in insertion order.
    Matching(String),
    /// These, in the order given; an unknown or deleted id is an error naming it.
    Ids(Vec<RecordId>),
    All,
    First(usize),
    Last(usize),
}

/// A record as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: RecordId,
    /// Empty where vectors were not asked for.
    pub vector: Vec<f32>,
    /// The field object's bytes; `FieldsRef::EMPTY` for a record without fields.
    pub fields: Vec<u8>,
    /// Its place in the collection's order of insertion.
    pub place: u64,
}

impl Outcome {
    /// Records written, deleted, restored or removed.
    pub fn count(&self) -> u64 {
        match self {
            Self::Assigned { count, .. } => u64::from(*count),
            Self::Count(count) => *count,
        }
    }
}

impl BatchIds {
    pub fn len(&self) -> usize {
        match self {
            Self::Assigned { count } | Self::Range { count, .. } => *count as usize,
            Self::Ints(ids) => ids.len(),
            Self::Mixed(ids) => ids.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The start of a range of ids.
    pub(crate) fn range_start(&self) -> Option<u64> {
        if let Self::Range { start, .. } = self { Some(*start) } else { None }
    }

    /// The ids that the client named; nothing for server-assigned ones.
    pub fn iter(&self) -> Box<dyn Iterator<Item = RecordIdRef<'_>> + '_> {
        match self {
            Self::Assigned { .. } => Box::new(std::iter::empty()),
            Self::Range { start, count } => {
                let start = *start;
                Box::new(
                    (0..u64::from(*count)).map(move |offset| RecordIdRef::Int(start.wrapping_add(offset))),
                )
            }
            Self::Ints(ids) => Box::new(ids.iter().map(|id| RecordIdRef::Int(*id))),
            Self::Mixed(ids) => Box::new(ids.iter().map(RecordId::as_ref)),
        }
    }
}
