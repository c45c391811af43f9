//! Which bucket a record's id falls into, and which group owns each bucket.
//!
//! The hash is BLAKE2b with an 8-byte digest over `"{database}/{collection}/{key}"`, read as a little-endian
//! number, modulo the bucket count: the routing that existing clusters of the HTTP API's other implementation use,
//! so that their configurations mean the same here. The key is `str:<id>` for a string id, `int:<id>` for an
//! integer of the external form and the bare decimal for one of the internal form.
//!
//! Tables are interned: collections that are laid out alike share one table of 4,096 entries (32 KB).

use crate::collection::IntegerIdForm;
use blake2::digest::consts::U8;
use blake2::{Blake2b, Digest};
use lavandin_types::{GroupId, RecordIdRef};
use std::fmt;

/// Buckets of every collection. Fixed: it is part of where a record lives.
pub const BUCKET_COUNT: u16 = 4_096;

/// A bucket of a collection, in `0..BUCKET_COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketNumber(u16);

impl BucketNumber {
    /// `None` at or beyond the bucket count.
    pub fn new(value: u16) -> Option<Self> {
        (value < BUCKET_COUNT).then_some(Self(value))
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    pub const fn to_le_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for BucketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// An interned bucket table. Never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketTableId(u64);

impl BucketTableId {
    pub const ZERO: Self = Self(0);

    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub const fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for BucketTableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// The owner of each bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketTable {
    owners: Box<[GroupId]>,
}

impl BucketTable {
    /// Bucket `i` goes to the group at `i` modulo their number. `None` without a group.
    pub fn spread(groups: &[GroupId]) -> Option<Self> {
        if groups.is_empty() {
            return None;
        }
        let owners = groups.iter().copied().cycle().take(usize::from(BUCKET_COUNT)).collect();
        Some(Self { owners })
    }

    pub fn owner(&self, bucket: BucketNumber) -> GroupId {
        self.owners[usize::from(bucket.0)]
    }

    pub fn owners(&self) -> &[GroupId] {
        &self.owners
    }

    /// The groups that own a bucket, ascending.
    pub fn groups(&self) -> Vec<GroupId> {
        let mut groups = self.owners.to_vec();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

impl fmt::Debug for BucketTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketTable({:?})", self.groups())
    }
}

/// The 64-bit routing hash of an id. An integer of a collection whose form is not fixed yet hashes as internal: no
/// integer is stored there, so the answer only has to be the same everywhere.
pub fn bucket_hash(database: &str, collection: &str, id: RecordIdRef<'_>, form: IntegerIdForm) -> u64 {
    let mut hasher = Blake2b::<U8>::new();
    for part in [database, "/", collection, "/"] {
        hasher.update(part);
    }
    match id {
        RecordIdRef::Str(text) => {
            hasher.update("str:");
            hasher.update(text);
        }
        RecordIdRef::Int(number) => {
            if form == IntegerIdForm::External {
                hasher.update("int:");
            }
            let mut digits = [0; 20];
            hasher.update(decimal(number, &mut digits));
        }
    }
    u64::from_le_bytes(hasher.finalize().into())
}

/// The bucket of an id.
pub fn bucket_of(database: &str, collection: &str, id: RecordIdRef<'_>, form: IntegerIdForm) -> BucketNumber {
    let hash = bucket_hash(database, collection, id, form);
    BucketNumber((hash % u64::from(BUCKET_COUNT)) as u16)
}

/// The digits of a number, without an allocation: this runs once per record of every write.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests;
