//! Rows of JSON objects: the types of their keys, and arrays of them. For lines of a file and for members of a tar.
//!
//! Types, where none is declared: integers of 64 bits, `double` where a number has a point or an exponent, `bool`,
//! `string`, lists and structs of these; a struct has the keys of all objects of its place. Values whose inner shapes
//! differ are kept as JSON texts (type `json`). A column whose own kind changes from row to row is an error, as is an
//! integer beyond 64 bits: declaring the column (`json`, `uint64`) settles it. A key that an object lacks is null.
//! A declared type wins; values that it does not hold are errors. `binary` is a string's UTF-8.

use super::json_shape::Absorb;
use super::literal::Literal;
use super::shape::Shape;
use super::views::{physical, with_utc_as_offset};
use super::{ColumnSpec, ColumnType, pyarrow_type};
use arrow::array::{ArrayRef, NullArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

const COLUMNS_MAX: usize = 4096;

/// The columns of JSON objects, as far as they are known.
#[derive(Clone)]
pub(super) struct JsonColumns {
    columns: Vec<JsonColumn>,
    by_name: HashMap<String, usize>,
    /// Keys that no column has become columns.
    open: bool,
}

#[derive(Clone)]
struct JsonColumn {
    name: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Found(Shape),
    Declared { data_type: DataType, shape: Option<Shape> },
    Json,
}

impl JsonColumns {
    /// The wanted columns, or, without any, those of the objects. The name of a type that is none is an error.
    pub(super) fn new(wanted: &[ColumnSpec]) -> Result<Self, String> {
        let mut columns = Self { columns: Vec::new(), by_name: HashMap::new(), open: wanted.is_empty() };
        for column in wanted {
            columns.push(&column.name, Kind::declared(column)?);
        }
        Ok(columns)
    }

    fn push(&mut self, name: &str, kind: Kind) {
        self.by_name.insert(name.to_owned(), self.columns.len());
        self.columns.push(JsonColumn { name: name.to_owned(), kind });
    }

    /// Takes one object into account. The error says what is wrong with it.
    pub(super) fn absorb(&mut self, object: &[u8]) -> Result<(), String> {
        let mut deserializer = serde_json::Deserializer::from_slice(object);
        let mut misfit = None;
        let visited = deserializer.deserialize_any(AbsorbRow { columns: self, misfit: &mut misfit });
        visited.and_then(|()| deserializer.end()).map_err(|error| error.to_string())?;
        misfit.map_or(Ok(()), Err)
    }

    /// The columns with the types found so far.
    pub(super) fn types(&self) -> Vec<(String, ColumnType)> {
        self.columns.iter().map(|column| (column.name.clone(), column.kind.column_type())).collect()
    }

    pub(super) fn specs(&self) -> Vec<ColumnSpec> {
        let spec = |(name, column_type): (String, ColumnType)| match column_type {
            ColumnType::Arrow(data_type) => ColumnSpec::new(name, pyarrow_type(&data_type)),
            ColumnType::Json => ColumnSpec::new(name, "json"),
        };
        self.types().into_iter().map(spec).collect()
    }
}

impl Kind {
    fn declared(column: &ColumnSpec) -> Result<Self, String> {
        let data_type = match column.type_text.as_str() {
            "" | "list" | "map" | "null" => return Ok(Self::Found(Shape::Null)),
            "json" => return Ok(Self::Json),
            "float" => DataType::Float64,
            text => match ColumnType::parse(text) {
                Some(ColumnType::Arrow(data_type)) => data_type,
                _ => {
                    return Err(format!(
                        "column {:?} is declared as {text:?}, which is no type",
                        column.name
                    ));
                }
            },
        };
        let shape = Shape::of_type(&data_type);
        Ok(Self::Declared { data_type, shape })
    }

    fn column_type(&self) -> ColumnType {
        match self {
            Self::Found(shape) => shape.data_type().map_or(ColumnType::Json, ColumnType::Arrow),
            Self::Declared { data_type, .. } => ColumnType::Arrow(data_type.clone()),
            Self::Json => ColumnType::Json,
        }
    }

    fn name(&self) -> String {
        match self.column_type() {
            ColumnType::Arrow(data_type) => pyarrow_type(&data_type),
            ColumnType::Json => "json".to_owned(),
        }
    }
}

struct AbsorbRow<'a> {
    columns: &'a mut JsonColumns,
    misfit: &'a mut Option<String>,
}

impl<'de> Visitor<'de> for AbsorbRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(key) = entries.next_key::<Cow<'_, str>>()? {
            let known = match self.columns.columns.get(next) {
                Some(column) if column.name == *key => Some(next),
                _ => self.columns.by_name.get(&*key).copied(),
            };
            let place = match known {
                Some(place) => place,
                None if self.columns.open && self.columns.columns.len() < COLUMNS_MAX => {
                    self.columns.push(&key, Kind::Found(Shape::Null));
                    self.columns.columns.len() - 1
                }
                None => {
                    if self.columns.open {
                        *self.misfit =
                            Some(format!("objects have more than {COLUMNS_MAX} keys between them"));
                    }
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            next = place + 1;
            let column = &mut self.columns.columns[place];
            if let Some(misfit) = column.absorb(&mut entries)? {
                *self.misfit = Some(misfit);
            }
        }
        Ok(())
    }
}

impl JsonColumn {
    fn absorb<'de, A: MapAccess<'de>>(&mut self, entries: &mut A) -> Result<Option<String>, A::Error> {
        let mut misfit = false;
        match &mut self.kind {
            Kind::Found(shape) => {
                // Only a shape without parts can be cheaply kept to be named in an error; those with parts are too.
                let before = std::mem::discriminant(shape);
                let named = (!matches!(shape, Shape::List(_) | Shape::Struct(_))).then(|| shape.clone());
                entries.next_value_seed(Absorb { shape, declared: false, misfit: &mut misfit })?;
                if *shape == Shape::Irregular {
                    let was = named.and_then(|shape| shape.data_type());
                    let was = was.map_or("list or struct".to_owned(), |data_type| pyarrow_type(&data_type));
                    let same = before == std::mem::discriminant(&Shape::Null);
                    let detail = match same {
                        true => "is an integer of more than 64 bits: declare it as uint64, double or json"
                            .to_owned(),
                        false => format!(
                            "is no {was} here as on earlier lines: declare it as json to have any value"
                        ),
                    };
                    return Ok(Some(format!("column {:?} {detail}", self.name)));
                }
            }
            Kind::Declared { shape: Some(shape), .. } => {
                entries.next_value_seed(Absorb { shape, declared: true, misfit: &mut misfit })?;
            }
            Kind::Declared { shape: None, .. } | Kind::Json => {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(misfit
            .then(|| format!("column {:?} is no {} here, as it is declared", self.name, self.kind.name())))
    }
}

/// An object that does not fit: its place among the objects, and why.
#[derive(Debug)]
pub(super) struct BadObject {
    pub row: usize,
    pub detail: String,
}

/// Arrays of the columns from the objects, in memory types but for how UTC is named.
pub(super) fn decode(
    objects: &[&[u8]],
    columns: &[(String, ColumnType)],
) -> Result<Vec<ArrayRef>, BadObject> {
    let fields: Vec<Field> =
        columns.iter().filter_map(|(name, column_type)| decoded_field(name, column_type)).collect();
    let mut typed = match fields.is_empty() {
        true => Vec::new(),
        false => decode_typed(objects, fields)?,
    }
    .into_iter();
    let mut texts = json_texts(objects, columns)?.into_iter();
    let array = |(_, column_type): &(String, ColumnType)| match column_type {
        ColumnType::Json => texts.next(),
        ColumnType::Arrow(DataType::Null) => Some(Arc::new(NullArray::new(objects.len())) as ArrayRef),
        ColumnType::Arrow(data_type) => typed.next().and_then(|array| match physical(data_type) {
            DataType::BinaryView => cast(&array, &DataType::BinaryView).ok(),
            _ => Some(array),
        }),
    };
    let arrays: Option<Vec<ArrayRef>> = columns.iter().map(array).collect();
    arrays.ok_or_else(|| BadObject { row: 0, detail: "its columns cannot be told apart".to_owned() })
}

/// The field that the decoder of JSON is asked for.
fn decoded_field(name: &str, column_type: &ColumnType) -> Option<Field> {
    match column_type {
        ColumnType::Json | ColumnType::Arrow(DataType::Null) => None,
        ColumnType::Arrow(data_type) if physical(data_type) == DataType::BinaryView => {
            Some(Field::new(name, DataType::Utf8View, true))
        }
        ColumnType::Arrow(data_type) => {
            Some(Field::new(name, with_utc_as_offset(&physical(data_type)), true))
        }
    }
}

fn decode_typed(objects: &[&[u8]], fields: Vec<Field>) -> Result<Vec<ArrayRef>, BadObject> {
    let schema = Arc::new(Schema::new(fields));
    let decode_all = |objects: &[&[u8]]| -> Result<Vec<ArrayRef>, ArrowError> {
        let reader = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(objects.len() + 1);
        let mut decoder = reader.build_decoder()?;
        for object in objects {
            let mut rest = *object;
            while !rest.is_empty() {
                let used = decoder.decode(rest)?;
                if used == 0 {
                    return Err(ArrowError::JsonError("there is more than one value".to_owned()));
                }
                rest = &rest[used..];
            }
            // Two objects must not be read as one number or word where one ends and the next begins.
            decoder.decode(b"\n")?;
        }
        let batch = decoder.flush()?.ok_or_else(|| ArrowError::JsonError("there is no object".to_owned()))?;
        match batch.num_rows() == objects.len() {
            true => Ok(batch.columns().to_vec()),
            false => Err(ArrowError::JsonError("there is more than one value".to_owned())),
        }
    };
    if objects.is_empty() {
        return Ok(schema
            .fields()
            .iter()
            .map(|field| arrow::array::new_empty_array(field.data_type()))
            .collect());
    }
    decode_all(objects).map_err(|error| {
        // Which one it is only matters now.
        let bad = (0..objects.len()).find_map(|row| Some((row, decode_all(&objects[row..=row]).err()?)));
        let (row, error) = bad.unwrap_or((0, error));
        BadObject { row, detail: error.to_string() }
    })
}

/// The JSON texts of the columns that stay texts, one array for each.
fn json_texts(objects: &[&[u8]], columns: &[(String, ColumnType)]) -> Result<Vec<ArrayRef>, BadObject> {
    let is_text = |(_, column_type): &&(String, ColumnType)| *column_type == ColumnType::Json;
    let names: Vec<&str> = columns.iter().filter(is_text).map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut builders: Vec<StringViewBuilder> = names.iter().map(|_| StringViewBuilder::new()).collect();
    let mut text = String::new();
    for (row, object) in objects.iter().enumerate() {
        let mut values: Vec<Option<Literal>> = vec![None; names.len()];
        let mut deserializer = serde_json::Deserializer::from_slice(object);
        let visited = deserializer.deserialize_any(PickRow { names: &names, values: &mut values });
        visited.map_err(|error| BadObject { row, detail: error.to_string() })?;
        for (builder, value) in builders.iter_mut().zip(values) {
            text.clear();
            match value {
                None | Some(Literal::Null) => builder.append_null(),
                Some(value) => {
                    value.write_json(&mut text);
                    builder.append_value(&text);
                }
            }
        }
    }
    Ok(builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect())
}

struct PickRow<'a> {
    names: &'a [&'a str],
    values: &'a mut [Option<Literal>],
}

impl<'de> Visitor<'de> for PickRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<Cow<'_, str>>()? {
            match self.names.iter().position(|name| **name == *key) {
                Some(place) => self.values[place] = Some(entries.next_value()?),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
