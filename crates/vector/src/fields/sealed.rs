//! Fields of a sealed segment, read in place from a section's bytes (described in `section`).
//!
//! What is on the heap is proportional to the fields' names. A test on numbers or strings goes through the sorted
//! orders (`lookup`) if that finds few rows, and over the blocks otherwise.

use super::cell::{ARRAY, BLOCK_ROWS, Block, Blocks, Dictionary, Payload, STRING, kind_word};
use super::cell_test::CellTest;
use super::growing::unnamed_value;
use super::section::{FieldLayout, Layout, STRING_BYTES};
use super::{SectionError, SegmentFields};
use lavandin_filter::{Column, Columns, Kinds, Predicate, Schema, Test};
use lavandin_storage::Region;
use lavandin_types::{FieldsRef, Selection, ValueRef};
use std::sync::Arc;

mod lookup;

/// A handle; clones share the bytes and keep them.
#[derive(Clone, Debug)]
pub struct SealedFields {
    region: Region,
    layout: Arc<Layout>,
}

impl SealedFields {
    /// Opens the section at the front of `region`.
    pub fn open(region: Region) -> Result<Self, SectionError> {
        let layout = Arc::new(Layout::read(&region)?);
        Ok(Self { region, layout })
    }

    fn object(&self, row: u32) -> &[u8] {
        let ends = self.region[self.layout.object_ends.clone()].as_chunks::<8>().0;
        let start = if row == 0 { 0 } else { u64::from_le_bytes(ends[row as usize - 1]) };
        let end = u64::from_le_bytes(ends[row as usize]);
        // Ends out of order or range are damage: nothing.
        usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| self.objects().get(start..end))
            .unwrap_or_default()
    }

    fn objects(&self) -> &[u8] {
        &self.region[self.layout.objects.clone()]
    }

    fn record_or_none(&self, row: u32) -> Option<FieldsRef<'_>> {
        let bytes = self.object(row);
        (!bytes.is_empty()).then(|| FieldsRef::from_stored(bytes))
    }

    fn field(&self, name: &str) -> Option<&FieldLayout> {
        self.layout.fields.iter().find(|field| *field.name == *name)
    }
}

impl Schema for SealedFields {
    fn kinds(&self, field: &str) -> Option<Kinds> {
        self.field(field).map(|field| field.kinds_held)
    }

    fn is_empty(&self) -> bool {
        self.layout.fields.is_empty()
    }
}

impl Columns for SealedFields {
    fn rows(&self) -> u32 {
        self.layout.rows
    }

    fn column(&self, field: &str) -> Option<Box<dyn Column + '_>> {
        let layout = self.field(field)?;
        let column = SealedColumn::new(self, layout);
        if layout.is_typed { Some(Box::new(column)) } else { Some(Box::new(UntypedColumn(column))) }
    }
}

impl SegmentFields for SealedFields {
    fn record(&self, row: u32) -> Option<FieldsRef<'_>> {
        assert!(row < self.layout.rows, "row beyond the segment");
        self.record_or_none(row)
    }

    fn schema(&self) -> Vec<(String, Kinds)> {
        self.layout.fields.iter().map(|field| (field.name.to_string(), field.kinds_held)).collect()
    }
}

/// A field's tables as slices.
struct SealedColumn<'a> {
    fields: &'a SealedFields,
    name: &'a str,
    block_numbers: &'a [[u8; 4]],
    kinds: &'a [[u8; BLOCK_ROWS]],
    payloads: &'a [Payload],
    strings: &'a [[u8; STRING_BYTES]],
    string_rows: &'a [[u8; 4]],
    number_rows: &'a [[u8; 4]],
    element_rows: &'a [[u8; 4]],
}

impl<'a> SealedColumn<'a> {
    fn new(fields: &'a SealedFields, layout: &'a FieldLayout) -> Self {
        let bytes: &[u8] = &fields.region;
        Self {
            fields,
            name: &layout.name,
            block_numbers: bytes[layout.block_numbers.clone()].as_chunks().0,
            kinds: bytes[layout.kinds.clone()].as_chunks().0,
            payloads: bytes[layout.payloads.clone()].as_chunks().0,
            strings: bytes[layout.strings.clone()].as_chunks().0,
            string_rows: bytes[layout.string_rows.clone()].as_chunks().0,
            number_rows: bytes[layout.number_rows.clone()].as_chunks().0,
            element_rows: bytes[layout.element_rows.clone()].as_chunks().0,
        }
    }

    fn value_of_cell(&self, row: u32, (kind, payload): (u8, Payload)) -> ValueRef<'a> {
        match kind {
            STRING => {
                let code = u32::try_from(u64::from_le_bytes(payload)).ok();
                code.and_then(|code| self.string(code)).map_or(ValueRef::Null, ValueRef::Str)
            }
            _ => unnamed_value(kind, payload, self.fields.object(row)),
        }
    }

    /// A string of the dictionary; `None` where damage leads nowhere.
    fn string(&self, code: u32) -> Option<&'a str> {
        let entry = self.strings.get(code as usize)?;
        let (start, rest) = entry.split_first_chunk::<8>()?;
        let start = usize::try_from(u64::from_le_bytes(*start)).ok()?;
        let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let bytes = self.fields.objects().get(start..start.checked_add(len)?)?;
        std::str::from_utf8(bytes).ok()
    }

    fn scan(&self, predicate: &Predicate, test: &CellTest<'_>, out: &mut Selection) {
        if test.nulls {
            out.words_mut().fill(u64::MAX);
        }
        for (position, number) in self.block_numbers.iter().enumerate() {
            let number = u32::from_le_bytes(*number);
            let Some(word) = out.words_mut().get_mut(number as usize) else { break };
            let block = self.block(position);
            *word = test.word(block, |offset| {
                let row = number * BLOCK_ROWS as u32 + offset as u32;
                let cell = (block.kinds[offset], block.payloads[offset]);
                row < self.fields.layout.rows && predicate.matches(self.value_of_cell(row, cell))
            });
        }
        out.clear_tail();
    }

    /// The rows with an array, without those in `out`.
    fn other_arrays(&self, out: &mut Selection) {
        let held = std::mem::take(out);
        *out = Selection::none(held.len());
        for (position, number) in self.block_numbers.iter().enumerate() {
            let Some(word) = out.words_mut().get_mut(u32::from_le_bytes(*number) as usize) else { break };
            *word = kind_word(self.block(position).kinds, ARRAY);
        }
        out.clear_tail();
        out.and_not(&held);
    }
}

impl Blocks for SealedColumn<'_> {
    fn count(&self) -> usize {
        self.block_numbers.len()
    }

    fn number(&self, position: usize) -> u32 {
        u32::from_le_bytes(self.block_numbers[position])
    }

    fn block(&self, position: usize) -> Block<'_> {
        let payloads = &self.payloads[position * BLOCK_ROWS..][..BLOCK_ROWS];
        Block { kinds: &self.kinds[position], payloads: payloads.try_into().expect("64 payloads were taken") }
    }
}

impl Dictionary for SealedColumn<'_> {
    fn len(&self) -> u32 {
        // The count was read as 32 bits.
        self.strings.len() as u32
    }

    fn text(&self, code: u32) -> Option<&str> {
        self.string(code)
    }

    fn find(&self, text: &str) -> Option<u32> {
        let before = |code: u32| self.string(code).is_some_and(|other| other < text);
        let (mut low, mut high) = (0, Dictionary::len(self));
        while low < high {
            let middle = low.midpoint(high);
            if before(middle) { low = middle + 1 } else { high = middle }
        }
        (self.string(low) == Some(text)).then_some(low)
    }

    fn is_sorted(&self) -> bool {
        true
    }
}

impl Column for SealedColumn<'_> {
    fn value(&self, row: u32) -> ValueRef<'_> {
        assert!(row < self.fields.layout.rows, "row beyond the segment");
        self.value_of_cell(row, self.cell(row))
    }

    fn select(&self, predicate: &Predicate, out: &mut Selection) {
        if let Test::Contains { item, negated } = &predicate.test
            && predicate.input.is_plain()
            && let [text] = &item.strings[..]
        {
            self.select_elements(text, out);
            if *negated {
                self.other_arrays(out);
            }
            return;
        }
        let test = CellTest::new(predicate, self);
        if !self.select_by_order(&test, out) {
            self.scan(predicate, &test, out);
        }
    }
}

/// A field beyond those with columns: looked up in each object.
struct UntypedColumn<'a>(SealedColumn<'a>);

impl Column for UntypedColumn<'_> {
    fn value(&self, row: u32) -> ValueRef<'_> {
        assert!(row < self.0.fields.layout.rows, "row beyond the segment");
        self.0.fields.record_or_none(row).and_then(|object| object.get(self.0.name)).unwrap_or(ValueRef::Null)
    }
}
