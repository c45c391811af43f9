//! The bytes of a section of sealed fields (version 1), and the checks at opening it.
//!
//! All integers are little-endian; all offsets count from the section's start; nothing needs alignment.
//!
//! ```text
//! header, 64 bytes
//!    0 "LVFS"          4 u32 version = 1     8 u32 rows           12 u32 fields
//!   16 u64 zero       24 u64 object ends    32 u64 objects        40 u64 length of objects
//!   48 u64 entries    56 u64 length of the section
//! object ends: u64 a row: where its object ends within `objects`; it begins where the row before ends. A row whose
//!   two are equal was stored without fields.
//! entries: one a field, in the order in which fields first appeared, 96 bytes
//!    0 u64 name        8 u32 its length     12 u8 kinds held (one bit each), u8 1 if it has a column, u16 zero
//!   16 u32 blocks     20 u32 strings        24 u32 string rows    28 u32 number rows
//!   32 u64 block numbers (u32 each, ascending)
//!   40 u64 kinds (64 bytes a block)         48 u64 payloads (512 bytes a block)
//!   56 u64 strings (20 bytes each, ascending by text: u64 where it lies in `objects`, u32 its length, u32 its first
//!          place in string rows, u32 its first place in element rows)
//!   64 u64 string rows (u32 each: rows with a string cell, by code, then row)
//!   72 u64 number rows (u32 each: rows with a number cell, by value, then row)
//!   80 u64 element rows (u32 each: rows whose array holds the string, by code, then row)
//!   88 u32 element rows' count              92 u32 zero
//! ```
//! Cells are described in `cell`. The last block is filled up with missing cells.
//!
//! Opening checks that every table lies within the section, in time proportional to the fields. What is in the tables
//! is guarded by the file's checksums; a reader still bounds everything it takes from them.

use lavandin_filter::Kinds;
use lavandin_types::ErrorCode;
use std::ops::Range;
use thiserror::Error;

pub(super) const MAGIC: [u8; 4] = *b"LVFS";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 64;
pub(super) const ENTRY_BYTES: usize = 96;
pub(super) const STRING_BYTES: usize = 20;

/// Why bytes are no section of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SectionError {
    #[error("the fields section does not begin with its mark")]
    NoMagic,
    #[error("the fields section has the version {found}, this program reads {VERSION}")]
    Version { found: u32 },
    #[error("the fields section ends too early: {what} lies outside of it")]
    Truncated { what: &'static str },
    #[error("the fields section holds a field name that is not UTF-8")]
    NotUtf8,
}

impl SectionError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::DataCorrupt
    }
}

/// Where a section's tables are; checked.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) rows: u32,
    pub(super) object_ends: Range<usize>,
    pub(super) objects: Range<usize>,
    pub(super) fields: Vec<FieldLayout>,
}

/// Where a field's tables are; checked. All are empty for a field without column.
#[derive(Debug)]
pub(super) struct FieldLayout {
    pub(super) name: Box<str>,
    pub(super) kinds_held: Kinds,
    pub(super) is_typed: bool,
    pub(super) block_numbers: Range<usize>,
    pub(super) kinds: Range<usize>,
    pub(super) payloads: Range<usize>,
    pub(super) strings: Range<usize>,
    pub(super) string_rows: Range<usize>,
    pub(super) number_rows: Range<usize>,
    pub(super) element_rows: Range<usize>,
}

impl Layout {
    pub(super) fn read(section: &[u8]) -> Result<Self, SectionError> {
        if !section.starts_with(&MAGIC) {
            return Err(SectionError::NoMagic);
        }
        let header = section.get(..HEADER_BYTES).ok_or(SectionError::Truncated { what: "the header" })?;
        let version = u32_in(header, 4);
        if version != VERSION {
            return Err(SectionError::Version { found: version });
        }
        let section = usize::try_from(u64_in(header, 56))
            .ok()
            .and_then(|len| section.get(..len))
            .ok_or(SectionError::Truncated { what: "the section" })?;
        let tables = Tables { section_bytes: section.len() };
        let rows = u32_in(header, 8);
        let fields = u32_in(header, 12);
        let entries =
            tables.place(u64_in(header, 48), u64::from(fields), ENTRY_BYTES, "the list of fields")?;
        let (entries, _) = section[entries].as_chunks::<ENTRY_BYTES>();
        Ok(Self {
            rows,
            object_ends: tables.place(u64_in(header, 24), u64::from(rows), 8, "the list of objects")?,
            objects: tables.place(u64_in(header, 32), u64_in(header, 40), 1, "an object")?,
            fields: entries.iter().map(|entry| tables.field(section, entry)).collect::<Result<_, _>>()?,
        })
    }
}

struct Tables {
    section_bytes: usize,
}

impl Tables {
    fn field(&self, section: &[u8], entry: &[u8; ENTRY_BYTES]) -> Result<FieldLayout, SectionError> {
        let count = |offset| u64::from(u32_in(entry, offset));
        let table = |offset, count, size| self.place(u64_in(entry, offset), count, size, "a field's table");
        let name = &section[table(0, count(8), 1)?];
        Ok(FieldLayout {
            name: std::str::from_utf8(name).map_err(|_| SectionError::NotUtf8)?.into(),
            kinds_held: Kinds::from_bits(entry[12]),
            is_typed: entry[13] == 1,
            block_numbers: table(32, count(16), 4)?,
            kinds: table(40, count(16), 64)?,
            payloads: table(48, count(16), 512)?,
            strings: table(56, count(20), STRING_BYTES)?,
            string_rows: table(64, count(24), 4)?,
            number_rows: table(72, count(28), 4)?,
            element_rows: table(80, count(88), 4)?,
        })
    }

    fn place(
        &self,
        start: u64,
        count: u64,
        size: usize,
        what: &'static str,
    ) -> Result<Range<usize>, SectionError> {
        let end = count.checked_mul(size as u64).and_then(|len| start.checked_add(len));
        match end {
            // Within the section, hence within `usize`.
            Some(end) if end <= self.section_bytes as u64 => Ok(start as usize..end as usize),
            _ => Err(SectionError::Truncated { what }),
        }
    }
}

/// An integer at a fixed place of a header or an entry.
fn u32_in(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes were taken"))
}

fn u64_in(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes were taken"))
}
