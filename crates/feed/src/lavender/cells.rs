//! An array as a row-by-row writer of items: the type is looked at once, when the writer is made.
//!
//! Every value becomes the item that the client reads back as the Python value that `pyarrow` would give for it; where
//! the format has none, as text (docs/formats/lavender-batch.md has the table). Leaves are here, lists and their like
//! in `nested`. Driven by `lavender::encode` and `preview`. Nothing is cached over batches: making the writers of six
//! columns costs less than a microsecond.

use super::blobs::Blobs;
use super::nested;
use super::segments::{COPY_MAX, SegmentWriter, TooLong};
use super::text::{NonFinite, write_bool, write_float, write_int, write_json, write_string};
use super::time;
use crate::format::cells_are_json;
use crate::rows::NullAs;
use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::*;
use std::ops::Range;

/// Types nested deeper than this are refused.
pub(super) const DEPTH_MAX: usize = 64;

/// Rows of one array as items or as JSON text.
pub(super) trait Cells {
    /// Appends the item of `row`: tag and payload, without its length.
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong>;

    /// Appends each row's item after its length.
    fn items(&self, rows: Range<usize>, out: &mut SegmentWriter) -> Result<(), TooLong> {
        for row in rows {
            let mark = out.begin();
            self.item(row, out)?;
            out.end(mark)?;
        }
        Ok(())
    }

    /// Appends `row` as JSON; bytes, which JSON lacks, as a placeholder.
    fn json(&self, row: usize, out: &mut Vec<u8>);

    /// Whether JSON says all of every row, which it does unless there are bytes somewhere.
    fn is_json(&self) -> bool;
}

/// How values are written.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Lists and structs without bytes as one JSON text.
    pub(super) json_lists: bool,
    pub(super) non_finite: NonFinite,
    pub(super) depth: usize,
}

impl Style {
    /// The style one level further in.
    pub(super) fn deeper(self) -> Result<Self, NoCells> {
        if self.depth >= DEPTH_MAX {
            return Err(NoCells);
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

/// The type is nested too deeply.
#[derive(Debug)]
pub(super) struct NoCells;

pub(super) type BoxCells<'a> = Box<dyn Cells + 'a>;

/// The writer of a column's rows: as its field says.
pub(super) fn column_cells<'a>(
    field: &Field,
    array: &'a dyn Array,
    style: Style,
) -> Result<BoxCells<'a>, NoCells> {
    let null = NullAs::of_field(field);
    if !cells_are_json(field) || !is_text(array.data_type()) {
        return cells(array, null, style);
    }
    let (blobs, non_finite) = (Blobs::of(array).ok_or(NoCells)?, style.non_finite);
    let of = Leaf { nulls: array.nulls(), null, non_finite };
    Ok(of.text(move |row, out| write_json(blobs.get(row), non_finite, out)))
}

/// Whether a type's values are texts.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The writer of an array's rows; `null` is what its nulls become (those inside its values become None).
pub(super) fn cells<'a>(array: &'a dyn Array, null: NullAs, style: Style) -> Result<BoxCells<'a>, NoCells> {
    use DataType as T;
    let of = Leaf { nulls: array.nulls(), null, non_finite: style.non_finite };
    Ok(match array.data_type() {
        T::Null => Box::new(Absent { null, non_finite: style.non_finite }),
        T::Boolean => {
            let values = array.as_boolean().values();
            of.text(move |row, out| write_bool(values.value(row), out))
        }
        T::Int8 => of.int(array.as_primitive::<Int8Type>()),
        T::Int16 => of.int(array.as_primitive::<Int16Type>()),
        T::Int32 => of.int(array.as_primitive::<Int32Type>()),
        T::Int64 => of.int(array.as_primitive::<Int64Type>()),
        T::UInt8 => of.int(array.as_primitive::<UInt8Type>()),
        T::UInt16 => of.int(array.as_primitive::<UInt16Type>()),
        T::UInt32 => of.int(array.as_primitive::<UInt32Type>()),
        T::UInt64 => of.int(array.as_primitive::<UInt64Type>()),
        T::Float16 => of.float(array.as_primitive::<Float16Type>(), |value| value.to_f64()),
        T::Float32 => of.float(array.as_primitive::<Float32Type>(), f64::from),
        T::Float64 => of.float(array.as_primitive::<Float64Type>(), |value| value),
        T::Decimal32(..) => of.decimal(array.as_primitive::<Decimal32Type>()),
        T::Decimal64(..) => of.decimal(array.as_primitive::<Decimal64Type>()),
        T::Decimal128(..) => of.decimal(array.as_primitive::<Decimal128Type>()),
        T::Decimal256(..) => of.decimal(array.as_primitive::<Decimal256Type>()),
        T::Utf8 | T::LargeUtf8 | T::Utf8View => {
            let blobs = Blobs::of(array).ok_or(NoCells)?;
            of.text(move |row, out| write_string(blobs.get(row), out))
        }
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            Box::new(Binary { nulls: array.nulls(), null, blobs: Blobs::of(array).ok_or(NoCells)? })
        }
        T::Timestamp(..)
        | T::Date32
        | T::Date64
        | T::Time32(_)
        | T::Time64(_)
        | T::Duration(_)
        | T::Interval(_) => temporal(array, of),
        T::List(_)
        | T::LargeList(_)
        | T::ListView(_)
        | T::LargeListView(_)
        | T::FixedSizeList(..)
        | T::Struct(_)
        | T::Map(..)
        | T::Dictionary(..)
        | T::RunEndEncoded(..)
        | T::Union(..) => return nested::cells(array, null, style.deeper()?),
    })
}

fn temporal<'a>(array: &'a dyn Array, of: Leaf<'a>) -> BoxCells<'a> {
    use DataType as T;
    match array.data_type() {
        T::Timestamp(unit, zone) => {
            let (unit, is_instant) = (*unit, zone.is_some());
            let values = time::timestamps(array, unit);
            of.quoted(move |row, out| {
                time::write_timestamp(time::nanos(values[row], unit), is_instant, out);
            })
        }
        T::Date32 => {
            let values = array.as_primitive::<Date32Type>().values();
            of.quoted(move |row, out| time::write_date(i64::from(values[row]), out))
        }
        T::Date64 => {
            let values = array.as_primitive::<Date64Type>().values();
            of.quoted(move |row, out| time::write_date(values[row].div_euclid(86_400_000), out))
        }
        T::Time32(unit) => {
            let unit = *unit;
            let values: &[i32] = match unit {
                TimeUnit::Second => array.as_primitive::<Time32SecondType>().values(),
                _ => array.as_primitive::<Time32MillisecondType>().values(),
            };
            of.quoted(move |row, out| time::write_clock(time::nanos(i64::from(values[row]), unit), out))
        }
        T::Time64(unit) => {
            let unit = *unit;
            let values: &[i64] = match unit {
                TimeUnit::Microsecond => array.as_primitive::<Time64MicrosecondType>().values(),
                _ => array.as_primitive::<Time64NanosecondType>().values(),
            };
            of.quoted(move |row, out| time::write_clock(time::nanos(values[row], unit), out))
        }
        T::Duration(unit) => {
            let unit = *unit;
            let values: &[i64] = match unit {
                TimeUnit::Second => array.as_primitive::<DurationSecondType>().values(),
                TimeUnit::Millisecond => array.as_primitive::<DurationMillisecondType>().values(),
                TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().values(),
                TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().values(),
            };
            of.text(move |row, out| time::write_seconds(time::nanos(values[row], unit), out))
        }
        T::Interval(IntervalUnit::YearMonth) => {
            let values = array.as_primitive::<IntervalYearMonthType>().values();
            of.quoted(move |row, out| time::write_interval(i64::from(values[row]), 0, 0, out))
        }
        T::Interval(IntervalUnit::DayTime) => {
            let values = array.as_primitive::<IntervalDayTimeType>().values();
            of.quoted(move |row, out| {
                let nanos = i128::from(values[row].milliseconds) * 1_000_000;
                time::write_interval(0, i64::from(values[row].days), nanos, out);
            })
        }
        _ => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>().values();
            of.quoted(move |row, out| {
                let IntervalMonthDayNano { months, days, nanoseconds } = values[row];
                time::write_interval(i64::from(months), i64::from(days), i128::from(nanoseconds), out);
            })
        }
    }
}

/// What all leaves share.
#[derive(Clone, Copy)]
struct Leaf<'a> {
    nulls: Option<&'a NullBuffer>,
    null: NullAs,
    non_finite: NonFinite,
}

impl<'a> Leaf<'a> {
    fn int<T: ArrowPrimitiveType>(self, array: &'a PrimitiveArray<T>) -> BoxCells<'a>
    where
        T::Native: itoa::Integer,
    {
        let values: &[T::Native] = array.values();
        self.text(move |row, out| write_int(values[row], out))
    }

    fn float<T: ArrowPrimitiveType>(
        self,
        array: &'a PrimitiveArray<T>,
        widen: impl Fn(T::Native) -> f64 + 'a,
    ) -> BoxCells<'a> {
        let values: &[T::Native] = array.values();
        let non_finite = self.non_finite;
        self.text(move |row, out| write_float(widen(values[row]), non_finite, out))
    }

    fn decimal<T: DecimalType>(self, array: &'a PrimitiveArray<T>) -> BoxCells<'a> {
        self.quoted(move |row, out| out.extend_from_slice(array.value_as_string(row).as_bytes()))
    }

    /// Text without characters that JSON escapes, in quotes.
    fn quoted(self, write: impl Fn(usize, &mut Vec<u8>) + 'a) -> BoxCells<'a> {
        self.text(move |row, out| {
            out.push(b'"');
            write(row, out);
            out.push(b'"');
        })
    }

    fn text(self, write: impl Fn(usize, &mut Vec<u8>) + 'a) -> BoxCells<'a> {
        Box::new(Text { leaf: self, write })
    }
}

/// Values that are a JSON text each.
struct Text<'a, W> {
    leaf: Leaf<'a>,
    write: W,
}

impl<W: Fn(usize, &mut Vec<u8>)> Cells for Text<'_, W> {
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        if self.leaf.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.put(self.leaf.null.item());
            return Ok(());
        }
        let small = out.small();
        small.extend_from_slice(b"js");
        (self.write)(row, small);
        Ok(())
    }

    fn items(&self, rows: Range<usize>, out: &mut SegmentWriter) -> Result<(), TooLong> {
        let small = out.small();
        for row in rows {
            let start = small.len();
            if self.leaf.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                small.extend_from_slice(&[0; 4]);
                small.extend_from_slice(self.leaf.null.item());
            } else {
                small.extend_from_slice(b"\0\0\0\0js");
                (self.write)(row, small);
            }
            let length = u32::try_from(small.len() - start - 4).map_err(|_| TooLong)?;
            small[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.leaf.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(self.leaf.null.json(self.leaf.non_finite == NonFinite::Null));
        } else {
            (self.write)(row, out);
        }
    }

    fn is_json(&self) -> bool {
        // A null that becomes bytes is one that JSON cannot say.
        self.leaf.null != NullAs::Bytes || self.leaf.nulls.is_none()
    }
}

/// A column without values.
struct Absent {
    null: NullAs,
    non_finite: NonFinite,
}

impl Cells for Absent {
    fn item(&self, _row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        out.put(self.null.item());
        Ok(())
    }

    fn json(&self, _row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.null.json(self.non_finite == NonFinite::Null));
    }

    fn is_json(&self) -> bool {
        self.null != NullAs::Bytes
    }
}

/// Values that are bytes.
struct Binary<'a> {
    nulls: Option<&'a NullBuffer>,
    null: NullAs,
    blobs: Blobs<'a>,
}

impl Cells for Binary<'_> {
    fn item(&self, row: usize, out: &mut SegmentWriter) -> Result<(), TooLong> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.put(self.null.item());
            return Ok(());
        }
        out.put(b"by");
        if self.blobs.len(row) <= COPY_MAX {
            out.put(self.blobs.get(row));
        } else {
            out.put_shared(self.blobs.share(row));
        }
        Ok(())
    }

    fn json(&self, row: usize, out: &mut Vec<u8>) {
        let null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
        out.extend_from_slice(if null { b"null" } else { b"\"<bytes>\"" });
    }

    fn is_json(&self) -> bool {
        false
    }
}
