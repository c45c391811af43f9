//! Why a request is refused. Nothing of a refused request is logged or applied.
//!
//! ```text
//! rejection = u8 kind, body; those that only tell people something travel as their text
//! 0 other:              varint length, UTF-8
//! 1 unknown iteration:  20 bytes        2 exists:       20 bytes          3 unknown rank:    varint
//! 4 conflict:           u8 what, varint expected, varint found            5 no more blocks:  varint
//! 6 already taken:      varint rank, varint block, varint offset          7 not open:        varint rank, varint number
//! 8 repeated:           varint rank, varint number                        9 under way:       varint rank, varint number
//! 10 too many open:     varint rank, varint limit                         11 too many:       varint limit
//! 12 too large:         varint bytes, varint limit                        13 not owned:      varint block, varint offset
//! ```

use crate::iterations::bytes::{read_u8, read_varint, read_varint_u32, take, write_varint};
use crate::iterations::op::read_id;
use crate::iterations::places::Place;
use crate::order::OrderError;
use lavandin_types::{ErrorCode, IterationId};
use std::fmt;
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
    Conflict { what: Contested, expected: u64, found: u64 },
    /// This very request was carried out before.
    #[error("batch {number} of rank {rank} was granted by this request already")]
    Repeated { rank: u32, number: u64 },
    /// This very request is being carried out: ask again.
    #[error("batch {number} of rank {rank} is being granted by this request")]
    UnderWay { rank: u32, number: u64 },
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
    /// As another node put it.
    #[error("{0}")]
    Told(String),
}

/// What two requests cannot both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contested {
    NextBlock,
    Generation,
    NextBatch,
}

impl fmt::Display for Contested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NextBlock => "the next block",
            Self::Generation => "the rank's generation",
            Self::NextBatch => "the rank's next batch",
        })
    }
}

impl Rejection {
    pub(crate) const TOO_MANY_BLOCKS: Self = Self::Invalid("the order has more than 4,294,967,295 blocks");
    pub(crate) const TOO_MANY_LANE_BLOCKS: Self =
        Self::Invalid("fixed shares take more than 16,777,216 blocks here; larger batches take fewer");

    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownIteration(_) => ErrorCode::NotFound,
            Self::Exists(_) => ErrorCode::AlreadyExists,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Conflict { .. }
            | Self::Repeated { .. }
            | Self::UnderWay { .. }
            | Self::TooManyOpenGrants { .. }
            | Self::TooManyIterations { .. } => ErrorCode::Overloaded,
            Self::Order(error) => error.code(),
            _ => ErrorCode::InvalidArgument,
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, numbers: &[u64]| {
            out.push(kind);
            numbers.iter().for_each(|number| write_varint(out, *number));
        };
        match self {
            Self::UnknownIteration(id) => {
                put(1, &[]);
                out.extend_from_slice(&id.to_bytes());
            }
            Self::Exists(id) => {
                put(2, &[]);
                out.extend_from_slice(&id.to_bytes());
            }
            Self::UnknownRank(rank) => put(3, &[u64::from(*rank)]),
            Self::Conflict { what, expected, found } => put(4, &[*what as u64, *expected, *found]),
            Self::NoMoreBlocks { blocks } => put(5, &[u64::from(*blocks)]),
            Self::AlreadyTaken { rank, place } => {
                put(6, &[u64::from(*rank), u64::from(place.block), u64::from(place.offset)]);
            }
            Self::NotOpen { rank, number } => put(7, &[u64::from(*rank), *number]),
            Self::Repeated { rank, number } => put(8, &[u64::from(*rank), *number]),
            Self::UnderWay { rank, number } => put(9, &[u64::from(*rank), *number]),
            Self::TooManyOpenGrants { rank, limit } => put(10, &[u64::from(*rank), *limit as u64]),
            Self::TooManyIterations { limit } => put(11, &[*limit as u64]),
            Self::TooLarge { bytes, limit } => put(12, &[*bytes as u64, *limit as u64]),
            Self::NotOwned { place } => put(13, &[u64::from(place.block), u64::from(place.offset)]),
            other => {
                let text = other.to_string();
                put(0, &[text.len() as u64]);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// What `encode` wrote; `None` on anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let rejection = match read_u8(rest)? {
            0 => {
                let length = read_size(rest)?;
                Self::Told(std::str::from_utf8(take(rest, length)?).ok()?.to_owned())
            }
            1 => Self::UnknownIteration(read_id(rest)?),
            2 => Self::Exists(read_id(rest)?),
            3 => Self::UnknownRank(read_varint_u32(rest)?),
            4 => {
                let what = match read_varint(rest)? {
                    0 => Contested::NextBlock,
                    1 => Contested::Generation,
                    2 => Contested::NextBatch,
                    _ => return None,
                };
                Self::Conflict { what, expected: read_varint(rest)?, found: read_varint(rest)? }
            }
            5 => Self::NoMoreBlocks { blocks: read_varint_u32(rest)? },
            6 => {
                let rank = read_varint_u32(rest)?;
                let place = Place { block: read_varint_u32(rest)?, offset: read_varint_u32(rest)? };
                Self::AlreadyTaken { rank, place }
            }
            7 => Self::NotOpen { rank: read_varint_u32(rest)?, number: read_varint(rest)? },
            8 => Self::Repeated { rank: read_varint_u32(rest)?, number: read_varint(rest)? },
            9 => Self::UnderWay { rank: read_varint_u32(rest)?, number: read_varint(rest)? },
            10 => Self::TooManyOpenGrants { rank: read_varint_u32(rest)?, limit: read_size(rest)? },
            11 => Self::TooManyIterations { limit: read_size(rest)? },
            13 => Self::NotOwned {
                place: Place { block: read_varint_u32(rest)?, offset: read_varint_u32(rest)? },
            },
            12 => Self::TooLarge { bytes: read_size(rest)?, limit: read_size(rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(rejection)
    }
}

fn read_size(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(read_varint(rest)?).ok()
}
