//! Writing a shard file: record batches to one parquet file that every reader understands.
//!
//! 1. Views become plain strings and binary values, and metadata of our own goes: what is left means the same everywhere.
//! 2. Types that user code's values take may differ from batch to batch: whole numbers and then fractions, nothing but nulls
//!    and then texts. So batches wait until [`WAITING_BYTES_MAX`] of them are there, or the last one is; their types are
//!    merged as those of shard files are (`format::merge_columns`) and settled.
//! 3. What comes later is cast to the settled types; what does not fit is an error that names the column.
//!
//! Invariants: memory is bounded by what waits, one row group and one batch; the first batch's columns are the file's, in
//! their order. Driven by `node`. Deliberately absent: where the file goes (`location`), making it durable.

use crate::format::{ColumnSpec, ColumnType, Format, merge_columns, pyarrow_type};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use lavandin_types::ErrorCode;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Bytes of batches that wait for their types to be settled.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// A row group is closed when it has so many bytes: a reader decodes a row group at once.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Beginning of the keys of our own metadata.
const OWN_METADATA: &str = "lavandin.";

#[derive(Clone, Debug, thiserror::Error)]
pub enum ParquetWriteError {
    #[error("{file} cannot be written: {source}")]
    Io { file: String, source: Arc<std::io::Error> },
    #[error("{file} cannot be written: {detail}")]
    Failed { file: String, detail: String },
    /// The values of a column are of types that have none in common.
    #[error("column {column:?} is {first} in one batch and {other} in another; let it be of one type")]
    MixedTypes { column: String, first: String, other: String },
    #[error(
        "column {column:?} was settled as {settled}, and a later batch has values that do not fit: {detail}"
    )]
    DoesNotFit { column: String, settled: String, detail: String },
    #[error("a batch has no column {column:?}, and the first one has")]
    MissingColumn { column: String },
}

impl ParquetWriteError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } => ErrorCode::Unavailable,
            Self::Failed { .. }
            | Self::MixedTypes { .. }
            | Self::DoesNotFit { .. }
            | Self::MissingColumn { .. } => ErrorCode::InvalidArgument,
        }
    }
}

/// A parquet file that is being written.
pub struct ParquetWriter {
    shown: String,
    state: State,
    /// What the columns are so far; settled once the file is open.
    fields: Vec<FieldRef>,
    rows: u64,
}

enum State {
    Waiting {
        file: File,
        batches: Vec<RecordBatch>,
        bytes: usize,
    },
    Open {
        writer: Box<ArrowWriter<File>>,
        schema: SchemaRef,
    },
    /// An error ended it.
    Ended,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    pub rows: u64,
    pub schema: SchemaRef,
}

impl ParquetWriter {
    /// Makes the file, or empties the one that is there.
    pub fn create(path: &Path) -> Result<Self, ParquetWriteError> {
        let shown = path.display().to_string();
        let file = File::create(path)
            .map_err(|source| ParquetWriteError::Io { file: shown.clone(), source: Arc::new(source) })?;
        let state = State::Waiting { file, batches: Vec::new(), bytes: 0 };
        Ok(Self { shown, state, fields: Vec::new(), rows: 0 })
    }

    /// Adds the rows of a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetWriteError> {
        let batch = plain_batch(batch).map_err(|error| self.failed(&error))?;
        self.rows += batch.num_rows() as u64;
        if let State::Open { .. } = self.state {
            return self.write_settled(&batch);
        }
        self.fields = match self.fields.is_empty() {
            true => batch.schema_ref().fields().iter().map(Arc::clone).collect(),
            false => merged_fields(&self.fields, batch.schema_ref(), &self.shown)?,
        };
        if let State::Waiting { batches, bytes, .. } = &mut self.state {
            *bytes += bytes_of(&batch);
            batches.push(batch);
            if *bytes <= WAITING_BYTES_MAX {
                return Ok(());
            }
        }
        self.settle()
    }

    /// Writes what is left and closes the file. It is not synced.
    pub fn finish(mut self) -> Result<WrittenFile, ParquetWriteError> {
        self.settle()?;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Open { writer, schema } => {
                writer.close().map_err(|error| self.failed(&error))?;
                Ok(WrittenFile { rows: self.rows, schema })
            }
            _ => Err(self.failed(&"it failed before")),
        }
    }

    /// Opens the file with the types so far and writes what waits.
    fn settle(&mut self) -> Result<(), ParquetWriteError> {
        let (file, batches) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting { file, batches, .. } => (file, batches),
            other => {
                self.state = other;
                return Ok(());
            }
        };
        let schema = Arc::new(Schema::new(self.fields.clone()));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
        let writer = Box::new(writer.map_err(|error| self.failed(&error))?);
        self.state = State::Open { writer, schema };
        batches.iter().try_for_each(|batch| self.write_settled(batch))
    }

    fn write_settled(&mut self, batch: &RecordBatch) -> Result<(), ParquetWriteError> {
        let State::Open { writer, schema } = &mut self.state else {
            return Err(self.failed(&"it failed before"));
        };
        let batch = conformed(batch, schema)?;
        let written =
            writer.write(&batch).and_then(|()| match writer.in_progress_size() >= ROW_GROUP_BYTES {
                true => writer.flush(),
                false => Ok(()),
            });
        written.map_err(|error: ParquetError| {
            let failed = self.failed(&error);
            self.state = State::Ended;
            failed
        })
    }

    fn failed(&self, detail: &dyn ToString) -> ParquetWriteError {
        ParquetWriteError::Failed { file: self.shown.clone(), detail: detail.to_string() }
    }
}

/// What the batch's rows take, not what its buffers hold besides.
fn bytes_of(batch: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(bytes).sum()
}

/// The types that hold what was settled so far and what `found` has.
fn merged_fields(
    settled: &[FieldRef],
    found: &Schema,
    file: &str,
) -> Result<Vec<FieldRef>, ParquetWriteError> {
    let merge = |field: &FieldRef| {
        let (_, other) = found
            .column_with_name(field.name())
            .ok_or_else(|| ParquetWriteError::MissingColumn { column: field.name().clone() })?;
        if field.data_type() == other.data_type() {
            return Ok(Arc::clone(field));
        }
        let (first, second) = (pyarrow_type(field.data_type()), pyarrow_type(other.data_type()));
        let mixed = || ParquetWriteError::MixedTypes {
            column: field.name().clone(),
            first: first.clone(),
            other: second.clone(),
        };
        let mut both = [ColumnSpec::new(field.name().clone(), first.clone())];
        let second = [ColumnSpec::new(field.name().clone(), second.clone())];
        merge_columns(Format::Parquet, &mut both, &second, file).map_err(|_| mixed())?;
        match ColumnType::parse(&both[0].type_text) {
            Some(ColumnType::Arrow(kind)) => Ok(Arc::new(Field::new(field.name(), kind, true))),
            _ => Err(mixed()),
        }
    };
    settled.iter().map(merge).collect()
}

/// The batch's columns in the order and with the types of `schema`.
fn conformed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ParquetWriteError> {
    let column = |field: &FieldRef| {
        let missing = || ParquetWriteError::MissingColumn { column: field.name().clone() };
        let column = batch.column_by_name(field.name()).ok_or_else(missing)?;
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(column, field.data_type(), &strict).map_err(|error| does_not_fit(field, &error))
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| {
        ParquetWriteError::DoesNotFit {
            column: "*".to_owned(),
            settled: String::new(),
            detail: error.to_string(),
        }
    })
}

fn does_not_fit(field: &Field, error: &ArrowError) -> ParquetWriteError {
    ParquetWriteError::DoesNotFit {
        column: field.name().clone(),
        settled: pyarrow_type(field.data_type()),
        detail: error.to_string(),
    }
}

/// The batch without views, dictionaries and our metadata; every column may hold nulls.
fn plain_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let kind = plain(field.data_type());
        columns.push(match kind == *field.data_type() {
            true => Arc::clone(column),
            false => {
                cast_with_options(column, &kind, &CastOptions { safe: false, ..CastOptions::default() })?
            }
        });
        let mut metadata = field.metadata().clone();
        metadata.retain(|key, _| !key.starts_with(OWN_METADATA));
        fields.push(Field::new(field.name(), kind, true).with_metadata(metadata));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The type without views and dictionaries.
fn plain(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(Field::clone(field).with_data_type(plain(field.data_type())));
    match kind {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::LargeList(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(inner(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
