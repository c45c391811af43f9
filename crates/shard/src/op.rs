//! Operations: the bytes of a collection's changes in the group's log. Made once, at the primary; replayed for ever.
//!
//! ```text
//! op      = u8 kind, body
//! 1 open, 2 set schema: schema      3 drop: nothing      8 compact: nothing
//! 9 add at, 10 upsert at: u64 first place, then as 4 and 5, but with a u32 behind the ids for each row: its place
//!                          behind the first
//! 4 add, 5 upsert: ids, u8 has_fields, rows * vector_bytes, then (has_fields = 1) for each row
//!                  u8 0, or u8 1 and a field object
//! 6 delete, 7 restore: ids          11 allot: u64 start, u32 count
//! ids     = u32 count, u8 form, then: 0 range: u64 start | 1 integers: count * u64
//!           | 2 mixed: for each u8 0 and u64, or u8 1, u32 length and UTF-8
//! schema  = u64 version, u8 element, u32 dim, u8 has_index, then (1) u32 length, mode text,
//!           3 * u64 parameters (m, ef_construction, ef_search; u64::MAX = not given)
//! ```
//! Integers are little-endian. Vectors are in the collection's element type. New kinds take new numbers; a kind's
//! body never changes.

use crate::request::{BatchIds, Places};
use crate::schema::{IndexSpec, Schema};
use lavandin_types::{BuildParameters, ElementType, IndexMode, RecordId, RecordIdRef, SchemaVersion};
use lavandin_vector::codes::DIMENSION_MAX;

const OPEN: u8 = 1;
const SET_SCHEMA: u8 = 2;
const DROP: u8 = 3;
const ADD: u8 = 4;
const UPSERT: u8 = 5;
const DELETE: u8 = 6;
const RESTORE: u8 = 7;
const COMPACT: u8 = 8;
const ADD_AT: u8 = 9;
const UPSERT_AT: u8 = 10;
const ALLOT: u8 = 11;

/// A decoded operation, borrowing from its bytes.
#[derive(Debug)]
pub(crate) enum Op<'a> {
    Open(Schema),
    SetSchema(Schema),
    Drop,
    Write { upsert: bool, rows: Rows<'a> },
    Delete(Ids<'a>),
    Restore(Ids<'a>),
    Compact,
    Allot { start: u64, count: u32 },
}

/// The rows of an add or upsert.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// Their least places in the collection's order of insertion.
    pub places: Option<RowPlaces<'a>>,
    pub ids: Ids<'a>,
    has_fields: bool,
    /// Vectors, then fields.
    rest: &'a [u8],
}

/// The first place, and a little-endian u32 for each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowPlaces<'a> {
    pub first: u64,
    offsets: &'a [u8],
}

impl RowPlaces<'_> {
    pub(crate) fn of(&self, row: usize) -> u64 {
        let offset = self.offsets.as_chunks::<4>().0.get(row).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        self.first.saturating_add(u64::from(offset))
    }
}

/// A list of ids in its stored form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids<'a> {
    pub count: u32,
    form: u8,
    bytes: &'a [u8],
}

impl<'a> Op<'a> {
    /// `None` on bytes that no version of this program wrote.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, mut rest) = bytes.split_first()?;
        Some(match kind {
            OPEN => Self::Open(decode_schema(&mut rest)?),
            SET_SCHEMA => Self::SetSchema(decode_schema(&mut rest)?),
            DROP => Self::Drop,
            ADD | UPSERT | ADD_AT | UPSERT_AT => {
                let first = if kind >= ADD_AT { Some(read_u64(&mut rest)?) } else { None };
                let ids = Ids::decode(&mut rest)?;
                let places = match first {
                    Some(first) => {
                        let offsets = take(&mut rest, (ids.count as usize).checked_mul(4)?)?;
                        Some(RowPlaces { first, offsets })
                    }
                    None => None,
                };
                let has_fields = take(&mut rest, 1)?[0] == 1;
                let upsert = matches!(kind, UPSERT | UPSERT_AT);
                Self::Write { upsert, rows: Rows { places, ids, has_fields, rest } }
            }
            DELETE => Self::Delete(Ids::decode(&mut rest)?),
            RESTORE => Self::Restore(Ids::decode(&mut rest)?),
            COMPACT => Self::Compact,
            ALLOT => Self::Allot { start: read_u64(&mut rest)?, count: read_u32(&mut rest)? },
            _ => return None,
        })
    }
}

impl<'a> Rows<'a> {
    /// The vectors' bytes and the fields' bytes, given the size of one vector.
    pub(crate) fn split(&self, vector_bytes: usize) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let length = vector_bytes.checked_mul(self.ids.count as usize)?;
        let (vectors, fields) = self.rest.split_at_checked(length)?;
        Some((vectors, self.has_fields.then_some(fields)))
    }
}

impl<'a> Ids<'a> {
    fn decode(rest: &mut &'a [u8]) -> Option<Self> {
        let count = read_u32(rest)?;
        let form = take(rest, 1)?[0];
        let start = *rest;
        match form {
            0 => {
                take(rest, 8)?;
            }
            1 => {
                take(rest, (count as usize).checked_mul(8)?)?;
            }
            2 => {
                for _ in 0..count {
                    read_id(rest)?;
                }
            }
            _ => return None,
        }
        Some(Self { count, form, bytes: &start[..start.len() - rest.len()] })
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = RecordIdRef<'a>> {
        let mut rest = self.bytes;
        let mut range_next = None;
        (0..self.count).map_while(move |_| match self.form {
            0 => {
                let next = match range_next {
                    None => read_u64(&mut rest)?,
                    Some(previous) => previous,
                };
                range_next = Some(u64::wrapping_add(next, 1));
                Some(RecordIdRef::Int(next))
            }
            1 => read_u64(&mut rest).map(RecordIdRef::Int),
            _ => read_id(&mut rest),
        })
    }

    /// The start of a range of ids.
    pub(crate) fn range_start(self) -> Option<u64> {
        (self.form == 0).then(|| read_u64(&mut { self.bytes }))?
    }
}

pub(crate) fn encode_open(schema: &Schema, out: &mut Vec<u8>) {
    out.push(OPEN);
    encode_schema(schema, out);
}

pub(crate) fn encode_set_schema(schema: &Schema, out: &mut Vec<u8>) {
    out.push(SET_SCHEMA);
    encode_schema(schema, out);
}

pub(crate) fn encode_drop(out: &mut Vec<u8>) {
    out.push(DROP);
}

pub(crate) fn encode_compact(out: &mut Vec<u8>) {
    out.push(COMPACT);
}

pub(crate) fn encode_allot(start: u64, count: u32, out: &mut Vec<u8>) {
    out.push(ALLOT);
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
}

/// The part of an add or upsert before its vectors, which the caller appends, then the fields.
pub(crate) fn encode_write_header(
    upsert: bool,
    places: Option<&Places>,
    ids: &BatchIds,
    has_fields: bool,
    out: &mut Vec<u8>,
) {
    match places {
        None => out.push(if upsert { UPSERT } else { ADD }),
        Some(places) => {
            out.push(if upsert { UPSERT_AT } else { ADD_AT });
            out.extend_from_slice(&places.first.to_le_bytes());
        }
    }
    encode_ids(ids, out);
    if let Some(places) = places {
        out.extend_from_slice(bytemuck::cast_slice(&places.offsets));
    }
    out.push(u8::from(has_fields));
}

pub(crate) fn encode_delete(ids: &[RecordId], out: &mut Vec<u8>) {
    out.push(DELETE);
    encode_mixed(ids, out);
}

pub(crate) fn encode_restore(ids: &[RecordId], out: &mut Vec<u8>) {
    out.push(RESTORE);
    encode_mixed(ids, out);
}

fn encode_ids(ids: &BatchIds, out: &mut Vec<u8>) {
    match ids {
        // Allotted ids have become a range before they are logged.
        BatchIds::Assigned { count } => encode_range(0, *count, out),
        BatchIds::Range { start, count } => encode_range(*start, *count, out),
        BatchIds::Ints(ids) => {
            out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
            out.push(1);
            out.extend_from_slice(bytemuck::cast_slice(ids));
        }
        BatchIds::Mixed(ids) => encode_mixed(ids, out),
    }
}

fn encode_range(start: u64, count: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&count.to_le_bytes());
    out.push(0);
    out.extend_from_slice(&start.to_le_bytes());
}

fn encode_mixed(ids: &[RecordId], out: &mut Vec<u8>) {
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    out.push(2);
    for id in ids {
        match id {
            RecordId::Int(value) => {
                out.push(0);
                out.extend_from_slice(&value.to_le_bytes());
            }
            RecordId::Str(text) => {
                out.push(1);
                lavandin_types::write_str(out, text);
            }
        }
    }
}

pub(crate) fn encode_schema(schema: &Schema, out: &mut Vec<u8>) {
    out.extend_from_slice(&schema.version.to_le_bytes());
    out.push(schema.element.to_byte());
    out.extend_from_slice(&schema.dim.to_le_bytes());
    out.push(u8::from(schema.index.is_some()));
    if let Some(index) = &schema.index {
        lavandin_types::write_str(out, index.mode.as_str());
        let given = index.parameters;
        for value in [given.m, given.ef_construction, given.ef_search] {
            out.extend_from_slice(&value.map_or(u64::MAX, u64::from).to_le_bytes());
        }
    }
}

pub(crate) fn decode_schema(rest: &mut &[u8]) -> Option<Schema> {
    let version = SchemaVersion::new(read_u64(rest)?);
    let element = ElementType::from_byte(take(rest, 1)?[0])?;
    let dim = read_u32(rest)?;
    let index = match take(rest, 1)?[0] {
        0 => None,
        1 => {
            let mode = IndexMode::parse(read_str(rest)?).ok()?;
            let mut parameter = || Some(u32::try_from(read_u64(rest)?).ok());
            let parameters =
                BuildParameters { m: parameter()?, ef_construction: parameter()?, ef_search: parameter()? };
            Some(IndexSpec { mode, parameters })
        }
        _ => return None,
    };
    // Of more dimensions there are no codes; the catalogue allows no more either.
    (1..=DIMENSION_MAX).contains(&(dim as usize)).then_some(Schema { version, element, dim, index })
}

fn read_id<'a>(rest: &mut &'a [u8]) -> Option<RecordIdRef<'a>> {
    match take(rest, 1)?[0] {
        0 => read_u64(rest).map(RecordIdRef::Int),
        1 => read_str(rest).map(RecordIdRef::Str),
        _ => None,
    }
}

pub(crate) fn read_str<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = read_u32(rest)? as usize;
    std::str::from_utf8(take(rest, length)?).ok()
}

pub(crate) fn read_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

pub(crate) fn read_u64(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

pub(crate) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests;
