//! Samples on their way to a worker: an Arrow IPC stream of one record batch.
//!
//! String and binary views become plain columns: pyarrow understands views only in part, and values must be brought
//! together for the stream anyway.

use super::error::PythonError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use std::sync::Arc;

/// Offsets of plain columns have 32 bits; beyond half of that the long form is taken.
const SHORT_BYTES_MAX: u64 = 1 << 30;

pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<u8>, PythonError> {
    write(batch).map_err(|error| PythonError::Samples { reason: error.to_string() })
}

fn write(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut fields: Vec<FieldRef> = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let long = view_bytes(column) > SHORT_BYTES_MAX;
        match plain(field.data_type(), long) {
            None => {
                fields.push(field.clone());
                columns.push(column.clone());
            }
            Some(kind) => {
                columns.push(cast(column, &kind)?);
                fields.push(Arc::new(field.as_ref().clone().with_data_type(kind)));
            }
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    let mut stream = StreamWriter::try_new(Vec::with_capacity(4096), &schema)?;
    stream.write(&batch)?;
    stream.into_inner()
}

/// The type without views; `None` if it has none.
fn plain(kind: &DataType, long: bool) -> Option<DataType> {
    let inner = |field: &FieldRef| -> Option<FieldRef> {
        Some(Arc::new(Field::clone(field).with_data_type(plain(field.data_type(), long)?)))
    };
    Some(match kind {
        DataType::Utf8View if long => DataType::LargeUtf8,
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView if long => DataType::LargeBinary,
        DataType::BinaryView => DataType::Binary,
        DataType::List(field) => DataType::List(inner(field)?),
        DataType::LargeList(field) => DataType::LargeList(inner(field)?),
        DataType::FixedSizeList(field, width) => DataType::FixedSizeList(inner(field)?, *width),
        DataType::Struct(fields) => {
            if !fields.iter().any(|field| plain(field.data_type(), long).is_some()) {
                return None;
            }
            DataType::Struct(
                fields.iter().map(|field| inner(field).unwrap_or_else(|| field.clone())).collect(),
            )
        }
        DataType::Map(entries, sorted) => DataType::Map(inner(entries)?, *sorted),
        DataType::Dictionary(key, value) => DataType::Dictionary(key.clone(), Box::new(plain(value, long)?)),
        _ => return None,
    })
}

/// How many bytes the values of the column's views have, in any depth.
fn view_bytes(column: &ArrayRef) -> u64 {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().lengths().map(u64::from).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(u64::from).sum(),
        // Nested columns refer to values of rows that are not in the batch too: a bound is enough.
        _ => column.get_array_memory_size() as u64,
    }
}

#[cfg(test)]
mod tests;
