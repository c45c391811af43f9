//! Bodies that carry records: vectors, ids, field objects.

use crate::binary::{IdsEncoding, RecordsParams};
use crate::{FieldsList, WireError};
use half::f16;
use lavandin_types::{ElementType, FieldsRef};
use std::ops::Range;

const FIELD_MAGIC: &[u8; 5] = b"LDBF1";

/// The ids of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BinaryIds {
    Range { start: u64, count: u32 },
    Ints(Vec<u64>),
}

/// Where a body's parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsLayout {
    pub vectors: Range<usize>,
    pub ids: BinaryIds,
    /// For each record in order one byte 0, or one byte 1 and a checked field object.
    pub fields: Option<Range<usize>>,
}

/// Splits a body of vectors, ids and, optionally, fields.
pub fn split_records(body: &[u8], params: &RecordsParams<'_>) -> Result<RecordsLayout, WireError> {
    let id_size = match params.ids {
        IdsEncoding::Raw => 8,
        IdsEncoding::Range { .. } => 0,
    };
    let vector_bytes = bytes_of(params.dim, params.count, params.element);
    let fixed = vector_bytes + u128::from(params.count) * id_size;
    if fixed > body.len() as u128 {
        return Err(length_error(body.len(), fixed, params));
    }
    // Both fit: they are at most the body's length.
    let (vector_bytes, fixed) = (vector_bytes as usize, fixed as usize);
    let ids = match params.ids {
        IdsEncoding::Range { start } => {
            let count = params.count;
            start.checked_add(u64::from(count) - 1).ok_or(WireError::IdRange { start, count })?;
            BinaryIds::Range { start, count }
        }
        IdsEncoding::Raw => BinaryIds::Ints(read_ids(&body[vector_bytes..fixed])),
    };
    let fields = if body.len() == fixed {
        None
    } else {
        // Without the magic the extra bytes are a wrong length rather than a wrong block.
        if !body[fixed..].starts_with(FIELD_MAGIC) {
            return Err(length_error(body.len(), fixed as u128, params));
        }
        Some(check_field_block(body, fixed, params.count)?)
    };
    Ok(RecordsLayout { vectors: 0..vector_bytes, ids, fields })
}

/// Checks that a body is exactly `count` vectors.
pub fn split_vectors(body: &[u8], dim: u32, count: u32, element: ElementType) -> Result<(), WireError> {
    let expected = bytes_of(dim, count, element);
    if expected == body.len() as u128 {
        return Ok(());
    }
    Err(WireError::Length {
        found: body.len(),
        expected: u64::try_from(expected).unwrap_or(u64::MAX),
        layout: format!("{count} vectors of {dim} {} elements", element.name()),
    })
}

/// Encodes a records body. `vectors` are elements in the encoding that the parameters name.
pub fn encode_records(vectors: &[u8], ids: Option<&[u64]>, fields: Option<&FieldsList>) -> Vec<u8> {
    let mut body = vectors.to_vec();
    for id in ids.unwrap_or_default() {
        body.extend_from_slice(&id.to_le_bytes());
    }
    if let Some(fields) = fields {
        body.extend_from_slice(FIELD_MAGIC);
        body.extend_from_slice(&(fields.count as u32).to_le_bytes());
        body.extend_from_slice(&fields.bytes);
    }
    body
}

pub(super) fn bytes_of(dim: u32, count: u32, element: ElementType) -> u128 {
    u128::from(dim) * u128::from(count) * element.size() as u128
}

pub(super) fn read_f32(bytes: &[u8], index: usize) -> f32 {
    let at = index * 4;
    f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn read_f16(bytes: &[u8], index: usize) -> f32 {
    f16::from_le_bytes([bytes[index * 2], bytes[index * 2 + 1]]).to_f32()
}

fn read_ids(bytes: &[u8]) -> Vec<u64> {
    let (ids, _) = bytes.as_chunks::<8>();
    ids.iter().map(|id| u64::from_le_bytes(*id)).collect()
}

fn length_error(found: usize, expected: u128, params: &RecordsParams<'_>) -> WireError {
    let ids = match params.ids {
        IdsEncoding::Raw => "and as many ids of 8 bytes",
        IdsEncoding::Range { .. } => "with their ids as a range",
    };
    WireError::Length {
        found,
        expected: u64::try_from(expected).unwrap_or(u64::MAX),
        layout: format!(
            "{} vectors of {} {} elements {ids}",
            params.count,
            params.dim,
            params.element.name()
        ),
    }
}

/// Checks the block that starts at `start` and runs to the end; returns where its entries are.
fn check_field_block(body: &[u8], start: usize, expected: u32) -> Result<Range<usize>, WireError> {
    let broken = |offset, reason| WireError::FieldBlock { offset, reason };
    let after_magic = &body[start + FIELD_MAGIC.len()..];
    let (count, mut rest) =
        after_magic.split_first_chunk::<4>().ok_or(broken(start, "it ends in its count"))?;
    let found = u32::from_le_bytes(*count);
    if found != expected {
        return Err(WireError::FieldCount { found, expected });
    }
    let entries = body.len() - rest.len()..body.len();
    for record in 0..expected {
        let offset = body.len() - rest.len();
        let (&flag, tail) = rest.split_first().ok_or(broken(offset, "it ends before the last record"))?;
        rest = match flag {
            0 => tail,
            1 => FieldsRef::split(tail).map_err(|source| WireError::Fields { record, source })?.1,
            _ => return Err(broken(offset, "a record's flag is neither 0 nor 1")),
        };
    }
    if !rest.is_empty() {
        return Err(broken(body.len() - rest.len(), "bytes follow the last record"));
    }
    Ok(entries)
}
