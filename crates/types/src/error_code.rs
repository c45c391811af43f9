//! The closed list of error codes. One table turns a code into an HTTP status.

use std::fmt;

/// What went wrong, by what the caller can do about it. Every error of every crate maps to one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is wrong as it stands; sending it again will not help.
    InvalidArgument,
    /// An index that needs vectors was asked for on an empty collection.
    EmptyDatabase,
    /// No key, or a wrong one.
    Unauthorized,
    /// The named thing does not exist.
    NotFound,
    /// The thing to create exists, or a record id of an insert does.
    AlreadyExists,
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// The server knows the feature and does not have it yet.
    NotImplemented,
    /// A queue or a memory limit is full; try again after a moment.
    Overloaded,
    /// The request's deadline passed; a write may or may not have happened: retry it with its request id.
    DeadlineExceeded,
    /// The node cannot serve this now (starting, stopping, or a failed disk).
    Unavailable,
    /// Some groups have logged their part of a change, others perhaps not: complete it by sending it again with its
    /// request id.
    Partial,
    /// Stored bytes failed their checksum.
    DataCorrupt,
    /// A defect of this program.
    Internal,
}

impl ErrorCode {
    /// The name in error bodies and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::EmptyDatabase => "empty_database",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PayloadTooLarge => "payload_too_large",
            Self::NotImplemented => "not_implemented",
            Self::Overloaded => "overloaded",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unavailable => "unavailable",
            Self::Partial => "partial",
            Self::DataCorrupt => "data_corrupt",
            Self::Internal => "internal_error",
        }
    }

    /// The HTTP status that carries it.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::EmptyDatabase => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::AlreadyExists => 409,
            Self::PayloadTooLarge => 413,
            Self::NotImplemented => 501,
            Self::Overloaded => 429,
            Self::DeadlineExceeded => 504,
            Self::Unavailable | Self::Partial => 503,
            Self::DataCorrupt | Self::Internal => 500,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
