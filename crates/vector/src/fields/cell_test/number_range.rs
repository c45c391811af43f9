//! A range of numbers as a range of each kind of cell, without loss of precision.

use lavandin_filter::Number;
use std::ops::Bound;

/// The values of a range, by kind of cell; `None` where no value of the kind lies in it.
pub(in super::super) struct NumberRange {
    pub(in super::super) low: Bound<Number>,
    pub(in super::super) high: Bound<Number>,
    /// Non-negative integers: the lowest, and how far the highest is from it.
    pub(super) unsigned: Option<(u64, u64)>,
    /// Negative integers, likewise.
    pub(super) negative: Option<(i64, u64)>,
    /// Floats: lowest and highest, both included.
    pub(super) float: Option<(f64, f64)>,
}

impl NumberRange {
    pub(super) fn new(low: Bound<Number>, high: Bound<Number>) -> Self {
        let (lowest, highest) = (lowest_int(low), highest_int(high));
        let (from, to) = (lowest.max(0), highest.min(i128::from(u64::MAX)));
        let unsigned = (from <= to).then(|| (from as u64, (to - from) as u64));
        let (from, to) = (lowest.max(i128::from(i64::MIN)), highest.min(-1));
        let negative = (from <= to).then(|| (from as i64, (to - from) as u64));
        let (from, to) = (lowest_float(low), highest_float(high));
        Self { low, high, unsigned, negative, float: (from <= to).then_some((from, to)) }
    }
}

// Casts from floats to integers saturate, far beyond the 64 bits that matter.

fn lowest_int(low: Bound<Number>) -> i128 {
    match low {
        Bound::Unbounded => i128::MIN,
        Bound::Included(Number::Int(value)) => value,
        Bound::Excluded(Number::Int(value)) => value + 1,
        Bound::Included(Number::Float(value)) => value.ceil() as i128,
        Bound::Excluded(Number::Float(value)) => (value.floor() as i128).saturating_add(1),
    }
}

fn highest_int(high: Bound<Number>) -> i128 {
    match high {
        Bound::Unbounded => i128::MAX,
        Bound::Included(Number::Int(value)) => value,
        Bound::Excluded(Number::Int(value)) => value - 1,
        Bound::Included(Number::Float(value)) => value.floor() as i128,
        Bound::Excluded(Number::Float(value)) => (value.ceil() as i128).saturating_sub(1),
    }
}

fn lowest_float(low: Bound<Number>) -> f64 {
    let (limit, excluded) = match low {
        Bound::Unbounded => return f64::NEG_INFINITY,
        Bound::Included(limit) => (limit, false),
        Bound::Excluded(limit) => (limit, true),
    };
    let near = nearest(limit);
    let too_low = match Number::Float(near).compare(limit) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => excluded,
        std::cmp::Ordering::Greater => false,
    };
    if too_low { near.next_up() } else { near }
}

fn highest_float(high: Bound<Number>) -> f64 {
    let (limit, excluded) = match high {
        Bound::Unbounded => return f64::INFINITY,
        Bound::Included(limit) => (limit, false),
        Bound::Excluded(limit) => (limit, true),
    };
    let near = nearest(limit);
    let too_high = match Number::Float(near).compare(limit) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => excluded,
        std::cmp::Ordering::Less => false,
    };
    if too_high { near.next_down() } else { near }
}

/// The float nearest to a number: no other float lies between them.
fn nearest(number: Number) -> f64 {
    match number {
        Number::Int(value) => value as f64,
        Number::Float(value) => value,
    }
}

#[cfg(test)]
mod tests;
