//! Writes a section of sealed fields (the bytes are described in `section`) from objects, row by row.

use super::TYPED_FIELDS_MAX;
use super::cell::{BLOCK_ROWS, FLOAT, MISSING, NEGATIVE, Payload, STRING, cell_of};
use super::cell_test::number_value;
use super::section::{ENTRY_BYTES, HEADER_BYTES, MAGIC, VERSION};
use hashbrown::HashTable;
use lavandin_filter::{Kinds, Number};
use lavandin_types::{FieldsRef, ValueRef};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Collects rows; holds their bytes and some 20 bytes a cell until it is finished.
#[derive(Default)]
pub struct SectionWriter {
    objects: Vec<u8>,
    object_ends: Vec<u64>,
    indexes: HashMap<Box<str>, usize>,
    fields: Vec<FieldWriter>,
    hasher: RandomState,
}

#[derive(Default)]
struct FieldWriter {
    name: Box<str>,
    kinds_held: Kinds,
    is_typed: bool,
    /// Parallel: the rows that have the field, ascending, with their cells.
    rows: Vec<u32>,
    kinds: Vec<u8>,
    payloads: Vec<Payload>,
    strings: Strings,
    /// Codes of the strings in arrays, with their rows.
    elements: Vec<(u32, u32)>,
}

/// The distinct strings of a field, by where they first lie in `objects`.
#[derive(Default)]
struct Strings {
    places: Vec<(u64, u32)>,
    hashes: Vec<u64>,
    codes: HashTable<u32>,
}

/// The section of these rows.
pub fn write_section<'a>(rows: impl IntoIterator<Item = Option<FieldsRef<'a>>>) -> Vec<u8> {
    let mut writer = SectionWriter::default();
    rows.into_iter().for_each(|object| writer.push(object));
    writer.finish()
}

impl SectionWriter {
    /// Adds the next row: a record's checked object, or none.
    pub fn push(&mut self, object: Option<FieldsRef<'_>>) {
        let row = u32::try_from(self.object_ends.len()).expect("a segment has fewer than 2^32 rows");
        let start = self.objects.len() as u64;
        if let Some(object) = object {
            self.objects.extend_from_slice(object.as_bytes());
            for (name, value) in object.iter() {
                self.push_cell(row, start, name, value, object.as_bytes());
            }
        }
        self.object_ends.push(self.objects.len() as u64);
    }

    fn push_cell(&mut self, row: u32, start: u64, name: &str, value: ValueRef<'_>, object: &[u8]) {
        let index = match self.indexes.get(name) {
            Some(index) => *index,
            None => {
                self.indexes.insert(name.into(), self.fields.len());
                let is_typed = self.fields.len() < TYPED_FIELDS_MAX;
                self.fields.push(FieldWriter { name: name.into(), is_typed, ..FieldWriter::default() });
                self.fields.len() - 1
            }
        };
        let field = &mut self.fields[index];
        field.kinds_held = field.kinds_held.with(value.kind());
        if !field.is_typed {
            return;
        }
        let (kind, mut payload) = cell_of(value, object);
        let mut code_of = |text: &str| {
            // Where the text lies in the object, hence in `objects`.
            let (_, place) = cell_of(ValueRef::Str(text), object);
            let place = u64::from_le_bytes(place);
            field.strings.code(
                &self.hasher,
                &self.objects,
                (start + u64::from(place as u32), (place >> 32) as u32),
            )
        };
        if field.rows.last() == Some(&row) {
            // A repeated name: the last value counts.
            field.rows.pop();
            field.kinds.pop();
            field.payloads.pop();
            while field.elements.pop_if(|(_, other)| *other == row).is_some() {}
        }
        match value {
            ValueRef::Str(text) => payload = u64::from(code_of(text)).to_le_bytes(),
            ValueRef::Array(array) => {
                for element in array.iter() {
                    if let ValueRef::Str(text) = element {
                        field.elements.push((code_of(text), row));
                    }
                }
            }
            _ => {}
        }
        field.rows.push(row);
        field.kinds.push(kind);
        field.payloads.push(payload);
    }

    /// The section's bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut out = vec![0; HEADER_BYTES];
        let objects = append(&mut out, self.objects.iter().copied());
        let object_ends = append(&mut out, self.object_ends.iter().flat_map(|end| end.to_le_bytes()));
        let mut entries = Vec::new();
        let (rows, fields) = (self.object_ends.len() as u32, self.fields.len() as u32);
        for field in self.fields {
            entries.extend_from_slice(&field.finish(&self.objects, &mut out));
        }
        let entries = append(&mut out, entries);
        let len = out.len() as u64;
        out[0..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&VERSION.to_le_bytes());
        out[8..12].copy_from_slice(&rows.to_le_bytes());
        out[12..16].copy_from_slice(&fields.to_le_bytes());
        for (index, value) in
            [object_ends, objects, self.objects.len() as u64, entries, len].iter().enumerate()
        {
            out[24 + 8 * index..32 + 8 * index].copy_from_slice(&value.to_le_bytes());
        }
        out
    }
}

/// Appends bytes at an offset that eight divides; gives it.
fn append(out: &mut Vec<u8>, bytes: impl IntoIterator<Item = u8>) -> u64 {
    out.resize(out.len().next_multiple_of(8), 0);
    let start = out.len() as u64;
    out.extend(bytes);
    start
}

fn append_u32(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) -> u64 {
    append(out, numbers.into_iter().flat_map(u32::to_le_bytes))
}

impl Strings {
    fn code(&mut self, hasher: &RandomState, objects: &[u8], place: (u64, u32)) -> u32 {
        let text = text_at(objects, place);
        let hash = hasher.hash_one(text);
        let same = |code: &u32| {
            let code = *code as usize;
            self.hashes[code] == hash && text_at(objects, self.places[code]) == text
        };
        if let Some(code) = self.codes.find(hash, same) {
            return *code;
        }
        let code = self.places.len() as u32;
        self.places.push(place);
        self.hashes.push(hash);
        self.codes.insert_unique(hash, code, |code| self.hashes[*code as usize]);
        code
    }
}

fn text_at(objects: &[u8], (start, len): (u64, u32)) -> &[u8] {
    &objects[start as usize..start as usize + len as usize]
}

impl FieldWriter {
    /// Writes the field's tables; gives its entry.
    fn finish(mut self, objects: &[u8], out: &mut Vec<u8>) -> [u8; ENTRY_BYTES] {
        let strings = self.sort_strings(objects);
        let (block_numbers, block_kinds, block_payloads) = self.blocks();
        let number_rows = self.number_rows();
        let string_rows = self.string_rows();
        let mut starts = (0, 0);
        let mut string_table = Vec::with_capacity(20 * strings.len());
        for (code, (place, len)) in strings.iter().enumerate() {
            string_table.extend_from_slice(&place.to_le_bytes());
            for number in [*len, starts.0, starts.1] {
                string_table.extend_from_slice(&number.to_le_bytes());
            }
            starts.0 +=
                string_rows[starts.0 as usize..].iter().take_while(|(it, _)| *it == code as u32).count()
                    as u32;
            starts.1 +=
                self.elements[starts.1 as usize..].iter().take_while(|(it, _)| *it == code as u32).count()
                    as u32;
        }
        let counts = [block_numbers.len(), strings.len(), string_rows.len(), number_rows.len()];
        let rows_of = |pairs: &[(u32, u32)]| pairs.iter().map(|(_, row)| *row).collect::<Vec<u32>>();
        let name = append(out, self.name.bytes());
        let tables = [
            append_u32(out, block_numbers),
            append(out, block_kinds),
            append(out, block_payloads.into_iter().flatten()),
            append(out, string_table),
            append_u32(out, rows_of(&string_rows)),
            append_u32(out, number_rows),
            append_u32(out, rows_of(&self.elements)),
        ];
        let mut entry = [0; ENTRY_BYTES];
        entry[0..8].copy_from_slice(&name.to_le_bytes());
        entry[8..12].copy_from_slice(&(self.name.len() as u32).to_le_bytes());
        entry[12] = self.kinds_held.bits();
        entry[13] = u8::from(self.is_typed);
        for (index, count) in counts.iter().enumerate() {
            entry[16 + 4 * index..20 + 4 * index].copy_from_slice(&(*count as u32).to_le_bytes());
        }
        for (index, table) in tables.iter().enumerate() {
            entry[32 + 8 * index..40 + 8 * index].copy_from_slice(&table.to_le_bytes());
        }
        entry[88..92].copy_from_slice(&(self.elements.len() as u32).to_le_bytes());
        entry
    }

    /// Renumbers the codes so that they ascend with their strings; gives the strings in that order.
    fn sort_strings(&mut self, objects: &[u8]) -> Vec<(u64, u32)> {
        let places = std::mem::take(&mut self.strings.places);
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        order.sort_unstable_by_key(|code| text_at(objects, places[*code as usize]));
        let mut renumbered = vec![0u32; places.len()];
        for (new, old) in order.iter().enumerate() {
            renumbered[*old as usize] = new as u32;
        }
        for (kind, payload) in self.kinds.iter().zip(&mut self.payloads) {
            if *kind == STRING {
                let old = u64::from_le_bytes(*payload) as usize;
                *payload = u64::from(renumbered[old]).to_le_bytes();
            }
        }
        for (code, _) in &mut self.elements {
            *code = renumbered[*code as usize];
        }
        self.elements.sort_unstable();
        self.elements.dedup();
        order.into_iter().map(|code| places[code as usize]).collect()
    }

    /// Numbers, kinds and payloads of the blocks in which some row has the field.
    fn blocks(&self) -> (Vec<u32>, Vec<u8>, Vec<Payload>) {
        let (mut numbers, mut kinds, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
        for ((row, kind), payload) in self.rows.iter().zip(&self.kinds).zip(&self.payloads) {
            let number = row / BLOCK_ROWS as u32;
            if numbers.last() != Some(&number) {
                numbers.push(number);
                kinds.resize(kinds.len() + BLOCK_ROWS, MISSING);
                payloads.resize(payloads.len() + BLOCK_ROWS, [0; 8]);
            }
            let place = (numbers.len() - 1) * BLOCK_ROWS + *row as usize % BLOCK_ROWS;
            kinds[place] = *kind;
            payloads[place] = *payload;
        }
        (numbers, kinds, payloads)
    }

    /// Rows with a number, by value, then row.
    fn number_rows(&self) -> Vec<u32> {
        let cells = self.rows.iter().zip(self.kinds.iter().zip(&self.payloads));
        let numbers = cells.filter(|(_, (kind, _))| (NEGATIVE..=FLOAT).contains(*kind));
        let mut numbers: Vec<(Number, u32)> =
            numbers.map(|(row, (kind, payload))| (number(*kind, *payload), *row)).collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|(_, row)| row).collect()
    }

    /// Codes and rows of the string cells, by code, then row.
    fn string_rows(&self) -> Vec<(u32, u32)> {
        let cells = self.rows.iter().zip(self.kinds.iter().zip(&self.payloads));
        let strings = cells.filter(|(_, (kind, _))| **kind == STRING);
        let mut strings: Vec<(u32, u32)> =
            strings.map(|(row, (_, payload))| (u64::from_le_bytes(*payload) as u32, *row)).collect();
        strings.sort_unstable();
        strings
    }
}

/// The value of a number cell.
pub(super) fn number(kind: u8, payload: Payload) -> Number {
    match number_value(kind, payload) {
        ValueRef::F64(value) => Number::Float(value),
        ValueRef::I64(value) => Number::Int(value.into()),
        ValueRef::U64(value) => Number::Int(value.into()),
        _ => Number::Int(0),
    }
}
