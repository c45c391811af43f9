//! Why a request is refused. Nothing of a refused request is logged or applied.

use crate::iterations::places::Place;
use crate::order::OrderError;
use lavandin_types::{ErrorCode, IterationId};
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    #[error("Iteration not found: {0}")]
    UnknownIteration(IterationId),
    #[error("iteration {0} already exists")]
    Exists(IterationId),
    #[error("Replication pg not found for rank {0}")]
    UnknownRank(u32),
    #[error("there is no replication group {0}")]
    UnknownGroup(u32),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error("{0}")]
    Invalid(&'static str),
    /// Somebody else was faster, or the samples were chosen before some came back: walk again.
    #[error("conflict: {what} is {found}, not {expected}; read again and retry")]
    Conflict { what: &'static str, expected: u64, found: u64 },
    #[error("all {blocks} blocks of the iteration are taken")]
    NoMoreBlocks { blocks: u32 },
    #[error("sample {} of block {} is not one of the replication group's blocks", place.offset, place.block)]
    NotOwned { place: Place },
    #[error("sample {} of block {} was already taken by rank {rank}", place.offset, place.block)]
    AlreadyTaken { rank: u32, place: Place },
    #[error("batch {number} of rank {rank} is not open")]
    NotOpen { rank: u32, number: u64 },
    #[error("{count} samples in one request; the limit is {limit}")]
    TooManySamples { count: u64, limit: u64 },
    #[error("an iteration has at most {limit} ranks")]
    TooManyRanks { limit: usize },
    #[error("rank {rank} has {limit} batches whose delivery is not known, which is the limit")]
    TooManyOpenGrants { rank: u32, limit: usize },
    #[error("there are {limit} iterations, which is the limit, and none of them is finished or idle")]
    TooManyIterations { limit: usize },
    #[error("the request takes {bytes} bytes in the log; the limit is {limit}")]
    TooLarge { bytes: usize, limit: usize },
}

impl Rejection {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownIteration(_) => ErrorCode::NotFound,
            Self::Exists(_) => ErrorCode::AlreadyExists,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Conflict { .. } | Self::TooManyOpenGrants { .. } | Self::TooManyIterations { .. } => {
                ErrorCode::Overloaded
            }
            Self::Order(error) => error.code(),
            _ => ErrorCode::InvalidArgument,
        }
    }
}
