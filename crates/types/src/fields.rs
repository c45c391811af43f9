//! A record's fields as bytes: one JSON object in a compact binary form.
//!
//! The bytes are those of the HTTP API's binary field blocks, so that a record's fields travel from the request
//! through the log to the segment without being rebuilt:
//!
//! ```text
//! object = u32 pair count, then that many (string, value)
//! string = u32 byte length, UTF-8
//! value  = u8 tag, then: 0 null | 1 false | 2 true | 3 i64 | 4 u64 | 5 f64 | 6 string
//!          | 7 array: u32 count, values | 8 object
//! ```
//! Integers are little-endian; a non-negative integer has tag 4. Nesting is limited to `DEPTH_MAX`.
//!
//! `FieldsRef::split` checks bytes of unknown origin once; iteration afterwards relies on that check, and on bytes
//! that break it ends early instead of panicking.

use thiserror::Error;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 128;

/// Why bytes are no field object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FieldsError {
    #[error("the fields end too early")]
    Truncated,
    #[error("the fields hold an unknown value tag {0}")]
    UnknownTag(u8),
    #[error("the fields hold text that is not UTF-8")]
    NotUtf8,
    #[error("the fields are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("the fields hold a number that is not finite")]
    NotFinite,
}

/// The kind of a value; the byte is its tag with `true` folded into `false`'s kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Str,
    Array,
    Object,
}

/// A borrowed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    /// A negative integer.
    I64(i64),
    /// A non-negative integer.
    U64(u64),
    F64(f64),
    Str(&'a str),
    Array(ArrayRef<'a>),
    Object(FieldsRef<'a>),
}

impl ValueRef<'_> {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::I64(_) | Self::U64(_) => Kind::Int,
            Self::F64(_) => Kind::Float,
            Self::Str(_) => Kind::Str,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }
}

/// A checked object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldsRef<'a>(&'a [u8]);

/// A checked array: its count and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayRef<'a>(&'a [u8]);

impl<'a> FieldsRef<'a> {
    /// The object without pairs.
    pub const EMPTY: FieldsRef<'static> = FieldsRef(&[0, 0, 0, 0]);

    /// Checks one object at the front of `bytes`; returns it and what follows.
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FieldsError> {
        let mut rest = bytes;
        skip_object(&mut rest, 0)?;
        let (object, rest) = bytes.split_at(bytes.len() - rest.len());
        Ok((Self(object), rest))
    }

    /// Takes bytes that `split` or a `FieldsBuilder` made and that a checksum has guarded since.
    pub fn from_stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number of pairs.
    pub fn len(self) -> usize {
        read_u32(&mut { self.0 }).unwrap_or(0) as usize
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The pairs in the order in which they were given.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, ValueRef<'a>)> {
        let mut rest = self.0;
        let count = read_u32(&mut rest).unwrap_or(0);
        (0..count).map_while(move |_| {
            let name = read_str(&mut rest).ok()?;
            Some((name, read_value(&mut rest).ok()?))
        })
    }

    /// The value of `name`; the last one where a name is repeated, as JSON readers have it.
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        self.iter().filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }
}

impl<'a> ArrayRef<'a> {
    pub fn len(self) -> usize {
        read_u32(&mut { self.0 }).unwrap_or(0) as usize
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        let mut rest = self.0;
        let count = read_u32(&mut rest).unwrap_or(0);
        (0..count).map_while(move |_| read_value(&mut rest).ok())
    }

    /// The array's bytes: count, then values.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Takes bytes that came from `as_bytes`.
    pub fn from_stored(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

/// Appends one object to a buffer, pair by pair; `finish` sets the count.
#[derive(Debug)]
pub struct FieldsWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count: u32,
}

impl<'a> FieldsWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        Self { out, start, count: 0 }
    }

    pub fn push(&mut self, name: &str, value: ValueRef<'_>) {
        write_str(self.out, name);
        write_value(self.out, value);
        self.count += 1;
    }

    /// Starts a nested value: writes the name, then hands out the buffer for exactly one value.
    pub fn push_raw(&mut self, name: &str) -> &mut Vec<u8> {
        write_str(self.out, name);
        self.count += 1;
        self.out
    }

    pub fn finish(self) {
        self.out[self.start..self.start + 4].copy_from_slice(&self.count.to_le_bytes());
    }
}

/// An owned object under construction.
#[derive(Clone, Debug, Default)]
pub struct FieldsBuilder {
    body: Vec<u8>,
    count: u32,
}

impl FieldsBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: ValueRef<'_>) -> Self {
        write_str(&mut self.body, name);
        write_value(&mut self.body, value);
        self.count += 1;
        self
    }

    pub fn build(self) -> Vec<u8> {
        let mut bytes = self.count.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Appends a string in the form above.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a tagged value in the form above.
pub fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.push(0),
        ValueRef::Bool(false) => out.push(1),
        ValueRef::Bool(true) => out.push(2),
        ValueRef::I64(number) if number >= 0 => write_value(out, ValueRef::U64(number as u64)),
        ValueRef::I64(number) => {
            out.push(3);
            out.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::U64(number) => {
            out.push(4);
            out.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::F64(number) => {
            out.push(5);
            out.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Str(text) => {
            out.push(6);
            write_str(out, text);
        }
        ValueRef::Array(array) => {
            out.push(7);
            out.extend_from_slice(array.0);
        }
        ValueRef::Object(object) => {
            out.push(8);
            out.extend_from_slice(object.0);
        }
    }
}

fn skip_object(rest: &mut &[u8], depth: usize) -> Result<(), FieldsError> {
    for _ in 0..read_u32(rest)? {
        read_str(rest)?;
        skip_value(rest, depth)?;
    }
    Ok(())
}

fn skip_value(rest: &mut &[u8], depth: usize) -> Result<(), FieldsError> {
    if depth > DEPTH_MAX {
        return Err(FieldsError::TooDeep);
    }
    match take(rest, 1)?[0] {
        0..=2 => {}
        3 | 4 => {
            take(rest, 8)?;
        }
        5 => {
            let bytes = take(rest, 8)?.try_into().map_err(|_| FieldsError::Truncated)?;
            if !f64::from_le_bytes(bytes).is_finite() {
                return Err(FieldsError::NotFinite);
            }
        }
        6 => {
            read_str(rest)?;
        }
        7 => {
            for _ in 0..read_u32(rest)? {
                skip_value(rest, depth + 1)?;
            }
        }
        8 => skip_object(rest, depth + 1)?,
        tag => return Err(FieldsError::UnknownTag(tag)),
    }
    Ok(())
}

fn read_value<'a>(rest: &mut &'a [u8]) -> Result<ValueRef<'a>, FieldsError> {
    let tag = take(rest, 1)?[0];
    Ok(match tag {
        0 => ValueRef::Null,
        1 => ValueRef::Bool(false),
        2 => ValueRef::Bool(true),
        3 => match i64::from_le_bytes(take_8(rest)?) {
            number if number >= 0 => ValueRef::U64(number as u64),
            number => ValueRef::I64(number),
        },
        4 => ValueRef::U64(u64::from_le_bytes(take_8(rest)?)),
        5 => ValueRef::F64(f64::from_le_bytes(take_8(rest)?)),
        6 => ValueRef::Str(read_str(rest)?),
        7 => {
            let start = *rest;
            for _ in 0..read_u32(rest)? {
                skip_value(rest, 0)?;
            }
            ValueRef::Array(ArrayRef(&start[..start.len() - rest.len()]))
        }
        8 => {
            let start = *rest;
            skip_object(rest, 0)?;
            ValueRef::Object(FieldsRef(&start[..start.len() - rest.len()]))
        }
        tag => return Err(FieldsError::UnknownTag(tag)),
    })
}

fn read_str<'a>(rest: &mut &'a [u8]) -> Result<&'a str, FieldsError> {
    let length = read_u32(rest)? as usize;
    std::str::from_utf8(take(rest, length)?).map_err(|_| FieldsError::NotUtf8)
}

fn read_u32(rest: &mut &[u8]) -> Result<u32, FieldsError> {
    let bytes = take(rest, 4)?.try_into().map_err(|_| FieldsError::Truncated)?;
    Ok(u32::from_le_bytes(bytes))
}

fn take_8(rest: &mut &[u8]) -> Result<[u8; 8], FieldsError> {
    take(rest, 8)?.try_into().map_err(|_| FieldsError::Truncated)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], FieldsError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(FieldsError::Truncated)?;
    *rest = left;
    Ok(taken)
}

#[cfg(test)]
mod tests;
