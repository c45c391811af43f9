//! What members of the metadata's group send each other, and its bytes (docs/formats/metadata-peers.md).
//!
//! ```text
//! message = u8 version (1) | u64 XXH3-64 of the rest | rest
//! request = u64 node that it is for | 16 bytes its directory, zeros for any | u8 kind | body
//! reply   = u8 kind | body
//! ```
//! Numbers are little-endian; votes, log ids, entries and memberships have the bytes of stored rows (`row`), but no
//! checksums of their own.
//!
//! Invariant: decoding never panics, and what it returns keeps the promises that the consensus library takes for
//! granted (entries in order and without gaps, votes of the right kind). Whether the sender may say it is checked by
//! the receiver.

mod reply;
mod request;

pub(crate) use reply::{Answer, Failure, Reply};
pub(crate) use request::{Body, MemberChange, Operation, Request, SnapshotChunk};

use crate::row::{Reader, RowError};
use lavandin_cluster::DecodeError;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 9;

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum MessageError {
    #[error("it was written by a newer version of this program")]
    Newer,
    #[error(transparent)]
    Row(RowError),
    #[error("{0}")]
    Contradiction(&'static str),
    #[error("it cannot be read: {0}")]
    Json(String),
}

impl From<RowError> for MessageError {
    fn from(error: RowError) -> Self {
        if error.is_newer() { Self::Newer } else { Self::Row(error) }
    }
}

impl From<DecodeError> for MessageError {
    fn from(error: DecodeError) -> Self {
        RowError::Command(error).into()
    }
}

impl From<serde_json::Error> for MessageError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

/// A message to be filled: room for the header.
fn begin() -> Vec<u8> {
    vec![0; HEADER_BYTES]
}

fn seal(mut message: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&message[HEADER_BYTES..]);
    message[0] = VERSION;
    message[1..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    message
}

fn open(message: &[u8]) -> Result<Reader<'_>, MessageError> {
    let mut reader = Reader(message);
    let version = reader.u8()?;
    let checksum = reader.u64()?;
    if xxh3_64(reader.0) != checksum {
        return Err(RowError::Checksum.into());
    }
    if version != VERSION {
        return Err(MessageError::Newer);
    }
    Ok(reader)
}

/// Bytes behind their length.
fn put_counted(message: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("no part of a message comes near 4 GiB");
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(bytes);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ended(reader: &Reader<'_>) -> Result<(), MessageError> {
    if reader.0.is_empty() { Ok(()) } else { Err(MessageError::Contradiction("bytes follow its end")) }
}

#[cfg(test)]
mod tests;
