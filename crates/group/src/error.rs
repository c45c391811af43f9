//! What can go wrong with a copy of a group.

use lavandin_storage::StorageError;
use lavandin_types::{ErrorCode, GroupId, SequenceNumber};
use std::sync::Arc;
use thiserror::Error;

/// An error of one copy of a group.
#[derive(Clone, Debug, Error)]
pub enum GroupError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log's records do not continue each other.
    #[error(
        "the log of group {group} breaks at record {sequence}: {what}; restore the node from a replica or a backup"
    )]
    BrokenChain { group: GroupId, sequence: SequenceNumber, what: &'static str },
    /// Checkpoint and log leave records out between them.
    #[error(
        "group {group} lacks the records after {checkpoint}: its log begins at {first}; restore the node from a replica or a backup"
    )]
    Gap { group: GroupId, checkpoint: SequenceNumber, first: SequenceNumber },
    /// The log has lost records that a checkpoint had seen.
    #[error(
        "the log of group {group} ends at record {last}, before its checkpoint at {checkpoint}; restore the node from a replica or a backup"
    )]
    ShortLog { group: GroupId, checkpoint: SequenceNumber, last: SequenceNumber },
    #[error("{file} is malformed: {what}; restore the node from a replica or a backup")]
    MalformedCheckpoint { file: String, what: &'static str },
    /// The consumer could not be made from the checkpoint.
    #[error("{0}")]
    Consumer(String),
    /// An earlier write or sync failed. What was not acknowledged is lost; the node must be restarted.
    #[error(
        "group {group} takes no more writes since a write to its log failed ({cause}); mend the disk and restart the node"
    )]
    Poisoned { group: GroupId, cause: Arc<GroupError> },
}

impl GroupError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Storage(error) => error.code(),
            Self::Poisoned { .. } => ErrorCode::Unavailable,
            Self::BrokenChain { .. }
            | Self::Gap { .. }
            | Self::ShortLog { .. }
            | Self::MalformedCheckpoint { .. }
            | Self::Consumer(_) => ErrorCode::DataCorrupt,
        }
    }
}
