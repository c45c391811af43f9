//! What nested values have in common, found value by value; and the Arrow type that holds them all.

use super::literal::Literal;
use super::type_text::is_printable;
use arrow::datatypes::{DataType, Field, Fields};

/// Fields of a struct beyond this make it irregular.
const FIELDS_MAX: usize = 1024;

/// What all values seen so far are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Null,
    Bool,
    Int,
    Float,
    Text,
    Bytes,
    List(Box<Shape>),
    Struct(Vec<(String, Shape)>),
    /// Values of kinds that no Arrow type holds together.
    Irregular,
}

impl Shape {
    /// Makes the shape hold `value` too. Structs must have equal keys: a dict comes back as it was written.
    pub(crate) fn absorb(&mut self, value: &Literal) {
        match (&mut *self, value) {
            (_, Literal::Null) | (Self::Irregular, _) => {}
            (Self::Null, value) => *self = Self::of(value),
            (Self::Bool, Literal::Bool(_))
            | (Self::Int | Self::Float, Literal::Int(_))
            | (Self::Float, Literal::Float(_))
            | (Self::Text, Literal::Text(_))
            | (Self::Bytes, Literal::Bytes(_)) => {}
            (Self::Int, Literal::Float(_)) => *self = Self::Float,
            (Self::List(item), Literal::List(items)) => items.iter().for_each(|value| item.absorb(value)),
            (Self::Struct(fields), Literal::Dict(entries)) => {
                if !absorb_fields(fields, entries) {
                    *self = Self::Irregular;
                }
            }
            _ => *self = Self::Irregular,
        }
    }

    fn of(value: &Literal) -> Self {
        match value {
            Literal::Null => Self::Null,
            Literal::Bool(_) => Self::Bool,
            Literal::Int(_) => Self::Int,
            Literal::BigInt(_) => Self::Irregular,
            Literal::Float(_) => Self::Float,
            Literal::Text(_) => Self::Text,
            Literal::Bytes(_) => Self::Bytes,
            Literal::List(items) => {
                let mut item = Self::Null;
                items.iter().for_each(|value| item.absorb(value));
                Self::List(Box::new(item))
            }
            Literal::Dict(entries) if entries.is_empty() || entries.len() > FIELDS_MAX => Self::Irregular,
            Literal::Dict(entries) => {
                let field = |(key, value): &(Literal, Literal)| match key {
                    Literal::Text(name) => Some((name.clone(), Self::of(value))),
                    _ => None,
                };
                entries.iter().map(field).collect::<Option<Vec<_>>>().map_or(Self::Irregular, Self::Struct)
            }
        }
    }

    /// The Arrow type of the shape; `None` if no type, or none that a text can name, holds all of it.
    pub(crate) fn data_type(&self) -> Option<DataType> {
        self.plain_type().filter(is_printable)
    }

    fn plain_type(&self) -> Option<DataType> {
        Some(match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::List(item) => DataType::new_list(item.plain_type()?, true),
            Self::Struct(fields) if fields.is_empty() => return None,
            Self::Struct(fields) => {
                let field =
                    |(name, shape): &(String, Self)| Some(Field::new(name, shape.plain_type()?, true));
                DataType::Struct(fields.iter().map(field).collect::<Option<Fields>>()?)
            }
            Self::Irregular => return None,
        })
    }

    /// What values of this type look like; `None` where text of some form stands for them.
    pub(crate) fn of_type(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool,
            other if other.is_integer() => Self::Int,
            other if other.is_floating() => Self::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Text,
            DataType::List(item) | DataType::LargeList(item) => {
                Self::List(Box::new(Self::of_type(item.data_type())?))
            }
            DataType::Struct(fields) => {
                let field = |field: &std::sync::Arc<Field>| {
                    Some((field.name().clone(), Self::of_type(field.data_type())?))
                };
                Self::Struct(fields.iter().map(field).collect::<Option<Vec<_>>>()?)
            }
            _ => return None,
        })
    }
}

fn absorb_fields(fields: &mut [(String, Shape)], entries: &[(Literal, Literal)]) -> bool {
    if fields.len() != entries.len() {
        return false;
    }
    for (place, (key, value)) in entries.iter().enumerate() {
        let Literal::Text(key) = key else { return false };
        // Writers keep the order of keys, so the field is usually at the entry's place.
        let known = match fields.get(place) {
            Some((name, _)) if name == key => Some(place),
            _ => fields.iter().position(|(name, _)| name == key),
        };
        let Some(known) = known else { return false };
        fields[known].1.absorb(value);
    }
    true
}
