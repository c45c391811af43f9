//! A block of an order: consecutive places, and the sample at each.

use super::BLOCK_SAMPLES;
use crate::ShardRows;
use crate::mt19937::Mt19937;
use crate::permutation::Permutation;
use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::Arc;

/// Consecutive places of an order. May be empty, where shard files are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Block {
    len: u64,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// Samples as stored from `first` on.
    Run { first: u64, shards: Range<u32> },
    /// Places of a permutation of all samples, from `first` on.
    Everything { permutation: Permutation, first: u64 },
    /// Places of a permutation of a window, from `first` on.
    Window { permutation: Permutation, first: u64, span: Arc<Span> },
    /// The places of a span, as listed.
    Listed { places: Arc<[u32]>, span: Arc<Span> },
    /// Samples by their numbers.
    Numbers(Arc<[u64]>),
}

impl Block {
    pub(super) fn run(rows: &ShardRows, samples: Range<u64>) -> Self {
        let shard = |index| rows.locate(index).map(|(shard, _)| shard);
        let first = shard(samples.start);
        let last = samples.end.checked_sub(1).and_then(shard);
        let shards = match (first, last) {
            (Some(first), Some(last)) if !samples.is_empty() => first..last + 1,
            _ => 0..0,
        };
        Self { len: samples.end - samples.start, source: Source::Run { first: samples.start, shards } }
    }

    pub(super) fn everything(permutation: Permutation, places: Range<u64>) -> Self {
        let source = Source::Everything { permutation, first: places.start };
        Self { len: places.end - places.start, source }
    }

    /// The `number`-th stretch of a window.
    pub(super) fn window(span: Span, key: u64, number: u64) -> Self {
        let total = span.total();
        let permutation = Permutation::new(total, key);
        let first = number.saturating_mul(BLOCK_SAMPLES).min(total);
        let len = BLOCK_SAMPLES.min(total - first);
        Self { len, source: Source::Window { permutation, first, span: Arc::new(span) } }
    }

    /// All of a span, shuffled by numpy's generator.
    pub(super) fn shuffled(span: Span, seed: u32) -> Self {
        let mut places: Vec<u32> = (0..span.total() as u32).collect();
        Mt19937::new(seed).shuffle(&mut places);
        Self { len: span.total(), source: Source::Listed { places: places.into(), span: Arc::new(span) } }
    }

    /// Samples by their numbers.
    pub(crate) fn listed(numbers: Arc<[u64]>) -> Self {
        Self { len: numbers.len() as u64, source: Source::Numbers(numbers) }
    }

    /// The memory of its list of samples.
    pub(crate) fn list_bytes(&self) -> u64 {
        match &self.source {
            Source::Run { .. } | Source::Everything { .. } | Source::Window { .. } => 0,
            Source::Listed { .. } => self.len.saturating_mul(4),
            Source::Numbers(_) => self.len.saturating_mul(8),
        }
    }

    /// The number of samples.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the sample at a place, which is below [`len`](Self::len) (a panic or a wrong number if not).
    #[inline]
    pub fn index(&self, place: u64) -> u64 {
        debug_assert!(place < self.len);
        match &self.source {
            Source::Run { first, .. } => first + place,
            Source::Everything { permutation, first } => permutation.at(first + place),
            Source::Window { permutation, first, span } => span.at(permutation.at(first + place)),
            Source::Listed { places, span } => span.at(places[place as usize].into()),
            Source::Numbers(numbers) => numbers[place as usize],
        }
    }

    /// The numbers of the samples from a place on; none from beyond the end.
    pub fn indices(&self, from: u64) -> impl FusedIterator<Item = u64> + '_ {
        (from..self.len).map(|place| self.index(place))
    }

    /// The shard files that its samples may lie in, empty ones left out or not; `None`: all.
    pub fn shards(&self) -> Option<Vec<u32>> {
        match &self.source {
            Source::Run { shards, .. } => Some(shards.clone().collect()),
            Source::Everything { .. } | Source::Numbers(_) => None,
            Source::Window { span, .. } | Source::Listed { span, .. } => Some(span.shards.clone()),
        }
    }
}

/// Some shard files' samples, end to end.
#[derive(Debug)]
pub(super) struct Span {
    shards: Vec<u32>,
    /// The place of each shard file's first sample, and the total.
    starts: Vec<u64>,
    /// What to add to a place in each shard file for the sample's number; it may wrap round.
    offsets: Vec<u64>,
}

impl Span {
    /// Shard files without rows are left out.
    pub(super) fn new(rows: &ShardRows, shards: impl Iterator<Item = u32>) -> Self {
        let mut span = Self { shards: Vec::new(), starts: vec![0], offsets: Vec::new() };
        let mut total = 0_u64;
        for shard in shards.filter(|shard| rows.rows(*shard) > 0) {
            span.shards.push(shard);
            span.offsets.push(rows.start(shard).wrapping_sub(total));
            total += u64::from(rows.rows(shard));
            span.starts.push(total);
        }
        span
    }

    fn total(&self) -> u64 {
        self.starts[self.starts.len() - 1]
    }

    #[inline]
    fn at(&self, place: u64) -> u64 {
        let inner = &self.starts[1..self.offsets.len()];
        let shard = inner.partition_point(|start| *start <= place);
        place.wrapping_add(self.offsets[shard])
    }
}
