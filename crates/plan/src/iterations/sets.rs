//! Sets of numbers in checkpoints: the public portable form of Roaring bitmaps, which is documented by its project.
//!
//! Equal sets have equal bytes. A bitmap may hold the same 65,536 numbers as array, bits or runs, as its history had it;
//! before writing, each such part is brought into the form that its content alone decides.

use roaring::{RoaringBitmap, RoaringTreemap};

const INFALLIBLE: &str = "writing to memory does not fail";

pub(crate) fn write_set(out: &mut Vec<u8>, set: &RoaringBitmap) {
    canonical(set).serialize_into(out).expect(INFALLIBLE);
}

pub(crate) fn read_set(rest: &mut &[u8]) -> Option<RoaringBitmap> {
    RoaringBitmap::deserialize_from(rest).ok()
}

/// A varint's worth of parts: u64 count, then for each u32 upper half and a bitmap of the lower halves.
pub(crate) fn write_set_64(out: &mut Vec<u8>, set: &RoaringTreemap) {
    let parts = set.bitmaps().filter(|(_, part)| !part.is_empty());
    let parts = parts.map(|(upper, part)| (upper, canonical(part)));
    RoaringTreemap::from_bitmaps(parts).serialize_into(out).expect(INFALLIBLE);
}

pub(crate) fn read_set_64(rest: &mut &[u8]) -> Option<RoaringTreemap> {
    RoaringTreemap::deserialize_from(rest).ok()
}

fn canonical(set: &RoaringBitmap) -> RoaringBitmap {
    let mut set = set.clone();
    // Array and runs of equal size stay what they are when optimised, so runs are undone first.
    set.remove_run_compression();
    set.optimize();
    set
}

#[cfg(test)]
mod tests;
