//! Which segments to merge: few, large segments search fastest, and each row should be rewritten seldom.
//!
//! Neighbouring sealed segments are merged when `RUN` of them are within a factor of `TIER` of each other (so a row
//! is rewritten once a tier, log4(n) times in all), or one alone when a fifth of its rows are dead. On request, before
//! an index is built, all neighbours that fit into one segment are.

use crate::segment::{Rows, Segment};
use std::ops::Range;

/// Neighbours of one tier that are merged together.
const RUN: usize = 4;
/// Segments whose sizes differ by less than this factor are of one tier.
const TIER: u64 = 4;
/// Largest segment that a merge makes, in rows.
const ROWS_MAX: u64 = 8_000_000;
/// Dead rows in a segment that make it worth rewriting: one in this many.
const DEAD_SHARE: u64 = 5;
/// Fewer dead rows than this are never worth it.
const DEAD_MIN: u64 = 1024;

/// The segments to merge next, if any are due.
pub(crate) fn choose(segments: &[Segment], all: bool) -> Option<Range<usize>> {
    let sizes: Vec<Option<Size>> = segments.iter().map(size).collect();
    if all && let Some(range) = longest_run(&sizes, |_, _| true).filter(|range| range.len() > 1) {
        return Some(range);
    }
    let same_tier = |smallest: u64, largest: u64| largest < smallest.max(1) * TIER;
    if let Some(range) = longest_run(&sizes, same_tier).filter(|range| range.len() >= RUN) {
        return Some(range);
    }
    let worn = |size: &Option<Size>| {
        size.is_some_and(|size| size.dead >= DEAD_MIN && size.dead * DEAD_SHARE >= size.rows)
    };
    sizes.iter().position(worn).map(|index| index..index + 1)
}

#[derive(Clone, Copy, Debug)]
struct Size {
    rows: u64,
    dead: u64,
}

/// The size of a sealed segment; growing ones cannot be merged.
fn size(segment: &Segment) -> Option<Size> {
    matches!(segment.rows, Rows::Sealed(_))
        .then(|| Size { rows: u64::from(segment.len), dead: u64::from(segment.dead.count()) })
}

/// The longest run of neighbours that fits into one segment and whose smallest and largest sizes `fit` accepts.
fn longest_run(sizes: &[Option<Size>], fit: impl Fn(u64, u64) -> bool) -> Option<Range<usize>> {
    let mut best: Option<Range<usize>> = None;
    for start in 0..sizes.len() {
        let (mut smallest, mut largest, mut total) = (u64::MAX, 0, 0);
        for (index, size) in sizes.iter().enumerate().skip(start) {
            let Some(size) = size else { break };
            smallest = smallest.min(size.rows);
            largest = largest.max(size.rows);
            total += size.rows - size.dead;
            if total > ROWS_MAX || !fit(smallest, largest) {
                break;
            }
            if best.as_ref().is_none_or(|best| best.len() < index + 1 - start) {
                best = Some(start..index + 1);
            }
        }
    }
    best
}
