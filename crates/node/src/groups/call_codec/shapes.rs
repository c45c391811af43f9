//! The bytes of what questions and answers are made of.

use super::coded::{Coded, Reader, coded_id, coded_struct};
use crate::driver::Reserved;
use crate::node_statistics::CollectionStatistics;
use crate::reads::Search;
use crate::reservations::ReservationId;
use crate::verifying::{DamagedCollection, Digests};
use bytes::Bytes;
use lavandin_filter::Kinds;
use lavandin_plan::iterations;
use lavandin_shard::{
    BatchIds, Change, Digest, FieldKinds, Hit, Outcome, Places, Record, RecordBatch, SearchProfile,
    SearchResult, VectorBatch, Which,
};
use lavandin_types::{CollectionId, ElementType, GroupId, PrimaryEpoch, RecordId, RequestId, SequenceNumber};

coded_id!(
    CollectionId: u64,
    GroupId: u64,
    PrimaryEpoch: u64,
    SequenceNumber: u64,
    RequestId: u128,
    ReservationId: u128,
);

coded_struct!(Digest { collection: CollectionId, sequence: SequenceNumber, records: u64, hash: u128 });
coded_struct!(DamagedCollection { collection: CollectionId, reason: String });
coded_struct!(Digests { digests: Vec<Digest>, damaged: Vec<DamagedCollection> });
coded_struct!(VectorBatch { element: ElementType, dim: u32, bytes: Bytes });
coded_struct!(RecordBatch {
    ids: BatchIds,
    vectors: VectorBatch,
    fields: Option<Bytes>,
    places: Option<Places>,
});
coded_struct!(Hit { id: RecordId, score: f32, fields: Vec<u8>, place: u64 });
coded_struct!(Record { id: RecordId, vector: Vec<f32>, fields: Vec<u8>, place: u64 });
coded_struct!(SearchResult { hits: Vec<Vec<Hit>>, profile: SearchProfile });
coded_struct!(Search {
    queries: Vec<f32>,
    count: usize,
    k: usize,
    filter: Option<String>,
    probe: u32,
    with_fields: bool,
});
coded_struct!(SearchProfile {
    path: String,
    total_vectors: u64,
    filter_matches: Option<u64>,
    scanned_vectors: u64,
    filter_us: u64,
    search_us: u64,
    rerank_us: u64,
    total_us: u64,
    explain: Vec<String>,
});
coded_struct!(CollectionStatistics {
    rows: u64,
    live: u64,
    deleted: u64,
    max_int_id: Option<u64>,
    has_string_ids: bool,
    ever_written: u64,
    dim: u32,
    indexed_rows: u64,
    segments: u64,
    bytes: u64,
});

macro_rules! coded_as_bytes {
    ($($type:ty),* $(,)?) => {
        $(impl Coded for $type {
            const BYTES_MIN: usize = 4;

            fn put(&self, out: &mut Vec<u8>) {
                let start = out.len();
                0_u32.put(out);
                self.encode(out);
                let length = (out.len() - start - 4) as u32;
                out[start..start + 4].copy_from_slice(&length.to_le_bytes());
            }

            fn get(from: &mut Reader<'_>) -> Option<Self> {
                let length = u32::get(from)? as usize;
                Self::decode(from.take(length)?)
            }
        })*
    };
}

// A u32 of bytes before what `plan` has bytes for.
coded_as_bytes!(
    iterations::Request,
    iterations::Question,
    iterations::Reply,
    iterations::Outcome,
    iterations::Rejection,
);

impl Coded for Result<iterations::Outcome, iterations::Rejection> {
    const BYTES_MIN: usize = 5;

    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(outcome) => outcome.put(out),
            Err(rejection) => rejection.put(out),
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(if bool::get(from)? { Ok(Coded::get(from)?) } else { Err(Coded::get(from)?) })
    }
}

impl Coded for Places {
    const BYTES_MIN: usize = 12;

    fn put(&self, out: &mut Vec<u8>) {
        self.first.put(out);
        self.offsets.put(out);
    }

    /// Places are microseconds since 1970, pushed on by records: those that might run over are not real.
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let places = Self { first: u64::get(from)?, offsets: Vec::get(from)? };
        (places.first <= u64::MAX / 2).then_some(places)
    }
}

impl Coded for ElementType {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        self.to_byte().put(out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Self::from_byte(u8::get(from)?)
    }
}

impl Coded for FieldKinds {
    const BYTES_MIN: usize = 4;

    fn put(&self, out: &mut Vec<u8>) {
        let fields = self.iter();
        (fields.len() as u32).put(out);
        for (name, kinds) in fields {
            (name.len() as u32).put(out);
            out.extend_from_slice(name.as_bytes());
            kinds.bits().put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let fields: Vec<Field> = Vec::get(from)?;
        Some(fields.into_iter().map(|field| (field.name, Kinds::from_bits(field.kinds))).collect())
    }
}

/// One of the fields as it is read.
struct Field {
    name: String,
    kinds: u8,
}

coded_struct!(Field { name: String, kinds: u8 });

impl Coded for RecordId {
    /// The empty string.
    const BYTES_MIN: usize = 5;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => {
                out.push(0);
                value.put(out);
            }
            Self::Str(text) => {
                out.push(1);
                text.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        match u8::get(from)? {
            0 => u64::get(from).map(Self::Int),
            1 => Coded::get(from).map(Self::Str),
            _ => None,
        }
    }
}

impl Coded for BatchIds {
    const BYTES_MIN: usize = 5;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Range { start, count } => {
                out.push(0);
                start.put(out);
                count.put(out);
            }
            Self::Ints(ids) => {
                out.push(1);
                ids.put(out);
            }
            Self::Mixed(ids) => {
                out.push(2);
                ids.put(out);
            }
            Self::Assigned { count } => {
                out.push(3);
                count.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match u8::get(from)? {
            0 => Self::Range { start: u64::get(from)?, count: u32::get(from)? },
            1 => Self::Ints(Vec::get(from)?),
            2 => Self::Mixed(Vec::get(from)?),
            3 => Self::Assigned { count: u32::get(from)? },
            _ => return None,
        })
    }
}

impl Coded for Change {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Add(batch) => {
                out.push(0);
                batch.put(out);
            }
            Self::Upsert(batch) => {
                out.push(1);
                batch.put(out);
            }
            Self::Delete(ids) => {
                out.push(2);
                ids.put(out);
            }
            Self::Restore(ids) => {
                out.push(3);
                ids.put(out);
            }
            Self::Compact => out.push(4),
            Self::Allot { start, count } => {
                out.push(5);
                start.put(out);
                count.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match u8::get(from)? {
            0 => Self::Add(RecordBatch::get(from)?),
            1 => Self::Upsert(RecordBatch::get(from)?),
            2 => Self::Delete(Vec::get(from)?),
            3 => Self::Restore(Vec::get(from)?),
            4 => Self::Compact,
            5 => Self::Allot { start: u64::get(from)?, count: u32::get(from)? },
            _ => return None,
        })
    }
}

impl Coded for Outcome {
    const BYTES_MIN: usize = 9;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Assigned { start, count } => {
                out.push(0);
                start.put(out);
                count.put(out);
            }
            Self::Count(count) => {
                out.push(1);
                count.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match u8::get(from)? {
            0 => Self::Assigned { start: u64::get(from)?, count: u32::get(from)? },
            1 => Self::Count(u64::get(from)?),
            _ => return None,
        })
    }
}

impl Coded for Reserved {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Held => out.push(0),
            Self::Answered(outcome) => {
                out.push(1);
                outcome.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match u8::get(from)? {
            0 => Self::Held,
            1 => Self::Answered(Outcome::get(from)?),
            _ => return None,
        })
    }
}

impl Coded for Which {
    const BYTES_MIN: usize = 1;

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Matching(filter) => {
                out.push(0);
                filter.put(out);
            }
            Self::Ids(ids) => {
                out.push(1);
                ids.put(out);
            }
            Self::All => out.push(2),
            Self::First(count) => {
                out.push(3);
                count.put(out);
            }
            Self::Last(count) => {
                out.push(4);
                count.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match u8::get(from)? {
            0 => Self::Matching(String::get(from)?),
            1 => Self::Ids(Vec::get(from)?),
            2 => Self::All,
            3 => Self::First(usize::get(from)?),
            4 => Self::Last(usize::get(from)?),
            _ => return None,
        })
    }
}
