//! The bodies of JSON requests.
//!
//! Unknown keys are ignored, because clients send some that mean nothing here. Where a default exists, `null` asks
//! for it. A value of the wrong type, a missing or repeated key and malformed text are errors that say where.

use crate::cursor::Cursor;
use crate::{FieldsList, Ids, OneOrManyIds, Vector, VectorRows, WireError, id::OneId};
use lavandin_types::RecordId;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// What scores of approximate searches are rounded to where a request does not say.
pub const EPS: f64 = 1e-4;

/// Tuning values of an index by name.
pub type Parameters = BTreeMap<String, serde_json::Number>;

/// A body of its own kind.
pub trait Body: Sized {
    fn read(body: &[u8]) -> Result<Self, WireError>;
}

/// Reads a body.
pub fn parse<T: Body>(body: &[u8]) -> Result<T, WireError> {
    T::read(body)
}

/// A value of a body.
trait Value: Sized {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError>;

    /// `None` where null asks for the default.
    fn read_or_null(cursor: &mut Cursor<'_>) -> Result<Option<Self>, WireError> {
        if cursor.take_null() { Ok(None) } else { Self::read(cursor).map(Some) }
    }
}

impl<T: Value> Value for Option<T> {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        T::read_or_null(cursor)
    }

    fn read_or_null(cursor: &mut Cursor<'_>) -> Result<Option<Self>, WireError> {
        Self::read(cursor).map(Some)
    }
}

impl Value for Vector {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        Vector::read(cursor)
    }
}

impl Value for VectorRows {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        VectorRows::read(cursor)
    }
}

macro_rules! values_of_serde {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
                cursor.value()
            }
        }
    )*};
}

values_of_serde!(String, bool, f64, u32, Count, AnyId, Ids, OneOrManyIds, FieldsList, Ignored, Parameters);

/// Declares bodies: `name: type` must be there, `name: type = default` need not; `as "key"` where the key differs.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$about:meta])* $field:ident $(as $key:literal)? : $type:ty $(= $default:expr)?,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[$about])* pub $field: $type,)*
        }

        impl Body for $name {
            fn read(body: &[u8]) -> Result<Self, WireError> {
                $(let mut $field: Option<$type> = None;)*
                let mut seen = Vec::new();
                Cursor::new(body).object(|cursor, key| {
                    $(if key == key!($field $($key)?).as_bytes() {
                        once(cursor, &mut seen, key!($field $($key)?))?;
                        $field = read_value!(cursor $(, $default)?)?;
                        return Ok(());
                    })*
                    cursor.skip()
                })?;
                Ok(Self { $($field: or_default!(body, $field, key!($field $($key)?) $(, $default)?),)* })
            }
        }
    )*};
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! read_value {
    ($cursor:ident) => {
        Value::read($cursor).map(Some)
    };
    ($cursor:ident, $default:expr) => {
        Value::read_or_null($cursor)
    };
}

macro_rules! or_default {
    ($body:ident, $field:ident, $key:expr) => {
        $field.ok_or_else(|| missing(body_end($body), $key))?
    };
    ($body:ident, $field:ident, $key:expr, $default:expr) => {
        $field.unwrap_or($default)
    };
}

/// Refuses a key that was there before.
fn once(cursor: &Cursor<'_>, seen: &mut Vec<&'static str>, key: &'static str) -> Result<(), WireError> {
    if seen.contains(&key) {
        return Err(cursor.wrong(&format!("duplicate field `{key}`")));
    }
    seen.push(key);
    Ok(())
}

fn missing((line, column): (usize, usize), key: &str) -> WireError {
    WireError::Value { message: format!("missing field `{key}`"), line, column }
}

/// Line and column of the last byte.
fn body_end(body: &[u8]) -> (usize, usize) {
    let line = body.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, body.iter().rev().take_while(|byte| **byte != b'\n').count())
}

bodies! {
    /// A body that names a database.
    Database {
        database_name: String,
        drop_if_exists: bool = false,
    }

    /// A body that names a collection and nothing else.
    Collection {
        database_name: String,
        collection_name: String,
    }

    /// `/required_collection`.
    RequireCollection {
        database_name: String,
        collection_name: String,
        /// 0 leaves the dimension to the first write.
        dim: u32 = 0,
        drop_if_exists: bool = false,
        description: Option<String> = None,
        dtypes: Option<String> = None,
    }

    /// `/update_description`, `/update_collection_description`.
    Describe {
        database_name: String,
        collection_name: String,
        description: Option<String> = None,
    }

    /// `/add` and `/upsert`.
    Write {
        database_name: String,
        collection_name: String,
        ids: Ids,
        vectors: VectorRows,
        fields: Option<FieldsList> = None,
    }

    /// `/delete` and `/restore`.
    SelectIds {
        database_name: String,
        collection_name: String,
        ids: OneOrManyIds,
    }

    /// `/commit`.
    Commit {
        database_name: String,
        collection_name: String,
        /// Records that an old client had kept back; only their number matters.
        items: Ignored = Ignored(0),
    }

    /// `/build_index`.
    BuildIndex {
        database_name: String,
        collection_name: String,
        index_mode: Option<String> = None,
        n_clusters: Option<Count> = None,
        params: Option<Parameters> = None,
    }

    /// `/search` and `/search_profile`.
    Search {
        database_name: String,
        collection_name: String,
        vector: Vector,
        k: Count = Count(10),
        filter as "where": Option<String> = None,
        return_fields: bool = false,
        vector_field: Option<String> = None,
        nprobe: Count = Count(10),
        approx: bool = false,
        /// `None` where it was null: how infinity looks in JSON, and a wish not to round.
        eps: Option<f64> = Some(EPS),
    }

    /// `/batch_search`.
    BatchSearch {
        database_name: String,
        collection_name: String,
        vectors: VectorRows,
        k: Count = Count(10),
        filter as "where": Option<String> = None,
        return_fields: bool = false,
        vector_field: Option<String> = None,
        nprobe: Count = Count(10),
    }

    /// `/search_range`.
    SearchRange {
        database_name: String,
        collection_name: String,
        vector: Vector,
        threshold: f64,
        max_results: Count = Count(1000),
    }

    /// `/query` and `/query_vectors`.
    Query {
        database_name: String,
        collection_name: String,
        filter as "where": Option<String> = None,
        filter_ids: Option<OneOrManyIds> = None,
        return_ids_only: bool = false,
    }

    /// `/head` and `/tail`.
    Ends {
        database_name: String,
        collection_name: String,
        n: Count = Count(5),
    }

    /// `/read_by_only_id`.
    Read {
        database_name: String,
        collection_name: String,
        id: OneOrManyIds,
    }

    /// `/is_id_exists`.
    IdExists {
        database_name: String,
        collection_name: String,
        id: AnyId,
    }
}

/// A non-negative integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Count(pub u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor).map(Self)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a non-negative integer")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }
}

/// An id, or something that cannot be one and therefore does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyId(pub Option<RecordId>);

impl<'de> Deserialize<'de> for AnyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(OneId::deserialize(value).ok().map(|id| id.0)))
    }
}

/// A list of which only the length is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored(pub usize);

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<serde::de::IgnoredAny>::deserialize(deserializer).map(|items| Self(items.len()))
    }
}

impl Write {
    /// Checks that there are as many ids and field entries as vectors.
    pub fn check_counts(&self) -> Result<(), WireError> {
        let expected = self.vectors.rows;
        let fields = self.fields.as_ref().map_or(expected, |fields| fields.count);
        for (name, found) in [("ids", self.ids.len()), ("fields", fields)] {
            if found != expected {
                return Err(WireError::Count { name, found, expected, reference: "vectors" });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
