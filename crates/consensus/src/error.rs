//! What can go wrong with the metadata, by what the caller can do about it.

use lavandin_cluster::CatalogueError;
use lavandin_types::{ErrorCode, NodeId};
use std::path::PathBuf;
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// The catalogue refused the command; nothing changed.
    #[error(transparent)]
    Refused(#[from] CatalogueError),
    /// The outcome is unknown.
    #[error(
        "the metadata command {command} got no answer within {timeout_ms} ms and may still happen; \
         send it again, which does no harm if it did"
    )]
    Deadline { command: &'static str, timeout_ms: u64 },
    /// Nothing happened.
    #[error(
        "no metadata leader answered within {timeout_ms} ms ({reason}); \
         see that more than half of the voters run and reach each other, then try again"
    )]
    NoLeader { timeout_ms: u64, reason: String },
    /// Nothing happened.
    #[error("the metadata command {command} has {bytes} bytes; the limit is {limit_bytes}")]
    TooLarge { command: &'static str, bytes: u64, limit_bytes: u64 },
    /// It may happen yet, or have happened.
    #[error(
        "the metadata's members did not change within {timeout_ms} ms ({reason}); \
         ask for it again, which does no harm if they did"
    )]
    MembersNotReady { timeout_ms: u64, reason: String },
    /// The members do not allow the change; nothing happened.
    #[error("cannot change the metadata's members: {reason}")]
    Members { reason: String },
    /// A failed write, or the end of the process.
    #[error("the metadata store has stopped ({reason}); restart the node once the cause is gone")]
    Stopped { reason: String },
    #[error("{path} is in use by another process; stop it, or choose another data directory")]
    InUse { path: PathBuf },
    #[error(
        "{path} holds the metadata of node {stored}, this is node {asked}; \
         give each node a data directory of its own"
    )]
    WrongNode { path: PathBuf, stored: NodeId, asked: NodeId },
    #[error(
        "{path} was written by a newer version of this program ({reason}); run that version or a later one"
    )]
    Newer { path: PathBuf, reason: String },
    #[error("{path} is damaged: {reason}; restore it from a backup or from another node")]
    Corrupt { path: PathBuf, reason: String },
    #[error("cannot {action} {path}: {reason}")]
    Storage { path: PathBuf, action: &'static str, reason: String },
    #[error(
        "the metadata did not become ready within {timeout_ms} ms; restart the node, and report it if it persists"
    )]
    NotReady { timeout_ms: u64 },
}

impl MetadataError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code(),
            Self::Deadline { .. } => ErrorCode::DeadlineExceeded,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Members { .. } => ErrorCode::InvalidArgument,
            Self::Corrupt { .. } => ErrorCode::DataCorrupt,
            Self::NoLeader { .. }
            | Self::MembersNotReady { .. }
            | Self::Stopped { .. }
            | Self::InUse { .. }
            | Self::WrongNode { .. }
            | Self::Newer { .. }
            | Self::Storage { .. }
            | Self::NotReady { .. } => ErrorCode::Unavailable,
        }
    }
}
