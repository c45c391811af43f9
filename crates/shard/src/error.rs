//! What can go wrong: a change refused before it is logged, a read that cannot be answered, damaged bytes.

use lavandin_filter::FilterError;
use lavandin_types::{ErrorCode, RecordId};
use std::fmt::Display;
use thiserror::Error;

/// Stored bytes that failed a check, by file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("damaged file {file}: {what}; restore it from a replica or a backup")]
pub struct Damage {
    pub file: String,
    pub what: String,
}

impl Damage {
    pub fn new(file: &str, what: impl Display) -> Self {
        Self { file: file.to_owned(), what: what.to_string() }
    }
}

/// Why a change was refused. Nothing of it is logged or applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    #[error("Dimension mismatch: expected {expected}, got {got}")]
    DimensionMismatch { expected: u32, got: u32 },
    #[error("Invalid argument: {ids} ids for {vectors} vectors")]
    CountMismatch { ids: usize, vectors: usize },
    #[error("Invalid argument: external id {0} already exists")]
    Exists(RecordId),
    /// Until that batch is logged or given up; then the request may be judged.
    #[error("external id {0} is being added by another batch; try again after a moment")]
    Reserved(RecordId),
    #[error("Invalid argument: id {0} occurs twice in one request")]
    Repeated(RecordId),
    #[error("Invalid argument: an id must not be empty")]
    EmptyId,
    #[error("Invalid argument: an id of {bytes} bytes is too long; the limit is {limit}")]
    IdTooLong { bytes: usize, limit: usize },
    #[error("Invalid argument: vector {row} holds a number that is not finite (NaN or infinity)")]
    NotFinite { row: usize },
    #[error("Invalid argument: vector {row} holds a number beyond float16's range (65504)")]
    TooWide { row: usize },
    #[error("Invalid argument: vector {row} is zero, which has no direction to compare by cosine")]
    ZeroVector { row: usize },
    #[error("Invalid argument: ids {start} and on pass the largest id, 18446744073709551615")]
    IdsExhausted { start: u64 },
    #[error("Invalid argument: the collection would hold {vectors} vectors; its limit is {limit}")]
    TooManyVectors { vectors: u64, limit: u64 },
    #[error("Invalid argument: the collection's vectors would take {bytes} bytes; their limit is {limit}")]
    TooManyBytes { bytes: u64, limit: u64 },
    #[error(
        "Invalid argument: the request takes {bytes} bytes in the log; the limit is {limit}, so split it"
    )]
    TooLarge { bytes: usize, limit: usize },
    #[error("Invalid argument: malformed fields")]
    MalformedFields,
    #[error("Collection not found")]
    UnknownCollection,
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl Rejection {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Exists(_) | Self::Repeated(_) => ErrorCode::InvalidArgument,
            Self::Reserved(_) => ErrorCode::Unavailable,
            Self::UnknownCollection => ErrorCode::NotFound,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::Damaged(_) => ErrorCode::DataCorrupt,
            _ => ErrorCode::InvalidArgument,
        }
    }
}

/// Why a read cannot be answered.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ReadError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("Dimension mismatch: expected {expected}, got {got}")]
    DimensionMismatch { expected: u32, got: usize },
    #[error("Invalid argument: query {query} holds a number that is not finite (NaN or infinity)")]
    NotFinite { query: usize },
    #[error("Invalid argument: query {query} is zero, which has no direction to compare by cosine")]
    ZeroVector { query: usize },
    #[error("Invalid argument: external id {0} does not exist")]
    UnknownId(RecordId),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl ReadError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Damaged(_) => ErrorCode::DataCorrupt,
            _ => ErrorCode::InvalidArgument,
        }
    }
}
