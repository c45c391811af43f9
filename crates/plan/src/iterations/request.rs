//! What is asked of the iterations, and what they answer.

use crate::ShardRows;
use crate::iterations::bytes::{read_array, read_bool, read_u8, read_varint, read_varint_u32, write_varint};
use crate::iterations::definition::Definition;
use crate::iterations::places::Places;
use lavandin_types::{DatasetId, IterationId};

/// Who asks for an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    pub rank: u32,
    /// How many ranks the iteration has; `None` if that is not known.
    pub world_size: Option<u32>,
    /// An iteration can be joined for this long after its creation.
    pub threshold_ms: u64,
}

/// A wish for an iteration: a new one, or one that others with the same configuration have just begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Of the new iteration, if it becomes one.
    pub id: IterationId,
    pub dataset: DatasetId,
    pub definition: Definition,
    pub rows: ShardRows,
    pub join: Join,
    pub now_ms: u64,
}

/// Hands samples of one batch to a rank, with what was decided on the way to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub iteration: IterationId,
    pub rank: u32,
    /// The rank's next batch number.
    pub number: u64,
    /// The generation of the walk that chose the samples.
    pub generation: u64,
    /// The batch, in order. If neither it nor `failed` has samples, no number is spent.
    pub samples: Places,
    pub filtered: Places,
    pub failed: Places,
    /// Grants, of any ranks of this iteration, whose answers have left meanwhile: rank and number.
    pub delivered: Vec<(u32, u64)>,
    pub now_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Create(Box<Create>),
    /// Gives the next block to a replication group.
    TakeBlock {
        iteration: IterationId,
        group: u32,
        /// The block that is expected to be next.
        block: u32,
    },
    Grant(Box<Grant>),
    /// Answers of these grants have left: rank and number. Unknown ones are passed over.
    Delivered {
        iteration: IterationId,
        grants: Vec<(u32, u64)>,
    },
    /// A grant's answer never left: what of it is in progress can be granted again.
    Return {
        iteration: IterationId,
        rank: u32,
        number: u64,
    },
    /// Samples are done. Those that are neither in progress nor returned and not taken since are passed over.
    Complete {
        iteration: IterationId,
        indices: Vec<u64>,
    },
    /// Everything in progress can be granted again, in the old order.
    Pushback {
        iteration: IterationId,
    },
    DropDataset {
        dataset: DatasetId,
    },
}

/// What a request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The iteration to use: an older one if it was joined.
    Iteration { id: IterationId, joined: bool },
    /// How many: blocks taken, grants delivered, samples granted, returned, completed or pushed back, iterations dropped.
    Count(u64),
}

const ITERATION: u8 = 64;
const COUNT: u8 = 65;

impl Outcome {
    /// The first byte is 64 or more, as of operations.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Iteration { id, joined } => {
                out.push(ITERATION);
                out.extend_from_slice(&id.to_bytes());
                out.push(u8::from(*joined));
            }
            Self::Count(count) => {
                out.push(COUNT);
                write_varint(out, *count);
            }
        }
    }

    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let outcome = match read_u8(rest)? {
            ITERATION => {
                Self::Iteration { id: IterationId::from_bytes(read_array(rest)?)?, joined: read_bool(rest)? }
            }
            COUNT => Self::Count(read_varint(rest)?),
            _ => return None,
        };
        rest.is_empty().then_some(outcome)
    }
}

/// Grants by rank and number, as operations and checkpoints write them.
pub(crate) fn write_grants(out: &mut Vec<u8>, grants: &[(u32, u64)]) {
    write_varint(out, grants.len() as u64);
    for (rank, number) in grants {
        write_varint(out, u64::from(*rank));
        write_varint(out, *number);
    }
}

pub(crate) fn read_grants(rest: &mut &[u8]) -> Option<Vec<(u32, u64)>> {
    let count = crate::iterations::bytes::read_count(rest)?;
    (0..count).map(|_| Some((read_varint_u32(rest)?, read_varint(rest)?))).collect()
}
