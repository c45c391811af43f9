//! Fields of a growing segment: one writer, any number of readers, no locks.
//!
//! 1. A row's object is appended to `objects`; its cells are collected in the writer.
//! 2. With the last row of a block its cells go to the columns, strings become codes.
//! 3. Then the row count is published. So a view has columns for its whole blocks, and reads the at most 63 rows after
//!    them from the objects.
//!
//! A new name may come with any row; it is published before the row. An empty store owns next to nothing.

use super::cell::{
    ARRAY, BLOCK_ROWS, BOOL, Blocks, FLOAT, NEGATIVE, OBJECT, Payload, STRING, cell_of, placed,
};
use super::cell_test::{CellTest, number_value};
use super::growing_column::{GrowingColumn, GrowingColumnWriter, GrowingDictionary, PendingBlock};
use super::once_list::OnceList;
use super::{SegmentFields, TYPED_FIELDS_MAX};
use crate::append::{AppendBlobs, AppendBlobsWriter};
use lavandin_filter::{Column, Columns, Kinds, Predicate, Schema};
use lavandin_types::{ArrayRef, FieldsRef, Selection, ValueRef};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The writer: the only one that adds rows.
pub struct GrowingFieldsWriter {
    fields: GrowingFields,
    objects: AppendBlobsWriter,
    /// Index of each name in `fields.shared.fields` and `pending`.
    indexes: HashMap<Box<str>, usize>,
    pending: Vec<Pending>,
    /// Those of `pending` with a cell in the present block.
    touched: Vec<usize>,
}

/// The writer's part of a field with a column.
struct Pending {
    block: Box<PendingBlock>,
    is_touched: bool,
    column: Option<GrowingColumnWriter>,
}

/// A handle for readers; clones share the content.
#[derive(Clone)]
pub struct GrowingFields {
    shared: Arc<Shared>,
}

struct Shared {
    objects: AppendBlobs,
    fields: OnceList<Field>,
    rows: AtomicU32,
}

struct Field {
    name: Box<str>,
    kinds: AtomicU8,
    column: OnceLock<GrowingColumn>,
}

/// The first so many rows, unaffected by later ones.
#[derive(Clone)]
pub struct GrowingView {
    fields: GrowingFields,
    rows: u32,
    /// The blocks that columns can answer for.
    blocks: u32,
}

impl GrowingFieldsWriter {
    pub fn new() -> Self {
        let objects = AppendBlobsWriter::new();
        let shared = Shared { objects: objects.reader(), fields: OnceList::new(), rows: AtomicU32::new(0) };
        Self {
            fields: GrowingFields { shared: Arc::new(shared) },
            objects,
            indexes: HashMap::new(),
            pending: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// A handle for readers.
    pub fn reader(&self) -> GrowingFields {
        self.fields.clone()
    }

    /// Adds the next row: a record's checked object, or none. Readers see it when this returns.
    pub fn push(&mut self, object: Option<FieldsRef<'_>>) -> u32 {
        let row = self.objects.push(object.map_or(&[], FieldsRef::as_bytes));
        if let Some(object) = object {
            for (name, value) in object.iter() {
                self.collect(row, name, value, object.as_bytes());
            }
        }
        if (row + 1).is_multiple_of(BLOCK_ROWS as u32) {
            self.flush(row / BLOCK_ROWS as u32);
        }
        self.fields.shared.rows.store(row + 1, Ordering::Release);
        row
    }

    fn collect(&mut self, row: u32, name: &str, value: ValueRef<'_>, object: &[u8]) {
        let fields = &self.fields.shared.fields;
        let index = match self.indexes.get(name) {
            Some(index) => *index,
            None => {
                let (name, kinds) = (Box::<str>::from(name), AtomicU8::new(0));
                let index = fields.push(Field { name: name.clone(), kinds, column: OnceLock::new() });
                self.indexes.insert(name, index);
                index
            }
        };
        if let Some(field) = fields.get(index) {
            let held = Kinds::from_bits(field.kinds.load(Ordering::Relaxed));
            field.kinds.store(held.with(value.kind()).bits(), Ordering::Relaxed);
        }
        if index >= TYPED_FIELDS_MAX {
            return;
        }
        if index == self.pending.len() {
            let block = Box::new(PendingBlock::EMPTY);
            self.pending.push(Pending { block, is_touched: false, column: None });
        }
        let pending = &mut self.pending[index];
        if !pending.is_touched {
            pending.is_touched = true;
            self.touched.push(index);
        }
        let offset = row as usize % BLOCK_ROWS;
        (pending.block.kinds[offset], pending.block.payloads[offset]) = cell_of(value, object);
    }

    fn flush(&mut self, number: u32) {
        for index in self.touched.drain(..) {
            let pending = &mut self.pending[index];
            let field = self.fields.shared.fields.get(index);
            let column = pending.column.get_or_insert_with(GrowingColumnWriter::new);
            column.push(number, &mut pending.block, &self.objects);
            if let Some(field) = field {
                field.column.get_or_init(|| column.reader());
            }
            *pending.block = PendingBlock::EMPTY;
            pending.is_touched = false;
        }
    }
}

impl Default for GrowingFieldsWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl GrowingFields {
    /// Rows that views may have now.
    pub fn rows(&self) -> u32 {
        self.shared.rows.load(Ordering::Acquire)
    }

    /// The first `rows` rows. Panics where there are fewer.
    pub fn view(&self, rows: u32) -> GrowingView {
        let published = self.rows();
        assert!(rows <= published, "a view of {rows} rows of {published}");
        let blocks = (published / BLOCK_ROWS as u32).min(rows.div_ceil(BLOCK_ROWS as u32));
        GrowingView { fields: self.clone(), rows, blocks }
    }

    /// Bytes allocated for objects and columns (the system backs pages only when they are written).
    pub fn memory_bytes(&self) -> usize {
        let columns = self.shared.fields.iter().filter_map(|field| field.column.get());
        self.shared.objects.memory_bytes() + columns.map(GrowingColumn::memory_bytes).sum::<usize>()
    }

    fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.shared.fields.iter().enumerate().find(|(_, field)| *field.name == *name)
    }

    /// A record's fields; `None` where it was stored without any.
    pub fn object(&self, row: u32) -> Option<FieldsRef<'_>> {
        let bytes = self.shared.objects.get(row);
        (!bytes.is_empty()).then(|| FieldsRef::from_stored(bytes))
    }
}

/// All kinds so far, whatever a view's length.
impl Schema for GrowingFields {
    fn kinds(&self, field: &str) -> Option<Kinds> {
        self.field(field).map(|(_, field)| Kinds::from_bits(field.kinds.load(Ordering::Relaxed)))
    }

    fn is_empty(&self) -> bool {
        self.shared.fields.len() == 0
    }
}

impl Columns for GrowingView {
    fn rows(&self) -> u32 {
        self.rows
    }

    fn column(&self, field: &str) -> Option<Box<dyn Column + '_>> {
        let (index, field) = self.fields.field(field)?;
        Some(Box::new(GrowingFieldView { view: self, field, is_typed: index < TYPED_FIELDS_MAX }))
    }
}

impl SegmentFields for GrowingView {
    fn record(&self, row: u32) -> Option<FieldsRef<'_>> {
        assert!(row < self.rows, "row beyond the view");
        self.fields.object(row)
    }

    fn schema(&self) -> Vec<(String, Kinds)> {
        let entry =
            |field: &Field| (field.name.to_string(), Kinds::from_bits(field.kinds.load(Ordering::Relaxed)));
        self.fields.shared.fields.iter().map(entry).collect()
    }
}

struct GrowingFieldView<'a> {
    view: &'a GrowingView,
    field: &'a Field,
    is_typed: bool,
}

impl GrowingFieldView<'_> {
    fn value_in_object(&self, row: u32) -> ValueRef<'_> {
        let object = self.view.fields.object(row);
        object.and_then(|object| object.get(&self.field.name)).unwrap_or(ValueRef::Null)
    }

    fn value_of_cell(&self, row: u32, (kind, payload): (u8, Payload)) -> ValueRef<'_> {
        let objects = &self.view.fields.shared.objects;
        match kind {
            STRING => {
                let Some(column) = self.field.column.get() else { return ValueRef::Null };
                let code = u64::from_le_bytes(payload) as u32;
                GrowingDictionary { column, objects }.get(code).map_or(ValueRef::Null, ValueRef::Str)
            }
            _ => unnamed_value(kind, payload, objects.get(row)),
        }
    }

    /// Tests the stored blocks; `out` has the rows of blocks that are not stored, where nulls pass.
    fn select_in_blocks(&self, predicate: &Predicate, out: &mut Selection) {
        let Some(column) = self.field.column.get() else {
            if predicate.matches(ValueRef::Null) {
                out.words_mut()[..self.view.blocks as usize].fill(u64::MAX);
            }
            return;
        };
        let objects = &self.view.fields.shared.objects;
        let test = CellTest::new(predicate, &GrowingDictionary { column, objects });
        let words = &mut out.words_mut()[..self.view.blocks as usize];
        if test.nulls {
            words.fill(u64::MAX);
        }
        for position in 0..column.count() {
            let number = column.number(position);
            let Some(word) = words.get_mut(number as usize) else { break };
            let block = column.block(position);
            *word = test.word(block, |offset| {
                let cell = (block.kinds[offset], block.payloads[offset]);
                predicate.matches(self.value_of_cell(number * BLOCK_ROWS as u32 + offset as u32, cell))
            });
        }
    }
}

impl Column for GrowingFieldView<'_> {
    fn value(&self, row: u32) -> ValueRef<'_> {
        assert!(row < self.view.rows, "row beyond the view");
        if !self.is_typed || row / BLOCK_ROWS as u32 >= self.view.blocks {
            return self.value_in_object(row);
        }
        let cell = self.field.column.get().map(|column| column.cell(row));
        cell.map_or(ValueRef::Null, |cell| self.value_of_cell(row, cell))
    }

    fn select(&self, predicate: &Predicate, out: &mut Selection) {
        let mut from = 0;
        if self.is_typed {
            self.select_in_blocks(predicate, out);
            out.clear_tail();
            from = self.view.blocks * BLOCK_ROWS as u32;
        }
        for row in from..self.view.rows {
            if predicate.matches(self.value_in_object(row)) {
                out.insert(row);
            }
        }
    }
}

/// The value of a cell that is no string. What damage made up is null.
pub(super) fn unnamed_value(kind: u8, payload: Payload, object: &[u8]) -> ValueRef<'_> {
    match kind {
        BOOL => ValueRef::Bool(payload[0] & 1 == 1),
        NEGATIVE..=FLOAT => number_value(kind, payload),
        ARRAY => {
            placed(object, payload).map_or(ValueRef::Null, |it| ValueRef::Array(ArrayRef::from_stored(it)))
        }
        OBJECT => {
            placed(object, payload).map_or(ValueRef::Null, |it| ValueRef::Object(FieldsRef::from_stored(it)))
        }
        _ => ValueRef::Null,
    }
}
