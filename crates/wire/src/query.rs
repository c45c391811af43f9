//! Query strings: `name=value` pairs joined by `&`, percent-encoded.
//!
//! Nothing is allocated for a value without escapes, because the binary search reads its parameters here.

use crate::WireError;
use std::borrow::Cow;

/// The part of a URL behind `?`.
#[derive(Clone, Copy, Debug)]
pub struct QueryString<'a>(pub &'a str);

impl<'a> QueryString<'a> {
    /// The pairs in order, decoded. An empty piece is skipped; a name without `=` has an empty value.
    pub fn pairs(self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>), WireError>> {
        self.0.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(name)?, decode(value)?))
        })
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, WireError> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?));
                let byte = digits.ok_or_else(|| malformed(text, "a % is not followed by two hex digits"))?;
                bytes.push(byte);
                rest = &rest[2..];
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| malformed(text, "it is not UTF-8 when decoded"))
}

fn malformed(text: &str, reason: &str) -> WireError {
    let shown: String = text.chars().take(80).collect();
    WireError::QueryString(format!("in {shown:?} {reason}"))
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests;
