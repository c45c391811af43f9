//! What is wrong with a request, told as the published server tells it: `{"detail":[{type, loc, msg, input}, …]}`.

use crate::lavender::reply::json;
use lavandin_types::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Faults that are told of one request; further ones are dropped.
const FAULTS_MAX: usize = 50;
/// Bytes of JSON of one fault's input; a longer one is cut and told as text.
const INPUT_BYTES_MAX: usize = 1_024;

/// One step to a value: a field's name or a place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    Name(String),
    Index(u64),
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The kind, such as `missing` or `int_parsing`.
    #[serde(rename = "type")]
    pub kind: String,
    /// From `body`, `query` or `path` down to the value.
    pub loc: Vec<Place>,
    pub msg: String,
    /// The value as it came; of a missing one what it is missing in.
    #[serde(default)]
    pub input: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

/// A request that breaks the rules of its kind: status 422.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invalid {
    #[serde(rename = "detail")]
    pub faults: Vec<Fault>,
}

impl Invalid {
    /// The status of the reply.
    pub const STATUS: u16 = 422;

    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }

    /// The body of the reply.
    pub fn to_json(&self) -> Vec<u8> {
        json(self)
    }

    pub(super) fn one(kind: &str, loc: Vec<Place>, msg: &str, input: &Value) -> Self {
        Self { faults: vec![fault(kind, loc, msg, input)] }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.loc {
            write!(f, "{place} ")?;
        }
        write!(f, "- {}", self.msg)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

fn fault(kind: &str, loc: Vec<Place>, msg: &str, input: &Value) -> Fault {
    let (kind, msg) = (kind.to_owned(), msg.to_owned());
    Fault { kind, loc, msg, input: shortened(input), ctx: None }
}

fn shortened(input: &Value) -> Value {
    let text = input.to_string();
    if text.len() <= INPUT_BYTES_MAX {
        return input.clone();
    }
    let mut end = INPUT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Value::String(format!("{}…", &text[..end]))
}

/// Where reading stands, and the faults so far.
#[derive(Debug)]
pub(super) struct Faults {
    at: Vec<Place>,
    found: Vec<Fault>,
}

impl Faults {
    /// Reading begins at `root`.
    pub(super) fn new(root: &str) -> Self {
        Self { at: vec![root.into()], found: Vec::new() }
    }

    /// Reads something one step further down.
    pub(super) fn inside<T>(&mut self, place: Place, read: impl FnOnce(&mut Self) -> T) -> T {
        self.at.push(place);
        let value = read(self);
        self.at.pop();
        value
    }

    /// Notes that what stands here is wrong. Returns `None`, for the reader to pass on.
    pub(super) fn note<T>(&mut self, kind: &str, msg: &str, input: &Value) -> Option<T> {
        self.push(|loc| fault(kind, loc, msg, input));
        None
    }

    /// As `note`, for a value that is none of some words.
    pub(super) fn note_literal<T>(&mut self, expected: &str, input: &Value) -> Option<T> {
        let msg = format!("Input should be {expected}");
        let ctx = Some(serde_json::json!({ "expected": expected }));
        self.push(|loc| Fault { ctx, ..fault("literal_error", loc, &msg, input) });
        None
    }

    fn push(&mut self, fault: impl FnOnce(Vec<Place>) -> Fault) {
        if self.found.len() < FAULTS_MAX {
            self.found.push(fault(self.at.clone()));
        }
    }

    /// The value, if nothing was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(Invalid { faults: self.found }),
        }
    }
}
