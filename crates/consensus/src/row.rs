//! The bytes of each stored row, independent of how openraft lays out its types.
//!
//! ```text
//! row        = u8 version (2) | u64 XXH3-64 of key and body | body
//! log id     = u64 term | u64 node | u64 index
//! entry      = u64 term | u64 node | u8 kind: 0 blank, 1 command, 2 membership | its bytes     key: u64 index
//! vote       = u64 term | u64 node | u8 committed
//! snapshot   = u8 log id present | log id | u8 membership log id present | log id | u64 length | membership
//! membership = JSON {"configs":[[node, …], …],"nodes":[[node, address, directory], …]}
//! ```
//! Version 1 differs in the membership only: its nodes have no directory, as those of version 2 whose directory is not
//! known. Numbers are little-endian; an absent log id is 24 zero bytes. The key enters the checksum, so that a row which
//! turns up under another key is found out. A command's bytes are `cluster`'s.

use crate::directory::DirectoryId;
use crate::raft_types::{
    Entry, LeaderId, LogId, Member, Membership, Payload, SnapshotMeta, StoredMembership, Vote,
};
use lavandin_cluster::{Command, DecodeError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

const VERSION: u8 = 2;
const HEADER_BYTES: usize = 9;

const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RowError {
    #[error("it ends early")]
    Truncated,
    #[error("its checksum does not match")]
    Checksum,
    #[error("it has format version {0}")]
    Version(u8),
    #[error("it has bytes of an unknown kind {0}")]
    Kind(u8),
    #[error("its membership cannot be read: {0}")]
    Membership(String),
    #[error(transparent)]
    Command(DecodeError),
}

impl RowError {
    /// Whether a newer program could read it.
    pub(crate) fn is_newer(&self) -> bool {
        matches!(self, Self::Version(_) | Self::Command(DecodeError::Version { .. }))
    }
}

/// Frames a body for storage under a key.
pub(crate) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEADER_BYTES + body.len());
    row.push(VERSION);
    row.extend_from_slice(&checksum(key, body).to_le_bytes());
    row.extend_from_slice(body);
    row
}

/// The body of a row that was stored under a key.
pub(crate) fn open<'a>(key: &[u8], row: &'a [u8]) -> Result<&'a [u8], RowError> {
    let mut reader = Reader(row);
    let version = reader.u8()?;
    let stored = reader.u64()?;
    let body = reader.0;
    if checksum(key, body) != stored {
        return Err(RowError::Checksum);
    }
    if !(1..=VERSION).contains(&version) {
        return Err(RowError::Version(version));
    }
    Ok(body)
}

fn checksum(key: &[u8], body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(key);
    hash.update(body);
    hash.digest()
}

/// A node's number.
pub(crate) fn decode_number(body: &[u8]) -> Result<u64, RowError> {
    Reader(body).u64()
}

pub(crate) fn decode_directory(body: &[u8]) -> Result<DirectoryId, RowError> {
    Reader(body).directory()?.ok_or(RowError::Kind(0))
}

pub(crate) fn encode_log_id(id: &LogId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    put_log_id(&mut bytes, id);
    bytes
}

pub(crate) fn decode_log_id(body: &[u8]) -> Result<LogId, RowError> {
    Reader(body).log_id()
}

pub(crate) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&entry.log_id.leader_id.term.to_le_bytes());
    bytes.extend_from_slice(&entry.log_id.leader_id.node_id.to_le_bytes());
    match &entry.payload {
        Payload::Blank => bytes.push(BLANK),
        Payload::Normal(command) => {
            bytes.push(COMMAND);
            bytes.extend_from_slice(&command.encode());
        }
        Payload::Membership(membership) => {
            bytes.push(MEMBERSHIP);
            bytes.extend_from_slice(&encode_membership(membership));
        }
    }
    bytes
}

pub(crate) fn decode_entry(index: u64, body: &[u8]) -> Result<Entry, RowError> {
    let mut reader = Reader(body);
    let log_id = LogId { leader_id: reader.leader_id()?, index };
    let payload = match reader.u8()? {
        BLANK => Payload::Blank,
        COMMAND => Payload::Normal(Command::decode(reader.0).map_err(RowError::Command)?),
        MEMBERSHIP => Payload::Membership(decode_membership(reader.0)?),
        other => return Err(RowError::Kind(other)),
    };
    Ok(Entry { log_id, payload })
}

pub(crate) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17);
    bytes.extend_from_slice(&vote.leader_id.term.to_le_bytes());
    bytes.extend_from_slice(&vote.leader_id.node_id.to_le_bytes());
    bytes.push(u8::from(vote.committed));
    bytes
}

pub(crate) fn decode_vote(body: &[u8]) -> Result<Vote, RowError> {
    Reader(body).vote()
}

/// A snapshot's description and the length of its bytes.
pub(crate) fn encode_snapshot_meta(meta: &SnapshotMeta, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_optional_log_id(&mut bytes, meta.last_log_id.as_ref());
    put_optional_log_id(&mut bytes, meta.last_membership.log_id().as_ref());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&encode_membership(meta.last_membership.membership()));
    bytes
}

pub(crate) fn decode_snapshot_meta(body: &[u8]) -> Result<(SnapshotMeta, u64), RowError> {
    let mut reader = Reader(body);
    let last_log_id = reader.optional_log_id()?;
    let membership_log_id = reader.optional_log_id()?;
    let length = reader.u64()?;
    let membership = decode_membership(reader.0)?;
    let last_membership = StoredMembership::new(membership_log_id, membership);
    Ok((SnapshotMeta { last_log_id, last_membership }, length))
}

/// The JSON form of a membership.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MembershipForm {
    configs: Vec<BTreeSet<u64>>,
    nodes: Vec<NodeForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NodeForm {
    Bound(u64, String, DirectoryId),
    Unbound(u64, String),
}

pub(crate) fn encode_membership(membership: &Membership) -> Vec<u8> {
    let node = |(id, member): (&u64, &Member)| match member.directory {
        Some(directory) => NodeForm::Bound(*id, member.address.clone(), directory),
        None => NodeForm::Unbound(*id, member.address.clone()),
    };
    let form = MembershipForm {
        configs: membership.get_joint_config().clone(),
        nodes: membership.nodes().map(node).collect(),
    };
    serde_json::to_vec(&form).expect("numbers and strings always encode")
}

fn decode_membership(bytes: &[u8]) -> Result<Membership, RowError> {
    let form: MembershipForm =
        serde_json::from_slice(bytes).map_err(|error| RowError::Membership(error.to_string()))?;
    if form.configs.is_empty() {
        return Ok(Membership::default());
    }
    let node = |form| match form {
        NodeForm::Bound(id, address, directory) => (id, Member { address, directory: Some(directory) }),
        NodeForm::Unbound(id, address) => (id, Member { address, directory: None }),
    };
    let nodes: BTreeMap<u64, Member> = form.nodes.into_iter().map(node).collect();
    Membership::new(form.configs, nodes).map_err(|error| RowError::Membership(error.to_string()))
}

pub(crate) fn put_log_id(bytes: &mut Vec<u8>, id: &LogId) {
    bytes.extend_from_slice(&id.leader_id.term.to_le_bytes());
    bytes.extend_from_slice(&id.leader_id.node_id.to_le_bytes());
    bytes.extend_from_slice(&id.index.to_le_bytes());
}

pub(crate) fn put_optional_log_id(bytes: &mut Vec<u8>, id: Option<&LogId>) {
    bytes.push(u8::from(id.is_some()));
    match id {
        Some(id) => put_log_id(bytes, id),
        None => bytes.extend_from_slice(&[0; 24]),
    }
}

/// Takes fixed-width values from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u8(&mut self) -> Result<u8, RowError> {
        let (&byte, rest) = self.0.split_first().ok_or(RowError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RowError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(RowError::Truncated)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, RowError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(RowError::Truncated)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, RowError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(RowError::Kind(other)),
        }
    }

    pub(crate) fn vote(&mut self) -> Result<Vote, RowError> {
        Ok(Vote { leader_id: self.leader_id()?, committed: self.flag()? })
    }

    /// `None` for zeros.
    pub(crate) fn directory(&mut self) -> Result<Option<DirectoryId>, RowError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(RowError::Truncated)?;
        self.0 = rest;
        Ok(DirectoryId::from_le_bytes(*bytes))
    }

    /// Bytes that their length, a u32, precedes.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], RowError> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(RowError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn leader_id(&mut self) -> Result<LeaderId, RowError> {
        Ok(LeaderId { term: self.u64()?, node_id: self.u64()? })
    }

    pub(crate) fn log_id(&mut self) -> Result<LogId, RowError> {
        Ok(LogId { leader_id: self.leader_id()?, index: self.u64()? })
    }

    pub(crate) fn optional_log_id(&mut self) -> Result<Option<LogId>, RowError> {
        let present = self.u8()?;
        let id = self.log_id()?;
        match present {
            0 => Ok(None),
            1 => Ok(Some(id)),
            other => Err(RowError::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests;
