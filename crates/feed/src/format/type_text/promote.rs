//! The type that holds the values of two (rules in the parent's header). Symmetric, but for the order of fields.

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use std::sync::Arc;

pub(crate) fn promote(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as D;
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (D::Null, other) | (other, D::Null) => Some(other.clone()),
        (D::Dictionary(_, values), other) | (other, D::Dictionary(_, values)) => promote(values, other),
        _ if left.is_integer() && right.is_integer() => integers(left, right),
        _ if is_number(left) && is_number(right) => Some(floats(left, right)),
        _ if is_string(left) && is_string(right) => Some(widest(left, right, &D::LargeUtf8, D::Utf8)),
        _ if is_binary(left) && is_binary(right) => Some(widest(left, right, &D::LargeBinary, D::Binary)),
        (D::Timestamp(left, zone), D::Timestamp(right, other)) if zone == other => {
            Some(D::Timestamp(finer(*left, *right), zone.clone()))
        }
        (D::Decimal128(p1, s1), D::Decimal128(p2, s2)) => {
            let scale = *s1.max(s2);
            let before_point = (i16::from(*p1) - i16::from(*s1)).max(i16::from(*p2) - i16::from(*s2));
            let precision = u8::try_from(before_point + i16::from(scale)).ok()?;
            (precision <= 38).then_some(D::Decimal128(precision, scale))
        }
        (D::List(left), D::List(right)) => field(left, right).map(D::List),
        (D::LargeList(left), D::LargeList(right)) => field(left, right).map(D::LargeList),
        (D::List(left), D::LargeList(right)) | (D::LargeList(right), D::List(left)) => {
            field(left, right).map(D::LargeList)
        }
        (D::FixedSizeList(left, length), D::FixedSizeList(right, other)) if length == other => {
            field(left, right).map(|item| D::FixedSizeList(item, *length))
        }
        (D::Struct(left), D::Struct(right)) => fields(left, right).map(D::Struct),
        (D::Map(left, sorted), D::Map(right, other)) => {
            map_entries(left, right).map(|entries| D::Map(entries, *sorted && *other))
        }
        _ => None,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating()
}

fn is_string(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn widest(left: &DataType, right: &DataType, large: &DataType, usual: DataType) -> DataType {
    if left == large || right == large { large.clone() } else { usual }
}

fn floats(left: &DataType, right: &DataType) -> DataType {
    let small = |data_type: &DataType| matches!(data_type, DataType::Float16 | DataType::Float32);
    if small(left) && small(right) { DataType::Float32 } else { DataType::Float64 }
}

fn integers(left: &DataType, right: &DataType) -> Option<DataType> {
    let (wide, narrow) = (left.primitive_width()?, right.primitive_width()?);
    let width = match (left.is_signed_integer(), right.is_signed_integer()) {
        (true, false) => wide.max(narrow * 2),
        (false, true) => narrow.max(wide * 2),
        _ => wide.max(narrow),
    };
    let signed = left.is_signed_integer() || right.is_signed_integer();
    match (width, signed) {
        (1, true) => Some(DataType::Int8),
        (2, true) => Some(DataType::Int16),
        (4, true) => Some(DataType::Int32),
        (8, true) => Some(DataType::Int64),
        (1, false) => Some(DataType::UInt8),
        (2, false) => Some(DataType::UInt16),
        (4, false) => Some(DataType::UInt32),
        (8, false) => Some(DataType::UInt64),
        _ => None,
    }
}

fn finer(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    if rank(left) >= rank(right) { left } else { right }
}

/// Items of lists: their names need not agree.
fn field(left: &FieldRef, right: &FieldRef) -> Option<FieldRef> {
    let data_type = promote(left.data_type(), right.data_type())?;
    let name = left.name().min(right.name());
    Some(Arc::new(Field::new(name, data_type, left.is_nullable() || right.is_nullable())))
}

/// Fields of structs go by name, in the order of the first; those of the second alone follow.
fn fields(left: &Fields, right: &Fields) -> Option<Fields> {
    let mut both = Vec::with_capacity(left.len());
    for one in left {
        both.push(match right.iter().find(|other| other.name() == one.name()) {
            Some(other) => field(one, other)?,
            None => Arc::new(one.as_ref().clone().with_nullable(true)),
        });
    }
    let only_right = right.iter().filter(|one| left.iter().all(|other| other.name() != one.name()));
    both.extend(only_right.map(|one| Arc::new(one.as_ref().clone().with_nullable(true))));
    Some(Fields::from(both))
}

/// Keys and values of maps go by their places.
fn map_entries(left: &FieldRef, right: &FieldRef) -> Option<FieldRef> {
    let (DataType::Struct(ours), DataType::Struct(theirs)) = (left.data_type(), right.data_type()) else {
        return None;
    };
    if ours.len() != 2 || theirs.len() != 2 {
        return None;
    }
    let both = ours.iter().zip(theirs).map(|(one, other)| field(one, other)).collect::<Option<Vec<_>>>()?;
    Some(Arc::new(Field::new(left.name(), DataType::Struct(Fields::from(both)), false)))
}
