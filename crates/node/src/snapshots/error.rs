//! Why a snapshot is not served, or was not fetched.

use lavandin_group::GroupError;
use lavandin_shard::Damage;
use lavandin_storage::StorageError;
use lavandin_types::{ErrorCode, SequenceNumber};
use thiserror::Error;

#[derive(Clone, Debug, Error)]
pub(crate) enum SnapshotError {
    /// The source has nothing to offer until it has made a checkpoint.
    #[error("the copy has no checkpoint that could be sent; make one and ask again")]
    NothingStored,
    #[error("two copies are being rebuilt from this one; ask again in a minute")]
    Busy,
    #[error("the snapshot's session is over; ask for a new one")]
    SessionGone,
    /// The request's bytes, at the source.
    #[error("malformed snapshot request: {0}")]
    BadRequest(&'static str),
    /// What the call came to, at the receiver.
    #[error("the snapshot's source did not answer: {message}")]
    Call { code: ErrorCode, message: String },
    /// The answer's bytes, at the receiver.
    #[error("the snapshot's source sent what is malformed: {0}; check its version and its log")]
    Malformed(&'static str),
    #[error("the snapshot is of {offered}, and this copy is at {applied}; nothing is to be rebuilt")]
    NotAhead { offered: SequenceNumber, applied: SequenceNumber },
    #[error("{file} arrived damaged {attempts} times; check the disk of the snapshot's source")]
    Damaged { file: String, attempts: u32 },
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Shard(#[from] Damage),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the node is stopping")]
    Stopping,
}

impl SnapshotError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Busy => ErrorCode::Overloaded,
            Self::SessionGone => ErrorCode::NotFound,
            Self::BadRequest(_) | Self::NotAhead { .. } => ErrorCode::InvalidArgument,
            Self::Call { code, .. } => *code,
            Self::Malformed(_) | Self::Damaged { .. } | Self::Shard(_) => ErrorCode::DataCorrupt,
            Self::Group(error) => error.code(),
            Self::Storage(error) => error.code(),
            Self::NothingStored | Self::Stopping => ErrorCode::Unavailable,
        }
    }
}
