//! Csv: a header, then records; commas, double quotes, any line breaks, an optional byte order mark. Every record has
//! as many cells as the header. Types are declared ([`super::csv_cells`]); what is not declared is text.
//!
//! `inspect` cuts the file into chunks at records and keeps their byte ranges, so a chunk is read with one call.

use super::chunk_file::{ChunkFile, OpenFile};
use super::csv_cells::{BadCell, BadRecord, CellKind, CsvRows, Empty, Limits, typed_literals};
use super::error::{CellError, shortened};
use super::text_window::{CHUNK_BYTES, CHUNK_ROWS, RECORD_BYTES_MAX, TextWindow};
use super::type_text::{have_same_keys, promote};
use super::views::conform_batch;
use super::{Chunk, ColumnSpec, FormatError, ReadChunk, ReaderPlan, pyarrow_type};
use crate::inspect::{ChunkSink, Scanned};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv_core::ReadRecordResult;
use std::sync::Arc;

const COLUMNS_MAX: usize = 1 << 16;
const HEADER_BYTES: u64 = 64 << 10;

pub(super) struct CsvSource {
    file: ChunkFile,
    /// Cells of a record.
    width: usize,
    columns: Vec<CsvColumn>,
    schema: SchemaRef,
}

/// A wanted column and where it stands in a record.
struct CsvColumn {
    name: String,
    place: usize,
    kind: CellKind,
}

impl CsvSource {
    pub(super) fn open(file: ChunkFile, plan: &ReaderPlan) -> Result<Self, FormatError> {
        let header = Header::read(&file.open()?)?;
        let columns = plan.columns.iter().map(|column| header.column(file.name(), column, CellKind::settled));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<Field> = columns.iter().map(|column| column.kind.field(&column.name)).collect();
        Ok(Self { file, width: header.names.len(), columns, schema: Arc::new(Schema::new(fields)) })
    }
}

impl ReadChunk for CsvSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn read(&self, chunk: &Chunk) -> Result<RecordBatch, FormatError> {
        let name = self.file.name();
        let text = self.file.open()?.read(chunk.place, chunk.span)?;
        let limits = Limits { rows: usize::MAX, bytes: usize::MAX, whole: true };
        let changed = |detail: String| FormatError::Changed { file: name.to_owned(), detail };
        let rows = CsvRows::take(&text, self.width, limits).map_err(|bad| {
            changed(format!("the record at byte {}: {}", chunk.place + bad.start as u64, bad.detail))
        })?;
        drop(text);
        let array = |column: &CsvColumn| {
            column.kind.array(&rows, column.place).map_err(|bad| {
                let cell = shortened(rows.cell(bad.row, column.place));
                changed(format!("row {} after byte {}: {cell:?} is no {}", bad.row, chunk.place, bad.wanted))
            })
        };
        let arrays = self.columns.iter().map(array).collect::<Result<Vec<_>, _>>()?;
        conform_batch(name, &self.schema, rows.rows(), arrays)
    }
}

/// Reads all rows of the wanted columns once, or of all columns where none are named.
pub(super) fn scan(
    file: &ChunkFile,
    wanted: &[ColumnSpec],
    sink: &mut ChunkSink<'_>,
) -> Result<Scanned, FormatError> {
    let open = file.open()?;
    let header = Header::read(&open)?;
    let text = |name: &String| ColumnSpec::new(name, "string");
    let all: Vec<ColumnSpec> = header.names.iter().map(text).collect();
    let wanted = if wanted.is_empty() { &all } else { wanted };
    let columns = wanted.iter().map(|column| header.column(file.name(), column, CellKind::declared));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut scan =
        Scan { name: file.name(), columns, found: vec![Found::Nothing; wanted.len()], lines: header.lines };
    let mut window = TextWindow::new(open);
    window.advance(0)?;
    while window.bytes().len() < header.bytes {
        window.grow()?;
    }
    window.advance(header.bytes)?;
    loop {
        let limits = Limits { rows: CHUNK_ROWS, bytes: CHUNK_BYTES, whole: window.at_end() };
        let rows = CsvRows::take(window.bytes(), header.names.len(), limits);
        let rows = rows.map_err(|bad| scan.bad_record(window.bytes(), &bad))?;
        let full = rows.rows() == CHUNK_ROWS || rows.consumed >= CHUNK_BYTES;
        if !full && !window.at_end() {
            window.grow()?;
            continue;
        }
        if rows.rows() == 0 {
            break;
        }
        let chunk = Chunk { rows: rows.rows() as u32, place: window.offset(), span: rows.consumed as u64 };
        sink(chunk, scan.batch(window.bytes(), &rows)?)?;
        scan.lines += line_breaks(&window.bytes()[..rows.consumed]);
        window.advance(rows.consumed)?;
    }
    let found = scan.found.iter().zip(&scan.columns).zip(wanted);
    let columns = found.map(|((found, column), declared)| found.column(column, declared)).collect();
    Ok(Scanned { columns, index: None })
}

/// What the literals of a column have turned out to be.
#[derive(Clone)]
enum Found {
    Nothing,
    Type(DataType),
    /// No type holds them all.
    Irregular,
}

impl Found {
    fn column(&self, column: &CsvColumn, declared: &ColumnSpec) -> ColumnSpec {
        let type_text = match (self, &column.kind) {
            (Self::Type(data_type), _) => pyarrow_type(data_type),
            (Self::Nothing, CellKind::Literal { .. }) => "null".to_owned(),
            (Self::Irregular, CellKind::Literal { empty: Empty::List }) => "list".to_owned(),
            (Self::Irregular, CellKind::Literal { empty: Empty::Map }) => "map".to_owned(),
            _ if declared.type_text.is_empty() => "string".to_owned(),
            _ => declared.type_text.clone(),
        };
        ColumnSpec { name: declared.name.clone(), type_text }
    }

    fn add(&mut self, data_type: Option<DataType>) {
        *self = match (&*self, data_type) {
            (Self::Nothing, Some(data_type)) => Self::Type(data_type),
            (Self::Type(known), Some(data_type)) => promote(known, &data_type)
                .filter(|_| have_same_keys(known, &data_type))
                .map_or(Self::Irregular, Self::Type),
            _ => Self::Irregular,
        };
    }
}

struct Scan<'a> {
    name: &'a str,
    columns: Vec<CsvColumn>,
    found: Vec<Found>,
    /// Line breaks before the current chunk.
    lines: u64,
}

impl Scan<'_> {
    fn batch(&mut self, text: &[u8], rows: &CsvRows) -> Result<RecordBatch, FormatError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        let mut fields = Vec::with_capacity(self.columns.len());
        for (place, column) in self.columns.iter().enumerate() {
            let (array, field) = match column.kind {
                CellKind::Literal { empty } => {
                    let typed = typed_literals(rows, column.place, empty);
                    let (array, data_type) = typed.map_err(|bad| self.bad_cell(text, rows, column, &bad))?;
                    let field = match data_type {
                        Some(_) => Field::new(&column.name, array.data_type().clone(), true),
                        None => column.kind.field(&column.name),
                    };
                    self.found[place].add(data_type);
                    (array, field)
                }
                ref kind => {
                    let array = kind.array(rows, column.place);
                    let array = array.map_err(|bad| self.bad_cell(text, rows, column, &bad))?;
                    (array, kind.field(&column.name))
                }
            };
            arrays.push(array);
            fields.push(field);
        }
        conform_batch(self.name, &Arc::new(Schema::new(fields)), rows.rows(), arrays)
    }

    /// The line on which a record begins, from 1.
    fn line(&self, text: &[u8], start: usize) -> u64 {
        // A record that follows a carriage return begins with the line feed that belongs to it.
        let blank = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        1 + self.lines + line_breaks(&text[..start + blank])
    }

    fn bad_record(&self, text: &[u8], bad: &BadRecord) -> FormatError {
        FormatError::bad_line(self.name, self.line(text, bad.start), &bad.detail)
    }

    fn bad_cell(&self, text: &[u8], rows: &CsvRows, column: &CsvColumn, bad: &BadCell) -> FormatError {
        CellError {
            file: self.name.to_owned(),
            place: format!("line {}", self.line(text, rows.start(bad.row))),
            column: column.name.clone(),
            cell: shortened(rows.cell(bad.row, column.place)),
            wanted: bad.wanted.to_owned(),
            advice: bad.advice,
        }
        .into()
    }
}

fn line_breaks(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// The names in the first record.
struct Header {
    names: Vec<String>,
    /// Bytes and line breaks up to the first record after it.
    bytes: usize,
    lines: u64,
}

impl Header {
    fn read(open: &OpenFile) -> Result<Self, FormatError> {
        let mut length = HEADER_BYTES;
        loop {
            let text = open.read_up_to(0, length)?;
            let whole = text.len() as u64 == open.bytes();
            if let Some(header) = Self::parse(open.name(), &text, whole)? {
                return Ok(header);
            }
            if whole {
                return Err(FormatError::truncated(
                    open.name(),
                    "it has no first line: a csv file begins with its columns",
                ));
            }
            length *= 4;
            if length > RECORD_BYTES_MAX as u64 {
                return Err(FormatError::too_large(open.name(), "its first line"));
            }
        }
    }

    fn parse(name: &str, text: &[u8], whole: bool) -> Result<Option<Self>, FormatError> {
        let mut reader = csv_core::Reader::new();
        let (mut cells, mut ends) = (vec![0; text.len() + 1], vec![0; COLUMNS_MAX]);
        let (mut result, at, used, mut count) = reader.read_record(text, &mut cells, &mut ends);
        if matches!(result, ReadRecordResult::InputEmpty) && whole {
            // Ends the record, unless a quote is open.
            let (last, _, _, ended) = reader.read_record(b"\n", &mut cells[used..], &mut ends[count..]);
            (result, count) = (last, count + ended);
        }
        match result {
            ReadRecordResult::Record => {}
            ReadRecordResult::OutputEndsFull => {
                return Err(FormatError::too_large(name, format!("it has more than {COLUMNS_MAX} columns")));
            }
            _ => return Ok(None),
        }
        let mut names: Vec<String> = Vec::with_capacity(count);
        let mut start = 0;
        for end in &ends[..count] {
            let column = std::str::from_utf8(&cells[start..*end]);
            let column =
                column.map_err(|_| FormatError::bad_line(name, 1, "a column's name is not UTF-8"))?;
            if names.iter().any(|other| other == column) {
                return Err(FormatError::bad_line(name, 1, format!("column {column:?} is there twice")));
            }
            names.push(column.to_owned());
            start = *end;
        }
        Ok(Some(Self { names, bytes: at, lines: line_breaks(&text[..at]) }))
    }

    fn column(
        &self,
        file: &str,
        column: &ColumnSpec,
        kind: impl Fn(&str) -> CellKind,
    ) -> Result<CsvColumn, FormatError> {
        let place = self.names.iter().position(|name| *name == column.name).ok_or_else(|| {
            FormatError::missing_column(file, &column.name, self.names.iter().map(String::as_str))
        })?;
        Ok(CsvColumn { name: column.name.clone(), place, kind: kind(&column.type_text) })
    }
}
