//! Operations: the bytes of the iterations' changes in the group's log. Made once, at the primary; replayed for ever.
//!
//! ```text
//! op         = u8 kind, u8 version (1, of grants 2), body
//! 64 create:     20 bytes id, 20 bytes dataset, varint now_ms, varint rank, varint count, ids of iterations given up
//!                for it, rows, definition
//! 65 join:       20 bytes id, varint rank
//! 66 take block: 20 bytes id, varint group, varint block
//! 67 grant:      20 bytes id, varint rank, varint number, varint now_ms, owner (not in version 1), places granted,
//!                places filtered, places failed, grants delivered
//! 68 delivered:  20 bytes id, grants
//! 69 return:     20 bytes id, varint rank, varint number
//! 70 complete:   20 bytes id, varint count, for each, ascending, varint index less the one before
//! 71 pushback:   20 bytes id
//! 72 drop:       20 bytes dataset
//! rows       = varint count, for each shard file a varint
//! grants     = varint count, for each varint rank, varint number
//! ```
//! Kinds start at 64, so that the group's other consumers can share its log. Nothing follows a body. New kinds take new
//! numbers; a kind's body never changes but with its version.

use crate::ShardRows;
use crate::iterations::bytes::{read_array, read_count, read_u8, read_varint, read_varint_u32, write_varint};
use crate::iterations::definition::Definition;
use crate::iterations::owner::Owner;
use crate::iterations::places::{Places, Run};
use crate::iterations::request::{Grant, read_grants, write_grants};
use crate::order::SAMPLES_MAX;
use lavandin_types::{DatasetId, IterationId};

const VERSION: u8 = 1;
const GRANT_VERSION: u8 = 2;

const CREATE: u8 = 64;
const JOIN: u8 = 65;
const TAKE_BLOCK: u8 = 66;
const GRANT: u8 = 67;
const DELIVERED: u8 = 68;
const RETURN: u8 = 69;
const COMPLETE: u8 = 70;
const PUSHBACK: u8 = 71;
const DROP_DATASET: u8 = 72;

/// An operation as it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Create(Box<Created>),
    Join { id: IterationId, rank: u32 },
    TakeBlock { id: IterationId, group: u32, block: u32 },
    Grant(Box<Granted>),
    Delivered { id: IterationId, grants: Vec<(u32, u64)> },
    Return { id: IterationId, rank: u32, number: u64 },
    Complete { id: IterationId, indices: Vec<u64> },
    Pushback { id: IterationId },
    DropDataset { dataset: DatasetId },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    pub id: IterationId,
    pub dataset: DatasetId,
    pub now_ms: u64,
    pub rank: u32,
    /// Iterations given up for it.
    pub given_up: Vec<IterationId>,
    pub rows: ShardRows,
    pub definition: Definition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub id: IterationId,
    pub rank: u32,
    pub number: u64,
    pub now_ms: u64,
    pub owner: Owner,
    pub samples: Places,
    pub filtered: Places,
    pub failed: Places,
    pub delivered: Vec<(u32, u64)>,
}

impl From<Grant> for Granted {
    fn from(grant: Grant) -> Self {
        let Grant { iteration, rank, number, samples, filtered, failed, delivered, now_ms, owner, .. } =
            grant;
        Self { id: iteration, rank, number, now_ms, owner, samples, filtered, failed, delivered }
    }
}

impl Granted {
    /// Whether it is a batch or a failure, which are numbered.
    pub(crate) fn has_number(&self) -> bool {
        !self.samples.is_empty() || !self.failed.is_empty()
    }

    /// Everything that it takes.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        [&self.samples, &self.filtered, &self.failed].into_iter().flat_map(|places| places.runs())
    }
}

impl Op {
    /// The iteration that it creates or changes; none of one that concerns a dataset.
    pub(crate) fn iteration(&self) -> Option<IterationId> {
        match self {
            Self::Create(created) => Some(created.id),
            Self::Grant(granted) => Some(granted.id),
            Self::Join { id, .. }
            | Self::TakeBlock { id, .. }
            | Self::Delivered { id, .. }
            | Self::Return { id, .. }
            | Self::Complete { id, .. }
            | Self::Pushback { id } => Some(*id),
            Self::DropDataset { .. } => None,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create(created) => created.encode(out),
            Self::Join { id, rank } => {
                header(JOIN, *id, out);
                write_varint(out, u64::from(*rank));
            }
            Self::TakeBlock { id, group, block } => {
                header(TAKE_BLOCK, *id, out);
                write_varint(out, u64::from(*group));
                write_varint(out, u64::from(*block));
            }
            Self::Grant(granted) => granted.encode(out),
            Self::Delivered { id, grants } => {
                header(DELIVERED, *id, out);
                write_grants(out, grants);
            }
            Self::Return { id, rank, number } => {
                header(RETURN, *id, out);
                write_varint(out, u64::from(*rank));
                write_varint(out, *number);
            }
            Self::Complete { id, indices } => {
                header(COMPLETE, *id, out);
                encode_ascending(indices, out);
            }
            Self::Pushback { id } => header(PUSHBACK, *id, out),
            Self::DropDataset { dataset } => {
                out.extend_from_slice(&[DROP_DATASET, VERSION]);
                out.extend_from_slice(&dataset.to_bytes());
            }
        }
    }

    /// `None` on bytes that no version of this program wrote.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let (kind, version) = (read_u8(rest)?, read_u8(rest)?);
        if version != VERSION && (kind, version) != (GRANT, GRANT_VERSION) {
            return None;
        }
        let op = Self::decode_body((kind, version), rest)?;
        rest.is_empty().then_some(op)
    }

    fn decode_body((kind, version): (u8, u8), rest: &mut &[u8]) -> Option<Self> {
        if kind == DROP_DATASET {
            return Some(Self::DropDataset { dataset: DatasetId::from_bytes(read_array(rest)?)? });
        }
        let id = read_id(rest)?;
        Some(match kind {
            CREATE => Self::Create(Box::new(Created::decode(id, rest)?)),
            JOIN => Self::Join { id, rank: read_varint_u32(rest)? },
            TAKE_BLOCK => {
                Self::TakeBlock { id, group: read_varint_u32(rest)?, block: read_varint_u32(rest)? }
            }
            GRANT => Self::Grant(Box::new(Granted::decode((id, version), rest)?)),
            DELIVERED => Self::Delivered { id, grants: read_grants(rest)? },
            RETURN => Self::Return { id, rank: read_varint_u32(rest)?, number: read_varint(rest)? },
            COMPLETE => Self::Complete { id, indices: decode_ascending(rest)? },
            PUSHBACK => Self::Pushback { id },
            _ => return None,
        })
    }
}

impl Created {
    fn encode(&self, out: &mut Vec<u8>) {
        header(CREATE, self.id, out);
        out.extend_from_slice(&self.dataset.to_bytes());
        write_varint(out, self.now_ms);
        write_varint(out, u64::from(self.rank));
        write_varint(out, self.given_up.len() as u64);
        self.given_up.iter().for_each(|id| out.extend_from_slice(&id.to_bytes()));
        encode_rows(&self.rows, out);
        self.definition.encode(out);
    }

    fn decode(id: IterationId, rest: &mut &[u8]) -> Option<Self> {
        let dataset = DatasetId::from_bytes(read_array(rest)?)?;
        let (now_ms, rank) = (read_varint(rest)?, read_varint_u32(rest)?);
        let given_up = (0..read_count(rest)?).map(|_| read_id(rest)).collect::<Option<_>>()?;
        let (rows, definition) = (decode_rows(rest)?, Definition::decode(rest)?);
        Some(Self { id, dataset, now_ms, rank, given_up, rows, definition })
    }
}

impl Granted {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[GRANT, GRANT_VERSION]);
        out.extend_from_slice(&self.id.to_bytes());
        write_varint(out, u64::from(self.rank));
        write_varint(out, self.number);
        write_varint(out, self.now_ms);
        self.owner.encode(out);
        [&self.samples, &self.filtered, &self.failed].into_iter().for_each(|places| places.encode(out));
        write_grants(out, &self.delivered);
    }

    fn decode((id, version): (IterationId, u8), rest: &mut &[u8]) -> Option<Self> {
        Some(Self {
            id,
            rank: read_varint_u32(rest)?,
            number: read_varint(rest)?,
            now_ms: read_varint(rest)?,
            owner: if version == GRANT_VERSION { Owner::decode(rest)? } else { Owner::NOBODY },
            samples: Places::decode(rest)?,
            filtered: Places::decode(rest)?,
            failed: Places::decode(rest)?,
            delivered: read_grants(rest)?,
        })
    }
}

fn header(kind: u8, id: IterationId, out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind, VERSION]);
    out.extend_from_slice(&id.to_bytes());
}

pub(crate) fn read_id(rest: &mut &[u8]) -> Option<IterationId> {
    IterationId::from_bytes(read_array(rest)?)
}

fn encode_ascending(indices: &[u64], out: &mut Vec<u8>) {
    debug_assert!(indices.is_sorted());
    write_varint(out, indices.len() as u64);
    let mut previous = 0;
    for index in indices {
        write_varint(out, index - previous);
        previous = *index;
    }
}

fn decode_ascending(rest: &mut &[u8]) -> Option<Vec<u64>> {
    let mut previous = 0_u64;
    let count = read_count(rest)?;
    let next = |_| {
        previous = previous.checked_add(read_varint(rest)?)?;
        Some(previous)
    };
    (0..count).map(next).collect()
}

pub(crate) fn encode_rows(rows: &ShardRows, out: &mut Vec<u8>) {
    write_varint(out, u64::from(rows.shards()));
    rows.iter().for_each(|count| write_varint(out, u64::from(count)));
}

/// Rows of more samples than an iteration may have were refused at creation.
pub(crate) fn decode_rows(rest: &mut &[u8]) -> Option<ShardRows> {
    let count = read_count(rest)?;
    let counts = (0..count).map(|_| read_varint_u32(rest)).collect::<Option<Vec<u32>>>()?;
    let total = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(u64::from(*count)));
    (total <= SAMPLES_MAX).then(|| ShardRows::new(counts))
}

#[cfg(test)]
mod tests;
