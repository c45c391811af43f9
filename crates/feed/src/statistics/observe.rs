//! Statistics of one column, fed with arrays as they are read: one pass, columnar, in bounded memory.

use super::distinct::Distinct;
use super::histogram::of_sorted;
use super::{ColumnStatistics, Frequencies, KEYS_MAX, Measured, Moments, StatisticsKind};
use crate::format::json_length;
use crate::uid_index::{python_bytes, python_float};
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericListArray, OffsetSizeTrait, PrimitiveArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use xxhash_rust::xxh3::xxh3_64;

/// Values kept of a column for its median and histogram, and of all columns of a file together.
const VALUES_MAX: usize = 1 << 18;
const VALUES_MAX_ALL: usize = 1 << 25;
const VALUES_MIN: usize = 1 << 10;
/// A longer text makes its column numeric.
const KEY_BYTES_MAX: usize = 256;
const NUMBERS_MAX: usize = 10;

pub(crate) struct ColumnObserver {
    kind: Option<StatisticsKind>,
    measured: Option<Measured>,
    /// The column has no statistics: of no such type, or of differing ones.
    given_up: bool,
    /// The bits that name integers are unsigned.
    unsigned: bool,
    missing: u64,
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    sum_squared: f64,
    kept: Vec<f64>,
    kept_max: usize,
    /// Every how manieth value is kept.
    stride: u64,
    distinct: Distinct,
}

impl ColumnObserver {
    /// For one of `columns` columns; `kind` is that of earlier files.
    pub(crate) fn new(kind: Option<StatisticsKind>, columns: usize) -> Self {
        Self {
            kind,
            measured: None,
            given_up: false,
            unsigned: false,
            missing: 0,
            count: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            sum_squared: 0.0,
            kept: Vec::new(),
            kept_max: (VALUES_MAX_ALL / columns.max(1)).clamp(VALUES_MIN, VALUES_MAX),
            stride: 1,
            distinct: Distinct::new(KEYS_MAX),
        }
    }

    /// Counts rows that the column lacked in the file.
    pub(crate) fn add_missing(&mut self, rows: u64) {
        self.missing += rows;
    }

    /// Takes the next rows; `json`: its cells are JSON texts.
    pub(crate) fn observe(&mut self, array: &ArrayRef, json: bool) {
        if self.given_up {
            return;
        }
        match array.data_type() {
            DataType::Null => self.missing += array.len() as u64,
            DataType::Boolean => {
                let array = array.as_boolean();
                self.begin(Measured::Bool);
                self.missing += array.null_count() as u64;
                array
                    .iter()
                    .flatten()
                    .for_each(|value| self.number(f64::from(u8::from(value)), u64::from(value)));
            }
            DataType::Int8 => self.integers::<Int8Type>(array),
            DataType::Int16 => self.integers::<Int16Type>(array),
            DataType::Int32 => self.integers::<Int32Type>(array),
            DataType::Int64 => self.integers::<Int64Type>(array),
            DataType::UInt8 => self.integers::<UInt8Type>(array),
            DataType::UInt16 => self.integers::<UInt16Type>(array),
            DataType::UInt32 => self.integers::<UInt32Type>(array),
            DataType::UInt64 => {
                self.unsigned = true;
                self.integers::<UInt64Type>(array);
            }
            DataType::Float16 => self.floats::<Float16Type>(array, |value| value.to_f64()),
            DataType::Float32 => self.floats::<Float32Type>(array, f64::from),
            DataType::Float64 => self.floats::<Float64Type>(array, |value| value),
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => match cast(array, &DataType::Float64) {
                Ok(floats) => self.floats::<Float64Type>(&floats, |value| value),
                Err(_) => self.given_up = true,
            },
            DataType::Utf8View if json => self.json_items(array),
            DataType::Utf8View => self.texts(array),
            DataType::BinaryView => {
                self.begin(Measured::Bytes);
                self.bytes(array.as_binary_view().iter());
            }
            DataType::FixedSizeBinary(_) => {
                self.begin(Measured::Bytes);
                self.bytes(array.as_fixed_size_binary().iter());
            }
            _ => self.nested(array),
        }
    }

    fn nested(&mut self, array: &ArrayRef) {
        self.begin(Measured::Items);
        match array.data_type() {
            DataType::List(_) => self.lists(array.as_list::<i32>()),
            DataType::LargeList(_) => self.lists(array.as_list::<i64>()),
            DataType::FixedSizeList(_, length) => self.equal_items(array, f64::from(*length)),
            DataType::Struct(fields) => self.equal_items(array, fields.len() as f64),
            DataType::Map(_, _) => {
                let map = array.as_map();
                for row in 0..map.len() {
                    let length = map.is_valid(row).then(|| f64::from(map.value_length(row)));
                    self.item(length);
                }
            }
            _ => self.given_up = true,
        }
    }

    /// Settles what is measured. Integers may turn out to be floats; anything else that changes ends it.
    fn begin(&mut self, measured: Measured) {
        match (self.measured, measured) {
            (None, _) => self.measured = Some(measured),
            (Some(known), measured) if known == measured => {}
            (Some(Measured::Int), Measured::Float) => {
                self.distinct = self.distinct.renamed(|bits| (bits.cast_signed() as f64).to_bits());
                self.measured = Some(Measured::Float);
            }
            (Some(Measured::Float), Measured::Int) => {}
            _ => self.given_up = true,
        }
        if measured == Measured::Items {
            self.distinct.give_up();
        }
        // Where the kind is still open, more distinct numbers than these settle it.
        let is_number = matches!(measured, Measured::Bool | Measured::Int | Measured::Float);
        let limit = if is_number && self.kind.is_none() { NUMBERS_MAX } else { KEYS_MAX };
        if self.distinct.values().is_some_and(|values| values.len() > limit) || self.is_numeric() {
            self.distinct.give_up();
        }
    }

    fn is_numeric(&self) -> bool {
        self.kind == Some(StatisticsKind::Numeric)
    }

    fn integers<T>(&mut self, array: &ArrayRef)
    where
        T: ArrowPrimitiveType,
        T::Native: IntegerBits,
    {
        self.begin(Measured::Int);
        let as_float = self.measured == Some(Measured::Float);
        self.primitives::<T>(array.as_primitive(), |value| {
            let float = value.float();
            (float, if as_float { float.to_bits() } else { value.bits() })
        });
    }

    fn floats<T: ArrowPrimitiveType>(&mut self, array: &ArrayRef, float: impl Fn(T::Native) -> f64) {
        self.begin(Measured::Float);
        self.primitives::<T>(array.as_primitive(), |value| {
            // The two zeros are one value.
            let float = float(value) + 0.0;
            (float, float.to_bits())
        });
    }

    fn primitives<T: ArrowPrimitiveType>(
        &mut self,
        array: &PrimitiveArray<T>,
        parts: impl Fn(T::Native) -> (f64, u64),
    ) {
        self.missing += array.null_count() as u64;
        if array.null_count() == 0 {
            for value in array.values() {
                let (float, bits) = parts(*value);
                self.number(float, bits);
            }
            return;
        }
        for value in array.iter().flatten() {
            let (float, bits) = parts(value);
            self.number(float, bits);
        }
    }

    fn number(&mut self, value: f64, bits: u64) {
        if !value.is_finite() {
            self.missing += 1;
            return;
        }
        self.measure(value);
        if !self.distinct.is_over() {
            self.distinct.add(bits, String::new);
            let open = self.kind.is_none();
            if open && self.distinct.values().is_some_and(|values| values.len() > NUMBERS_MAX) {
                self.distinct.give_up();
            }
        }
    }

    fn measure(&mut self, value: f64) {
        if self.count.is_multiple_of(self.stride) {
            if self.kept.len() == self.kept_max {
                let mut place = 0;
                self.kept.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.kept.push(value);
            }
        }
        self.count += 1;
        self.sum += value;
        self.sum_squared += value * value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn texts(&mut self, array: &ArrayRef) {
        self.begin(Measured::Text);
        for text in array.as_string_view().iter() {
            let Some(text) = text.filter(|text| !text.is_empty()) else {
                self.missing += 1;
                continue;
            };
            let characters = if text.is_ascii() { text.len() } else { text.chars().count() };
            self.measure(characters as f64);
            self.key(text.as_bytes(), || text.to_owned());
        }
    }

    fn bytes<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) {
        for value in values {
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                self.missing += 1;
                continue;
            };
            self.measure(value.len() as f64);
            self.key(value, || python_bytes(value));
        }
    }

    fn key(&mut self, bytes: &[u8], key: impl FnOnce() -> String) {
        if self.distinct.is_over() {
            return;
        }
        match bytes.len() > KEY_BYTES_MAX {
            true => self.distinct.give_up(),
            false => self.distinct.add(xxh3_64(bytes), key),
        }
    }

    fn json_items(&mut self, array: &ArrayRef) {
        self.begin(Measured::Items);
        for text in array.as_string_view().iter() {
            self.item(text.and_then(json_length).map(|items| items as f64));
        }
    }

    fn lists<O: OffsetSizeTrait>(&mut self, array: &GenericListArray<O>) {
        for row in 0..array.len() {
            let length = array.is_valid(row).then(|| array.value_length(row).as_usize() as f64);
            self.item(length);
        }
    }

    fn equal_items(&mut self, array: &ArrayRef, length: f64) {
        (0..array.len()).for_each(|row| self.item(array.is_valid(row).then_some(length)));
    }

    fn item(&mut self, length: Option<f64>) {
        match length {
            Some(length) => self.measure(length),
            None => self.missing += 1,
        }
    }

    /// The statistics of what was observed; `None` for a column without any, or without a value to decide its kind.
    pub(crate) fn finish(mut self) -> Option<ColumnStatistics> {
        let measured = self.measured.filter(|_| !self.given_up)?;
        if self.count == 0 && self.kind.is_none() {
            return None;
        }
        if let Some(counts) = self.frequencies(measured) {
            let frequencies = Frequencies { measured, counts, nan_count: self.missing };
            return Some(ColumnStatistics::Categorical(frequencies));
        }
        self.kept.sort_unstable_by(f64::total_cmp);
        let (min, max) = if self.count == 0 { (0.0, 0.0) } else { (self.min, self.max) };
        let (histogram, median) = of_sorted(&self.kept, self.count, (min, max));
        Some(ColumnStatistics::Numeric(Moments {
            histogram,
            nan_count: self.missing,
            count: self.count,
            min,
            max,
            sum: self.sum,
            sum_squared: self.sum_squared,
            median,
        }))
    }

    fn frequencies(&self, measured: Measured) -> Option<Vec<(String, u64)>> {
        let values = self.distinct.values()?;
        let rows = self.count + self.missing;
        let few = match measured {
            Measured::Bool | Measured::Int | Measured::Float => NUMBERS_MAX as u64,
            Measured::Text | Measured::Bytes => (rows / 10).clamp(2, 99),
            Measured::Items => return None,
        };
        if self.is_numeric() || (self.kind.is_none() && values.len() as u64 > few) {
            return None;
        }
        let key = |bits: u64, key: &String| match measured {
            Measured::Bool => if bits == 1 { "True" } else { "False" }.to_owned(),
            Measured::Int if self.unsigned => bits.to_string(),
            Measured::Int => bits.cast_signed().to_string(),
            Measured::Float => python_float(f64::from_bits(bits)),
            Measured::Text | Measured::Bytes | Measured::Items => key.clone(),
        };
        Some(values.iter().map(|value| (key(value.bits, &value.key), value.count)).collect())
    }
}

/// Integers as floats, and as 64 bits that name them.
trait IntegerBits: Copy {
    fn float(self) -> f64;
    fn bits(self) -> u64;
}

macro_rules! integer_bits {
    ($($name:ty),*) => {
        $(impl IntegerBits for $name {
            fn float(self) -> f64 {
                self as f64
            }

            fn bits(self) -> u64 {
                (self as i64).cast_unsigned()
            }
        })*
    };
}

integer_bits!(i8, i16, i32, i64, u8, u16, u32, u64);
