//! What can go wrong with a copy of a group.

use lavandin_storage::StorageError;
use lavandin_types::{ErrorCode, GroupId, PrimaryEpoch, SequenceNumber};
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
    /// Records of a primary whose reign is over, or of a reign that this copy cannot begin.
    #[error(
        "group {group} takes no records of primary epoch {epoch}: this copy has promised {promised}; the sender has to learn the group's present primary"
    )]
    Fenced { group: GroupId, epoch: PrimaryEpoch, promised: PrimaryEpoch },
    /// A primary's log contradicts what this copy knows to be committed. Nothing was changed.
    #[error(
        "group {group}: another log has a different record where this copy has committed up to {committed} (they part behind {fork}); this copy must be rebuilt from the primary"
    )]
    CommittedConflict { group: GroupId, committed: SequenceNumber, fork: SequenceNumber },
    /// Records or a snapshot from another copy do not hold together. Nothing was changed.
    #[error("what group {group} was sent by another copy is malformed: {what}; it is to be sent again")]
    BrokenShipment { group: GroupId, what: &'static str },
    /// A write at a copy that is no primary, or one whose reign has not settled what it found in its log.
    #[error(
        "this copy of group {group} is not its primary, or not yet; ask for the present one and try again"
    )]
    NotPrimary { group: GroupId },
    /// Too much is logged and not yet committed.
    #[error(
        "group {group} has {bytes} bytes of writes that wait for their replicas, {bytes_max} are allowed; try again after a moment"
    )]
    PipelineFull { group: GroupId, bytes: usize, bytes_max: usize },
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
            Self::Poisoned { .. } | Self::NotPrimary { .. } | Self::Fenced { .. } => ErrorCode::Unavailable,
            Self::PipelineFull { .. } => ErrorCode::Overloaded,
            Self::BrokenShipment { .. } => ErrorCode::Internal,
            Self::BrokenChain { .. }
            | Self::Gap { .. }
            | Self::ShortLog { .. }
            | Self::MalformedCheckpoint { .. }
            | Self::CommittedConflict { .. }
            | Self::Consumer(_) => ErrorCode::DataCorrupt,
        }
    }
}
