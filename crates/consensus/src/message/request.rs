//! Requests.
//!
//! | Kind | Body |
//! |---|---|
//! | 1 append | vote, previous log id?, committed log id?, u32 entries; each: u64 index, u32 length, entry |
//! | 2 vote, 3 pre-vote | vote, last log id?, u8 transfer of the leadership |
//! | 4 snapshot chunk | vote, u32 length, snapshot description, u64 offset, chunk |
//! | 5 take the leadership | vote of the leader, u64 node, last log id? |
//! | 6 command | u32 milliseconds that are left, command |
//! | 7 read index | u32 milliseconds that are left |
//! | 8 add a member | u32 milliseconds that are left, u64 node, address |
//! | 9 set the voters | u32 milliseconds that are left, u64 node, … |
//! | 10 remove a member | u32 milliseconds that are left, u64 node |
//! | 11 status | nothing |

use super::{MessageError, begin, ended, open, put_counted, seal};
use crate::directory::DirectoryId;
use crate::raft_types::{Entry, LogId, SnapshotMeta, TypeConfig, Vote};
use crate::row::{self, Reader};
use lavandin_cluster::Command;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use std::collections::BTreeSet;
use std::time::Duration;

/// A request and whom it is for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) node: u64,
    /// `None` where any directory of the node will do.
    pub(crate) directory: Option<DirectoryId>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    Snapshot(SnapshotChunk),
    TakeLeadership(TransferLeaderRequest<TypeConfig>),
    /// For the leader, with the time that the caller will wait.
    Operation(Duration, Operation),
    Status,
}

/// What only the leader can do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    Command(Command),
    ReadIndex,
    Change(MemberChange),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberChange {
    Add { node: u64, address: String },
    SetVoters(BTreeSet<u64>),
    Remove { node: u64 },
}

/// A piece of a snapshot. Pieces come in order; the first has offset 0, the last ends at the length.
#[derive(Debug)]
pub(crate) struct SnapshotChunk {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    pub(crate) length: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut message = begin();
        message.extend_from_slice(&self.node.to_le_bytes());
        message.extend_from_slice(&self.directory.map_or([0; 16], DirectoryId::to_le_bytes));
        self.body.put(&mut message);
        seal(message)
    }

    pub(crate) fn decode(message: &[u8]) -> Result<Self, MessageError> {
        let mut reader = open(message)?;
        let (node, directory) = (reader.u64()?, reader.directory()?);
        let kind = reader.u8()?;
        Ok(Self { node, directory, body: Body::take(kind, &mut reader)? })
    }
}

impl Body {
    fn put(&self, message: &mut Vec<u8>) {
        match self {
            Self::Append(append) => {
                message.push(1);
                put_append(message, append);
            }
            Self::Vote(vote) => put_vote_request(message, 2, vote),
            Self::PreVote(vote) => put_vote_request(message, 3, vote),
            Self::Snapshot(chunk) => {
                message.push(4);
                message.extend_from_slice(&row::encode_vote(&chunk.vote));
                put_counted(message, &row::encode_snapshot_meta(&chunk.meta, chunk.length));
                message.extend_from_slice(&chunk.offset.to_le_bytes());
                message.extend_from_slice(&chunk.bytes);
            }
            Self::TakeLeadership(transfer) => {
                message.push(5);
                message.extend_from_slice(&row::encode_vote(transfer.from_leader()));
                message.extend_from_slice(&transfer.to_node_id().to_le_bytes());
                row::put_optional_log_id(message, transfer.last_log_id());
            }
            Self::Operation(left, operation) => operation.put(message, *left),
            Self::Status => message.push(11),
        }
    }

    fn take(kind: u8, reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let body = match kind {
            1 => Self::Append(take_append(reader)?),
            2 => Self::Vote(take_vote_request(reader)?),
            3 => Self::PreVote(take_vote_request(reader)?),
            4 => Self::Snapshot(take_chunk(reader)?),
            5 => {
                let (vote, node) = (committed_vote(reader)?, reader.u64()?);
                Self::TakeLeadership(TransferLeaderRequest::new(vote, node, reader.optional_log_id()?))
            }
            6..=10 => {
                let left = Duration::from_millis(reader.u32()?.into());
                Self::Operation(left, Operation::take(kind, reader)?)
            }
            11 => Self::Status,
            other => return Err(row::RowError::Kind(other).into()),
        };
        ended(reader)?;
        Ok(body)
    }
}

impl Operation {
    fn put(&self, message: &mut Vec<u8>, left: Duration) {
        message.push(match self {
            Self::Command(_) => 6,
            Self::ReadIndex => 7,
            Self::Change(MemberChange::Add { .. }) => 8,
            Self::Change(MemberChange::SetVoters(_)) => 9,
            Self::Change(MemberChange::Remove { .. }) => 10,
        });
        let left = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        message.extend_from_slice(&left.to_le_bytes());
        match self {
            Self::Command(command) => message.extend_from_slice(&command.encode()),
            Self::ReadIndex => {}
            Self::Change(MemberChange::Add { node, address }) => {
                message.extend_from_slice(&node.to_le_bytes());
                message.extend_from_slice(address.as_bytes());
            }
            Self::Change(MemberChange::SetVoters(nodes)) => {
                nodes.iter().for_each(|node| message.extend_from_slice(&node.to_le_bytes()));
            }
            Self::Change(MemberChange::Remove { node }) => message.extend_from_slice(&node.to_le_bytes()),
        }
    }

    fn take(kind: u8, reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(match kind {
            6 => Self::Command(Command::decode(std::mem::take(&mut reader.0))?),
            7 => Self::ReadIndex,
            8 => {
                let node = reader.u64()?;
                let address = std::str::from_utf8(std::mem::take(&mut reader.0));
                let address =
                    address.map_err(|_| MessageError::Contradiction("its address is not a text"))?;
                Self::Change(MemberChange::Add { node, address: address.to_owned() })
            }
            9 => {
                let mut nodes = BTreeSet::new();
                while !reader.0.is_empty() {
                    nodes.insert(reader.u64()?);
                }
                Self::Change(MemberChange::SetVoters(nodes))
            }
            _ => Self::Change(MemberChange::Remove { node: reader.u64()? }),
        })
    }
}

fn put_append(message: &mut Vec<u8>, append: &AppendEntriesRequest<TypeConfig>) {
    message.extend_from_slice(&row::encode_vote(&append.vote));
    row::put_optional_log_id(message, append.prev_log_id.as_ref());
    row::put_optional_log_id(message, append.leader_commit.as_ref());
    let count = u32::try_from(append.entries.len()).expect("the consensus library sends hundreds at most");
    message.extend_from_slice(&count.to_le_bytes());
    for entry in &append.entries {
        message.extend_from_slice(&entry.log_id.index.to_le_bytes());
        put_counted(message, &row::encode_entry(entry));
    }
}

fn take_append(reader: &mut Reader<'_>) -> Result<AppendEntriesRequest<TypeConfig>, MessageError> {
    let vote = committed_vote(reader)?;
    let (prev_log_id, leader_commit) = (reader.optional_log_id()?, reader.optional_log_id()?);
    let count = reader.u32()?;
    // The room is taken as the entries come: the count alone is not to be believed.
    let mut entries: Vec<Entry> = Vec::new();
    let mut previous: Option<LogId> = prev_log_id;
    for _ in 0..count {
        let index = reader.u64()?;
        let entry = row::decode_entry(index, reader.counted()?)?;
        let next = previous.map_or(Some(0), |id| id.index.checked_add(1));
        let ordered = previous.is_none_or(|id| id.leader_id <= entry.log_id.leader_id);
        if next != Some(index) || !ordered || entry.log_id.leader_id > vote.leader_id {
            return Err(MessageError::Contradiction("its entries do not follow each other"));
        }
        previous = Some(entry.log_id);
        entries.push(entry);
    }
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

fn put_vote_request(message: &mut Vec<u8>, kind: u8, request: &VoteRequest<TypeConfig>) {
    message.push(kind);
    message.extend_from_slice(&row::encode_vote(&request.vote));
    row::put_optional_log_id(message, request.last_log_id.as_ref());
    message.push(u8::from(request.leadership_transfer));
}

fn take_vote_request(reader: &mut Reader<'_>) -> Result<VoteRequest<TypeConfig>, MessageError> {
    let vote = reader.vote()?;
    if vote.committed {
        return Err(MessageError::Contradiction("a candidate's vote cannot have been granted yet"));
    }
    let mut request = VoteRequest::new(vote, reader.optional_log_id()?);
    request.leadership_transfer = reader.flag()?;
    Ok(request)
}

fn take_chunk(reader: &mut Reader<'_>) -> Result<SnapshotChunk, MessageError> {
    let vote = committed_vote(reader)?;
    let (meta, length) = row::decode_snapshot_meta(reader.counted()?)?;
    let offset = reader.u64()?;
    let bytes = std::mem::take(&mut reader.0).to_vec();
    let ends_within = offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= length);
    let ordered = meta.last_membership.log_id() <= &meta.last_log_id;
    let led = meta.last_log_id.is_some_and(|id| id.leader_id <= vote.leader_id);
    if !ends_within || !ordered || !led {
        return Err(MessageError::Contradiction("its snapshot's description contradicts itself"));
    }
    Ok(SnapshotChunk { vote, meta, length, offset, bytes })
}

/// The vote of a leader.
fn committed_vote(reader: &mut Reader<'_>) -> Result<Vote, MessageError> {
    let vote = reader.vote()?;
    if !vote.committed {
        return Err(MessageError::Contradiction("its sender was not elected"));
    }
    Ok(vote)
}
