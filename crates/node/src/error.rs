//! What a call can fail with.

use lavandin_cluster::CatalogueError;
use lavandin_consensus::MetadataError;
use lavandin_group::GroupError;
use lavandin_shard::{Damage, ReadError, Rejection};
use lavandin_storage::StorageError;
use lavandin_types::{ErrorCode, IndexModeError};
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
    /// Some groups were lost while a change was being logged.
    #[error(
        "the change is done in groups {done} and not known to be in {missing} ({reason}); send it again with the same \
         idempotency key to complete it"
    )]
    Partial { done: String, missing: String, reason: Box<NodeError> },
    #[error("the batch took too long between its groups, and this group wrote nothing of it; send it again")]
    ReservationGone,
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
            Self::Partial { reason, .. } => reason.code(),
            Self::Stopping | Self::ReservationGone | Self::DataDirectory { .. } => ErrorCode::Unavailable,
            Self::IndexBuild | Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// Where in a filter's text the error lies, in bytes.
    pub fn filter_position(&self) -> Option<usize> {
        match self {
            Self::Read(ReadError::Filter(error)) => Some(error.position()),
            _ => None,
        }
    }
}
