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
    #[error("this node does not lead the metadata{}", leader.map(|node| format!("; node {node} does")).unwrap_or_default())]
    NotLeader { leader: Option<NodeId> },
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
            Self::Corrupt { .. } => ErrorCode::DataCorrupt,
            Self::NotLeader { .. }
            | Self::Stopped { .. }
            | Self::InUse { .. }
            | Self::WrongNode { .. }
            | Self::Newer { .. }
            | Self::Storage { .. }
            | Self::NotReady { .. } => ErrorCode::Unavailable,
        }
    }
}
