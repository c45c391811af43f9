//! The built-in filter `min_max`: samples whose value lies strictly between two bounds.
//!
//! The meaning is that of Python's `float()` on the value a sample has: numbers, booleans and decimals count, text and
//! bytes that read as a number too; everything else (nulls, times, lists) leaves the sample out. NaN is neither below
//! nor above a bound, so it stays, and so does a joined column's null that becomes NaN.

use super::NullAs;
use crate::lavender::blobs::Blobs;
use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::*;

/// Bounds that are themselves outside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MinMax {
    pub min: Option<f64>,
    pub max: Option<f64>,
}

impl MinMax {
    fn holds(self, value: f64) -> bool {
        // As "not at or beyond a bound", which holds for NaN.
        !self.min.is_some_and(|min| value <= min) && !self.max.is_some_and(|max| value >= max)
    }
}

/// Which rows of `column` are kept; `null` is what its nulls count as. A sample without the column is left out: then the
/// caller has no column to ask about.
pub fn filter_min_max(column: &dyn Array, null: NullAs, bounds: MinMax) -> BooleanBuffer {
    let kept = values_within(column, bounds);
    let null_kept = null == NullAs::Nan;
    match column.logical_nulls() {
        None => kept,
        Some(nulls) if null_kept => &kept | &!nulls.inner(),
        Some(nulls) => &kept & nulls.inner(),
    }
}

/// The test on every row; on nulls with any outcome.
fn values_within(column: &dyn Array, bounds: MinMax) -> BooleanBuffer {
    use DataType as T;
    match column.data_type() {
        T::Int8 => integers(column.as_primitive::<Int8Type>(), bounds, f64::from),
        T::Int16 => integers(column.as_primitive::<Int16Type>(), bounds, f64::from),
        T::Int32 => integers(column.as_primitive::<Int32Type>(), bounds, f64::from),
        T::Int64 => integers(column.as_primitive::<Int64Type>(), bounds, |value| value as f64),
        T::UInt8 => integers(column.as_primitive::<UInt8Type>(), bounds, f64::from),
        T::UInt16 => integers(column.as_primitive::<UInt16Type>(), bounds, f64::from),
        T::UInt32 => integers(column.as_primitive::<UInt32Type>(), bounds, f64::from),
        T::UInt64 => integers(column.as_primitive::<UInt64Type>(), bounds, |value| value as f64),
        T::Float16 => integers(column.as_primitive::<Float16Type>(), bounds, |value| value.to_f64()),
        T::Float32 => integers(column.as_primitive::<Float32Type>(), bounds, f64::from),
        T::Float64 => integers(column.as_primitive::<Float64Type>(), bounds, |value| value),
        T::Decimal32(..) => decimals(column.as_primitive::<Decimal32Type>(), bounds),
        T::Decimal64(..) => decimals(column.as_primitive::<Decimal64Type>(), bounds),
        T::Decimal128(..) => decimals(column.as_primitive::<Decimal128Type>(), bounds),
        T::Decimal256(..) => decimals(column.as_primitive::<Decimal256Type>(), bounds),
        T::Boolean => {
            let values = column.as_boolean().values();
            collect(values.len(), |row| bounds.holds(f64::from(u8::from(values.value(row)))))
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => {
            // Python's spaces are Unicode's and the four ASCII separators.
            texts(column, bounds, |c| c.is_whitespace() || matches!(c, '\x1c'..='\x1f'))
        }
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            texts(column, bounds, |c| c.is_ascii_whitespace() || c == '\x0b')
        }
        T::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let values = dictionary.values();
            if values.is_empty() {
                return BooleanBuffer::new_unset(column.len());
            }
            let kept = values_within(values, bounds);
            let keys = dictionary.normalized_keys();
            collect(keys.len(), |row| kept.value(keys[row]))
        }
        _ => BooleanBuffer::new_unset(column.len()),
    }
}

fn collect(rows: usize, is_kept: impl FnMut(usize) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(rows, is_kept)
}

fn integers<T: ArrowPrimitiveType>(
    column: &PrimitiveArray<T>,
    bounds: MinMax,
    to_float: impl Fn(T::Native) -> f64,
) -> BooleanBuffer {
    let values = column.values();
    collect(values.len(), |row| bounds.holds(to_float(values[row])))
}

fn decimals<T: DecimalType>(column: &PrimitiveArray<T>, bounds: MinMax) -> BooleanBuffer {
    collect(column.len(), |row| column.value_as_string(row).parse().is_ok_and(|value| bounds.holds(value)))
}

fn texts(column: &dyn Array, bounds: MinMax, is_space: impl Fn(char) -> bool) -> BooleanBuffer {
    let Some(blobs) = Blobs::of(column) else { return BooleanBuffer::new_unset(column.len()) };
    collect(column.len(), |row| {
        // The bytes of nulls may be anything; of text they are UTF-8.
        let text = std::str::from_utf8(blobs.get(row)).ok();
        text.and_then(|text| parse(text.trim_matches(&is_space))).is_some_and(|value| bounds.holds(value))
    })
}

/// A number as Python reads it: as Rust does, and with single underscores between digits. (Digits of other scripts,
/// which Python reads too, are not numbers here.)
fn parse(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return text.parse().ok();
    }
    let bytes = text.as_bytes();
    let is_digit = |place: Option<usize>| place.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let between_digits = |at: usize| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    let all_between = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || between_digits(at));
    if all_between { text.replace('_', "").parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
