//! Arrow arrays from literals: level by level, each column's values at once.

use super::literal::Literal;
use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListArray, NullArray,
    StringViewBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use std::sync::Arc;

static NULL: Literal = Literal::Null;

/// A value that its column's type does not hold.
#[derive(Debug)]
pub(crate) struct Misfit;

/// The values as an array of this type in memory (`super::views::physical`).
pub(crate) fn build(values: &[&Literal], data_type: &DataType) -> Result<ArrayRef, Misfit> {
    match data_type {
        DataType::Null => match values.iter().all(|value| matches!(value, Literal::Null)) {
            true => Ok(Arc::new(NullArray::new(values.len()))),
            false => Err(Misfit),
        },
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(values.len());
            for value in values {
                builder.append_option(match value {
                    Literal::Null => None,
                    Literal::Bool(value) => Some(*value),
                    _ => return Err(Misfit),
                });
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Int64 => {
            let mut builder = Int64Builder::with_capacity(values.len());
            for value in values {
                builder.append_option(match value {
                    Literal::Null => None,
                    Literal::Int(value) => Some(*value),
                    _ => return Err(Misfit),
                });
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Float64 => {
            let mut builder = Float64Builder::with_capacity(values.len());
            for value in values {
                builder.append_option(match value {
                    Literal::Null => None,
                    Literal::Int(value) => Some(*value as f64),
                    Literal::Float(value) => Some(*value),
                    _ => return Err(Misfit),
                });
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Utf8View | DataType::BinaryView => build_views(values, data_type),
        DataType::List(item) => build_list(values, item),
        DataType::Struct(fields) => build_struct(values, fields),
        _ => Err(Misfit),
    }
}

fn build_views(values: &[&Literal], data_type: &DataType) -> Result<ArrayRef, Misfit> {
    if *data_type == DataType::Utf8View {
        let mut builder = StringViewBuilder::with_capacity(values.len());
        for value in values {
            builder.append_option(match value {
                Literal::Null => None,
                Literal::Text(text) => Some(text),
                _ => return Err(Misfit),
            });
        }
        return Ok(Arc::new(builder.finish()));
    }
    let mut builder = BinaryViewBuilder::with_capacity(values.len());
    for value in values {
        builder.append_option(match value {
            Literal::Null => None,
            Literal::Bytes(bytes) => Some(bytes.as_slice()),
            Literal::Text(text) => Some(text.as_bytes()),
            _ => return Err(Misfit),
        });
    }
    Ok(Arc::new(builder.finish()))
}

fn build_list(values: &[&Literal], item: &FieldRef) -> Result<ArrayRef, Misfit> {
    let mut items: Vec<&Literal> = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    let mut valid = Vec::with_capacity(values.len());
    for value in values {
        let list: &[Literal] = match value {
            Literal::Null => &[],
            Literal::List(items) => items,
            _ => return Err(Misfit),
        };
        items.extend(list);
        lengths.push(list.len());
        valid.push(!matches!(value, Literal::Null));
    }
    let items = build(&items, item.data_type())?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(Arc::clone(item), offsets, items, Some(NullBuffer::from(valid)));
    list.map(|list| Arc::new(list) as ArrayRef).map_err(|_| Misfit)
}

fn build_struct(values: &[&Literal], fields: &Fields) -> Result<ArrayRef, Misfit> {
    let mut columns: Vec<Vec<&Literal>> = vec![Vec::with_capacity(values.len()); fields.len()];
    let mut valid = Vec::with_capacity(values.len());
    for value in values {
        let entries: &[(Literal, Literal)] = match value {
            Literal::Null => &[],
            Literal::Dict(entries) => entries,
            _ => return Err(Misfit),
        };
        for (column, field) in columns.iter_mut().zip(fields) {
            let entry =
                entries.iter().find(|(key, _)| matches!(key, Literal::Text(name) if name == field.name()));
            column.push(entry.map_or(&NULL, |(_, value)| value));
        }
        valid.push(!matches!(value, Literal::Null));
    }
    let columns = columns.iter().zip(fields).map(|(column, field)| build(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let structs = StructArray::try_new(fields.clone(), columns, Some(NullBuffer::from(valid)));
    structs.map(|structs| Arc::new(structs) as ArrayRef).map_err(|_| Misfit)
}
