//! Replies.
//!
//! | Kind | Body |
//! |---|---|
//! | 1 appended | u8 0 all, 1 conflict, 2 a part, 3 a higher vote; then for 2 log id?, for 3 vote |
//! | 2 voted | vote, u8 granted, last log id? |
//! | 3 snapshot | vote |
//! | 4 done | nothing |
//! | 5 answer | u64 index of the entry, JSON of what the command did: `{"Ok":reply}` or `{"Err":error}` |
//! | 6 status | JSON |
//! | 7 failed | u8 why, then what the reason needs |
//!
//! Reasons: 1 it is another node (u64 its number); 2 the node has another directory (16 bytes); 3 the request cannot be
//! read (text); 4 it is of a newer version; 5 it does not lead (u64 who does, 0 for nobody, and the address); 6 the outcome is
//! unknown (text); 7 nothing was done, but may be later (text); 8 refused (text); 9 it has stopped (text).

use super::{MessageError, begin, ended, open, put_counted, seal, text};
use crate::directory::DirectoryId;
use crate::raft_types::{Outcome, TypeConfig, Vote};
use crate::row::{self, Reader, RowError};
use crate::status::MetadataStatus;
use openraft::raft::{AppendEntriesResponse, VoteResponse};
use thiserror::Error;

#[derive(Debug)]
pub(crate) enum Reply {
    Appended(AppendEntriesResponse<TypeConfig>),
    Voted(VoteResponse<TypeConfig>),
    Snapshot(Vote),
    Done,
    Answer(Answer),
    Status(Box<MetadataStatus>),
    Failed(Failure),
}

/// What the leader did, and the entry with which it is visible.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) index: u64,
    pub(crate) outcome: Outcome,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    #[error("node n{0} answers there")]
    WrongNode(u64),
    #[error("it has another metadata directory ({0}) than the one that the cluster knows")]
    WrongDirectory(DirectoryId),
    #[error("it cannot read the request: {0}")]
    Unreadable(String),
    #[error("it runs an older version of this program")]
    Newer,
    #[error("it does not lead the metadata")]
    NotLeader(Option<(u64, String)>),
    /// It may have happened, or may still.
    #[error("{0}")]
    Unknown(String),
    /// It did not happen; later it might.
    #[error("{0}")]
    NotNow(String),
    /// It did not happen and will not.
    #[error("{0}")]
    Refused(String),
    #[error("its metadata has stopped: {0}")]
    Stopped(String),
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut message = begin();
        match self {
            Self::Appended(response) => put_appended(&mut message, response),
            Self::Voted(response) => {
                message.push(2);
                message.extend_from_slice(&row::encode_vote(&response.vote));
                message.push(u8::from(response.vote_granted));
                row::put_optional_log_id(&mut message, response.last_log_id.as_ref());
            }
            Self::Snapshot(vote) => {
                message.push(3);
                message.extend_from_slice(&row::encode_vote(vote));
            }
            Self::Done => message.push(4),
            Self::Answer(answer) => {
                message.push(5);
                message.extend_from_slice(&answer.index.to_le_bytes());
                message.extend(serde_json::to_vec(&answer.outcome).expect("outcomes have a JSON form"));
            }
            Self::Status(status) => {
                message.push(6);
                message.extend(status.encode());
            }
            Self::Failed(failure) => {
                message.push(7);
                failure.put(&mut message);
            }
        }
        seal(message)
    }

    pub(crate) fn decode(message: &[u8]) -> Result<Self, MessageError> {
        let mut reader = open(message)?;
        let reply = match reader.u8()? {
            1 => Self::Appended(take_appended(&mut reader)?),
            2 => {
                let (vote, granted) = (reader.vote()?, reader.flag()?);
                Self::Voted(VoteResponse::new(vote, reader.optional_log_id()?, granted))
            }
            3 => Self::Snapshot(reader.vote()?),
            4 => Self::Done,
            5 => {
                let index = reader.u64()?;
                let outcome = serde_json::from_slice(std::mem::take(&mut reader.0))?;
                Self::Answer(Answer { index, outcome })
            }
            6 => Self::Status(Box::new(MetadataStatus::decode(std::mem::take(&mut reader.0))?)),
            7 => Self::Failed(Failure::take(&mut reader)?),
            other => return Err(RowError::Kind(other).into()),
        };
        ended(&reader)?;
        Ok(reply)
    }
}

impl Failure {
    fn put(&self, message: &mut Vec<u8>) {
        let (kind, text) = match self {
            Self::WrongNode(node) => {
                message.push(1);
                return message.extend_from_slice(&node.to_le_bytes());
            }
            Self::WrongDirectory(directory) => {
                message.push(2);
                return message.extend_from_slice(&directory.to_le_bytes());
            }
            Self::NotLeader(leader) => {
                let (node, address) = leader.as_ref().map_or((0, ""), |(node, address)| (*node, address));
                message.push(5);
                message.extend_from_slice(&node.to_le_bytes());
                return put_counted(message, address.as_bytes());
            }
            Self::Unreadable(text) => (3, text.as_str()),
            Self::Newer => (4, ""),
            Self::Unknown(text) => (6, text.as_str()),
            Self::NotNow(text) => (7, text.as_str()),
            Self::Refused(text) => (8, text.as_str()),
            Self::Stopped(text) => (9, text.as_str()),
        };
        message.push(kind);
        put_counted(message, text.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, MessageError> {
        let kind = reader.u8()?;
        match kind {
            1 => return Ok(Self::WrongNode(reader.u64()?)),
            2 => return Ok(Self::WrongDirectory(reader.directory()?.ok_or(RowError::Kind(0))?)),
            5 => {
                let (node, address) = (reader.u64()?, text(reader.counted()?));
                return Ok(Self::NotLeader((node != 0).then_some((node, address))));
            }
            _ => {}
        }
        let text = text(reader.counted()?);
        Ok(match kind {
            3 => Self::Unreadable(text),
            4 => Self::Newer,
            6 => Self::Unknown(text),
            7 => Self::NotNow(text),
            8 => Self::Refused(text),
            9 => Self::Stopped(text),
            other => return Err(RowError::Kind(other).into()),
        })
    }
}

fn put_appended(message: &mut Vec<u8>, response: &AppendEntriesResponse<TypeConfig>) {
    message.push(1);
    match response {
        AppendEntriesResponse::Success => message.push(0),
        AppendEntriesResponse::Conflict => message.push(1),
        AppendEntriesResponse::PartialSuccess(last) => {
            message.push(2);
            row::put_optional_log_id(message, last.as_ref());
        }
        AppendEntriesResponse::HigherVote(vote) => {
            message.push(3);
            message.extend_from_slice(&row::encode_vote(vote));
        }
    }
}

fn take_appended(reader: &mut Reader<'_>) -> Result<AppendEntriesResponse<TypeConfig>, MessageError> {
    Ok(match reader.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::Conflict,
        2 => AppendEntriesResponse::PartialSuccess(reader.optional_log_id()?),
        3 => AppendEntriesResponse::HigherVote(reader.vote()?),
        other => return Err(RowError::Kind(other).into()),
    })
}
