//! Which bucket a record's id falls into, and which group owns each bucket.
//!
//! The hash is BLAKE2b with an 8-byte digest over `"{database}/{collection}/{key}"`, read as a little-endian
//! number, modulo the bucket count: the routing that existing clusters of the HTTP API's other implementation use,
//! so that their configurations mean the same here. The key is `str:<id>` for a string id, `int:<id>` for an
//! integer of the external form and the bare decimal for one of the internal form.
//!
//! Tables are interned: collections that are laid out alike share one table (32 KB at 4,096 buckets).

use crate::collection::IntegerIdForm;
use blake2::digest::consts::U8;
use blake2::{Blake2b, Digest};
use lavandin_types::{GroupId, RecordIdRef};
use std::fmt;

/// Buckets of a collection unless the cluster's configuration says otherwise. A collection keeps the number that it was
/// created with: it is part of where a record lives.
pub const BUCKET_COUNT: u16 = 4_096;

/// A bucket of a collection, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketNumber(u16);

impl BucketNumber {
    pub const fn new(value: u16) -> Self {
        Self(value)
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

/// The owner of each bucket; there is at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketTable {
    owners: Box<[GroupId]>,
    /// Each owner once, ascending.
    groups: Box<[GroupId]>,
}

impl BucketTable {
    /// Bucket `i` of `count` goes to the group at `i` modulo their number. `None` without a group or a bucket.
    pub fn spread(groups: &[GroupId], count: u16) -> Option<Self> {
        if groups.is_empty() || count == 0 {
            return None;
        }
        let owners: Box<[GroupId]> = groups.iter().copied().cycle().take(usize::from(count)).collect();
        let mut distinct = owners.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        Some(Self { owners, groups: distinct.into() })
    }

    /// How many buckets there are.
    pub fn count(&self) -> u16 {
        self.owners.len() as u16
    }

    /// The bucket of an id, by [`bucket_hash`].
    pub fn bucket_of(&self, hash: u64) -> BucketNumber {
        BucketNumber((hash % self.owners.len() as u64) as u16)
    }

    /// `None` for a bucket that the table does not have.
    pub fn owner(&self, bucket: BucketNumber) -> Option<GroupId> {
        self.owners.get(usize::from(bucket.0)).copied()
    }

    /// The group that owns the id of this hash.
    pub fn owner_of(&self, hash: u64) -> GroupId {
        self.owners[usize::from(self.bucket_of(hash).0)]
    }

    pub fn owners(&self) -> &[GroupId] {
        &self.owners
    }

    /// The groups that own a bucket, ascending.
    pub fn groups(&self) -> &[GroupId] {
        &self.groups
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
