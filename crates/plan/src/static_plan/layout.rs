//! The training processes of a fixed plan.

use lavandin_types::ErrorCode;
use std::collections::HashMap;
use thiserror::Error;

/// Ranks of a layout, more than any training job has.
pub(super) const RANKS_MAX: u32 = 1 << 20;

/// What becomes of the last samples of an epoch, too few for a whole global batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Each sample is given once. The last global batch is smaller, shared out evenly: lanes differ by at most a sample. If
    /// it had fewer samples than there are lanes, the one before gives it some. Only where that cannot be (with
    /// batches of one, or fewer samples than lanes) samples from the epoch's start fill the lanes without one.
    #[default]
    Balanced,
    /// All batches are whole; the last ones are filled up with samples from the epoch's start.
    Pad,
    /// All batches are whole; the last samples are left out.
    Drop,
}

/// Ranks, batch size, and how the epoch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    ranks: Ranks,
    batch: u32,
    ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ranks {
    /// Ranks from 0, each a lane.
    Each(u32),
    /// The lane of each rank, and the number of lanes.
    Groups { lanes: HashMap<u32, u32>, count: u32 },
}

/// Why there is no such layout.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    #[error("there is no rank")]
    NoRanks,
    #[error("more than {max} ranks", max = RANKS_MAX)]
    TooManyRanks,
    #[error("a batch holds at least one sample")]
    EmptyBatch,
    #[error("replication group {group} has no ranks")]
    EmptyGroup { group: u32 },
    #[error("rank {rank} is listed twice in the replication groups")]
    RankTwice { rank: u32 },
}

impl LayoutError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

impl Layout {
    /// Ranks from 0 to `world_size` - 1, all with samples of their own.
    pub fn new(world_size: u32, batch: u32, ending: Ending) -> Result<Self, LayoutError> {
        match world_size {
            0 => Err(LayoutError::NoRanks),
            1..=RANKS_MAX => Self::build(Ranks::Each(world_size), batch, ending),
            _ => Err(LayoutError::TooManyRanks),
        }
    }

    /// Ranks in groups, each of whose ranks get the same samples.
    pub fn replicated(groups: &[Vec<u32>], batch: u32, ending: Ending) -> Result<Self, LayoutError> {
        let mut lanes = HashMap::new();
        let mut count = 0;
        for group in groups {
            if group.is_empty() {
                return Err(LayoutError::EmptyGroup { group: count });
            }
            for rank in group {
                if lanes.len() == RANKS_MAX as usize {
                    return Err(LayoutError::TooManyRanks);
                }
                if lanes.insert(*rank, count).is_some() {
                    return Err(LayoutError::RankTwice { rank: *rank });
                }
            }
            count += 1;
        }
        if count == 0 {
            return Err(LayoutError::NoRanks);
        }
        Self::build(Ranks::Groups { lanes, count }, batch, ending)
    }

    fn build(ranks: Ranks, batch: u32, ending: Ending) -> Result<Self, LayoutError> {
        if batch == 0 {
            return Err(LayoutError::EmptyBatch);
        }
        Ok(Self { ranks, batch, ending })
    }

    /// The samples of a batch of one rank.
    pub fn batch(&self) -> u32 {
        self.batch
    }

    pub fn ending(&self) -> Ending {
        self.ending
    }

    /// The number of ranks or groups with samples of their own.
    pub fn lanes(&self) -> u32 {
        match self.ranks {
            Ranks::Each(count) | Ranks::Groups { count, .. } => count,
        }
    }

    /// A rank's lane; `None` if the rank is not of this layout.
    pub fn lane(&self, rank: u32) -> Option<u32> {
        match &self.ranks {
            Ranks::Each(count) => (rank < *count).then_some(rank),
            Ranks::Groups { lanes, .. } => lanes.get(&rank).copied(),
        }
    }

    /// The samples that all lanes get at one step.
    pub fn global_batch(&self) -> u64 {
        u64::from(self.batch) * u64::from(self.lanes())
    }
}
