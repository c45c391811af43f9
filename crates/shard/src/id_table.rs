//! From a record id to the rows that carry it, within one segment.
//!
//! An id may stand in several rows: each upsert adds one and leaves the older ones dead. Sealed segments keep an
//! open-addressed table of row numbers (1.5 slots a row, linear probing) of the rows that were not dead when they were
//! written: nobody looks for the others, and many rows of one id would be one long run of slots. Growing segments keep
//! a hash table of their own.

use lavandin_types::RecordIdRef;
use xxhash_rust::xxh3::xxh3_64;

/// A slot without a row.
pub(crate) const EMPTY: u32 = u32::MAX;

/// The hash of an id: part of the sealed segment's format, so it never changes.
#[inline]
pub(crate) fn hash_id(id: RecordIdRef<'_>) -> u64 {
    match id {
        RecordIdRef::Int(value) => mix(value),
        RecordIdRef::Str(text) => xxh3_64(text.as_bytes()),
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): spreads consecutive integers over all bits.
#[inline]
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Slots of a table over `rows` rows.
pub(crate) fn slot_count(rows: u32) -> usize {
    rows as usize + rows as usize / 2 + 1
}

/// Builds the table of a segment of `rows` rows from row numbers and the hashes of their ids.
pub(crate) fn build(rows: u32, hashes: impl Iterator<Item = (u32, u64)>) -> Vec<u32> {
    let mut slots = vec![EMPTY; slot_count(rows)];
    for (row, hash) in hashes {
        let mut slot = start(hash, slots.len());
        while slots[slot] != EMPTY {
            slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
        }
        slots[slot] = row;
    }
    slots
}

/// The rows that may carry an id with this hash; the caller compares ids. Ends at the first empty slot, and after
/// one turn on a table that damage has filled.
pub(crate) fn candidates(slots: &[u32], hash: u64) -> impl Iterator<Item = u32> + '_ {
    let mut slot = if slots.is_empty() { 0 } else { start(hash, slots.len()) };
    let mut left = slots.len();
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        left -= 1;
        let row = slots[slot];
        slot = if slot + 1 == slots.len() { 0 } else { slot + 1 };
        (row != EMPTY).then_some(row)
    })
}

#[inline]
fn start(hash: u64, slots: usize) -> usize {
    ((u128::from(hash) * slots as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;
