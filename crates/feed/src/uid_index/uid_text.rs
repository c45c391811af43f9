//! A column's uids as texts: what Python's `str` makes of the value.
//!
//! Integers in digits; strings as they are; floats as Python prints them; `True` and `False`; binary as `b'…'`;
//! decimals with their scale; times as `2024-02-29 12:34:56.000001`, in UTC with `+00:00` if they have a zone; dates and
//! the rest as Arrow prints them. Null, NaN and the empty text are no uids.

use super::hash_uid;
use crate::lavender::time;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::{Display, Write};

/// The uids in an array as a shard reader returns it.
pub struct UidColumn<'a> {
    array: &'a ArrayRef,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Text,
    Bytes,
    Bool,
    Float,
    Integer(fn(&dyn Array, usize, &mut String)),
    Timestamp { values: &'a [i64], unit: TimeUnit, is_instant: bool },
    Other(ArrayFormatter<'a>),
}

impl<'a> UidColumn<'a> {
    /// `None` if values of this type name nothing: lists, structs, maps.
    pub fn new(array: &'a ArrayRef) -> Option<Self> {
        let kind = match array.data_type() {
            DataType::Utf8View => Kind::Text,
            DataType::BinaryView | DataType::FixedSizeBinary(_) => Kind::Bytes,
            DataType::Boolean => Kind::Bool,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float,
            DataType::Int8 => Kind::Integer(write_integer::<Int8Type>),
            DataType::Int16 => Kind::Integer(write_integer::<Int16Type>),
            DataType::Int32 => Kind::Integer(write_integer::<Int32Type>),
            DataType::Int64 => Kind::Integer(write_integer::<Int64Type>),
            DataType::UInt8 => Kind::Integer(write_integer::<UInt8Type>),
            DataType::UInt16 => Kind::Integer(write_integer::<UInt16Type>),
            DataType::UInt32 => Kind::Integer(write_integer::<UInt32Type>),
            DataType::UInt64 => Kind::Integer(write_integer::<UInt64Type>),
            DataType::Timestamp(unit, zone) => Kind::Timestamp {
                values: time::timestamps(array, *unit),
                unit: *unit,
                is_instant: zone.is_some(),
            },
            other if other.is_nested() => return None,
            _ => Kind::Other(ArrayFormatter::try_new(array, &OPTIONS).ok()?),
        };
        Some(Self { array, kind })
    }

    pub fn len(&self) -> usize {
        self.array.len()
    }

    pub fn is_empty(&self) -> bool {
        self.array.is_empty()
    }

    /// Writes the uid of a row to `text`, in place of what is there; false if the row has none.
    pub fn write(&self, row: usize, text: &mut String) -> bool {
        text.clear();
        if self.array.is_null(row) {
            return false;
        }
        match &self.kind {
            Kind::Text => text.push_str(self.array.as_string_view().value(row)),
            Kind::Bytes => match self.bytes(row) {
                [] => {}
                bytes => text.push_str(&python_bytes(bytes)),
            },
            Kind::Bool => text.push_str(if self.array.as_boolean().value(row) { "True" } else { "False" }),
            Kind::Float => match self.float(row) {
                value if value.is_nan() => {}
                value => text.push_str(&python_float(value)),
            },
            Kind::Integer(write) => write(self.array, row, text),
            Kind::Timestamp { values, unit, is_instant } => {
                let mut iso = Vec::new();
                time::write_timestamp(time::nanos(values[row], *unit), *is_instant, &mut iso);
                text.extend(iso.iter().map(|byte| if *byte == b'T' { ' ' } else { char::from(*byte) }));
            }
            Kind::Other(formatter) => put(text, formatter.value(row)),
        }
        !text.is_empty()
    }

    /// The hash of a row's uid; `text` is a buffer. `None` if the row has none.
    pub fn hash(&self, row: usize, text: &mut String) -> Option<u64> {
        if let Kind::Text = self.kind {
            let uid = self.array.is_valid(row).then(|| self.array.as_string_view().value(row))?;
            return (!uid.is_empty()).then(|| hash_uid(uid));
        }
        self.write(row, text).then(|| hash_uid(text))
    }

    fn bytes(&self, row: usize) -> &[u8] {
        match self.array.as_binary_view_opt() {
            Some(array) => array.value(row),
            None => self.array.as_fixed_size_binary().value(row),
        }
    }

    fn float(&self, row: usize) -> f64 {
        match self.array.data_type() {
            DataType::Float16 => self.array.as_primitive::<Float16Type>().value(row).to_f64(),
            DataType::Float32 => f64::from(self.array.as_primitive::<Float32Type>().value(row)),
            _ => self.array.as_primitive::<Float64Type>().value(row),
        }
    }
}

static OPTIONS: FormatOptions<'static> = FormatOptions::new();

fn put(text: &mut String, value: impl Display) {
    write!(text, "{value}").expect("writing to a string cannot fail");
}

fn write_integer<T: ArrowPrimitiveType>(array: &dyn Array, row: usize, text: &mut String)
where
    T::Native: Display,
{
    put(text, array.as_primitive::<T>().value(row));
}

/// A float as Python's `repr` prints it.
pub(crate) fn python_float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let text = format!("{value:?}");
    // The same rule for exponents, but `1e16` and `1e-5` are `1e+16` and `1e-05`.
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Bytes as Python's `repr` prints them.
pub(crate) fn python_bytes(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut text = String::with_capacity(bytes.len() + 3);
    text.push('b');
    text.push(quote);
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\'' if quote == '\'' => text.push_str("\\'"),
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            0x20..=0x7e => text.push(char::from(*byte)),
            byte => put(&mut text, format_args!("\\x{byte:02x}")),
        }
    }
    text.push(quote);
    text
}

/// How many bytes a text of [`python_bytes`] stands for.
pub(crate) fn python_bytes_length(text: &str) -> Option<usize> {
    let mut rest = text.get(2..text.len().checked_sub(1)?)?.as_bytes();
    let mut length = 0;
    while let Some(byte) = rest.first() {
        let taken = match (byte, rest.get(1)) {
            (b'\\', Some(b'x')) => 4,
            (b'\\', _) => 2,
            _ => 1,
        };
        rest = rest.get(taken..)?;
        length += 1;
    }
    Some(length)
}
