//! Decodes a batch in the binary layout of `GET …/next`, for people and tests to look at.
//!
//! | Bytes | |
//! |---|---|
//! | 4 | K, big endian, as are all lengths |
//! | K | JSON list of the keys |
//! | 2 | `sa` |
//! | | for each key 4 bytes L, then L bytes of an item |
//!
//! An item is a tag of two letters and a payload: `js` JSON, `by` bytes, `ls` items each behind its length, `di`
//! pairs of a key and an item, each behind its length, `np` and `ts` an array: 4 bytes H, H bytes of header (three
//! `js` items behind their lengths: shape, type, strides), then the values.

use crate::WireError;
use crate::lavender::reply::Named;
use serde_json::Value;

/// Items inside of items.
const DEPTH_MAX: u32 = 64;

/// An item of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Json(Value),
    Bytes(Vec<u8>),
    List(Vec<Item>),
    Object(Named<Item>),
    Array(Array),
}

/// A numpy array or a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    pub shape: Vec<u64>,
    /// As numpy names it.
    pub dtype: String,
    /// In bytes, of each axis.
    pub strides: Vec<i64>,
    pub values: Vec<u8>,
    pub is_tensor: bool,
}

/// Decodes a whole batch.
pub fn decode(bytes: &[u8]) -> Result<Named<Item>, WireError> {
    let mut rest = bytes;
    let keys = take_block(&mut rest)?;
    let keys: Vec<String> = json(keys)?;
    if take(&mut rest, 2)? != b"sa" {
        return Err(WireError::Reply("a batch does not have its tag behind the keys"));
    }
    let mut pairs = Vec::new();
    for key in keys {
        pairs.push((key, decode_item(take_block(&mut rest)?, 0)?));
    }
    match rest {
        [] => Ok(Named(pairs)),
        _ => Err(WireError::Reply("a batch has bytes behind its last item")),
    }
}

fn decode_item(bytes: &[u8], depth: u32) -> Result<Item, WireError> {
    if depth > DEPTH_MAX {
        return Err(WireError::Reply("items are nested too deeply"));
    }
    let mut rest = bytes;
    match take(&mut rest, 2)? {
        b"js" => decode_json(rest).map(Item::Json),
        b"by" => Ok(Item::Bytes(rest.to_vec())),
        b"ls" => {
            let mut items = Vec::new();
            while !rest.is_empty() {
                items.push(decode_item(take_block(&mut rest)?, depth + 1)?);
            }
            Ok(Item::List(items))
        }
        b"di" => {
            let mut pairs = Vec::new();
            while !rest.is_empty() {
                let key = String::from_utf8(take_block(&mut rest)?.to_vec());
                let key = key.map_err(|_| WireError::Reply("a key is not UTF-8"))?;
                pairs.push((key, decode_item(take_block(&mut rest)?, depth + 1)?));
            }
            Ok(Item::Object(Named(pairs)))
        }
        tag @ (b"np" | b"ts") => {
            let mut header = take_block(&mut rest)?;
            let shape = json(json_payload(&mut header)?)?;
            let dtype = json(json_payload(&mut header)?)?;
            let strides = json(json_payload(&mut header)?)?;
            Ok(Item::Array(Array { shape, dtype, strides, values: rest.to_vec(), is_tensor: tag == b"ts" }))
        }
        _ => Err(WireError::Reply("an item has an unknown tag")),
    }
}

/// The payload of a `js` item behind its length.
fn json_payload<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let item = take_block(rest)?;
    item.strip_prefix(b"js").ok_or(WireError::Reply("an array's header holds an item that is not JSON"))
}

/// JSON, with the numbers that JSON has no words for as null.
fn decode_json(text: &[u8]) -> Result<Value, WireError> {
    match serde_json::from_slice(text) {
        Ok(value) => Ok(value),
        Err(_) => json(&without_odd_numbers(text)),
    }
}

/// The text with `NaN`, `Infinity` and `-Infinity` outside of strings as `null`.
fn without_odd_numbers(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(&byte) = rest.first() {
        let odd = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word));
        if let Some(word) = odd.filter(|_| !in_string) {
            plain.extend_from_slice(b"null");
            rest = &rest[word.len()..];
            continue;
        }
        // An escape is two bytes, of which the second ends no string.
        let length = if in_string && byte == b'\\' { 2.min(rest.len()) } else { 1 };
        in_string ^= byte == b'"';
        plain.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    plain
}

fn json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(text).map_err(|_| WireError::Reply("an item is not the JSON that belongs there"))
}

/// The bytes behind a length of four bytes.
fn take_block<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = take(rest, 4)?;
    let length = u32::from_be_bytes(length.try_into().expect("four bytes were taken"));
    take(rest, length as usize)
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], WireError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(WireError::Reply("a batch ends too early"))?;
    *rest = left;
    Ok(taken)
}

#[cfg(test)]
mod tests;
