//! What is asked about iterations without changing them, as values that travel between nodes.
//!
//! ```text
//! question = u8 kind, body                             reply = u8 kind, body
//! 1 info:        20 bytes iteration                     1: info
//! 2 outline:     20 bytes iteration                     2: outline
//! 3 list:        u8 has_dataset, 20 bytes dataset       3: varint count, for each varint length, info
//! 4 progress:    20 bytes iteration                     4: 6 varints: total, current, completed, filtered, failed, in
//!                                                          progress, u8 finished, varint count, for each varint
//!                                                          index, varint rank, varint started_ms
//! 5 rank:        20 bytes iteration, varint rank        5: u8 joined, varint next, varint generation, varint count,
//!                                                          for each varint number, owner
//! 6 rank count:  20 bytes iteration                     6: varint
//! 7 look:        20 bytes iteration, varint rank,       7: u8 0 and varint block, u8 0 nothing, 1 all, 2 and a set of
//!                varint generation, varint from            offsets; u8 1 and varint group, varint block; u8 2 end;
//!                                                          u8 3 stale
//! ```

use crate::iterations::bytes::{
    read_array, read_bool, read_count, read_u8, read_varint, read_varint_u32, take, write_varint,
};
use crate::iterations::error::Rejection;
use crate::iterations::op::read_id;
use crate::iterations::outline::{IterationInfo, Outline};
use crate::iterations::owner::Owner;
use crate::iterations::progress::{InProgress, Progress};
use crate::iterations::rank::Taken;
use crate::iterations::reader::{IterationsReader, RankStatus};
use crate::iterations::sets::{read_set, write_set};
use crate::iterations::walk::{Found, Look};
use lavandin_types::{DatasetId, IterationId};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Info(IterationId),
    Outline(IterationId),
    /// All iterations, or those of one dataset; newest first.
    List(Option<DatasetId>),
    Progress(IterationId),
    Rank {
        iteration: IterationId,
        rank: u32,
    },
    /// How many ranks have come so far.
    RankCount(IterationId),
    Look(Look),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Info(IterationInfo),
    Outline(Arc<Outline>),
    List(Vec<IterationInfo>),
    Progress(Progress),
    Rank(RankStatus),
    RankCount(u64),
    Found(Found),
}

impl IterationsReader {
    /// An unknown iteration or rank is a rejection.
    pub fn answer(&self, question: Question) -> Result<Reply, Rejection> {
        Ok(match question {
            Question::Info(iteration) => Reply::Info(self.outline(iteration)?.info()),
            Question::Outline(iteration) => Reply::Outline(self.outline(iteration)?),
            Question::List(dataset) => Reply::List(self.list(dataset)),
            Question::Progress(iteration) => {
                let unknown = Rejection::UnknownIteration(iteration);
                Reply::Progress(self.progress(iteration).ok_or(unknown)?)
            }
            Question::Rank { iteration, rank } => Reply::Rank(self.rank(iteration, rank)?),
            Question::RankCount(iteration) => Reply::RankCount(self.rank_count(iteration) as u64),
            Question::Look(look) => Reply::Found(self.look(look)?),
        })
    }
}

const INFO: u8 = 1;
const OUTLINE: u8 = 2;
const LIST: u8 = 3;
const PROGRESS: u8 = 4;
const RANK: u8 = 5;
const RANK_COUNT: u8 = 6;
const LOOK: u8 = 7;

impl Question {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut of_iteration = |kind: u8, iteration: &IterationId| {
            out.push(kind);
            out.extend_from_slice(&iteration.to_bytes());
        };
        match self {
            Self::Info(iteration) => of_iteration(INFO, iteration),
            Self::Outline(iteration) => of_iteration(OUTLINE, iteration),
            Self::Progress(iteration) => of_iteration(PROGRESS, iteration),
            Self::RankCount(iteration) => of_iteration(RANK_COUNT, iteration),
            Self::Rank { iteration, rank } => {
                of_iteration(RANK, iteration);
                write_varint(out, u64::from(*rank));
            }
            Self::Look(look) => {
                of_iteration(LOOK, &look.iteration);
                write_varint(out, u64::from(look.rank));
                write_varint(out, look.generation);
                write_varint(out, u64::from(look.from));
            }
            Self::List(dataset) => {
                out.extend_from_slice(&[LIST, u8::from(dataset.is_some())]);
                out.extend(dataset.iter().flat_map(|dataset| dataset.to_bytes()));
            }
        }
    }

    /// What `encode` wrote; `None` on anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let question = match read_u8(rest)? {
            INFO => Self::Info(read_id(rest)?),
            OUTLINE => Self::Outline(read_id(rest)?),
            LIST => Self::List(match read_bool(rest)? {
                true => Some(DatasetId::from_bytes(read_array(rest)?)?),
                false => None,
            }),
            PROGRESS => Self::Progress(read_id(rest)?),
            RANK => Self::Rank { iteration: read_id(rest)?, rank: read_varint_u32(rest)? },
            RANK_COUNT => Self::RankCount(read_id(rest)?),
            LOOK => Self::Look(Look {
                iteration: read_id(rest)?,
                rank: read_varint_u32(rest)?,
                generation: read_varint(rest)?,
                from: read_varint_u32(rest)?,
            }),
            _ => return None,
        };
        rest.is_empty().then_some(question)
    }
}

impl Reply {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Info(info) => {
                out.push(INFO);
                info.encode(out);
            }
            Self::Outline(outline) => {
                out.push(OUTLINE);
                outline.encode(out);
            }
            Self::List(infos) => {
                out.push(LIST);
                write_varint(out, infos.len() as u64);
                let mut bytes = Vec::new();
                for info in infos {
                    bytes.clear();
                    info.encode(&mut bytes);
                    write_varint(out, bytes.len() as u64);
                    out.extend_from_slice(&bytes);
                }
            }
            Self::Progress(progress) => encode_progress(progress, out),
            Self::Rank(status) => {
                out.extend_from_slice(&[RANK, u8::from(status.joined)]);
                write_varint(out, status.next);
                write_varint(out, status.generation);
                write_varint(out, status.open.len() as u64);
                for (number, owner) in &status.open {
                    write_varint(out, *number);
                    owner.encode(out);
                }
            }
            Self::RankCount(count) => {
                out.push(RANK_COUNT);
                write_varint(out, *count);
            }
            Self::Found(found) => {
                out.push(LOOK);
                encode_found(found, out);
            }
        }
    }

    /// What `encode` wrote; `None` on anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let reply = match read_u8(rest)? {
            INFO => return IterationInfo::decode(rest).map(Self::Info),
            OUTLINE => return Outline::decode(rest).map(|outline| Self::Outline(Arc::new(outline))),
            LIST => Self::List(decode_list(rest)?),
            PROGRESS => Self::Progress(decode_progress(rest)?),
            RANK => {
                let (joined, next, generation) = (read_bool(rest)?, read_varint(rest)?, read_varint(rest)?);
                let count = read_count(rest)?;
                let open = (0..count).map(|_| Some((read_varint(rest)?, Owner::decode(rest)?)));
                let open = open.collect::<Option<_>>()?;
                Self::Rank(RankStatus { joined, next, generation, open })
            }
            RANK_COUNT => Self::RankCount(read_varint(rest)?),
            LOOK => Self::Found(decode_found(rest)?),
            _ => return None,
        };
        rest.is_empty().then_some(reply)
    }
}

fn decode_list(rest: &mut &[u8]) -> Option<Vec<IterationInfo>> {
    let count = read_count(rest)?;
    let info = |_| {
        let length = usize::try_from(read_varint(rest)?).ok()?;
        IterationInfo::decode(take(rest, length)?)
    };
    (0..count).map(info).collect()
}

fn encode_progress(progress: &Progress, out: &mut Vec<u8>) {
    out.push(PROGRESS);
    let Progress { total, current, completed, filtered, failed, in_progress, listed, finished } = progress;
    let numbers = [total, current, completed, filtered, failed, in_progress];
    numbers.into_iter().for_each(|number| write_varint(out, *number));
    out.push(u8::from(*finished));
    write_varint(out, listed.len() as u64);
    for InProgress { index, rank, started_ms } in listed {
        [*index, u64::from(*rank), *started_ms].into_iter().for_each(|number| write_varint(out, number));
    }
}

fn decode_progress(rest: &mut &[u8]) -> Option<Progress> {
    let mut numbers = [0; 6];
    for number in &mut numbers {
        *number = read_varint(rest)?;
    }
    let [total, current, completed, filtered, failed, in_progress] = numbers;
    let finished = read_bool(rest)?;
    let mut listed = Vec::new();
    for _ in 0..read_count(rest)? {
        let (index, rank, started_ms) = (read_varint(rest)?, read_varint_u32(rest)?, read_varint(rest)?);
        listed.push(InProgress { index, rank, started_ms });
    }
    Some(Progress { total, current, completed, filtered, failed, in_progress, listed, finished })
}

const BLOCK: u8 = 0;
const TAKE_BLOCK: u8 = 1;
const END: u8 = 2;
const STALE: u8 = 3;

const NOTHING: u8 = 0;
const ALL: u8 = 1;
const OFFSETS: u8 = 2;

fn encode_found(found: &Found, out: &mut Vec<u8>) {
    match found {
        Found::Block { block, taken } => {
            out.push(BLOCK);
            write_varint(out, u64::from(*block));
            match taken {
                Taken::Nothing => out.push(NOTHING),
                Taken::All => out.push(ALL),
                Taken::Offsets(offsets) => {
                    out.push(OFFSETS);
                    write_set(out, offsets);
                }
            }
        }
        Found::TakeBlock { group, block } => {
            out.push(TAKE_BLOCK);
            write_varint(out, u64::from(*group));
            write_varint(out, u64::from(*block));
        }
        Found::End => out.push(END),
        Found::Stale => out.push(STALE),
    }
}

fn decode_found(rest: &mut &[u8]) -> Option<Found> {
    Some(match read_u8(rest)? {
        BLOCK => {
            let block = read_varint_u32(rest)?;
            let taken = match read_u8(rest)? {
                NOTHING => Taken::Nothing,
                ALL => Taken::All,
                OFFSETS => Taken::Offsets(read_set(rest)?),
                _ => return None,
            };
            Found::Block { block, taken }
        }
        TAKE_BLOCK => Found::TakeBlock { group: read_varint_u32(rest)?, block: read_varint_u32(rest)? },
        END => Found::End,
        STALE => Found::Stale,
        _ => return None,
    })
}
