//! Types from the texts that pyarrow prints. A text that names none is no type; nesting is bounded.
//!
//! Names of fields may hold any characters but `: `, which ends them.

use super::{DEPTH_MAX, map_type};
use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use std::sync::Arc;

pub(super) fn parse(text: &str) -> Option<DataType> {
    let mut rest = Rest { text, depth: 0 };
    let data_type = rest.data_type()?;
    rest.text.is_empty().then_some(data_type)
}

struct Rest<'a> {
    text: &'a str,
    depth: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, prefix: &str) -> Option<()> {
        self.text = self.text.strip_prefix(prefix)?;
        Some(())
    }

    fn word(&mut self) -> &'a str {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.text.find(|c: char| !is_word(c)).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        self.text = rest;
        word
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        let end = self.text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.text.len());
        let (digits, rest) = self.text.split_at(end);
        self.text = rest;
        digits.parse().ok()
    }

    fn data_type(&mut self) -> Option<DataType> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let word = self.word();
        let data_type = match simple(word) {
            Some(data_type) => data_type,
            None => self.parametric(word)?,
        };
        self.depth -= 1;
        Some(data_type)
    }

    fn parametric(&mut self, word: &str) -> Option<DataType> {
        match word {
            "date32" => self.take("[day]").map(|()| DataType::Date32),
            "date64" => self.take("[ms]").map(|()| DataType::Date64),
            "time32" => self.unit().map(DataType::Time32),
            "time64" => self.unit().map(DataType::Time64),
            "duration" => self.unit().map(DataType::Duration),
            "timestamp" => self.timestamp(),
            "decimal32" => self.decimal().map(|(precision, scale)| DataType::Decimal32(precision, scale)),
            "decimal64" => self.decimal().map(|(precision, scale)| DataType::Decimal64(precision, scale)),
            "decimal128" => self.decimal().map(|(precision, scale)| DataType::Decimal128(precision, scale)),
            "decimal256" => self.decimal().map(|(precision, scale)| DataType::Decimal256(precision, scale)),
            "fixed_size_binary" => self.length().map(DataType::FixedSizeBinary),
            "list" => self.item().map(DataType::List),
            "large_list" => self.item().map(DataType::LargeList),
            "list_view" => self.item().map(DataType::ListView),
            "large_list_view" => self.item().map(DataType::LargeListView),
            "fixed_size_list" => {
                let item = self.item()?;
                Some(DataType::FixedSizeList(item, self.length()?))
            }
            "struct" => self.structure(),
            "map" => self.map(),
            "dictionary" => self.dictionary(),
            _ => None,
        }
    }

    fn unit_name(&mut self) -> Option<TimeUnit> {
        Some(match self.word() {
            "s" => TimeUnit::Second,
            "ms" => TimeUnit::Millisecond,
            "us" => TimeUnit::Microsecond,
            "ns" => TimeUnit::Nanosecond,
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<TimeUnit> {
        self.take("[")?;
        let unit = self.unit_name()?;
        self.take("]").map(|()| unit)
    }

    fn timestamp(&mut self) -> Option<DataType> {
        self.take("[")?;
        let unit = self.unit_name()?;
        let mut zone = None;
        if self.take(", tz=").is_some() {
            let end = self.text.find(']')?;
            zone = Some(Arc::from(&self.text[..end]));
            self.text = &self.text[end..];
        }
        self.take("]").map(|()| DataType::Timestamp(unit, zone))
    }

    fn decimal(&mut self) -> Option<(u8, i8)> {
        self.take("(")?;
        let precision = self.number()?;
        self.take(", ")?;
        let scale = self.number()?;
        self.take(")").map(|()| (precision, scale))
    }

    fn length(&mut self) -> Option<i32> {
        self.take("[")?;
        let length = self.number().filter(|length| *length >= 0)?;
        self.take("]").map(|()| length)
    }

    fn field(&mut self) -> Option<Field> {
        let (name, rest) = self.text.split_once(": ")?;
        self.text = rest;
        let data_type = self.data_type()?;
        let nullable = self.take(" not null").is_none();
        Some(Field::new(name, data_type, nullable))
    }

    fn item(&mut self) -> Option<Arc<Field>> {
        self.take("<")?;
        let item = self.field()?;
        self.take(">").map(|()| Arc::new(item))
    }

    fn structure(&mut self) -> Option<DataType> {
        self.take("<")?;
        let mut fields = Vec::new();
        while self.take(">").is_none() {
            if !fields.is_empty() {
                self.take(", ")?;
            }
            fields.push(self.field()?);
        }
        Some(DataType::Struct(Fields::from(fields)))
    }

    fn map(&mut self) -> Option<DataType> {
        self.take("<")?;
        let key = self.map_part("key", false)?;
        self.take(", ")?;
        let value = self.map_part("value", true)?;
        let sorted = self.take(", keys_sorted").is_some();
        self.take(">").map(|()| map_type(key, value, sorted))
    }

    fn map_part(&mut self, usual: &str, nullable: bool) -> Option<Field> {
        let data_type = self.data_type()?;
        let mut name = usual;
        if self.take(" ('").is_some() {
            let end = self.text.find("')")?;
            name = &self.text[..end];
            self.text = &self.text[end + 2..];
        }
        Some(Field::new(name, data_type, nullable))
    }

    fn dictionary(&mut self) -> Option<DataType> {
        self.take("<values=")?;
        let values = self.data_type()?;
        self.take(", indices=")?;
        let indices = self.data_type().filter(DataType::is_integer)?;
        self.take(", ordered=")?;
        self.number::<u8>()?;
        self.take(">").map(|()| DataType::Dictionary(Box::new(indices), Box::new(values)))
    }
}

fn simple(word: &str) -> Option<DataType> {
    Some(match word {
        "null" => DataType::Null,
        "bool" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "halffloat" => DataType::Float16,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "string" => DataType::Utf8,
        "large_string" => DataType::LargeUtf8,
        "string_view" => DataType::Utf8View,
        "binary" => DataType::Binary,
        "large_binary" => DataType::LargeBinary,
        "binary_view" => DataType::BinaryView,
        "month_interval" => DataType::Interval(IntervalUnit::YearMonth),
        "day_time_interval" => DataType::Interval(IntervalUnit::DayTime),
        "month_day_nano_interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}
