//! Why bytes are no valid request. Every one of these is the sender's mistake.

use lavandin_types::{ErrorCode, FieldsError};
use thiserror::Error;

/// What is wrong with a request's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("malformed JSON at line {line}, column {column}: {message}")]
    Syntax { message: String, line: usize, column: usize },
    #[error("{message} (line {line}, column {column} of the body)")]
    Value { message: String, line: usize, column: usize },
    #[error("the query string is malformed: {0}")]
    QueryString(String),
    #[error("the query parameter {0} is missing")]
    MissingParameter(&'static str),
    #[error("the query parameter {name} is {found:?}, expected {expected}")]
    Parameter { name: &'static str, found: String, expected: &'static str },
    #[error("the body has {found} bytes, expected {expected}: {layout}")]
    Length { found: usize, expected: u64, layout: String },
    #[error("the range of ids {start} + {count} passes 18446744073709551615")]
    IdRange { start: u64, count: u32 },
    #[error("bytes from {offset} on are no field block: {reason}")]
    FieldBlock { offset: usize, reason: &'static str },
    #[error("the field block names {found} records, expected {expected}")]
    FieldCount { found: u32, expected: u32 },
    #[error("record {record} of the field block: {source}")]
    Fields { record: u32, source: FieldsError },
    #[error("the {name} list has {found} entries for {expected} {reference}")]
    Count { name: &'static str, found: usize, expected: usize, reference: &'static str },
    #[error("the reply is malformed: {0}")]
    Reply(&'static str),
}

impl WireError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

impl From<serde_json::Error> for WireError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let mut message = error.to_string();
        if let Some(end) = message.rfind(" at line ") {
            message.truncate(end);
        }
        match error.classify() {
            serde_json::error::Category::Data => Self::Value { message, line, column },
            _ => Self::Syntax { message, line, column },
        }
    }
}
