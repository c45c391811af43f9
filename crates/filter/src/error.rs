//! Why a filter is refused, with the place in its text.

use lavandin_types::ErrorCode;
use thiserror::Error;

/// Each is the caller's to mend; positions are byte offsets into the filter's text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    #[error("the filter is empty; expected a condition such as lang = 'en'")]
    Empty,
    #[error("the filter has {bytes} bytes, more than the {limit} allowed")]
    TooLong { bytes: usize, limit: usize },
    #[error("filter error at byte {position}: found {found}, expected {expected}")]
    Syntax { position: usize, found: String, expected: String },
    #[error("filter error at byte {position}: nested deeper than {limit} levels")]
    TooDeep { position: usize, limit: usize },
    #[error("filter error at byte {position}: the list has more than {limit} items")]
    TooManyItems { position: usize, limit: usize },
    #[error("filter error at byte {position}: found the unknown field {name:?}, expected {expected}")]
    UnknownField { position: usize, name: String, expected: String },
    #[error("filter error at byte {position}: type mismatch: found {found}, expected {expected}")]
    TypeMismatch { position: usize, found: String, expected: String },
    #[error("filter error at byte {position}: the pattern cannot be used: {reason}")]
    BadPattern { position: usize, reason: String },
}

impl FilterError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }

    /// Where in the text, in bytes.
    pub fn position(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::TooLong { limit, .. } => *limit,
            Self::Syntax { position, .. }
            | Self::TooDeep { position, .. }
            | Self::TooManyItems { position, .. }
            | Self::UnknownField { position, .. }
            | Self::TypeMismatch { position, .. }
            | Self::BadPattern { position, .. } => *position,
        }
    }
}
