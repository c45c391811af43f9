//! The Arrow types that record batches have in memory, and how a file's arrays become them.
//!
//! Strings and binary values are views at every depth, so that gathering rows copies 16 bytes a value and never a
//! blob. Dictionaries are replaced by their values: two files' dictionaries differ, and clients want the values.

use super::{CELLS, CELLS_JSON, ColumnSpec, ColumnType, FormatError};
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch,
    StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::collections::HashMap;
use std::sync::Arc;

/// What a type of a file is in memory.
pub(crate) fn physical(data_type: &DataType) -> DataType {
    with_leaves(data_type, &|leaf| match leaf {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, values) => physical(values),
        DataType::RunEndEncoded(_, values) => physical(values.data_type()),
        other => other.clone(),
    })
}

/// The type with an offset in place of UTC's names. Arrow only knows offsets where it parses or prints times.
pub(crate) fn with_utc_as_offset(data_type: &DataType) -> DataType {
    const NAMES: [&str; 5] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu"];
    with_leaves(data_type, &|leaf| match leaf {
        DataType::Timestamp(unit, Some(zone)) if NAMES.contains(&&**zone) => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        other => other.clone(),
    })
}

/// The type with what `leaf` makes of each type that is no list, struct or map.
fn with_leaves(data_type: &DataType, leaf: &dyn Fn(&DataType) -> DataType) -> DataType {
    let inner = |field: &FieldRef| -> FieldRef {
        Arc::new(Field::new(field.name(), with_leaves(field.data_type(), leaf), field.is_nullable()))
    };
    match data_type {
        DataType::List(item) => DataType::List(inner(item)),
        DataType::LargeList(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(inner(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => leaf(other),
    }
}

/// The field of a column of this type in record batches. Top-level columns are nullable in all files alike.
pub(crate) fn memory_field(name: &str, column_type: &ColumnType) -> Field {
    match column_type {
        ColumnType::Arrow(data_type) => Field::new(name, physical(data_type), true),
        ColumnType::Json => marked(Field::new(name, DataType::Utf8View, true), CELLS, CELLS_JSON),
    }
}

/// The field with one entry of metadata.
pub(crate) fn marked(field: Field, key: &str, value: &str) -> Field {
    field.with_metadata(HashMap::from([(key.to_owned(), value.to_owned())]))
}

/// The schema of a plan's columns, each type read from its text.
pub(crate) fn memory_schema(file: &str, columns: &[ColumnSpec]) -> Result<SchemaRef, FormatError> {
    let field = |column: &ColumnSpec| {
        let column_type = ColumnType::parse(&column.type_text).ok_or_else(|| unknown_type(file, column))?;
        Ok(memory_field(&column.name, &column_type))
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>, FormatError>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

pub(crate) fn unknown_type(file: &str, column: &ColumnSpec) -> FormatError {
    let detail = format!("column {:?} has the type {:?}, which is none", column.name, column.type_text);
    FormatError::Unsupported { file: file.to_owned(), detail }
}

/// A record batch of `schema` from the file's arrays of the same columns.
pub(crate) fn conform_batch(
    file: &str,
    schema: &SchemaRef,
    rows: usize,
    arrays: Vec<ArrayRef>,
) -> Result<RecordBatch, FormatError> {
    let mut columns = Vec::with_capacity(arrays.len());
    for (array, field) in arrays.iter().zip(schema.fields()) {
        let column = conform(array, field.data_type())
            .map_err(|error| FormatError::damaged(file, format!("column {:?}: {error}", field.name())))?;
        columns.push(column);
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| FormatError::damaged(file, error))
}

/// The array as `target`, without copying strings and binary values. A value that does not fit is an error.
pub(crate) fn conform(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), target) {
        (DataType::Null, _) => Ok(new_null_array(target, array.len())),
        (DataType::Struct(_), DataType::Struct(fields)) => conform_struct(array.as_struct(), fields),
        (DataType::List(_), DataType::List(item)) => conform_list::<i32>(array.as_list(), item),
        (DataType::LargeList(_), DataType::LargeList(item)) => conform_list::<i64>(array.as_list(), item),
        (DataType::FixedSizeList(_, _), DataType::FixedSizeList(item, length)) => {
            let list = array.as_fixed_size_list();
            let values = conform(list.values(), item.data_type())?;
            let nulls = list.nulls().cloned();
            let list =
                FixedSizeListArray::try_new_with_length(Arc::clone(item), *length, values, nulls, list.len());
            Ok(Arc::new(list?))
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => {
            conform_map(array.as_map(), entries, *sorted)
        }
        (DataType::Dictionary(_, values), _) if **values != *target && values.is_nested() => {
            conform(&strict_cast(array, values)?, target)
        }
        _ => strict_cast(array, target),
    }
}

fn strict_cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Fields go by name; one that the file's structs lack is null.
fn conform_struct(array: &StructArray, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        columns.push(match array.column_by_name(field.name()) {
            Some(column) => conform(column, field.data_type())?,
            None => new_null_array(field.data_type(), array.len()),
        });
    }
    let nulls = array.nulls().cloned();
    StructArray::try_new_with_length(fields.clone(), columns, nulls, array.len())
        .map(|array| Arc::new(array) as _)
}

fn conform_list<O: OffsetSizeTrait>(
    array: &GenericListArray<O>,
    item: &FieldRef,
) -> Result<ArrayRef, ArrowError> {
    let values = conform(array.values(), item.data_type())?;
    let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
    GenericListArray::<O>::try_new(Arc::clone(item), offsets, values, nulls).map(|array| Arc::new(array) as _)
}

/// Keys and values go by their places.
fn conform_map(array: &MapArray, entries: &FieldRef, sorted: bool) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(ArrowError::SchemaError("a map's entries are structs".to_owned()));
    };
    let columns = array.entries().columns().iter().zip(fields);
    let columns = columns.map(|(column, field)| conform(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let structs = StructArray::try_new(fields.clone(), columns, array.entries().nulls().cloned())?;
    let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
    MapArray::try_new(Arc::clone(entries), offsets, structs, nulls, sorted).map(|array| Arc::new(array) as _)
}
