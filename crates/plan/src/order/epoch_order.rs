//! An order over given rows, made ready: its blocks, and the block at any place.

use super::block::{Block, Span};
use super::{BLOCK_SAMPLES, LAVENDER_BLOCK_SAMPLES_MAX, LavenderShuffle, Order, OrderError, SAMPLES_MAX};
use crate::ShardRows;
use crate::mt19937::Mt19937;
use crate::permutation::{Permutation, derive_key};

/// What a key is for, the first part of what it is derived from.
const SHARD_ORDER: u64 = 1;
const WINDOW: u64 = 2;
const EVERYTHING: u64 = 3;

/// An order over given rows. Immutable.
#[derive(Clone, Debug)]
pub struct EpochOrder {
    order: Order,
    rows: ShardRows,
    blocks: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Files,
    Runs,
    Everything(Permutation),
    Windows { seed: u64, epoch: u64, window_shards: u32, shards: Permutation, starts: Vec<WindowStart> },
    Lavender { shuffle: LavenderShuffle, shards: Vec<u32>, starts: Vec<u64> },
}

/// The first place and the first block of a window; of the end in the last one.
#[derive(Clone, Copy, Debug)]
struct WindowStart {
    place: u64,
    block: u64,
}

impl EpochOrder {
    pub(super) fn new(order: Order, rows: &ShardRows) -> Result<Self, OrderError> {
        let samples = rows.total();
        if samples > SAMPLES_MAX {
            return Err(OrderError::TooManySamples { samples });
        }
        let runs = samples.div_ceil(BLOCK_SAMPLES);
        let (kind, blocks) = match order {
            Order::Lavender { shuffle: None } => (Kind::Files, rows.shards().into()),
            Order::Lavender { shuffle: Some(shuffle) } => lavender(shuffle, rows)?,
            Order::Sequential => (Kind::Runs, runs),
            Order::Windowed { seed, epoch, window_shards } => windows(seed, epoch, window_shards, rows)?,
            Order::Global { seed, epoch } => {
                (Kind::Everything(Permutation::new(samples, derive_key(&[EVERYTHING, seed, epoch]))), runs)
            }
        };
        Ok(Self { order, rows: rows.clone(), blocks, kind })
    }

    pub fn order(&self) -> Order {
        self.order
    }

    pub fn rows(&self) -> &ShardRows {
        &self.rows
    }

    /// The number of samples, which is the number of places.
    pub fn total(&self) -> u64 {
        self.rows.total()
    }

    /// The number of blocks, empty ones included.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// A block; an empty one beyond the last. A shuffled one of [`Order::Lavender`] takes time and memory for each of its
    /// samples (4 bytes), one of [`Order::Windowed`] for each shard file of its window.
    pub fn block(&self, number: u64) -> Block {
        match &self.kind {
            Kind::Files => {
                let shard = u32::try_from(number).unwrap_or(u32::MAX);
                Block::run(&self.rows, self.rows.start(shard)..self.rows.start(shard.saturating_add(1)))
            }
            Kind::Runs => Block::run(&self.rows, self.run(number)),
            Kind::Everything(permutation) => Block::everything(*permutation, self.run(number)),
            Kind::Windows { seed, epoch, window_shards, shards, starts } => {
                let window = starts.partition_point(|start| start.block <= number) as u64 - 1;
                let stretch = number - starts[window as usize].block;
                let span = Span::new(&self.rows, window_files(&self.rows, shards, *window_shards, window));
                Block::window(span, derive_key(&[WINDOW, *seed, *epoch, window]), stretch)
            }
            Kind::Lavender { shuffle, shards, .. } => {
                let size = u64::from(shuffle.block_shards);
                let end = |number: u64| number.saturating_mul(size).min(shards.len() as u64) as usize;
                let files = &shards[end(number)..end(number.saturating_add(1))];
                Block::shuffled(Span::new(&self.rows, files.iter().copied()), shuffle.seed)
            }
        }
    }

    /// The block of a place, and the place in it; `None` beyond the last place.
    pub fn block_at(&self, place: u64) -> Option<(u64, u64)> {
        if place >= self.total() {
            return None;
        }
        match &self.kind {
            Kind::Files => self.rows.locate(place).map(|(shard, row)| (shard.into(), row.into())),
            Kind::Runs | Kind::Everything(_) => Some((place / BLOCK_SAMPLES, place % BLOCK_SAMPLES)),
            Kind::Windows { starts, .. } => {
                // Of windows that begin at one place, all but the last are empty.
                let window = starts[starts.partition_point(|start| start.place <= place) - 1];
                let inside = place - window.place;
                Some((window.block + inside / BLOCK_SAMPLES, inside % BLOCK_SAMPLES))
            }
            Kind::Lavender { starts, .. } => {
                let number = starts.partition_point(|start| *start <= place) - 1;
                Some((number as u64, place - starts[number]))
            }
        }
    }

    fn run(&self, number: u64) -> std::ops::Range<u64> {
        let start = number.saturating_mul(BLOCK_SAMPLES).min(self.total());
        start..(start + BLOCK_SAMPLES).min(self.total())
    }
}

/// Numpy shuffles the list of shard files; blocks are cut from it in order.
fn lavender(shuffle: LavenderShuffle, rows: &ShardRows) -> Result<(Kind, u64), OrderError> {
    let size = usize::try_from(shuffle.block_shards).ok().filter(|size| *size > 0);
    let size = size.ok_or(OrderError::NoShards)?;
    let mut shards: Vec<u32> = (0..rows.shards()).collect();
    Mt19937::new(shuffle.seed).shuffle(&mut shards);
    let mut starts = Vec::with_capacity(shards.len().div_ceil(size));
    let mut place = 0;
    for block in shards.chunks(size) {
        let samples = block.iter().map(|shard| u64::from(rows.rows(*shard))).sum();
        if samples > LAVENDER_BLOCK_SAMPLES_MAX {
            return Err(OrderError::BlockTooLarge { samples });
        }
        starts.push(place);
        place += samples;
    }
    let blocks = starts.len() as u64;
    Ok((Kind::Lavender { shuffle, shards, starts }, blocks))
}

fn windows(seed: u64, epoch: u64, window_shards: u32, rows: &ShardRows) -> Result<(Kind, u64), OrderError> {
    if window_shards == 0 {
        return Err(OrderError::NoShards);
    }
    let shards = Permutation::new(rows.shards().into(), derive_key(&[SHARD_ORDER, seed, epoch]));
    let mut next = WindowStart { place: 0, block: 0 };
    let mut starts = vec![next];
    for window in 0..u64::from(rows.shards().div_ceil(window_shards)) {
        let files = window_files(rows, &shards, window_shards, window);
        let samples: u64 = files.map(|shard| u64::from(rows.rows(shard))).sum();
        next.place += samples;
        next.block += samples.div_ceil(BLOCK_SAMPLES);
        starts.push(next);
    }
    Ok((Kind::Windows { seed, epoch, window_shards, shards, starts }, next.block))
}

/// The shard files of a window, in the shard files' permutation.
fn window_files<'a>(
    rows: &ShardRows,
    shards: &'a Permutation,
    window_shards: u32,
    window: u64,
) -> impl Iterator<Item = u32> + 'a {
    let all = u64::from(rows.shards());
    let first = window.saturating_mul(window_shards.into()).min(all);
    let end = first.saturating_add(window_shards.into()).min(all);
    (first..end).map(|place| shards.at(place) as u32)
}
