//! A distance and a row in one word, so that a pool is an array of integers.
//!
//! ```text
//! bits 63..32  the distance, its bits arranged so that integers are ordered as the numbers are
//! bits 31..1   the row
//! bit 0        1 once the row has been expanded
//! ```

/// The most rows of a graph: row numbers have 31 bits in a key.
pub(super) const ROWS_MAX: u32 = 1 << 31;

pub(super) const EXPANDED: u64 = 1;

#[inline(always)]
pub(super) fn key(distance: f32, row: u32) -> u64 {
    u64::from(ordered(distance)) << 32 | u64::from(row) << 1
}

#[inline(always)]
pub(super) fn row_of(key: u64) -> u32 {
    (key as u32) >> 1
}

#[inline(always)]
pub(super) fn distance_of(key: u64) -> f32 {
    let bits = (key >> 32) as u32;
    f32::from_bits(if bits >> 31 == 1 { bits ^ 0x8000_0000 } else { !bits })
}

/// Negative numbers have all bits flipped, others the sign bit.
#[inline(always)]
fn ordered(distance: f32) -> u32 {
    let bits = distance.to_bits();
    bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000)
}

#[cfg(test)]
mod tests;
