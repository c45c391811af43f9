//! The growing segment: rows in memory, searchable as soon as they are published.
//!
//! One `GrowingWriter`, owned by the collection, adds rows; any number of readers hold the `Growing` behind a view
//! that names how many rows it sees. Rows never move and never change; deletion and replacement are the view's
//! tombstones. Deliberately absent: durability (the group's log has it) and any removal of rows.

use crate::filter_cache::FilterCache;
use crate::id_table::hash_id;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use lavandin_types::{ElementType, FieldsRef, RecordIdRef};
use lavandin_vector::append::{AppendBlobs, AppendBlobsWriter, AppendRows, AppendWriter};
use lavandin_vector::block::{Block, Codes, Elements, Row};
use lavandin_vector::codes::{CodeMeta, encode_row, stride_for};
use lavandin_vector::fields::{GrowingFields, GrowingFieldsWriter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The id of a row is a string; its number in the strings stands in the id column.
const ID_IS_STRING: u8 = 1;
/// Before the first row of an id.
const NO_ROW: u32 = u32::MAX;

/// The readers' side.
pub(crate) struct Growing {
    pub(crate) element: ElementType,
    pub(crate) dim: usize,
    vectors: VectorRows,
    codes: AppendRows<u8>,
    meta: AppendRows<CodeMeta>,
    ids: AppendRows<u64>,
    id_kinds: AppendRows<u8>,
    id_strings: AppendBlobs,
    ordinals: AppendRows<u64>,
    pub(crate) fields: GrowingFields,
    pub(crate) filters: FilterCache,
    field_bytes: AtomicU64,
    /// For each row, the row that carried its id before it.
    older: AppendRows<u32>,
    /// The newest row of each id; held for one probe or one batch of inserts. A view may have to go back from there:
    /// it does not see the rows after its own length.
    newest_by_id: RwLock<HashTable<u32>>,
}

enum VectorRows {
    F32(AppendRows<f32>),
    F16(AppendRows<u16>),
}

enum VectorWriter {
    F32(AppendWriter<f32>),
    F16(AppendWriter<u16>),
}

/// The writer's side.
pub(crate) struct GrowingWriter {
    pub(crate) shared: Arc<Growing>,
    vectors: VectorWriter,
    codes: AppendWriter<u8>,
    meta: AppendWriter<CodeMeta>,
    ids: AppendWriter<u64>,
    id_kinds: AppendWriter<u8>,
    id_strings: AppendBlobsWriter,
    ordinals: AppendWriter<u64>,
    older: AppendWriter<u32>,
    fields: GrowingFieldsWriter,
    /// One row as f32 and its codes, reused.
    row: Vec<f32>,
    code: Vec<u8>,
}

/// One row to add.
pub(crate) struct NewRow<'a> {
    pub id: RecordIdRef<'a>,
    pub ordinal: u64,
    /// Stored elements, little-endian.
    pub vector: &'a [u8],
    /// A field object's bytes.
    pub fields: Option<&'a [u8]>,
}

impl GrowingWriter {
    pub(crate) fn new(element: ElementType, dim: usize) -> Self {
        let vectors = match element {
            ElementType::F32 => VectorWriter::F32(AppendWriter::new(dim)),
            ElementType::F16 => VectorWriter::F16(AppendWriter::new(dim)),
        };
        let codes = AppendWriter::new(stride_for(dim));
        let meta = AppendWriter::new(1);
        let ids = AppendWriter::new(1);
        let id_kinds = AppendWriter::new(1);
        let id_strings = AppendBlobsWriter::new();
        let ordinals = AppendWriter::new(1);
        let older = AppendWriter::new(1);
        let fields = GrowingFieldsWriter::new();
        let shared = Arc::new(Growing {
            element,
            dim,
            vectors: match &vectors {
                VectorWriter::F32(rows) => VectorRows::F32(rows.reader()),
                VectorWriter::F16(rows) => VectorRows::F16(rows.reader()),
            },
            codes: codes.reader(),
            meta: meta.reader(),
            ids: ids.reader(),
            id_kinds: id_kinds.reader(),
            id_strings: id_strings.reader(),
            ordinals: ordinals.reader(),
            fields: fields.reader(),
            filters: FilterCache::default(),
            field_bytes: AtomicU64::new(0),
            older: older.reader(),
            newest_by_id: RwLock::new(HashTable::new()),
        });
        let code = vec![0; stride_for(dim)];
        Self {
            shared,
            vectors,
            codes,
            meta,
            ids,
            id_kinds,
            id_strings,
            ordinals,
            older,
            fields,
            row: vec![0.0; dim],
            code,
        }
    }

    pub(crate) fn rows(&self) -> u32 {
        self.ids.len()
    }

    /// Adds one row; gives its number. Readers see it once a view that counts it is published.
    pub(crate) fn push(&mut self, new: &NewRow<'_>) -> u32 {
        self.push_vector(new.vector);
        self.fields.push(new.fields.map(FieldsRef::from_stored));
        let field_bytes = new.fields.map_or(0, <[u8]>::len) as u64;
        self.shared.field_bytes.fetch_add(field_bytes, Ordering::Relaxed);
        self.ordinals.push_rows(&[new.ordinal]);
        let (kind, bits) = match new.id {
            RecordIdRef::Int(value) => (0, value),
            RecordIdRef::Str(text) => (ID_IS_STRING, u64::from(self.id_strings.push(text.as_bytes()))),
        };
        self.id_kinds.push_rows(&[kind]);
        self.ids.push_rows(&[bits])
    }

    /// Makes rows `first..` findable by id, in one go.
    pub(crate) fn index_ids(&mut self, first: u32) {
        let shared = &self.shared;
        let mut table = shared.newest_by_id.write().unwrap_or_else(PoisonError::into_inner);
        let end = self.ids.len();
        table.reserve((end - first) as usize, |row| hash_id(shared.id(*row)));
        for row in first..end {
            let id = shared.id(row);
            let is_same = |other: &u32| shared.id(*other) == id;
            match table.entry(hash_id(id), is_same, |row| hash_id(shared.id(*row))) {
                Entry::Occupied(mut newest) => {
                    self.older.push_rows(&[*newest.get()]);
                    *newest.get_mut() = row;
                }
                Entry::Vacant(vacant) => {
                    self.older.push_rows(&[NO_ROW]);
                    vacant.insert(row);
                }
            }
        }
    }

    fn push_vector(&mut self, stored: &[u8]) {
        match &mut self.vectors {
            VectorWriter::F32(rows) => {
                for (target, bytes) in self.row.iter_mut().zip(stored.as_chunks::<4>().0) {
                    *target = f32::from_le_bytes(*bytes);
                }
                rows.push_rows(&self.row);
            }
            VectorWriter::F16(rows) => {
                let bits: Vec<u16> =
                    stored.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
                bits.reinterpret_cast::<f16>().convert_to_f32_slice(&mut self.row);
                rows.push_rows(&bits);
            }
        }
        let meta = encode_row(&self.row, &mut self.code);
        self.codes.push_rows(&self.code);
        self.meta.push_rows(&[meta]);
    }
}

impl Growing {
    pub(crate) fn id(&self, row: u32) -> RecordIdRef<'_> {
        let bits = self.ids.value(row);
        if self.id_kinds.value(row) == ID_IS_STRING {
            let text = std::str::from_utf8(self.id_strings.get(bits as u32));
            RecordIdRef::Str(text.expect("the writer stored a str"))
        } else {
            RecordIdRef::Int(bits)
        }
    }

    pub(crate) fn ordinal(&self, row: u32) -> u64 {
        self.ordinals.value(row)
    }

    /// The row's vector as it is stored.
    pub(crate) fn vector(&self, row: u32) -> Row<'_> {
        match &self.vectors {
            VectorRows::F32(rows) => Row::F32(rows.row(row)),
            VectorRows::F16(rows) => Row::F16(rows.row(row)),
        }
    }

    pub(crate) fn code(&self, row: u32) -> (&[u8], CodeMeta) {
        (self.codes.row(row), self.meta.value(row))
    }

    /// The first `len` rows as blocks to scan.
    pub(crate) fn blocks<'a>(&'a self, len: u32) -> Vec<Block<'a>> {
        let codes = self.codes.chunks(len).zip(self.meta.chunks(len));
        let codes = codes.map(|((_, bytes), (_, meta))| Codes { bytes, stride: stride_for(self.dim), meta });
        let block = |first_row, elements, codes: Codes<'a>| Block {
            first_row,
            rows: codes.meta.len() as u32,
            dim: self.dim,
            elements,
            codes,
        };
        match &self.vectors {
            VectorRows::F32(rows) => (rows.chunks(len).zip(codes))
                .map(|((first, chunk), codes)| block(first, Elements::F32(chunk), codes))
                .collect(),
            VectorRows::F16(rows) => (rows.chunks(len).zip(codes))
                .map(|((first, chunk), codes)| block(first, Elements::F16(chunk), codes))
                .collect(),
        }
    }

    /// The newest row of `id` that `accept` takes.
    pub(crate) fn find(&self, id: RecordIdRef<'_>, mut accept: impl FnMut(u32) -> bool) -> Option<u32> {
        let table = self.newest_by_id.read().unwrap_or_else(PoisonError::into_inner);
        let mut row = *table.find(hash_id(id), |row| self.id(*row) == id)?;
        drop(table);
        while !accept(row) {
            row = Some(self.older.value(row)).filter(|older| *older != NO_ROW)?;
        }
        Some(row)
    }

    /// Bytes that a sealed form of the first `len` rows takes, roughly.
    pub(crate) fn bytes(&self, len: u32) -> u64 {
        let row = self.dim * self.element.size() + stride_for(self.dim) + 48;
        u64::from(len) * row as u64 + self.field_bytes.load(Ordering::Relaxed)
    }
}
