//! A handler's error as the caller gets it: a code of the closed list and a sentence.

use bytes::{BufMut, Bytes, BytesMut};
use lavandin_types::ErrorCode;

/// A sentence is cut here, so that an error is always one frame.
const MESSAGE_BYTES_MAX: usize = 4096;

/// What went wrong at the other node. What a caller must understand in detail (a compare-and-set that missed, a
/// route that is out of date) belongs in the payload of an answer instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PeerStatus {
    pub code: ErrorCode,
    pub message: String,
}

impl PeerStatus {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The number of the code, and the sentence, cut where it is longer than 4096 bytes.
    pub fn encode(&self) -> (u16, Bytes) {
        let mut end = self.message.len().min(MESSAGE_BYTES_MAX);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        let mut payload = BytesMut::with_capacity(end);
        payload.put_slice(&self.message.as_bytes()[..end]);
        (number(self.code), payload.freeze())
    }

    /// Reads what `encode` wrote. A number of a newer program counts as an internal error.
    pub fn decode(code: u16, payload: &[u8]) -> Self {
        let payload = &payload[..payload.len().min(MESSAGE_BYTES_MAX)];
        Self { code: code_of(code), message: String::from_utf8_lossy(payload).into_owned() }
    }
}

/// The numbers of the codes on the wire; 0 is success. A number is never given to another code.
const fn number(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidArgument => 1,
        ErrorCode::EmptyDatabase => 2,
        ErrorCode::Unauthorized => 3,
        ErrorCode::NotFound => 4,
        ErrorCode::AlreadyExists => 5,
        ErrorCode::PayloadTooLarge => 6,
        ErrorCode::NotImplemented => 7,
        ErrorCode::Overloaded => 8,
        ErrorCode::DeadlineExceeded => 9,
        ErrorCode::Unavailable => 10,
        ErrorCode::DataCorrupt => 11,
        ErrorCode::Internal => 12,
        ErrorCode::Partial => 13,
    }
}

const fn code_of(number: u16) -> ErrorCode {
    match number {
        1 => ErrorCode::InvalidArgument,
        2 => ErrorCode::EmptyDatabase,
        3 => ErrorCode::Unauthorized,
        4 => ErrorCode::NotFound,
        5 => ErrorCode::AlreadyExists,
        6 => ErrorCode::PayloadTooLarge,
        7 => ErrorCode::NotImplemented,
        8 => ErrorCode::Overloaded,
        9 => ErrorCode::DeadlineExceeded,
        10 => ErrorCode::Unavailable,
        11 => ErrorCode::DataCorrupt,
        13 => ErrorCode::Partial,
        _ => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests;
