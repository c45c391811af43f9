//! A record's id: a string or an unsigned 64-bit integer. `5` and `"5"` are different ids.

use std::fmt;

/// An owned record id. Integers order before strings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordId {
    Int(u64),
    Str(Box<str>),
}

/// A borrowed record id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordIdRef<'a> {
    Int(u64),
    Str(&'a str),
}

impl RecordId {
    pub fn as_ref(&self) -> RecordIdRef<'_> {
        match self {
            Self::Int(value) => RecordIdRef::Int(*value),
            Self::Str(value) => RecordIdRef::Str(value),
        }
    }
}

impl RecordIdRef<'_> {
    pub fn to_owned(self) -> RecordId {
        match self {
            Self::Int(value) => RecordId::Int(value),
            Self::Str(value) => RecordId::Str(value.into()),
        }
    }
}

impl From<u64> for RecordId {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for RecordId {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// Integers bare, strings in double quotes, so that a message tells `5` from `"5"`.
impl fmt::Display for RecordIdRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Str(value) => write!(f, "{value:?}"),
        }
    }
}
