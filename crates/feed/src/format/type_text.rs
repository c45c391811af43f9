//! Types of columns as texts: what pyarrow prints for an Arrow type, and back; and which types of two files of one
//! shardset go together.
//!
//! Promotion, for two files that differ (neither loses a value but as said):
//! integers to the wider one (signed and unsigned to a signed one that holds both; `uint64` with a signed one does
//! not go); integers and floats to `double` (beyond 2^53 integers round); `float` to `double`; strings of all
//! widths to `string` or `large_string`, binary alike; decimals to the one that holds both; timestamps of one zone
//! to the finer unit; dictionaries to their values; `null` to anything; lists, structs and maps by their parts, and
//! a field that one struct lacks is null there. Anything else is a mismatch.

use super::{ColumnSpec, Format, FormatError};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit, UnionMode};
use std::fmt::Write;
use std::sync::Arc;

mod parse;
mod promote;

pub(crate) use promote::promote;

/// Nesting beyond this is refused.
pub(crate) const DEPTH_MAX: usize = 32;

/// What a column's cells are when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Arrow(DataType),
    /// JSON texts that stand for nested values of differing shapes: `json`, and `list` and `map` once settled.
    Json,
}

impl ColumnType {
    /// The type that a text of a manifest names.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "json" | "list" | "map" => Some(Self::Json),
            "int" => Some(Self::Arrow(DataType::Int64)),
            "text" | "str" => Some(Self::Arrow(DataType::Utf8)),
            "boolean" => Some(Self::Arrow(DataType::Boolean)),
            _ => parse::parse(text).map(Self::Arrow),
        }
    }
}

/// The type as pyarrow prints it.
pub fn pyarrow_type(data_type: &DataType) -> String {
    let mut text = String::new();
    print(data_type, &mut text);
    text
}

fn print(data_type: &DataType, out: &mut String) {
    if let Some(name) = simple_name(data_type) {
        out.push_str(name);
        return;
    }
    match data_type {
        DataType::Timestamp(unit, None) => put(out, format_args!("timestamp[{}]", unit_name(*unit))),
        DataType::Timestamp(unit, Some(zone)) => {
            put(out, format_args!("timestamp[{}, tz={zone}]", unit_name(*unit)));
        }
        DataType::Time32(unit) => put(out, format_args!("time32[{}]", unit_name(*unit))),
        DataType::Time64(unit) => put(out, format_args!("time64[{}]", unit_name(*unit))),
        DataType::Duration(unit) => put(out, format_args!("duration[{}]", unit_name(*unit))),
        DataType::Decimal32(precision, scale) => put(out, format_args!("decimal32({precision}, {scale})")),
        DataType::Decimal64(precision, scale) => put(out, format_args!("decimal64({precision}, {scale})")),
        DataType::Decimal128(precision, scale) => put(out, format_args!("decimal128({precision}, {scale})")),
        DataType::Decimal256(precision, scale) => put(out, format_args!("decimal256({precision}, {scale})")),
        DataType::FixedSizeBinary(width) => put(out, format_args!("fixed_size_binary[{width}]")),
        _ => print_nested(data_type, out),
    }
}

fn print_nested(data_type: &DataType, out: &mut String) {
    match data_type {
        DataType::List(item) => print_item(out, "list", item),
        DataType::LargeList(item) => print_item(out, "large_list", item),
        DataType::ListView(item) => print_item(out, "list_view", item),
        DataType::LargeListView(item) => print_item(out, "large_list_view", item),
        DataType::FixedSizeList(item, length) => {
            print_item(out, "fixed_size_list", item);
            put(out, format_args!("[{length}]"));
        }
        DataType::Struct(fields) => {
            out.push_str("struct<");
            print_fields(out, fields.iter());
            out.push('>');
        }
        DataType::Map(entries, sorted) => print_map(out, entries, *sorted),
        DataType::Dictionary(indices, values) => {
            out.push_str("dictionary<values=");
            print(values, out);
            out.push_str(", indices=");
            print(indices, out);
            out.push_str(", ordered=0>");
        }
        DataType::RunEndEncoded(ends, values) => {
            out.push_str("run_end_encoded<run_ends: ");
            print(ends.data_type(), out);
            out.push_str(", values: ");
            print(values.data_type(), out);
            out.push('>');
        }
        DataType::Union(fields, mode) => {
            out.push_str(if *mode == UnionMode::Dense { "dense_union<" } else { "sparse_union<" });
            for (place, (code, field)) in fields.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                print_field(out, field);
                put(out, format_args!("={code}"));
            }
            out.push('>');
        }
        other => put(out, format_args!("{other}")),
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string cannot fail");
}

const fn simple_name(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Null => "null",
        DataType::Boolean => "bool",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float16 => "halffloat",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Utf8 => "string",
        DataType::LargeUtf8 => "large_string",
        DataType::Utf8View => "string_view",
        DataType::Binary => "binary",
        DataType::LargeBinary => "large_binary",
        DataType::BinaryView => "binary_view",
        DataType::Date32 => "date32[day]",
        DataType::Date64 => "date64[ms]",
        DataType::Interval(IntervalUnit::YearMonth) => "month_interval",
        DataType::Interval(IntervalUnit::DayTime) => "day_time_interval",
        DataType::Interval(IntervalUnit::MonthDayNano) => "month_day_nano_interval",
        _ => return None,
    })
}

const fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

fn print_item(out: &mut String, name: &str, item: &Field) {
    out.push_str(name);
    out.push('<');
    print_field(out, item);
    out.push('>');
}

fn print_field(out: &mut String, field: &Field) {
    out.push_str(field.name());
    out.push_str(": ");
    print(field.data_type(), out);
    if !field.is_nullable() {
        out.push_str(" not null");
    }
}

fn print_fields<'a>(out: &mut String, fields: impl Iterator<Item = &'a FieldRef>) {
    for (place, field) in fields.enumerate() {
        out.push_str(if place == 0 { "" } else { ", " });
        print_field(out, field);
    }
}

fn print_map(out: &mut String, entries: &Field, sorted: bool) {
    out.push_str("map<");
    if let DataType::Struct(fields) = entries.data_type() {
        for (place, (field, usual)) in fields.iter().zip(["key", "value"]).enumerate() {
            out.push_str(if place == 0 { "" } else { ", " });
            print(field.data_type(), out);
            if field.name() != usual {
                put(out, format_args!(" ('{}')", field.name()));
            }
        }
    }
    out.push_str(if sorted { ", keys_sorted>" } else { ">" });
}

/// The entries of a map with these fields.
pub(crate) fn map_type(key: Field, value: Field, sorted: bool) -> DataType {
    let entries = DataType::Struct(Fields::from(vec![key, value]));
    DataType::Map(Arc::new(Field::new("entries", entries, false)), sorted)
}

/// Whether the type's text names the type again.
pub(crate) fn is_printable(data_type: &DataType) -> bool {
    ColumnType::parse(&pyarrow_type(data_type))
        .is_some_and(|parsed| parsed == ColumnType::Arrow(data_type.clone()))
}

/// The text of the type that holds what both texts' types hold; `None` if there is none.
pub(crate) fn promote_texts(first: &str, second: &str) -> Option<String> {
    if first == second {
        return Some(first.to_owned());
    }
    match (ColumnType::parse(first)?, ColumnType::parse(second)?) {
        (ColumnType::Json, ColumnType::Json) => Some(first.to_owned()),
        (ColumnType::Json, ColumnType::Arrow(other)) => may_be_json(&other).then(|| first.to_owned()),
        (ColumnType::Arrow(other), ColumnType::Json) => may_be_json(&other).then(|| second.to_owned()),
        (ColumnType::Arrow(left), ColumnType::Arrow(right)) => {
            let both = promote(&left, &right)?;
            // The declared word stays where it says the same.
            Some(match &both {
                both if *both == left => first.to_owned(),
                both if *both == right => second.to_owned(),
                both => pyarrow_type(both),
            })
        }
    }
}

fn may_be_json(data_type: &DataType) -> bool {
    data_type.is_nested() || *data_type == DataType::Null
}

/// Makes `settled`, the columns of the shard files so far, also hold what `found` holds, those of `file`. The order
/// in which files are merged does not matter. Returns whether a type changed: then the columns of earlier files are
/// read with the new one.
pub fn merge_columns(
    format: Format,
    settled: &mut [ColumnSpec],
    found: &[ColumnSpec],
    file: &str,
) -> Result<bool, FormatError> {
    let mut changed = false;
    for column in settled {
        let Some(other) = found.iter().find(|other| other.name == column.name) else {
            let names = found.iter().map(|column| column.name.as_str());
            return Err(FormatError::missing_column(file, &column.name, names));
        };
        let both = promote_texts(&column.type_text, &other.type_text);
        let mut both = both.ok_or_else(|| FormatError::TypeMismatch {
            file: file.to_owned(),
            column: column.name.clone(),
            wanted: column.type_text.clone(),
            found: other.type_text.clone(),
        })?;
        if format == Format::Csv && !same_keys(&column.type_text, &other.type_text) {
            "json".clone_into(&mut both);
        }
        changed |= both != column.type_text;
        column.type_text = both;
    }
    Ok(changed)
}

/// Whether structs in both types have the same keys. A dict in a csv cell comes back as it was written, which one
/// with the keys of others does not.
fn same_keys(first: &str, second: &str) -> bool {
    match (ColumnType::parse(first), ColumnType::parse(second)) {
        (Some(ColumnType::Arrow(first)), Some(ColumnType::Arrow(second))) => have_same_keys(&first, &second),
        _ => true,
    }
}

pub(crate) fn have_same_keys(first: &DataType, second: &DataType) -> bool {
    match (first, second) {
        (DataType::List(first), DataType::List(second)) => {
            have_same_keys(first.data_type(), second.data_type())
        }
        (DataType::Struct(first), DataType::Struct(second)) => {
            let other = |field: &FieldRef| second.iter().find(|other| other.name() == field.name());
            let same = |field: &FieldRef| {
                other(field).is_some_and(|other| have_same_keys(field.data_type(), other.data_type()))
            };
            first.len() == second.len() && first.iter().all(same)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
