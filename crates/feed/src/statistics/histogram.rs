//! Histograms that a few far-out values do not flatten.
//!
//! 1. The inner range is the median ± 3.5 × MAD / 0.6745 (MAD: median absolute deviation), within the extremes: what
//!    lies outside has a modified z-score above 3.5 (Iglewicz and Hoaglin, 1993).
//! 2. Values below it go to a range of their own, values above it too; the rest is cut into equal ranges, in all at
//!    most 10, and no more than there are distinct values.

use super::Histogram;

pub(super) const RANGES_MAX: usize = 10;

/// The inner range.
pub(super) fn inner_range(median: f64, deviation: f64, min: f64, max: f64) -> (f64, f64) {
    let reach = 3.5 * deviation / 0.6745;
    ((median - reach).max(min), (median + reach).min(max))
}

/// The edges of a histogram: outer ranges are there where they have values.
pub(super) struct Edges {
    pub edges: Vec<f64>,
}

impl Edges {
    /// Edges around the inner range for at most `distinct` values; `below` and `above`: whether any lie outside.
    pub(super) fn new(
        inner: (f64, f64),
        extremes: (f64, f64),
        outside: (bool, bool),
        distinct: usize,
    ) -> Self {
        let (low, high) = inner;
        let outer = usize::from(outside.0) + usize::from(outside.1);
        let ranges = distinct.min(RANGES_MAX).saturating_sub(outer).max(1);
        let mut edges = Vec::with_capacity(RANGES_MAX + 1);
        if outside.0 {
            edges.push(extremes.0);
        }
        let width = (high - low) / ranges as f64;
        edges.extend((0..ranges).map(|range| low + width * range as f64));
        edges.push(high);
        if outside.1 {
            edges.push(extremes.1);
        }
        Self { edges }
    }

    /// The range that a value belongs to. The upper edge of the inner range belongs to it.
    pub(super) fn range(&self, value: f64, above: bool) -> usize {
        let last = self.edges.len() - 2;
        let last_inner = if above { last - 1 } else { last };
        if above && value > self.edges[last] {
            return last;
        }
        let place = self.edges.partition_point(|edge| *edge <= value);
        place.saturating_sub(1).min(last_inner)
    }
}

/// The histogram and median of sorted values that stand for `count`.
pub(super) fn of_sorted(values: &[f64], count: u64, extremes: (f64, f64)) -> (Histogram, f64) {
    let Some(median) = median_of_sorted(values) else {
        return (Histogram::default(), 0.0);
    };
    let mut deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    let deviation = median_of(&mut deviations);
    let inner = inner_range(median, deviation, extremes.0, extremes.1);
    let below = values.partition_point(|value| *value < inner.0);
    let above = values.len() - values.partition_point(|value| *value <= inner.1);
    let outside = (below > 0, above > 0);
    let mut distinct = 1;
    for pair in values.windows(2) {
        distinct += usize::from(pair[0] != pair[1]);
        if distinct == RANGES_MAX {
            break;
        }
    }
    let edges = Edges::new(inner, extremes, outside, distinct);
    let mut counts = vec![0_u64; edges.edges.len() - 1];
    for value in values {
        counts[edges.range(*value, outside.1)] += 1;
    }
    // Exact where every value was kept.
    let share = count as f64 / values.len() as f64;
    let counts = counts.into_iter().map(|kept| kept as f64 * share).collect();
    (Histogram { counts, edges: edges.edges }, median)
}

fn median_of_sorted(values: &[f64]) -> Option<f64> {
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

fn median_of(values: &mut [f64]) -> f64 {
    let (middle, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if even => f64::midpoint(lower, *upper),
        _ => *upper,
    }
}
