//! What the columns of a shard file hold, and of a whole dataset: for the console and for `…/statistics`.
//!
//! A column is *categorical* (how often each value occurs) or *numeric* (a histogram and moments): numbers of the
//! values themselves, texts in characters, binary values in bytes, lists and maps in items. The kind is decided by
//! the first shard file and kept for the others: numbers of at most 10 distinct values are categorical; texts and
//! binary values of at most max(2, min(99, rows / 10)); nothing longer than 256 bytes. Types without a length or a
//! magnitude (times, dates, …) have no statistics.
//!
//! Invariants: memory is bounded whatever the data (100 keys a column; 262,144 values kept, evenly spaced beyond
//! that); a categorical column that outgrows 100 keys becomes numeric, in its file or when files are merged. Empty
//! texts, nulls, NaN and infinities are counted as missing and nowhere else.
//!
//! Driven by `inspect` (a file) and by `node` (a dataset, from the manifest). Absent: anything kept of single rows.

mod distinct;
mod histogram;
mod merge;
mod observe;

pub use merge::merge_statistics;
pub(crate) use observe::ColumnObserver;

/// Keys of a categorical column, at most.
pub const KEYS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticsKind {
    Categorical,
    Numeric,
}

/// What is measured in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Keys `True` and `False`.
    Bool,
    Int,
    /// Keys as Python prints floats.
    Float,
    /// Characters.
    Text,
    /// Bytes; keys as Python prints bytes.
    Bytes,
    /// Items; never categorical.
    Items,
}

/// Counts of equally wide ranges, except that the first and the last may hold what lies far out. `edges` is one
/// longer than `counts`, ascending; both are empty without values. The upper edge belongs to the last range only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub counts: Vec<f64>,
    pub edges: Vec<f64>,
}

/// How often each value occurs, in the order of first occurrence.
#[derive(Clone, Debug, PartialEq)]
pub struct Frequencies {
    pub measured: Measured,
    pub counts: Vec<(String, u64)>,
    pub nan_count: u64,
}

/// A numeric column of one shard file. `min`, `max` and `median` are 0 without values.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub histogram: Histogram,
    pub nan_count: u64,
    pub count: u64,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub sum_squared: f64,
    pub median: f64,
}

/// A column of one shard file.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnStatistics {
    Categorical(Frequencies),
    Numeric(Moments),
}

impl ColumnStatistics {
    pub const fn kind(&self) -> StatisticsKind {
        match self {
            Self::Categorical(_) => StatisticsKind::Categorical,
            Self::Numeric(_) => StatisticsKind::Numeric,
        }
    }
}

/// A numeric column of a dataset. `std` is that of the population; `median` is read off the merged histograms and
/// exact for one file.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub histogram: Histogram,
    pub nan_count: u64,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    pub median: f64,
    pub std: f64,
}

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub enum DatasetStatistics {
    Categorical(Frequencies),
    Numeric(Summary),
}

#[cfg(test)]
mod tests;
