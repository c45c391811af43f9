//! A dataset's statistics from those of its shard files.
//!
//! 1. Files whose column is categorical add up, until there are more than 100 keys.
//! 2. Otherwise everything is numeric: counts of a categorical file are counts of single values, known from the keys.
//!    Extremes, mean and deviation are exact.
//! 3. The ranges of all histograms, each even in itself, are one distribution. Median and inner range are read off
//!    it, and it is poured into the merged histogram.

use super::histogram::{Edges, RANGES_MAX, inner_range};
use super::{
    ColumnStatistics, DatasetStatistics, Frequencies, Histogram, KEYS_MAX, Measured, Moments, Summary,
};
use std::collections::HashMap;

/// Points that stand for a distribution when its median is read off; ranges get up to [`RANGE_POINTS`] each.
const POINTS: usize = 1 << 16;
const RANGE_POINTS: usize = 16;

/// The statistics of one column over the files that have some; `None` if none has.
pub fn merge_statistics<'a>(
    files: impl Iterator<Item = &'a ColumnStatistics> + Clone,
) -> Option<DatasetStatistics> {
    if let Some(frequencies) = merge_frequencies(files.clone())? {
        return Some(DatasetStatistics::Categorical(frequencies));
    }
    let mut merged = Merged::default();
    files.clone().for_each(|file| merged.add(file));
    let mut summary = merged.summary();
    // One file knows better.
    if let (Some(ColumnStatistics::Numeric(only)), 1) = (files.clone().next(), files.count()) {
        summary.median = only.median;
        summary.histogram = only.histogram.clone();
    }
    Some(DatasetStatistics::Numeric(summary))
}

/// The sum of categorical files; inner `None` if a file is numeric or there are too many keys.
fn merge_frequencies<'a>(files: impl Iterator<Item = &'a ColumnStatistics>) -> Option<Option<Frequencies>> {
    let mut merged: Option<Frequencies> = None;
    let mut places: HashMap<&str, usize> = HashMap::new();
    for file in files {
        let ColumnStatistics::Categorical(file) = file else { return Some(None) };
        let sum = merged.get_or_insert_with(|| Frequencies {
            measured: file.measured,
            counts: Vec::new(),
            nan_count: 0,
        });
        sum.nan_count += file.nan_count;
        for (key, count) in &file.counts {
            let place = *places.entry(key).or_insert(sum.counts.len());
            match sum.counts.get_mut(place) {
                Some((_, known)) => *known += count,
                None if place == KEYS_MAX => return Some(None),
                None => sum.counts.push((key.clone(), *count)),
            }
        }
    }
    merged.map(Some)
}

/// A range of values, evenly filled; a single value if its ends are equal.
#[derive(Clone, Copy)]
struct Filled {
    low: f64,
    high: f64,
    count: f64,
}

#[derive(Default)]
struct Merged {
    ranges: Vec<Filled>,
    nan_count: u64,
    count: u64,
    extremes: Option<(f64, f64)>,
    sum: f64,
    sum_squared: f64,
}

impl Merged {
    fn add(&mut self, file: &ColumnStatistics) {
        match file {
            ColumnStatistics::Categorical(file) => {
                self.nan_count += file.nan_count;
                for (key, count) in &file.counts {
                    let Some(value) = value_of(file.measured, key) else { continue };
                    let count_f = *count as f64;
                    self.ranges.push(Filled { low: value, high: value, count: count_f });
                    self.add_moments(*count, (value, value), value * count_f, value * value * count_f);
                }
            }
            ColumnStatistics::Numeric(file) => self.add_numeric(file),
        }
    }

    fn add_numeric(&mut self, file: &Moments) {
        self.nan_count += file.nan_count;
        if file.count == 0 {
            return;
        }
        self.add_moments(file.count, (file.min, file.max), file.sum, file.sum_squared);
        for (range, count) in file.histogram.counts.iter().enumerate() {
            let edges = file.histogram.edges.get(range).zip(file.histogram.edges.get(range + 1));
            if let Some((low, high)) = edges.filter(|_| *count > 0.0) {
                self.ranges.push(Filled { low: *low, high: *high, count: *count });
            }
        }
    }

    fn add_moments(&mut self, count: u64, extremes: (f64, f64), sum: f64, sum_squared: f64) {
        self.count += count;
        self.sum += sum;
        self.sum_squared += sum_squared;
        let known = self.extremes.unwrap_or(extremes);
        self.extremes = Some((known.0.min(extremes.0), known.1.max(extremes.1)));
    }

    fn summary(&self) -> Summary {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        let variance = (self.sum_squared / count - mean * mean).max(0.0);
        let extremes = self.extremes.unwrap_or((0.0, 0.0));
        let (histogram, median) = self.histogram(extremes);
        Summary {
            histogram,
            nan_count: self.nan_count,
            min: extremes.0,
            max: extremes.1,
            mean,
            median,
            std: variance.sqrt(),
        }
    }

    fn histogram(&self, extremes: (f64, f64)) -> (Histogram, f64) {
        if self.ranges.is_empty() {
            return (Histogram::default(), 0.0);
        }
        let mut points = self.points();
        let distinct = count_distinct(&mut points);
        let median = weighted_median(&mut points);
        let mut deviations: Vec<(f64, f64)> =
            points.iter().map(|(value, count)| ((value - median).abs(), *count)).collect();
        let deviation = weighted_median(&mut deviations);
        let inner = inner_range(median, deviation, extremes.0, extremes.1);
        let outside = (
            self.ranges.iter().any(|range| range.low < inner.0),
            self.ranges.iter().any(|range| range.high > inner.1),
        );
        let edges = Edges::new(inner, extremes, outside, distinct);
        let mut counts = vec![0.0; edges.edges.len() - 1];
        for range in &self.ranges {
            pour(range, &edges, outside.1, &mut counts);
        }
        (Histogram { counts, edges: edges.edges }, median)
    }

    /// Weighted points that stand for the distribution.
    fn points(&self) -> Vec<(f64, f64)> {
        let each = (POINTS / self.ranges.len()).clamp(1, RANGE_POINTS);
        let mut points = Vec::with_capacity(self.ranges.len() * each);
        for range in &self.ranges {
            if range.low == range.high {
                points.push((range.low, range.count));
                continue;
            }
            let width = (range.high - range.low) / each as f64;
            let share = range.count / each as f64;
            points.extend((0..each).map(|point| (range.low + width * (point as f64 + 0.5), share)));
        }
        points
    }
}

/// What a key of a categorical column measures.
fn value_of(measured: Measured, key: &str) -> Option<f64> {
    match measured {
        Measured::Bool => Some(f64::from(u8::from(key == "True"))),
        Measured::Int | Measured::Float => key.parse().ok(),
        Measured::Text => Some(key.chars().count() as f64),
        Measured::Bytes => crate::uid_index::python_bytes_length(key).map(|bytes| bytes as f64),
        Measured::Items => None,
    }
}

/// Distinct values, up to as many as matter; sorts the points.
fn count_distinct(points: &mut [(f64, f64)]) -> usize {
    points.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let changes = points.windows(2).filter(|pair| pair[0].0 != pair[1].0);
    1 + changes.take(RANGES_MAX - 1).count()
}

fn weighted_median(points: &mut [(f64, f64)]) -> f64 {
    points.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let half = points.iter().map(|(_, count)| count).sum::<f64>() / 2.0;
    let mut before = 0.0;
    for (place, (value, count)) in points.iter().enumerate() {
        before += count;
        if before > half {
            return *value;
        }
        if before == half {
            return points.get(place + 1).map_or(*value, |(next, _)| f64::midpoint(*value, *next));
        }
    }
    points.last().map_or(0.0, |(value, _)| *value)
}

/// Spreads an evenly filled range over those that it overlaps.
fn pour(range: &Filled, edges: &Edges, above: bool, counts: &mut [f64]) {
    let (first, last) = (edges.range(range.low, above), edges.range(range.high, above));
    let width = range.high - range.low;
    if first == last || width <= 0.0 {
        counts[first] += range.count;
        return;
    }
    let pieces = edges.edges.windows(2).zip(counts).take(last + 1).skip(first);
    for (piece, count) in pieces {
        let overlap = piece[1].min(range.high) - piece[0].max(range.low);
        *count += range.count * (overlap / width).clamp(0.0, 1.0);
    }
}
