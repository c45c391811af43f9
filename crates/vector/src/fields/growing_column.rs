//! One field's column in the growing form: blocks and a dictionary, both append-only.
//!
//! A string is not copied: the dictionary names the place in the rows' objects where it first occurred.

use super::cell::{BLOCK_ROWS, Block, Blocks, Dictionary, MISSING, Payload, STRING, placed};
use crate::append::{AppendBlobs, AppendRows, AppendWriter};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// What readers see.
pub(super) struct GrowingColumn {
    numbers: AppendRows<u32>,
    kinds: AppendRows<u8>,
    payloads: AppendRows<Payload>,
    strings: AppendRows<StringPlace>,
    hashes: AppendRows<u64>,
    hasher: RandomState,
}

/// Where a distinct string first occurred.
#[derive(Clone, Copy)]
struct StringPlace {
    row: u32,
    /// Within the row's object, as `placed` reads it.
    place: Payload,
}

/// The writer's side. `GrowingColumn` is published once, before its first block.
pub(super) struct GrowingColumnWriter {
    numbers: AppendWriter<u32>,
    kinds: AppendWriter<u8>,
    payloads: AppendWriter<Payload>,
    strings: AppendWriter<StringPlace>,
    hashes: AppendWriter<u64>,
    hasher: RandomState,
    codes: HashTable<u32>,
}

impl GrowingColumnWriter {
    pub(super) fn new() -> Self {
        Self {
            numbers: AppendWriter::new(1),
            kinds: AppendWriter::new(BLOCK_ROWS),
            payloads: AppendWriter::new(BLOCK_ROWS),
            strings: AppendWriter::new(1),
            hashes: AppendWriter::new(1),
            hasher: RandomState::new(),
            codes: HashTable::new(),
        }
    }

    pub(super) fn reader(&self) -> GrowingColumn {
        GrowingColumn {
            numbers: self.numbers.reader(),
            kinds: self.kinds.reader(),
            payloads: self.payloads.reader(),
            strings: self.strings.reader(),
            hashes: self.hashes.reader(),
            hasher: self.hasher.clone(),
        }
    }

    /// Stores a block whose strings are given by their places in the rows' objects.
    pub(super) fn push(&mut self, number: u32, cells: &mut PendingBlock, objects: &AppendBlobs) {
        for offset in 0..BLOCK_ROWS {
            if cells.kinds[offset] == STRING {
                let row = number * BLOCK_ROWS as u32 + offset as u32;
                let place = StringPlace { row, place: cells.payloads[offset] };
                cells.payloads[offset] = u64::from(self.code(place, objects)).to_le_bytes();
            }
        }
        self.kinds.push_rows(&cells.kinds);
        self.payloads.push_rows(&cells.payloads);
        // Last: a reader that sees the number finds the block.
        self.numbers.push_rows(&[number]);
    }

    fn code(&mut self, place: StringPlace, objects: &AppendBlobs) -> u32 {
        let text = place.bytes(objects);
        let hash = self.hasher.hash_one(text);
        let same =
            |code: &u32| self.hashes.value(*code) == hash && self.strings.value(*code).bytes(objects) == text;
        if let Some(code) = self.codes.find(hash, same) {
            return *code;
        }
        self.strings.push_rows(&[place]);
        let code = self.hashes.push_rows(&[hash]);
        self.codes.insert_unique(hash, code, |code| self.hashes.value(*code));
        code
    }
}

impl StringPlace {
    fn bytes(self, objects: &AppendBlobs) -> &[u8] {
        placed(objects.get(self.row), self.place).unwrap_or_default()
    }
}

/// The cells of the block that is being filled; a string's payload is its place.
pub(super) struct PendingBlock {
    pub(super) kinds: [u8; BLOCK_ROWS],
    pub(super) payloads: [Payload; BLOCK_ROWS],
}

impl PendingBlock {
    pub(super) const EMPTY: Self = Self { kinds: [MISSING; BLOCK_ROWS], payloads: [[0; 8]; BLOCK_ROWS] };
}

impl GrowingColumn {
    /// Bytes of the allocated chunks.
    pub(super) fn memory_bytes(&self) -> usize {
        let cells = self.numbers.memory_bytes() + self.kinds.memory_bytes() + self.payloads.memory_bytes();
        cells + self.strings.memory_bytes() + self.hashes.memory_bytes()
    }
}

impl Blocks for GrowingColumn {
    fn count(&self) -> usize {
        self.numbers.len() as usize
    }

    fn number(&self, position: usize) -> u32 {
        self.numbers.value(position as u32)
    }

    fn block(&self, position: usize) -> Block<'_> {
        let whole = "a row of this store is a block";
        Block {
            kinds: self.kinds.row(position as u32).try_into().expect(whole),
            payloads: self.payloads.row(position as u32).try_into().expect(whole),
        }
    }
}

/// A column's dictionary together with the objects that hold its strings.
pub(super) struct GrowingDictionary<'a> {
    pub(super) column: &'a GrowingColumn,
    pub(super) objects: &'a AppendBlobs,
}

impl<'a> GrowingDictionary<'a> {
    /// As `Dictionary::text`, for as long as the column lives.
    pub(super) fn get(&self, code: u32) -> Option<&'a str> {
        if code >= self.column.hashes.len() {
            return None;
        }
        std::str::from_utf8(self.column.strings.value(code).bytes(self.objects)).ok()
    }
}

impl Dictionary for GrowingDictionary<'_> {
    fn len(&self) -> u32 {
        self.column.hashes.len()
    }

    fn text(&self, code: u32) -> Option<&str> {
        self.get(code)
    }

    /// Looks through all hashes: readers have no table, and a string's hash is eight bytes to compare.
    fn find(&self, text: &str) -> Option<u32> {
        let hash = self.column.hasher.hash_one(text.as_bytes());
        let hashes = self.column.hashes.chunks(self.column.hashes.len());
        let mut found = hashes.flat_map(|(first, hashes)| {
            let equal = hashes.iter().enumerate().filter(|(_, other)| **other == hash);
            equal.map(move |(offset, _)| first + offset as u32)
        });
        found.find(|code| self.get(*code) == Some(text))
    }

    fn is_sorted(&self) -> bool {
        false
    }
}
