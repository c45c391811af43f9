//! Records of a csv text, cell by cell in one buffer; and arrays of declared types from the cells of a column.
//!
//! What a declared word makes of a cell:
//!
//! | Word | Cell | Empty cell |
//! |---|---|---|
//! | `int`, `int32`, `int64` | a decimal integer of 64 bits | NaN: a null in a column whose nulls are NaN to clients |
//! | `float`, `double` | a number, `nan`, `inf`, in 64 bits | NaN |
//! | `string`, `text`, `str`, none, any other word | the text | the empty text |
//! | `bool`, `boolean` | true for `true`, `t`, `yes`, `y`, `1` in any case, else false | false |
//! | `binary` | a Python bytes or string literal | no bytes |
//! | `list`, `map` | a Python literal; see [`super::shape`] for its type | `[]`, `{}` |
//!
//! Space around numbers and words is ignored, and `_` may stand between digits, both as in Python.

use super::ColumnType;
use super::literal::{Literal, without_underscores};
use super::nested::build;
use super::shape::Shape;
use super::text_window::CHUNK_ROWS;
use super::views::{memory_field, physical};
use crate::rows::NullAs;
use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanArray, Float64Array, Int64Builder, StringViewArray,
    StringViewBuilder, make_view,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field};
use csv_core::ReadRecordResult;
use std::sync::Arc;

/// Where to stop.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub rows: usize,
    pub bytes: usize,
    /// Whether the text ends where the file or the chunk does: its last record may lack a line break.
    pub whole: bool,
}

/// The cells of some records, in order, one after the other in `text`.
pub(super) struct CsvRows {
    text: Buffer,
    ends: Vec<u32>,
    /// Where each record begins in the input.
    starts: Vec<u32>,
    columns: usize,
    /// Bytes of the text that the records take.
    pub consumed: usize,
}

/// A record that cannot be used: where it begins in the input, and why.
#[derive(Debug)]
pub(super) struct BadRecord {
    pub start: usize,
    pub detail: String,
}

/// A cell that its type does not hold.
#[derive(Debug)]
pub(super) struct BadCell {
    pub row: usize,
    pub wanted: &'static str,
    pub advice: &'static str,
}

impl CsvRows {
    /// Takes records of `columns` cells from the front of `input`. A record that is not whole is left.
    pub(super) fn take(input: &[u8], columns: usize, limits: Limits) -> Result<Self, BadRecord> {
        let mut text = vec![0; input.len() + 2];
        let (mut ends, mut starts) = (Vec::new(), Vec::new());
        // One place more than a record may have, so that a cell too many is seen.
        let mut record_ends = vec![0; columns + 1];
        let mut reader = csv_core::Reader::new();
        let (mut used, mut consumed) = (0, 0);
        while starts.len() < limits.rows && consumed < limits.bytes {
            let record_start = used;
            let (mut at, mut cells, mut closed) = (consumed, 0, false);
            let result = loop {
                let is_over = at == input.len();
                if is_over && !limits.whole {
                    break ReadRecordResult::InputEmpty;
                }
                // A line break of our own ends the last record, unless a quote is open: then it goes into the cell.
                let piece = if is_over && !closed { b"\n" } else { &input[at..] };
                let (result, read, written, ended) =
                    reader.read_record(piece, &mut text[used..], &mut record_ends[cells..]);
                let goes_on = matches!(result, ReadRecordResult::InputEmpty);
                if is_over && goes_on && written > 0 {
                    let detail = "a quote is opened in it and never closed".to_owned();
                    return Err(BadRecord { start: consumed, detail });
                }
                closed = is_over;
                at += if is_over { 0 } else { read };
                used += written;
                cells += ended;
                if !goes_on {
                    break result;
                }
            };
            match result {
                ReadRecordResult::Record if cells == columns => {
                    let absolute = record_ends[..columns].iter().map(|end| as_u32(record_start + end));
                    ends.extend(absolute);
                    starts.push(as_u32(consumed));
                    consumed = at;
                }
                ReadRecordResult::Record | ReadRecordResult::OutputEndsFull => {
                    let found = if cells > columns { "more".to_owned() } else { cells.to_string() };
                    let detail = format!("it has {found} cells where the header has {columns}");
                    return Err(BadRecord { start: consumed, detail });
                }
                ReadRecordResult::End => {
                    consumed = at;
                    break;
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull => {
                    used = record_start;
                    break;
                }
            }
        }
        text.truncate(used);
        let rows = Self { text: Buffer::from_vec(text), ends, starts, columns, consumed };
        rows.check_text()?;
        Ok(rows)
    }

    pub(super) fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Where a record begins in the input.
    pub(super) fn start(&self, row: usize) -> usize {
        self.starts[row] as usize
    }

    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        let (start, end) = self.range(row, column);
        std::str::from_utf8(&self.text[start..end]).expect("every cell was checked when it was taken")
    }

    fn range(&self, row: usize, column: usize) -> (usize, usize) {
        let place = row * self.columns + column;
        let start = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        (start, self.ends[place] as usize)
    }

    /// Every cell must be UTF-8 by itself.
    fn check_text(&self) -> Result<(), BadRecord> {
        if self.text.is_ascii() {
            return Ok(());
        }
        for row in 0..self.rows() {
            for column in 0..self.columns {
                let (start, end) = self.range(row, column);
                if std::str::from_utf8(&self.text[start..end]).is_err() {
                    let detail = format!("cell {} is not UTF-8", column + 1);
                    return Err(BadRecord { start: self.start(row), detail });
                }
            }
        }
        Ok(())
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        (0..self.rows()).map(move |row| self.cell(row, column))
    }

    /// The cells as they are, without a copy.
    fn texts(&self, column: usize) -> ArrayRef {
        let view = |row| {
            let (start, end) = self.range(row, column);
            make_view(&self.text[start..end], 0, as_u32(start))
        };
        let views: Vec<u128> = (0..self.rows()).map(view).collect();
        let array = StringViewArray::try_new(views.into(), vec![self.text.clone()], None);
        Arc::new(array.expect("views of checked cells of the same buffer are valid"))
    }
}

fn as_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a window is smaller than 4 GB")
}

/// What a column's cells are read as.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CellKind {
    Text,
    Int,
    Float,
    Bool,
    Bytes,
    /// Literals, for which a type is still to be found.
    Literal {
        empty: Empty,
    },
    /// Literals of a settled type, in memory.
    Nested {
        data_type: DataType,
        empty: Empty,
    },
    /// Literals of differing shapes, as JSON.
    Json {
        empty: Empty,
    },
}

/// What an empty cell of a list or a map stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Empty {
    List,
    Map,
}

impl CellKind {
    /// What a declared word says, before the types of lists and maps are settled.
    pub(super) fn declared(word: &str) -> Self {
        match Self::settled(word) {
            Self::Nested { empty, .. } | Self::Json { empty } => Self::Literal { empty },
            kind => kind,
        }
    }

    /// What a settled type says.
    pub(super) fn settled(type_text: &str) -> Self {
        match type_text {
            "int" | "int32" | "int64" => Self::Int,
            "float" | "double" => Self::Float,
            "bool" | "boolean" => Self::Bool,
            "binary" => Self::Bytes,
            "list" | "json" => Self::Json { empty: Empty::List },
            "map" => Self::Json { empty: Empty::Map },
            text => match ColumnType::parse(text) {
                Some(ColumnType::Arrow(data_type @ DataType::Struct(_))) => {
                    Self::Nested { data_type: physical(&data_type), empty: Empty::Map }
                }
                Some(ColumnType::Arrow(data_type @ DataType::List(_))) => {
                    Self::Nested { data_type: physical(&data_type), empty: Empty::List }
                }
                _ => Self::Text,
            },
        }
    }

    pub(super) fn field(&self, name: &str) -> Field {
        match self {
            Self::Text => Field::new(name, DataType::Utf8View, true),
            Self::Int => NullAs::Nan.mark(Field::new(name, DataType::Int64, true)),
            Self::Float => Field::new(name, DataType::Float64, true),
            Self::Bool => Field::new(name, DataType::Boolean, true),
            Self::Bytes => Field::new(name, DataType::BinaryView, true),
            Self::Nested { data_type, .. } => memory_field(name, &ColumnType::Arrow(data_type.clone())),
            Self::Literal { .. } | Self::Json { .. } => memory_field(name, &ColumnType::Json),
        }
    }

    /// The column's cells as an array of the kind's type; literals as JSON.
    pub(super) fn array(&self, rows: &CsvRows, column: usize) -> Result<ArrayRef, BadCell> {
        match self {
            Self::Text => Ok(rows.texts(column)),
            Self::Int => ints(rows, column),
            Self::Float => floats(rows, column),
            Self::Bool => {
                Ok(Arc::new(rows.cells(column).map(|cell| Some(is_true(cell))).collect::<BooleanArray>()))
            }
            Self::Bytes => bytes(rows, column),
            Self::Nested { data_type, empty } => {
                let literals = literals(rows, column, *empty)?;
                let values: Vec<&Literal> = literals.iter().collect();
                build(&values, data_type).map_err(|_| BadCell {
                    row: 0,
                    wanted: "value of the type that the other files have",
                    advice: "sync the shardset again with overwrite",
                })
            }
            Self::Literal { empty } | Self::Json { empty } => {
                Ok(json_array(&literals(rows, column, *empty)?))
            }
        }
    }
}

/// A column of literals: their array, and the type found for them; `None` if no type holds them all.
pub(super) fn typed_literals(
    rows: &CsvRows,
    column: usize,
    empty: Empty,
) -> Result<(ArrayRef, Option<DataType>), BadCell> {
    let literals = literals(rows, column, empty)?;
    let mut shape = Shape::Null;
    literals.iter().for_each(|literal| shape.absorb(literal));
    let values: Vec<&Literal> = literals.iter().collect();
    let typed = shape.data_type().filter(|data_type| data_type.is_nested() || *data_type == DataType::Null);
    let built =
        typed.and_then(|data_type| Some((build(&values, &physical(&data_type)).ok()?, Some(data_type))));
    Ok(built.unwrap_or_else(|| (json_array(&literals), None)))
}

fn json_array(literals: &[Literal]) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(literals.len());
    let mut text = String::new();
    for literal in literals {
        text.clear();
        literal.write_json(&mut text);
        match literal {
            Literal::Null => builder.append_null(),
            _ => builder.append_value(&text),
        }
    }
    Arc::new(builder.finish())
}

fn literals(rows: &CsvRows, column: usize, empty: Empty) -> Result<Vec<Literal>, BadCell> {
    let mut literals = Vec::with_capacity(rows.rows().min(CHUNK_ROWS));
    for (row, cell) in rows.cells(column).enumerate() {
        literals.push(match (cell.is_empty(), empty) {
            (true, Empty::List) => Literal::List(Vec::new()),
            (true, Empty::Map) => Literal::Dict(Vec::new()),
            (false, _) => Literal::parse(cell).ok_or(BadCell {
                row,
                wanted: "Python literal",
                advice: "declare the column as string to have it as it is",
            })?,
        });
    }
    Ok(literals)
}

fn ints(rows: &CsvRows, column: usize) -> Result<ArrayRef, BadCell> {
    let mut builder = Int64Builder::with_capacity(rows.rows());
    for (row, cell) in rows.cells(column).enumerate() {
        match cell {
            "" => builder.append_null(),
            cell => builder.append_value(int(cell).ok_or(BadCell {
                row,
                wanted: "integer of 64 bits",
                advice: "correct it, or declare the column as float or string",
            })?),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn int(cell: &str) -> Option<i64> {
    cell.parse().ok().or_else(|| {
        let digits = without_underscores(cell.trim(), false)?;
        digits.parse().ok()
    })
}

fn floats(rows: &CsvRows, column: usize) -> Result<ArrayRef, BadCell> {
    let mut values = Vec::with_capacity(rows.rows());
    for (row, cell) in rows.cells(column).enumerate() {
        values.push(match cell {
            "" => f64::NAN,
            cell => float(cell).ok_or(BadCell {
                row,
                wanted: "number",
                advice: "correct it, or declare the column as string",
            })?,
        });
    }
    Ok(Arc::new(Float64Array::from(values)))
}

fn float(cell: &str) -> Option<f64> {
    cell.parse().ok().or_else(|| {
        let digits = without_underscores(cell.trim(), false)?;
        digits.parse().ok()
    })
}

fn is_true(cell: &str) -> bool {
    let cell = cell.trim();
    ["true", "t", "yes", "y", "1"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

fn bytes(rows: &CsvRows, column: usize) -> Result<ArrayRef, BadCell> {
    let mut builder = BinaryViewBuilder::with_capacity(rows.rows());
    for (row, cell) in rows.cells(column).enumerate() {
        let literal = if cell.is_empty() { Some(Literal::Bytes(Vec::new())) } else { Literal::parse(cell) };
        match literal {
            Some(Literal::Bytes(bytes)) => builder.append_value(bytes),
            Some(Literal::Text(text)) => builder.append_value(text),
            Some(Literal::Null) => builder.append_null(),
            _ => {
                let advice = "write it as b'…', or declare the column as string";
                return Err(BadCell { row, wanted: "Python bytes literal", advice });
            }
        }
    }
    Ok(Arc::new(builder.finish()))
}
