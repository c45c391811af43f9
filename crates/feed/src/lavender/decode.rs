//! The binary sample layout, read: written against the format, not against the encoder, so that each tests the other.
//!
//! Accepts everything the format allows (also arrays and tensors, which the encoder never writes), from untrusted bytes:
//! lengths are checked before they are used, nesting has a limit, and memory grows with what was read, never with what
//! a length promises. Blobs and array data refer to the input.

use super::json;
use bytes::Bytes;
use lavandin_types::ErrorCode;

/// Lists and dictionaries nested deeper than this are refused.
pub(super) const DEPTH_MAX: usize = 128;

/// A decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
    /// A numpy array.
    Array(NdArray),
    /// A torch tensor.
    Tensor(NdArray),
}

/// An array as numpy describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdArray {
    pub shape: Vec<u64>,
    /// numpy's name of the element type, such as `int32`.
    pub dtype: String,
    /// Steps in bytes along each dimension.
    pub strides: Vec<i64>,
    pub data: Bytes,
}

/// A decoded batch: its keys in order, the server's own included.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub entries: Vec<(String, Value)>,
}

impl Sample {
    /// The first value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The indices of the batch's samples: a list of integers, or one for a single sample.
    pub fn indices(&self) -> Option<Vec<u64>> {
        let index = |value: &Value| match value {
            Value::Int(index) => u64::try_from(*index).ok(),
            Value::Uint(index) => Some(*index),
            _ => None,
        };
        match self.get(super::INDICES_KEY)? {
            Value::List(values) => values.iter().map(index).collect(),
            single => Some(vec![index(single)?]),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the batch ends inside {what}")]
    Cut { what: &'static str },
    #[error("the batch does not begin with its keys and `sa`")]
    NoSample,
    #[error("the keys of the batch are not a JSON list of strings")]
    BadKeys,
    #[error("{keys} keys, but {items} items")]
    KeyCount { keys: usize, items: usize },
    #[error("an item has the unknown tag {tag:?}")]
    UnknownTag { tag: [u8; 2] },
    #[error("an item is not JSON at byte {at}")]
    BadJson { at: usize },
    #[error("the header of an array is malformed")]
    BadArray,
    #[error("a key is not UTF-8")]
    BadText,
    #[error("values are nested more than 128 deep")]
    TooDeep,
}

impl DecodeError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// Decodes a whole batch.
pub fn decode(batch: &Bytes) -> Result<Sample, DecodeError> {
    let mut rest = Reader(batch.clone());
    let keys = rest.prefixed("the list of keys")?;
    let Value::List(keys) = json::parse(&keys).map_err(|_| DecodeError::BadKeys)? else {
        return Err(DecodeError::BadKeys);
    };
    if rest.take(2, "the signature")?.as_ref() != b"sa" {
        return Err(DecodeError::NoSample);
    }
    let mut entries = Vec::new();
    let count = keys.len();
    for key in keys {
        let Value::Text(key) = key else { return Err(DecodeError::BadKeys) };
        if rest.0.is_empty() {
            return Err(DecodeError::KeyCount { keys: count, items: entries.len() });
        }
        entries.push((key, decode_item(rest.prefixed("an item")?)?));
    }
    if !rest.0.is_empty() {
        return Err(DecodeError::KeyCount { keys: count, items: count + 1 });
    }
    Ok(Sample { entries })
}

/// Decodes one item: its tag and payload.
pub fn decode_item(item: Bytes) -> Result<Value, DecodeError> {
    item_at(item, 0)
}

/// Whether `item` begins as an item must.
pub(super) fn has_known_tag(item: &[u8]) -> bool {
    matches!(item.get(..2), Some(b"js" | b"by" | b"ls" | b"di" | b"np" | b"ts"))
}

fn item_at(item: Bytes, depth: usize) -> Result<Value, DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::TooDeep);
    }
    let mut rest = Reader(item);
    let tag = rest.take(2, "an item's tag")?;
    Ok(match tag.as_ref() {
        b"js" => json::parse(&rest.0)?,
        b"by" => Value::Bytes(rest.0),
        b"ls" => Value::List(list(rest, depth)?),
        b"di" => {
            let mut entries = Vec::new();
            while !rest.0.is_empty() {
                let key = rest.prefixed("a key")?;
                let key = std::str::from_utf8(&key).map_err(|_| DecodeError::BadText)?.to_owned();
                entries.push((key, item_at(rest.prefixed("a value")?, depth + 1)?));
            }
            Value::Dict(entries)
        }
        b"np" => Value::Array(array(rest)?),
        b"ts" => Value::Tensor(array(rest)?),
        &[first, second] => return Err(DecodeError::UnknownTag { tag: [first, second] }),
        _ => return Err(DecodeError::Cut { what: "an item's tag" }),
    })
}

fn list(mut rest: Reader, depth: usize) -> Result<Vec<Value>, DecodeError> {
    let mut values = Vec::new();
    while !rest.0.is_empty() {
        values.push(item_at(rest.prefixed("an element")?, depth + 1)?);
    }
    Ok(values)
}

fn array(mut rest: Reader) -> Result<NdArray, DecodeError> {
    let header = list(Reader(rest.prefixed("an array's header")?), 0)?;
    let Ok([Value::List(shape), Value::Text(dtype), Value::List(strides)]) = <[Value; 3]>::try_from(header)
    else {
        return Err(DecodeError::BadArray);
    };
    let integer = |value: Value| match value {
        Value::Int(value) => Ok(value),
        _ => Err(DecodeError::BadArray),
    };
    let length = |value: Value| u64::try_from(integer(value)?).map_err(|_| DecodeError::BadArray);
    Ok(NdArray {
        shape: shape.into_iter().map(length).collect::<Result<_, _>>()?,
        dtype,
        strides: strides.into_iter().map(integer).collect::<Result<_, _>>()?,
        data: rest.0,
    })
}

/// What is left of the input.
struct Reader(Bytes);

impl Reader {
    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, DecodeError> {
        if self.0.len() < length {
            return Err(DecodeError::Cut { what });
        }
        Ok(self.0.split_to(length))
    }

    /// The bytes that a length of 32 bits announces.
    fn prefixed(&mut self, what: &'static str) -> Result<Bytes, DecodeError> {
        let length = self.take(4, what)?;
        let length = length.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
        self.take(length, what)
    }
}

#[cfg(test)]
mod tests;
