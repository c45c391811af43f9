//! A cursor: where an epoch goes on, as a short text that its user keeps (docs/formats/cursor.md).
//!
//! A cursor names the plan that it belongs to by a hash, so that it is refused where it would mean other samples. It does not
//! name ranks or batch sizes: another number of ranks goes on at the same place. Driven by `node`. Deliberately absent:
//! what was handed out and not acknowledged; that is `iterations`.

use crate::{Order, ShardRows};
use lavandin_types::ErrorCode;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const PREFIX: &str = "lvc";
const VERSION: &str = "1";
/// Hash, epoch, step and place.
const BODY: usize = 40;
const BYTES: usize = BODY + 8;
/// The characters of a token that are looked at; none that was ever made has more.
const TOKEN_CHARS_MAX: usize = 1024;

/// Names an order over the rows of one dataset's content, all epochs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanHash([u8; 16]);

impl PlanHash {
    /// `content` stands for whatever else decides what a sample's number means: the manifest, and filters.
    pub fn new(order: Order, rows: &ShardRows, content: u128) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&order.with_epoch(0).to_bytes());
        hash.update(&content.to_le_bytes());
        hash.update(&rows.shards().to_le_bytes());
        for count in rows.iter() {
            hash.update(&count.to_le_bytes());
        }
        Self(hash.digest128().to_le_bytes())
    }
}

/// Where an epoch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub plan: PlanHash,
    pub epoch: u64,
    /// Steps done in this epoch, for its reader; the place decides.
    pub step: u64,
    /// The first place of the order that is not done.
    pub place: u64,
}

/// Why a cursor cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CursorError {
    #[error("this is no cursor")]
    NotACursor,
    #[error("this cursor was made by another version of the program")]
    OtherVersion,
    #[error("this cursor is damaged; copy it again")]
    Damaged,
    #[error(
        "this cursor belongs to another order, seed or state of the dataset; go on with the ones it was made with"
    )]
    OtherPlan,
}

impl CursorError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

impl Cursor {
    /// Errs if the cursor is of another plan.
    pub fn check(&self, plan: PlanHash) -> Result<(), CursorError> {
        if self.plan == plan { Ok(()) } else { Err(CursorError::OtherPlan) }
    }

    fn body(&self) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[..16].copy_from_slice(&self.plan.0);
        for (place, number) in body[16..].chunks_exact_mut(8).zip([self.epoch, self.step, self.place]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        body
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        write!(f, "{PREFIX}{VERSION}-")?;
        body.iter().chain(&xxh3_64(&body).to_le_bytes()).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(token: &str) -> Result<Self, CursorError> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(CursorError::NotACursor);
        }
        let (version, digits) = token
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .ok_or(CursorError::NotACursor)?;
        if version.is_empty() || !version.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(CursorError::NotACursor);
        }
        if version != VERSION {
            return Err(CursorError::OtherVersion);
        }
        let bytes = from_hex(digits).ok_or(CursorError::Damaged)?;
        let (body, checksum) = bytes.split_first_chunk::<BODY>().ok_or(CursorError::Damaged)?;
        if xxh3_64(body).to_le_bytes() != *checksum {
            return Err(CursorError::Damaged);
        }
        let (plan, numbers) = body.split_first_chunk().ok_or(CursorError::Damaged)?;
        let (numbers, _) = numbers.as_chunks();
        let [epoch, step, place] = *numbers else { return Err(CursorError::Damaged) };
        let [epoch, step, place] = [epoch, step, place].map(u64::from_le_bytes);
        Ok(Self { plan: PlanHash(*plan), epoch, step, place })
    }
}

/// The bytes of a token's digits, lower case as they were made.
fn from_hex(digits: &str) -> Option<[u8; BYTES]> {
    let digits: &[u8; 2 * BYTES] = digits.as_bytes().try_into().ok()?;
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
