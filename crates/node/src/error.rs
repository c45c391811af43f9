//! What a call can fail with.

use lavandin_cluster::CatalogueError;
use lavandin_consensus::MetadataError;
use lavandin_group::replication::Refusal;
use lavandin_group::{GroupError, StageError};
use lavandin_shard::{Damage, ReadError, Rejection};
use lavandin_storage::StorageError;
use lavandin_types::{ErrorCode, GroupId, IndexModeError, RequestId};
use std::path::PathBuf;
use thiserror::Error;

/// An error of the node, for whoever called it.
#[derive(Clone, Debug, Error)]
pub enum NodeError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("Invalid argument: {0}")]
    IndexMode(#[from] IndexModeError),
    #[error("Collection not found: {0}")]
    CollectionNotFound(String),
    #[error("Empty database: collection {0} holds no vectors to build a {1} index over; add some first")]
    EmptyCollection(String, &'static str),
    #[error("Invalid argument: {0}")]
    Invalid(String),
    #[error(transparent)]
    Iteration(#[from] lavandin_plan::iterations::Rejection),
    #[error("Dataset not found")]
    DatasetNotFound,
    #[error("Iteration not found: {0}")]
    IterationNotFound(lavandin_types::IterationId),
    /// A request of the dataset wing that cannot be carried out as it stands.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Location(#[from] lavandin_feed::location::LocationError),
    #[error(transparent)]
    Format(#[from] lavandin_feed::format::FormatError),
    #[error(transparent)]
    Rows(#[from] lavandin_feed::rows::RowsError),
    #[error(transparent)]
    Encode(#[from] lavandin_feed::lavender::EncodeError),
    #[error(transparent)]
    Ipc(#[from] lavandin_feed::ipc::IpcError),
    #[error(transparent)]
    Python(#[from] lavandin_feed::python::PythonError),
    #[error("cannot use a manifest: {0}")]
    Manifest(String),

    #[error("{0} is not implemented yet")]
    NotImplemented(String),
    #[error("too many writes are waiting; try again after a moment")]
    Overloaded,
    /// Writes need more in-sync copies than there are; nothing was done.
    #[error(transparent)]
    TooFewCopies(Refusal),
    #[error("this node has not found its cluster yet; start the nodes of its configuration, then try again")]
    NoCluster,
    #[error(
        "joining: this node waits for the cluster of the head node {head}; start that one, or see the log of this one for why \
         it waits, then try again"
    )]
    Joining { head: String },
    /// Nothing was done, or it does no harm to do it again.
    #[error("{0}")]
    Unavailable(String),
    #[error("this node has not been registered with its cluster yet; see that the metadata has a leader")]
    NotRegistered,
    #[error(
        "this node was removed from its cluster; stop it, or start it on an empty data directory and add it again"
    )]
    Removed,
    /// Some groups were lost while a change was being logged.
    #[error(
        "the change is done in groups {done} and not known to be in {missing} ({reason}); send it again with the same \
         idempotency key to complete it"
    )]
    Partial { done: String, missing: String, reason: Box<NodeError> },
    #[error("the batch took too long between its groups, and this group wrote nothing of it; send it again")]
    ReservationGone,
    /// This copy does not answer for its group now, or not yet. Nothing was done.
    #[error("this copy of shard group {group} does not serve now: {reason}; nothing was done, try again")]
    NotServing { group: GroupId, reason: String },
    /// A change was under way when its group got another primary, or the way to it broke.
    #[error(
        "change {request_id} may still happen; send it again with the same idempotency key to learn its outcome, or, if it \
         had none, read whether it was made"
    )]
    OutcomeUnknown { request_id: RequestId },
    #[error("shard group {group} cannot be reached ({reason}); try again after a moment")]
    Unreachable { group: String, reason: String },
    /// What another node answered.
    #[error("{message}")]
    Remote { code: ErrorCode, message: String, filter_position: Option<usize> },
    #[error("building the index failed; the node's log says why, and it will be tried again")]
    IndexBuild,
    #[error("the deadline passed; {0}")]
    Deadline(&'static str),
    #[error("the node is stopping")]
    Stopping,
    #[error("cannot use data directory {path}: {reason}")]
    DataDirectory { path: PathBuf, reason: String },
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl NodeError {
    /// Why a copy of `group` takes no request now.
    pub(crate) fn of_refusal(group: GroupId, refusal: Refusal) -> Self {
        match refusal {
            // It does not help to ask again soon.
            Refusal::TooFewCopies { .. } => Self::TooFewCopies(refusal),
            _ => Self::NotServing { group, reason: refusal.to_string() },
        }
    }

    /// Why a copy of `group` did not stage a request.
    pub(crate) fn of_stage(group: GroupId, error: StageError) -> Self {
        match error {
            StageError::Refused(refusal) => Self::of_refusal(group, refusal),
            StageError::Group(error) => error.into(),
        }
    }

    /// The haversine metric was asked for over vectors of `dim` elements.
    pub(crate) fn haversine(dim: u32) -> Self {
        Self::Invalid(format!("the haversine metric requires dimension 2, the collection has {dim}"))
    }

    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Metadata(error) => error.code(),
            Self::Catalogue(error) => error.code(),
            Self::Group(error) => error.code(),
            Self::Storage(error) => error.code(),
            Self::Rejected(error) => error.code(),
            Self::Read(error) => error.code(),
            Self::Damaged(_) => ErrorCode::DataCorrupt,
            Self::IndexMode(_) | Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Iteration(error) => error.code(),
            Self::Location(error) => error.code(),
            Self::Format(error) => error.code(),
            Self::Rows(error) => error.code(),
            Self::Encode(error) => error.code(),
            Self::Ipc(error) => error.code(),
            Self::Python(error) => error.code(),
            Self::Manifest(_) => ErrorCode::DataCorrupt,
            Self::Refused(_) => ErrorCode::InvalidArgument,
            Self::CollectionNotFound(_) | Self::DatasetNotFound | Self::IterationNotFound(_) => {
                ErrorCode::NotFound
            }
            Self::EmptyCollection(..) => ErrorCode::EmptyDatabase,
            Self::NotImplemented(_) => ErrorCode::NotImplemented,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::Deadline(_) => ErrorCode::DeadlineExceeded,
            Self::Partial { .. } => ErrorCode::Partial,
            Self::Stopping
            | Self::ReservationGone
            | Self::TooFewCopies(_)
            | Self::NotServing { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Unreachable { .. }
            | Self::NoCluster
            | Self::Joining { .. }
            | Self::Unavailable(_)
            | Self::NotRegistered
            | Self::Removed
            | Self::DataDirectory { .. } => ErrorCode::Unavailable,
            Self::Remote { code, .. } => *code,
            Self::IndexBuild | Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// Where in a filter's text the error lies, in bytes.
    pub fn filter_position(&self) -> Option<usize> {
        match self {
            Self::Read(ReadError::Filter(error)) => Some(error.position()),
            Self::Remote { filter_position, .. } => *filter_position,
            _ => None,
        }
    }
}
