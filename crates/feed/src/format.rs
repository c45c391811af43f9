//! Shard files on a local path: which formats there are, and one reader for all of them.
//!
//! A shard file is read in *chunks*, each decoded by itself into one Arrow record batch: a parquet row group (large
//! ones in slices), an Arrow record batch, some 32 MB or 65,536 rows of a text file, some 32 MB of a tar's members.
//! `inspect` finds a file's chunks once; they are kept in the manifest, and a [`ShardReader`] with that table reads
//! any of them without looking at the rest. All calls are synchronous; `location` brings remote files here first.
//!
//! Invariants:
//! 1. The same file, plan and chunk give the same record batch. Its columns are those of the plan, in that order.
//! 2. A field says what its arrays cannot: that cells are JSON texts ([`CELLS`]), that nulls stand for NaN
//!    (`rows::NullAs`: empty csv cells of integers; floats hold NaN itself).
//! 3. Strings and binary values, nested ones too, are view arrays over the bytes that were read: never copied again.
//! 4. A file is opened for each chunk and must have the size of the plan and be the same file as before; user files
//!    are read, never mapped, so that one cut short meanwhile is an error and no signal.
//! 5. Damaged bytes are an error that names the file. Libraries below that panic on damage are caught at the door
//!    ([`ShardReader::open`], [`ShardReader::read_chunk`] and `inspect`).
//!
//! Driven by `rows` and `inspect`. Deliberately absent: remote locations, caching, joins, writing shard files.

mod arrow_file;
mod chunk_file;
mod csv_cells;
mod csv_file;
mod error;
mod json_rows;
mod json_shape;
mod jsonl_file;
mod literal;
mod nested;
mod parquet_file;
mod parquet_pages;
mod shape;
mod tar_file;
mod tar_index;
mod text_window;
mod type_text;
mod views;

pub use error::{CellError, FormatError};
pub use type_text::{ColumnType, merge_columns, pyarrow_type};

pub(crate) use chunk_file::guarded;
pub(crate) use json_shape::json_length;

use crate::inspect::{ChunkSink, Scanned};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

/// Key of a field's metadata: its cells are JSON texts that stand for the value ([`CELLS_JSON`]).
pub const CELLS: &str = "lavandin.cells";
/// Value of [`CELLS`]: nested values whose shape differs from row to row. `NaN` and `Infinity` may occur in them.
pub const CELLS_JSON: &str = "json";

/// Whether the cells of a column are JSON texts that stand for the value.
pub fn cells_are_json(field: &Field) -> bool {
    field.metadata().get(CELLS).is_some_and(|value| value == CELLS_JSON)
}

/// How a shard file is laid out, known from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Parquet,
    Csv,
    Jsonl,
    /// Arrow's IPC file format, which is also Feather version 2.
    Arrow,
    /// WebDataset: the members of one sample share a key.
    Tar,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Parquet, Self::Csv, Self::Jsonl, Self::Arrow, Self::Tar];

    /// The format of a file of this name; `None` for a file that is none of a dataset's.
    pub fn of_name(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit('/').next()?.rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        match extension.to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "arrow" | "feather" => Some(Self::Arrow),
            "tar" => Some(Self::Tar),
            _ => None,
        }
    }

    /// The name in manifests and replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Arrow => "arrow",
            Self::Tar => "tar",
        }
    }
}

/// A column as the catalogue and the manifest have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    pub name: String,
    /// A declared word (`int`, `text`, `list`, …) or a type as pyarrow prints it.
    pub type_text: String,
}

impl ColumnSpec {
    pub fn new(name: impl Into<String>, type_text: impl Into<String>) -> Self {
        Self { name: name.into(), type_text: type_text.into() }
    }
}

/// A part of a shard file that is read by itself. What `place` and `span` are is the format's:
///
/// | Format | `place` | `span` |
/// |---|---|---|
/// | parquet | row group | first row in it |
/// | csv, jsonl | offset of the first byte | bytes |
/// | arrow | record batch | 0 |
/// | tar | first sample | 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub rows: u32,
    pub place: u64,
    pub span: u64,
}

/// What a reader needs to know of a file: the manifest has it.
#[derive(Clone, Debug)]
pub struct ReaderPlan {
    /// The columns to read, with the types that the shardset has settled on.
    pub columns: Vec<ColumnSpec>,
    pub chunks: Arc<[Chunk]>,
    /// The file's size as recorded.
    pub bytes: u64,
    /// The index of a tar's members, as `inspect` returned it; without it the tar is walked through again.
    pub index: Option<Bytes>,
}

/// An open shard file; cheap to keep: it holds no file handle.
pub struct ShardReader {
    source: Box<dyn ReadChunk>,
    chunks: Arc<[Chunk]>,
    file: String,
}

/// What each format does.
trait ReadChunk: Send + Sync {
    fn schema(&self) -> &SchemaRef;
    /// The rows of `chunk`, conforming to the schema.
    fn read(&self, chunk: &Chunk) -> Result<RecordBatch, FormatError>;
}

impl ShardReader {
    /// Opens a file that was inspected before.
    pub fn open(path: &Path, format: Format, plan: &ReaderPlan) -> Result<Self, FormatError> {
        let file = path.display().to_string();
        let source = guarded(&file, || open_source(path, format, plan))?;
        Ok(Self { source, chunks: Arc::clone(&plan.chunks), file })
    }

    /// The table of chunks, as planned.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The schema of every record batch of this reader.
    pub fn schema(&self) -> &SchemaRef {
        self.source.schema()
    }

    /// The rows of one chunk, all of them.
    pub fn read_chunk(&self, chunk: usize) -> Result<RecordBatch, FormatError> {
        let place = self.chunks.get(chunk).ok_or_else(|| FormatError::NoChunk {
            file: self.file.clone(),
            chunk,
            chunks: self.chunks.len(),
        })?;
        let batch = guarded(&self.file, || self.source.read(place))?;
        if batch.num_rows() != place.rows as usize {
            let detail =
                format!("chunk {chunk} has {} rows where {} were recorded", batch.num_rows(), place.rows);
            return Err(FormatError::Changed { file: self.file.clone(), detail });
        }
        Ok(batch)
    }
}

/// Hands every row of the wanted columns, or of all if none are named, to `sink`; with the file's size.
pub(crate) fn scan_file(
    path: &Path,
    format: Format,
    wanted: &[ColumnSpec],
    sink: &mut ChunkSink<'_>,
) -> Result<(u64, Scanned), FormatError> {
    let file = chunk_file::ChunkFile::found(path)?;
    let scanned = match format {
        Format::Parquet => parquet_file::scan(&file, wanted, sink),
        Format::Csv => csv_file::scan(&file, wanted, sink),
        Format::Jsonl => jsonl_file::scan(&file, wanted, sink),
        Format::Arrow => arrow_file::scan(&file, wanted, sink),
        Format::Tar => tar_file::scan(&file, wanted, sink),
    }?;
    // What was read is only worth something if the file is still that file.
    file.open()?;
    Ok((file.bytes(), scanned))
}

fn open_source(path: &Path, format: Format, plan: &ReaderPlan) -> Result<Box<dyn ReadChunk>, FormatError> {
    let file = chunk_file::ChunkFile::recorded(path, plan.bytes)?;
    Ok(match format {
        Format::Parquet => Box::new(parquet_file::ParquetSource::open(file, plan)?),
        Format::Csv => Box::new(csv_file::CsvSource::open(file, plan)?),
        Format::Jsonl => Box::new(jsonl_file::JsonlSource::open(file, plan)?),
        Format::Arrow => Box::new(arrow_file::ArrowSource::open(file, plan)?),
        Format::Tar => Box::new(tar_file::TarSource::open(file, plan)?),
    })
}

#[cfg(test)]
mod tests;
