//! Rows per shard file of the main shardset: what a sample's number means.
//!
//! Samples are numbered from 0 through all shard files in order. Shard files may be empty. Cheap to clone; immutable.
//! A sample is found by a table of one entry per one or two shard files' worth of samples, then by a search among the few
//! shard files that the entry leaves (one or two where they are of similar size, never more than their logarithm).
//! Driven by `order` and by whoever reads samples. Deliberately absent: files, names, versions.

use std::fmt;
use std::sync::Arc;

/// How many rows each shard file has.
#[derive(Clone)]
pub struct ShardRows(Arc<Table>);

struct Table {
    /// Each shard file's first sample, and the total at the end.
    starts: Vec<u64>,
    /// The shard file of sample `i << shift` for each `i`, and the last shard file at the end.
    hints: Vec<u32>,
    shift: u32,
}

impl ShardRows {
    pub fn new(rows: Vec<u32>) -> Self {
        let mut starts = Vec::with_capacity(rows.len() + 1);
        let mut total = 0_u64;
        starts.push(0);
        for count in &rows {
            total += u64::from(*count);
            starts.push(total);
        }
        let average = total / (rows.len() as u64).max(1);
        let shift = average.max(1).ilog2() + 1;
        Self(Arc::new(Table { hints: hints(&starts, shift), starts, shift }))
    }

    /// The number of samples.
    pub fn total(&self) -> u64 {
        self.start(self.shards())
    }

    /// The number of shard files.
    pub fn shards(&self) -> u32 {
        (self.0.starts.len() - 1) as u32
    }

    /// The number of the shard file's first sample; the total for any beyond the last.
    pub fn start(&self, shard: u32) -> u64 {
        let starts = &self.0.starts;
        starts[(shard as usize).min(starts.len() - 1)]
    }

    /// The shard file's rows; 0 for any beyond the last.
    pub fn rows(&self, shard: u32) -> u32 {
        (self.start(shard.saturating_add(1)) - self.start(shard)) as u32
    }

    /// The rows of all shard files in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.starts.windows(2).map(|pair| (pair[1] - pair[0]) as u32)
    }

    /// Shard file and row of a sample; `None` beyond the last sample.
    pub fn locate(&self, index: u64) -> Option<(u32, u32)> {
        if index >= self.total() {
            return None;
        }
        let Table { starts, hints, shift } = &*self.0;
        let entry = (index >> shift) as usize;
        let (first, last) = (hints[entry] as usize, hints[entry + 1] as usize);
        // The last shard file that begins at or before the sample: one that begins there and has rows.
        let shard = first + starts[first + 1..=last].partition_point(|start| *start <= index);
        Some((shard as u32, (index - starts[shard]) as u32))
    }
}

/// One pass over `starts`: the shard file that holds the first sample of each stretch of `1 << shift`.
fn hints(starts: &[u64], shift: u32) -> Vec<u32> {
    let shards = starts.len() - 1;
    let total = starts[shards];
    let mut hints = Vec::with_capacity((total >> shift) as usize + 2);
    let mut shard = 0;
    for entry in 0..total.div_ceil(1 << shift) {
        while starts[shard + 1] <= entry << shift {
            shard += 1;
        }
        hints.push(shard as u32);
    }
    hints.push(shards.saturating_sub(1) as u32);
    hints
}

impl PartialEq for ShardRows {
    fn eq(&self, other: &Self) -> bool {
        self.0.starts == other.0.starts
    }
}

impl Eq for ShardRows {}

impl fmt::Debug for ShardRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardRows({} samples in {} shard files)", self.total(), self.shards())
    }
}

#[cfg(test)]
mod tests;
