//! Query bodies and search replies.

use crate::binary::records::{bytes_of, read_f16, read_f32};
use crate::binary::split_vectors;
use crate::{FieldsJson, HitRef, RecordRef, WireError};
use lavandin_types::{ElementType, RecordIdRef};
use serde::ser::{SerializeSeq, Serializer};
use thiserror::Error;

/// The binary replies hold integer ids only.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the result holds the string id {id}, which the binary reply cannot carry; use the JSON endpoint")]
pub struct IdNotAnInteger {
    pub id: String,
}

/// A search block, borrowed from a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchBlock<'a> {
    ids: &'a [u8],
    scores: &'a [u8],
    /// JSON text; empty where no fields were asked for.
    pub fields: &'a [u8],
}

impl SearchBlock<'_> {
    pub fn len(&self) -> usize {
        self.ids.len() / 8
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids.as_chunks::<8>().0.iter().map(|id| u64::from_le_bytes(*id))
    }

    pub fn scores(&self) -> impl Iterator<Item = f32> {
        self.scores.as_chunks::<4>().0.iter().map(|score| f32::from_le_bytes(*score))
    }
}

/// Reads the queries of a body of exactly `count` vectors. Whether the numbers are finite is not looked at here.
pub fn decode_queries(
    body: &[u8],
    dim: u32,
    count: u32,
    element: ElementType,
) -> Result<Vec<f32>, WireError> {
    split_vectors(body, dim, count, element)?;
    // The product fits: it is at most the body's length.
    let elements = bytes_of(dim, count, element) as usize / element.size();
    Ok(match element {
        ElementType::F32 => (0..elements).map(|index| read_f32(body, index)).collect(),
        ElementType::F16 => (0..elements).map(|index| read_f16(body, index)).collect(),
    })
}

/// Appends one search block. On an error nothing was appended.
pub fn write_search_block<'a>(
    out: &mut Vec<u8>,
    hits: impl ExactSizeIterator<Item = HitRef<'a>> + Clone,
    with_fields: bool,
) -> Result<(), IdNotAnInteger> {
    let start = out.len();
    out.reserve(8 + hits.len() * 12);
    out.extend_from_slice(&(hits.len() as u32).to_le_bytes());
    if let Err(error) = write_ids(out, hits.clone().map(|hit| hit.id)) {
        out.truncate(start);
        return Err(error);
    }
    for hit in hits.clone() {
        out.extend_from_slice(&hit.score.to_le_bytes());
    }
    if with_fields && hits.len() > 0 {
        write_fields(out, hits.map(|hit| FieldsJson(hit.fields)));
    } else {
        out.extend_from_slice(&[0; 4]);
    }
    Ok(())
}

/// Appends a records reply. On an error nothing was appended.
pub fn write_records_block<'a>(
    out: &mut Vec<u8>,
    dim: u32,
    records: impl ExactSizeIterator<Item = RecordRef<'a>> + Clone,
) -> Result<(), IdNotAnInteger> {
    let start = out.len();
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    out.extend_from_slice(&dim.to_le_bytes());
    for number in records.clone().flat_map(|record| record.vector) {
        out.extend_from_slice(&number.to_le_bytes());
    }
    if let Err(error) = write_ids(out, records.clone().map(|record| record.id)) {
        out.truncate(start);
        return Err(error);
    }
    write_fields(out, records.map(|record| FieldsJson(record.fields)));
    Ok(())
}

fn write_ids<'a>(
    out: &mut Vec<u8>,
    ids: impl Iterator<Item = RecordIdRef<'a>>,
) -> Result<(), IdNotAnInteger> {
    for id in ids {
        match id {
            RecordIdRef::Int(id) => out.extend_from_slice(&id.to_le_bytes()),
            RecordIdRef::Str(_) => return Err(IdNotAnInteger { id: id.to_string() }),
        }
    }
    Ok(())
}

/// Appends a length and a JSON list of that many bytes.
fn write_fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = FieldsJson<'a>>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut serializer = serde_json::Serializer::new(&mut *out);
    serializer
        .serialize_seq(None)
        .and_then(|mut list| {
            fields.into_iter().try_for_each(|object| list.serialize_element(&object))?;
            SerializeSeq::end(list)
        })
        .expect("writing to memory cannot fail and names of fields are strings");
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Reads the search block at the front of `bytes`; returns it and what follows.
pub fn split_search_block(bytes: &[u8]) -> Result<(SearchBlock<'_>, &[u8]), WireError> {
    const SHORT: WireError = WireError::Reply("a search block is cut short");
    let (count, rest) = take_u32(bytes)?;
    let (ids, rest) = rest.split_at_checked(count.saturating_mul(8)).ok_or(SHORT)?;
    let (scores, rest) = rest.split_at_checked(count.saturating_mul(4)).ok_or(SHORT)?;
    let (length, rest) = take_u32(rest)?;
    let (fields, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
    Ok((SearchBlock { ids, scores, fields }, rest))
}

/// Reads a batch reply; nothing may follow its last block.
pub fn split_batch_reply(bytes: &[u8]) -> Result<Vec<SearchBlock<'_>>, WireError> {
    let (count, mut rest) = take_u32(bytes)?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let (block, tail) = split_search_block(rest)?;
        blocks.push(block);
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(WireError::Reply("bytes follow the last search block"));
    }
    Ok(blocks)
}

fn take_u32(bytes: &[u8]) -> Result<(usize, &[u8]), WireError> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(WireError::Reply("a count is cut short"))?;
    Ok((u32::from_le_bytes(*number) as usize, rest))
}
