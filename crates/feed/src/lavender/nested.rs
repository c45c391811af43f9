//! Lists, structs, maps, and arrays that refer to another array's rows (dictionaries, runs, unions).

use super::blobs::Blobs;
use super::cells::{BoxCells, Cells, NoCells, Style, cells as any_cells, is_text};
use super::segments::{SegmentWriter, TooLong};
use super::text::{NonFinite, write_string};
use crate::rows::NullAs;
use arrow::array::{Array, AsArray, MapArray, RunArray, UnionArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use std::ops::Range;

pub(super) fn cells<'a>(array: &'a dyn Array, null: NullAs, style: Style) -> Result<BoxCells<'a>, NoCells> {
    use DataType as T;
    let frame = Frame { nulls: array.nulls(), null, style };
    match array.data_type() {
        T::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            frame.list(list.values(), move |row| offsets[row] as usize..offsets[row + 1] as usize)
        }
        T::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            frame.list(list.values(), move |row| offsets[row] as usize..offsets[row + 1] as usize)
        }
        T::ListView(_) => {
            let list = array.as_list_view::<i32>();
            let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
            frame.list(list.values(), move |row| {
                offsets[row] as usize..offsets[row] as usize + sizes[row] as usize
            })
        }
        T::LargeListView(_) => {
            let list = array.as_list_view::<i64>();
            let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
            frame.list(list.values(), move |row| {
                offsets[row] as usize..offsets[row] as usize + sizes[row] as usize
            })
        }
        T::FixedSizeList(_, width) => {
            let width = usize::try_from(*width).unwrap_or(0);
            // Slicing one slices its values, so rows count from the start.
            frame.list(array.as_fixed_size_list().values(), move |row| row * width..(row + 1) * width)
        }
        T::Struct(fields) => {
            let columns = array.as_struct().columns();
            let cells = columns.iter().map(|column| any_cells(column, NullAs::None, style));
            let fields = fields
                .iter()
                .zip(cells)
                .map(|(field, cells)| Ok((field.name().as_bytes(), cells?)))
                .collect::<Result<_, NoCells>>()?;
            Ok(Box::new(Struct { frame, fields }))
        }
        T::Map(..) => map(array.as_map(), frame),
        _ => referring(array, frame),
    }
}

fn map<'a>(map: &'a MapArray, frame: Frame<'a>) -> Result<BoxCells<'a>, NoCells> {
    let keys = any_cells(map.keys(), NullAs::None, frame.style)?;
    let values = any_cells(map.values(), NullAs::None, frame.style)?;
    let texts = if is_text(map.keys().data_type()) { Blobs::of(map.keys()) } else { None };
    Ok(Box::new(Map { frame, offsets: map.value_offsets(), texts, keys, values }))
}

/// Arrays whose rows are rows of another one.
fn referring<'a>(array: &'a dyn Array, frame: Frame<'a>) -> Result<BoxCells<'a>, NoCells> {
    match array.data_type() {
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = dictionary.values();
            // Without values every key is null; the keys of nulls may be anything.
            let keys = if values.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
            let nulls = array.nulls();
            let is_null = move |row: usize| nulls.is_some_and(|nulls| nulls.is_null(row));
            let target = any_cells(values.as_ref(), frame.null, frame.style)?;
            Ok(refer(frame, vec![target], move |row| (!is_null(row)).then(|| (0, keys[row]))))
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array, frame),
            DataType::Int32 => runs::<Int32Type>(array, frame),
            _ => runs::<Int64Type>(array, frame),
        },
        DataType::Union(..) => union(array.as_union(), frame),
        _ => Err(NoCells),
    }
}

fn runs<'a, E: RunEndIndexType>(array: &'a dyn Array, frame: Frame<'a>) -> Result<BoxCells<'a>, NoCells> {
    let runs: &RunArray<E> = array.as_any().downcast_ref().ok_or(NoCells)?;
    let target = any_cells(runs.values().as_ref(), frame.null, frame.style)?;
    Ok(refer(frame, vec![target], move |row| Some((0, runs.get_physical_index(row)))))
}

fn union<'a>(union: &'a UnionArray, frame: Frame<'a>) -> Result<BoxCells<'a>, NoCells> {
    let DataType::Union(fields, _) = union.data_type() else { return Err(NoCells) };
    let ids: Vec<i8> = fields.iter().map(|(id, _)| id).collect();
    let targets = ids
        .iter()
        .map(|&id| any_cells(union.child(id).as_ref(), frame.null, frame.style))
        .collect::<Result<_, _>>()?;
    Ok(refer(frame, targets, move |row| {
        let id = union.type_id(row);
        let target = ids.iter().position(|&known| known == id)?;
        Some((target, union.value_offset(row)))
    }))
}

fn refer<'a>(
    frame: Frame<'a>,
    targets: Vec<BoxCells<'a>>,
    place: impl Fn(usize) -> Option<(usize, usize)> + 'a,
) -> BoxCells<'a> {
    Box::new(Referring { frame, targets, place })
}

/// What all nested types share.
#[derive(Clone, Copy)]
struct Frame<'a> {
    nulls: Option<&'a NullBuffer>,
    null: NullAs,
    style: Style,
}

impl<'a> Frame<'a> {
    fn list(
        self,
        values: &'a dyn Array,
        range: impl Fn(usize) -> Range<usize> + 'a,
    ) -> Result<BoxCells<'a>, NoCells> {
        let values = any_cells(values, NullAs::None, self.style)?;
        Ok(Box::new(List { frame: self, values, range }))
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    fn null_json(&self) -> &'static [u8] {
        self.null.json(self.style.non_finite == NonFinite::Null)
    }

    /// Whether JSON can say the nulls.
    fn is_json(&self) -> bool {
        self.null != NullAs::Bytes || self.nulls.is_none()
    }
}

struct List<'a, R> {
    frame: Frame<'a>,
    values: BoxCells<'a>,
    range: R,
}

impl<R: Fn(usize) -> Range<usize>> Cells for List<'_, R> {
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        if self.frame.is_null(row) {
            out.put(self.frame.null.item());
        } else if self.frame.style.json_lists && self.values.is_json() {
            out.put(b"js");
            self.json(row, out.small());
        } else {
            out.put(b"ls");
            self.values.items((self.range)(row), out)?;
        }
        Ok(())
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.frame.is_null(row) {
            return out.extend_from_slice(self.frame.null_json());
        }
        json_list(self.values.as_ref(), (self.range)(row), out);
    }

    fn is_json(&self) -> bool {
        self.frame.is_json() && self.values.is_json()
    }
}

/// `[…]` of some rows.
pub(super) fn json_list(values: &dyn Cells, rows: Range<usize>, out: &mut Vec<u8>) {
    out.push(b'[');
    let start = rows.start;
    for row in rows {
        if row > start {
            out.push(b',');
        }
        values.json(row, out);
    }
    out.push(b']');
}

struct Struct<'a> {
    frame: Frame<'a>,
    fields: Vec<(&'a [u8], BoxCells<'a>)>,
}

impl Cells for Struct<'_> {
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        if self.frame.is_null(row) {
            out.put(self.frame.null.item());
            return Ok(());
        }
        if self.frame.style.json_lists && self.is_json() {
            out.put(b"js");
            self.json(row, out.small());
            return Ok(());
        }
        out.put(b"di");
        for (name, cells) in &self.fields {
            put_entry(name, cells.as_ref(), row, out)?;
        }
        Ok(())
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.frame.is_null(row) {
            return out.extend_from_slice(self.frame.null_json());
        }
        out.push(b'{');
        for (place, (name, cells)) in self.fields.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_string(name, out);
            out.push(b':');
            cells.json(row, out);
        }
        out.push(b'}');
    }

    fn is_json(&self) -> bool {
        self.frame.is_json() && self.fields.iter().all(|(_, cells)| cells.is_json())
    }
}

/// One pair of a `di` item.
fn put_entry(key: &[u8], cells: &dyn Cells, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
    let mark = out.begin();
    out.put(key);
    out.end(mark)?;
    let mark = out.begin();
    cells.item(row, out)?;
    out.end(mark)
}

struct Map<'a> {
    frame: Frame<'a>,
    offsets: &'a [i32],
    /// The keys if they are text: then a row is a dictionary, else a list of pairs.
    texts: Option<Blobs<'a>>,
    keys: BoxCells<'a>,
    values: BoxCells<'a>,
}

impl Map<'_> {
    fn range(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}

impl Cells for Map<'_> {
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        if self.frame.is_null(row) {
            out.put(self.frame.null.item());
            return Ok(());
        }
        if self.frame.style.json_lists && self.is_json() {
            out.put(b"js");
            self.json(row, out.small());
            return Ok(());
        }
        if let Some(texts) = &self.texts {
            out.put(b"di");
            for entry in self.range(row) {
                put_entry(texts.get(entry), self.values.as_ref(), entry, out)?;
            }
            return Ok(());
        }
        out.put(b"ls");
        for entry in self.range(row) {
            let mark = out.begin();
            out.put(b"ls");
            self.keys.items(entry..entry + 1, out)?;
            self.values.items(entry..entry + 1, out)?;
            out.end(mark)?;
        }
        Ok(())
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.frame.is_null(row) {
            return out.extend_from_slice(self.frame.null_json());
        }
        let (open, between, close) = match self.texts {
            Some(_) => (b'{', b':', b'}'),
            None => (b'[', b',', b']'),
        };
        let range = self.range(row);
        let start = range.start;
        out.push(open);
        for entry in range {
            if entry > start {
                out.push(b',');
            }
            if self.texts.is_none() {
                out.push(b'[');
            }
            self.keys.json(entry, out);
            out.push(between);
            self.values.json(entry, out);
            if self.texts.is_none() {
                out.push(b']');
            }
        }
        out.push(close);
    }

    fn is_json(&self) -> bool {
        self.frame.is_json() && self.keys.is_json() && self.values.is_json()
    }
}

struct Referring<'a, P> {
    frame: Frame<'a>,
    targets: Vec<BoxCells<'a>>,
    /// The array and row that stand for a row; `None` for null.
    place: P,
}

impl<P: Fn(usize) -> Option<(usize, usize)>> Cells for Referring<'_, P> {
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        match (self.place)(row) {
            Some((target, row)) => self.targets[target].item(row, out),
            None => {
                out.put(self.frame.null.item());
                Ok(())
            }
        }
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        match (self.place)(row) {
            Some((target, row)) => self.targets[target].json(row, out),
            None => out.extend_from_slice(self.frame.null_json()),
        }
    }

    fn is_json(&self) -> bool {
        self.frame.null != NullAs::Bytes && self.targets.iter().all(|target| target.is_json())
    }
}
