//! The hash of one record, from which a collection's multiset hash is summed; and what copies of a group compare.
//!
//! Two copies hold the same records of a collection at one sequence number, in whatever segments. A digest is summed from
//! the rows that a view shows, not taken from the running sum of the operations, so that it also finds rows that changed
//! where they lie; that the two sums agree is checked on the way.

use crate::collection::row_hash;
use crate::error::Damage;
use crate::view::View;
use lavandin_group::MultisetHash;
use lavandin_types::{CollectionId, RecordIdRef, SequenceNumber};
use lavandin_vector::block::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// A collection's live records, in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    pub collection: CollectionId,
    /// The last operation on the collection that is in it.
    pub sequence: SequenceNumber,
    pub records: u64,
    pub hash: u128,
}

/// What comparing two copies came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Collections that differ although both copies are at one sequence number: one of the two is damaged.
    pub different: Vec<CollectionId>,
    /// Collections that only one copy has, or that the copies have at different sequence numbers: one of the two lags
    /// behind, and they can be compared later.
    pub unsettled: Vec<CollectionId>,
}

impl Digest {
    /// Reads every live record of the view.
    pub fn of(collection: CollectionId, view: &View) -> Result<Self, Damage> {
        let mut sum = DigestSum::new(collection, Arc::new(view.clone()));
        while sum.add(u64::MAX)?.is_some() {}
        sum.finish()
    }
}

/// A digest that is being summed up, some rows at a time: for who must not read everything at once.
pub struct DigestSum {
    collection: CollectionId,
    view: Arc<View>,
    /// Where to go on.
    segment: usize,
    row: u32,
    hash: MultisetHash,
    records: u64,
}

impl DigestSum {
    pub fn new(collection: CollectionId, view: Arc<View>) -> Self {
        Self { collection, view, segment: 0, row: 0, hash: MultisetHash::default(), records: 0 }
    }

    /// Reads about `bytes_max` bytes of rows; how many it read, `None` behind the last one.
    pub fn add(&mut self, bytes_max: u64) -> Result<Option<u64>, Damage> {
        if let Some(damage) = &self.view.damage {
            return Err(damage.clone());
        }
        let Some(segment) = self.view.segments.get(self.segment) else { return Ok(None) };
        segment.rows.verify()?;
        let row_bytes = (segment.rows.bytes(segment.len) / u64::from(segment.len.max(1))).max(1);
        let rows = u32::try_from(bytes_max / row_bytes).unwrap_or(u32::MAX).max(1);
        let end = self.row.saturating_add(rows).min(segment.len);
        for row in (self.row..end).filter(|row| segment.is_live(*row)) {
            self.hash.add(row_hash(&segment.rows, row));
            self.records += 1;
        }
        let read = u64::from(end - self.row) * row_bytes;
        (self.segment, self.row) =
            if end < segment.len { (self.segment, end) } else { (self.segment + 1, 0) };
        Ok(Some(read))
    }

    /// Once there is nothing to add.
    pub fn finish(self) -> Result<Digest, Damage> {
        let Self { collection, view, hash, records, .. } = self;
        if hash.get() != view.digest.get() || records != view.live {
            let what = "its records are not those that its operations made";
            return Err(Damage::new(&format!("of collection {collection}"), what));
        }
        Ok(Digest { collection, sequence: view.sequence, records, hash: hash.get() })
    }
}

/// Compares two copies by their digests.
pub fn compare(ours: &[Digest], theirs: &[Digest]) -> Comparison {
    let by_id = |digests: &[Digest]| -> BTreeMap<_, _> {
        digests.iter().map(|digest| (digest.collection, *digest)).collect()
    };
    let (ours, theirs) = (by_id(ours), by_id(theirs));
    let all: BTreeSet<_> = ours.keys().chain(theirs.keys()).copied().collect();
    let mut comparison = Comparison::default();
    for collection in all {
        match (ours.get(&collection), theirs.get(&collection)) {
            (Some(ours), Some(theirs)) if ours == theirs => {}
            (Some(ours), Some(theirs)) if ours.sequence == theirs.sequence => {
                comparison.different.push(collection);
            }
            _ => comparison.unsettled.push(collection),
        }
    }
    comparison
}

/// The hash of a live record: its id, its vector as stored, its fields' bytes (none: empty).
pub(crate) fn record_hash(id: RecordIdRef<'_>, vector: &[u8], fields: &[u8]) -> u128 {
    let id_hash = match id {
        RecordIdRef::Int(value) => xxh3_64(&value.to_le_bytes()),
        // Keeps a string of eight bytes apart from the integer of the same bytes.
        RecordIdRef::Str(text) => xxh3_64(text.as_bytes()) ^ 0x5354_5249_4e47_4944,
    };
    let seed = id_hash.rotate_left(17) ^ xxh3_64(fields);
    xxh3_128_with_seed(vector, seed)
}

/// A row's elements as they are stored: little-endian.
pub(crate) fn row_bytes<'a>(row: &Row<'a>) -> &'a [u8] {
    match row {
        Row::F32(values) => bytemuck::cast_slice(values),
        Row::F16(bits) => bytemuck::cast_slice(bits),
    }
}

const _: () = assert!(cfg!(target_endian = "little"), "vectors are stored as the machine has them");
