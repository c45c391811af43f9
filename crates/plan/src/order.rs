//! Which sample comes when: the kinds of order of an epoch.
//!
//! An order over the rows of a shardset is a row of places, each with one sample, cut into *blocks* that a rank takes as
//! a whole where work is shared out as it goes. Each sample has exactly one place; equal inputs give equal orders on every
//! machine and in every version, because saved cursors count places. Driven by `iterations`.
//! Deliberately absent: ranks, filters (they look at what an order names), what was handed out already.

mod block;
mod epoch_order;

pub use block::Block;
pub use epoch_order::EpochOrder;

use crate::ShardRows;
use lavandin_types::ErrorCode;
use thiserror::Error;

/// Samples of a block, where shard files do not decide: enough for dozens of batches, and 61,000 blocks in 10⁹ samples.
pub const BLOCK_SAMPLES: u64 = 16_384;
/// Samples of a dataset.
pub const SAMPLES_MAX: u64 = 1 << 48;
/// Samples of one shuffled block of [`Order::Lavender`], whose order is kept as a list: 256 MiB of it.
pub const LAVENDER_BLOCK_SAMPLES_MAX: u64 = 1 << 26;
/// The bytes of an order, see [`Order::to_bytes`].
pub const ORDER_BYTES: usize = 21;

/// The order of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// What the published Lavender client's users know: shard files as blocks, or shuffled by numpy's generator. There is
    /// no epoch in it, and all blocks of equally many samples are shuffled alike.
    Lavender { shuffle: Option<LavenderShuffle> },
    /// As stored.
    Sequential,
    /// Shard files in random order, in windows of `window_shards` of them; the samples of a window in an order of its own.
    Windowed { seed: u64, epoch: u64, window_shards: u32 },
    /// All samples in random order.
    Global { seed: u64, epoch: u64 },
}

/// The seed of numpy's generator, and how many shard files are shuffled together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LavenderShuffle {
    pub seed: u32,
    pub block_shards: u32,
}

/// Why there is no such order.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    #[error("a block or window of shard files holds at least one")]
    NoShards,
    #[error("{samples} samples are more than the {max} of a dataset", max = SAMPLES_MAX)]
    TooManySamples { samples: u64 },
    /// Fewer shard files in a block, or another order, will do.
    #[error(
        "a shuffled block would hold {samples} samples, more than {max}; take fewer shard files in a block, or another order",
        max = LAVENDER_BLOCK_SAMPLES_MAX
    )]
    BlockTooLarge { samples: u64 },
}

impl OrderError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

impl Order {
    /// The order made ready over these rows: what to keep for an iteration. Takes time and memory for each shard file
    /// ([`Order::Lavender`] with a shuffle: 4 to 12 bytes; [`Order::Windowed`]: 16 for each window; others none).
    pub fn prepare(&self, rows: &ShardRows) -> Result<EpochOrder, OrderError> {
        EpochOrder::new(*self, rows)
    }

    /// Whether [`prepare`](Self::prepare) will succeed.
    pub fn check(&self, rows: &ShardRows) -> Result<(), OrderError> {
        self.prepare(rows).map(|_| ())
    }

    /// [`EpochOrder::blocks`], without keeping what makes it quick; 0 if [`check`](Self::check) errs.
    pub fn blocks(&self, rows: &ShardRows) -> u64 {
        self.prepare(rows).map_or(0, |order| order.blocks())
    }

    /// [`EpochOrder::block`], without keeping what makes it quick; an empty block if [`check`](Self::check) errs.
    pub fn block(&self, rows: &ShardRows, number: u64) -> Block {
        self.prepare(rows).map_or_else(|_| Block::run(rows, 0..0), |order| order.block(number))
    }

    /// The same order in another epoch; unchanged where epochs do not count.
    pub fn with_epoch(self, epoch: u64) -> Self {
        match self {
            Self::Windowed { seed, window_shards, .. } => Self::Windowed { seed, epoch, window_shards },
            Self::Global { seed, .. } => Self::Global { seed, epoch },
            Self::Lavender { .. } | Self::Sequential => self,
        }
    }

    /// The epoch that it is of; 0 where epochs do not count.
    pub fn epoch(&self) -> u64 {
        match *self {
            Self::Windowed { epoch, .. } | Self::Global { epoch, .. } => epoch,
            Self::Lavender { .. } | Self::Sequential => 0,
        }
    }

    /// A byte that names the kind, u64 seed, u64 epoch and u32 shard files; zero where the kind has none.
    pub fn to_bytes(&self) -> [u8; ORDER_BYTES] {
        let (kind, seed, shards) = match *self {
            Self::Lavender { shuffle: None } => (0_u8, 0, 0),
            Self::Lavender { shuffle: Some(shuffle) } => (1, shuffle.seed.into(), shuffle.block_shards),
            Self::Sequential => (2, 0, 0),
            Self::Windowed { seed, window_shards, .. } => (3, seed, window_shards),
            Self::Global { seed, .. } => (4, seed, 0_u32),
        };
        let mut bytes = [0; ORDER_BYTES];
        bytes[0] = kind;
        bytes[1..9].copy_from_slice(&u64::to_le_bytes(seed));
        bytes[9..17].copy_from_slice(&self.epoch().to_le_bytes());
        bytes[17..].copy_from_slice(&shards.to_le_bytes());
        bytes
    }

    /// The order of [`to_bytes`](Self::to_bytes); `None` for bytes that it does not make.
    pub fn from_bytes(bytes: &[u8; ORDER_BYTES]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (seed, rest) = rest.split_first_chunk().map(|(seed, rest)| (u64::from_le_bytes(*seed), rest))?;
        let (epoch, rest) =
            rest.split_first_chunk().map(|(epoch, rest)| (u64::from_le_bytes(*epoch), rest))?;
        let shards = u32::from_le_bytes(rest.try_into().ok()?);
        let order = match kind {
            0 => Self::Lavender { shuffle: None },
            1 => {
                let seed = u32::try_from(seed).ok()?;
                Self::Lavender { shuffle: Some(LavenderShuffle { seed, block_shards: shards }) }
            }
            2 => Self::Sequential,
            3 => Self::Windowed { seed, epoch, window_shards: shards },
            4 => Self::Global { seed, epoch },
            _ => return None,
        };
        (order.to_bytes() == *bytes).then_some(order)
    }
}

#[cfg(test)]
mod tests;
