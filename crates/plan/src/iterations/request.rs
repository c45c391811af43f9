//! What is asked of the iterations, and what they answer.
//!
//! Between nodes a request travels as the following bytes (see `op` for their parts):
//!
//! ```text
//! request = u8 kind, body
//! 1 create:     20 bytes id, 20 bytes dataset, varint now_ms, varint rank, option world size, varint threshold_ms, rows,
//!               definition
//! 2 take block: 20 bytes iteration, varint group, varint block
//! 3 grant:      20 bytes iteration, varint rank, varint number, varint generation, varint now_ms, owner, places
//!               granted, places filtered, places failed, grants delivered
//! 4 delivered:  20 bytes iteration, grants
//! 5 return:     20 bytes iteration, varint rank, varint number, owner
//! 6 complete:   20 bytes iteration, varint count, for each a varint
//! 7 pushback:   20 bytes iteration
//! 8 drop:       20 bytes dataset
//! ```

use crate::ShardRows;
use crate::iterations::bytes::{
    read_array, read_bool, read_count, read_option, read_u8, read_varint, read_varint_u32, write_option,
    write_varint,
};
use crate::iterations::definition::Definition;
use crate::iterations::op::{decode_rows, encode_rows, read_id};
use crate::iterations::owner::Owner;
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
    pub owner: Owner,
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
        /// Of the grant that is meant; [`Owner::NOBODY`] for whatever has the number.
        owner: Owner,
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

const CREATE: u8 = 1;
const TAKE_BLOCK: u8 = 2;
const GRANT: u8 = 3;
const DELIVERED: u8 = 4;
const RETURN: u8 = 5;
const COMPLETE: u8 = 6;
const PUSHBACK: u8 = 7;
const DROP_DATASET: u8 = 8;

impl Request {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(create) => create.encode(out),
            Self::TakeBlock { iteration, group, block } => {
                header(TAKE_BLOCK, *iteration, out);
                write_varint(out, u64::from(*group));
                write_varint(out, u64::from(*block));
            }
            Self::Grant(grant) => grant.encode(out),
            Self::Delivered { iteration, grants } => {
                header(DELIVERED, *iteration, out);
                write_grants(out, grants);
            }
            Self::Return { iteration, rank, number, owner } => {
                header(RETURN, *iteration, out);
                write_varint(out, u64::from(*rank));
                write_varint(out, *number);
                owner.encode(out);
            }
            Self::Complete { iteration, indices } => {
                header(COMPLETE, *iteration, out);
                write_numbers(out, indices);
            }
            Self::Pushback { iteration } => header(PUSHBACK, *iteration, out),
            Self::DropDataset { dataset } => {
                out.push(DROP_DATASET);
                out.extend_from_slice(&dataset.to_bytes());
            }
        }
    }

    /// What `encode` wrote; `None` on anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let request = match read_u8(rest)? {
            CREATE => Self::Create(Box::new(Create::decode(rest)?)),
            TAKE_BLOCK => Self::TakeBlock {
                iteration: read_id(rest)?,
                group: read_varint_u32(rest)?,
                block: read_varint_u32(rest)?,
            },
            GRANT => Self::Grant(Box::new(Grant::decode(rest)?)),
            DELIVERED => Self::Delivered { iteration: read_id(rest)?, grants: read_grants(rest)? },
            RETURN => Self::Return {
                iteration: read_id(rest)?,
                rank: read_varint_u32(rest)?,
                number: read_varint(rest)?,
                owner: Owner::decode(rest)?,
            },
            COMPLETE => Self::Complete { iteration: read_id(rest)?, indices: read_numbers(rest)? },
            PUSHBACK => Self::Pushback { iteration: read_id(rest)? },
            DROP_DATASET => Self::DropDataset { dataset: DatasetId::from_bytes(read_array(rest)?)? },
            _ => return None,
        };
        rest.is_empty().then_some(request)
    }
}

impl Create {
    fn encode(&self, out: &mut Vec<u8>) {
        header(CREATE, self.id, out);
        out.extend_from_slice(&self.dataset.to_bytes());
        write_varint(out, self.now_ms);
        write_varint(out, u64::from(self.join.rank));
        write_option(out, self.join.world_size.map(u64::from));
        write_varint(out, self.join.threshold_ms);
        encode_rows(&self.rows, out);
        self.definition.encode(out);
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let (id, dataset) = (read_id(rest)?, DatasetId::from_bytes(read_array(rest)?)?);
        let (now_ms, rank) = (read_varint(rest)?, read_varint_u32(rest)?);
        let world_size = read_option(rest)?.map(u32::try_from).transpose().ok()?;
        let join = Join { rank, world_size, threshold_ms: read_varint(rest)? };
        let (rows, definition) = (decode_rows(rest)?, Definition::decode(rest)?);
        Some(Self { id, dataset, definition, rows, join, now_ms })
    }
}

impl Grant {
    fn encode(&self, out: &mut Vec<u8>) {
        header(GRANT, self.iteration, out);
        write_varint(out, u64::from(self.rank));
        [self.number, self.generation, self.now_ms].into_iter().for_each(|number| write_varint(out, number));
        self.owner.encode(out);
        [&self.samples, &self.filtered, &self.failed].into_iter().for_each(|places| places.encode(out));
        write_grants(out, &self.delivered);
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let (iteration, rank) = (read_id(rest)?, read_varint_u32(rest)?);
        let (number, generation, now_ms) = (read_varint(rest)?, read_varint(rest)?, read_varint(rest)?);
        Some(Self {
            iteration,
            rank,
            number,
            generation,
            now_ms,
            owner: Owner::decode(rest)?,
            samples: Places::decode(rest)?,
            filtered: Places::decode(rest)?,
            failed: Places::decode(rest)?,
            delivered: read_grants(rest)?,
        })
    }
}

fn header(kind: u8, id: IterationId, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&id.to_bytes());
}

pub(crate) fn write_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    write_varint(out, numbers.len() as u64);
    numbers.iter().for_each(|number| write_varint(out, *number));
}

pub(crate) fn read_numbers(rest: &mut &[u8]) -> Option<Vec<u64>> {
    (0..read_count(rest)?).map(|_| read_varint(rest)).collect()
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
    let count = read_count(rest)?;
    (0..count).map(|_| Some((read_varint_u32(rest)?, read_varint(rest)?))).collect()
}
