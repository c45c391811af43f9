//! Jsonl: an object a line; blank lines are skipped. Types as [`super::json_rows`] says. `inspect` cuts the file into
//! chunks at lines and keeps their byte ranges, so a chunk is read with one call.

use super::chunk_file::ChunkFile;
use super::json_rows::{JsonColumns, decode};
use super::text_window::{CHUNK_BYTES, CHUNK_ROWS, TextWindow};
use super::views::{conform_batch, memory_field, memory_schema, unknown_type};
use super::{Chunk, ColumnSpec, ColumnType, FormatError, ReadChunk, ReaderPlan};
use crate::inspect::{ChunkSink, Scanned};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::sync::Arc;

pub(super) struct JsonlSource {
    file: ChunkFile,
    columns: Vec<(String, ColumnType)>,
    schema: SchemaRef,
}

impl JsonlSource {
    pub(super) fn open(file: ChunkFile, plan: &ReaderPlan) -> Result<Self, FormatError> {
        let schema = memory_schema(file.name(), &plan.columns)?;
        let columns = column_types(file.name(), &plan.columns)?;
        Ok(Self { file, columns, schema })
    }
}

/// The columns of a plan with their types.
pub(super) fn column_types(
    file: &str,
    columns: &[ColumnSpec],
) -> Result<Vec<(String, ColumnType)>, FormatError> {
    let typed = |column: &ColumnSpec| {
        let column_type = ColumnType::parse(&column.type_text).ok_or_else(|| unknown_type(file, column))?;
        Ok((column.name.clone(), column_type))
    };
    columns.iter().map(typed).collect()
}

impl ReadChunk for JsonlSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn read(&self, chunk: &Chunk) -> Result<RecordBatch, FormatError> {
        let text = self.file.open()?.read(chunk.place, chunk.span)?;
        let lines: Vec<&[u8]> = lines(&text).map(|(_, line)| line).filter(|line| !is_blank(line)).collect();
        let arrays = decode(&lines, &self.columns).map_err(|bad| {
            let detail = format!("line {} after byte {}: {}", bad.row, chunk.place, bad.detail);
            FormatError::Changed { file: self.file.name().to_owned(), detail }
        })?;
        conform_batch(self.file.name(), &self.schema, lines.len(), arrays)
    }
}

/// Lines with their places, without the line breaks.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= text.len() {
            return None;
        }
        let length = memchr::memchr(b'\n', &text[start..]);
        let line = (start, &text[start..start + length.unwrap_or(text.len() - start)]);
        start += line.1.len() + 1;
        Some(line)
    })
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Reads all rows once: of the wanted columns, or of those that the lines have.
pub(super) fn scan(
    file: &ChunkFile,
    wanted: &[ColumnSpec],
    sink: &mut ChunkSink<'_>,
) -> Result<Scanned, FormatError> {
    let unsupported = |detail| FormatError::Unsupported { file: file.name().to_owned(), detail };
    let mut columns = JsonColumns::new(wanted).map_err(unsupported)?;
    let mut window = TextWindow::new(file.open()?);
    window.advance(0)?;
    let mut lines_before = 0;
    loop {
        let Some(taken) = Taken::take(&window) else {
            if window.at_end() {
                break;
            }
            window.grow()?;
            continue;
        };
        let bad_line = |row: usize, detail: String| {
            FormatError::bad_line(file.name(), lines_before + taken.numbers[row], detail)
        };
        let objects: Vec<&[u8]> =
            taken.ranges.iter().map(|(start, end)| &window.bytes()[*start..*end]).collect();
        for (row, object) in objects.iter().enumerate() {
            columns.absorb(object).map_err(|detail| bad_line(row, detail))?;
        }
        if !objects.is_empty() {
            let types = columns.types();
            let arrays = decode(&objects, &types).map_err(|bad| bad_line(bad.row, bad.detail))?;
            let fields: Vec<Field> =
                types.iter().map(|(name, column_type)| memory_field(name, column_type)).collect();
            let batch = conform_batch(file.name(), &Arc::new(Schema::new(fields)), objects.len(), arrays)?;
            let rows = u32::try_from(objects.len()).expect("a chunk has at most CHUNK_ROWS rows");
            sink(Chunk { rows, place: window.offset(), span: taken.bytes as u64 }, batch)?;
        }
        lines_before += taken.lines;
        window.advance(taken.bytes)?;
    }
    Ok(Scanned { columns: columns.specs(), index: None })
}

/// The lines of the next chunk.
struct Taken {
    /// Where the lines that are not blank lie in the window, and their numbers from its first one, which is 1.
    ranges: Vec<(usize, usize)>,
    numbers: Vec<u64>,
    lines: u64,
    bytes: usize,
}

impl Taken {
    /// `None` if the window must grow first, or at the end of the file.
    fn take(window: &TextWindow) -> Option<Self> {
        let text = window.bytes();
        let mut taken = Self { ranges: Vec::new(), numbers: Vec::new(), lines: 0, bytes: 0 };
        for (start, line) in lines(text) {
            let end = start + line.len();
            if end == text.len() && !window.at_end() {
                return None;
            }
            taken.lines += 1;
            taken.bytes = text.len().min(end + 1);
            if !is_blank(line) {
                taken.ranges.push((start, end));
                taken.numbers.push(taken.lines);
            }
            if taken.ranges.len() == CHUNK_ROWS || taken.bytes >= CHUNK_BYTES {
                return Some(taken);
            }
        }
        (window.at_end() && taken.bytes > 0).then_some(taken)
    }
}
