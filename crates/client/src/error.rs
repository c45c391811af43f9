//! Why a request did not come to its reply.

use lavandin_types::ErrorCode;
use lavandin_wire::lavender::Invalid;
use std::time::Duration;
use thiserror::Error;

/// A failed request.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error("{url:?} is not the address of a server: {reason}")]
    Address { url: String, reason: String },
    #[error("the API key has characters that cannot be sent")]
    Key,
    #[error("cannot use TLS: {reason}")]
    Tls { reason: String },
    #[error("cannot start: {reason}")]
    Start { reason: String },
    #[error("cannot reach {url}: {reason}; is the server running there?")]
    Connect { url: String, reason: String },
    /// Whether the server carried the request out is unknown.
    #[error("no answer from {url} within {} s", after.as_secs_f64())]
    Timeout { url: String, after: Duration },
    /// Likewise.
    #[error("the connection to {url} broke: {reason}")]
    Broken { url: String, reason: String },
    /// The server's own words.
    #[error("{detail}")]
    Refused { status: u16, detail: String },
    #[error("the request is malformed: {0}")]
    Invalid(Invalid),
    /// Not a failure: every sample has been given out.
    #[error("the iteration has ended: {detail}")]
    End { detail: String },
    /// User code failed on a batch; the next one may work.
    #[error("{detail}")]
    SampleFailed { current: Option<u64>, detail: String },
    #[error("there is no dataset named {name:?}")]
    NoSuchName { name: String },
    #[error("the answer of {url} is not what belongs there ({reason}); is it a server of this API?")]
    Reply { url: String, reason: String },
}

impl ClientError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Address { .. } | Self::Key | Self::Invalid(_) | Self::End { .. } => {
                ErrorCode::InvalidArgument
            }
            Self::Tls { .. } | Self::Start { .. } | Self::Connect { .. } | Self::Broken { .. } => {
                ErrorCode::Unavailable
            }
            Self::Timeout { .. } => ErrorCode::DeadlineExceeded,
            Self::NoSuchName { .. } => ErrorCode::NotFound,
            Self::SampleFailed { .. } | Self::Reply { .. } => ErrorCode::Internal,
            Self::Refused { status, .. } => code_of(*status),
        }
    }
}

fn code_of(status: u16) -> ErrorCode {
    match status {
        401 | 403 => ErrorCode::Unauthorized,
        404 | 410 => ErrorCode::NotFound,
        409 => ErrorCode::AlreadyExists,
        413 => ErrorCode::PayloadTooLarge,
        429 => ErrorCode::Overloaded,
        501 => ErrorCode::NotImplemented,
        502 | 503 => ErrorCode::Unavailable,
        504 => ErrorCode::DeadlineExceeded,
        400..=499 => ErrorCode::InvalidArgument,
        _ => ErrorCode::Internal,
    }
}
