//! The bodies of JSON requests.
//!
//! Unknown keys are ignored, because clients send some that mean nothing here. Where a default exists, `null` asks
//! for it. A value of the wrong type, a missing key without a default and malformed text are errors that say where.

use crate::{FieldsList, Ids, OneOrManyIds, Vector, VectorRows, WireError, id::OneId};
use lavandin_types::RecordId;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// What scores of approximate searches are rounded to where a request does not say.
pub const EPS: f64 = 1e-4;

/// Reads a body.
pub fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, WireError> {
    Ok(serde_json::from_slice(body)?)
}

/// Declares a body that names a collection.
macro_rules! collection_requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident : $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize)]
        pub struct $name {
            pub database_name: String,
            pub collection_name: String,
            $($(#[$attribute])* pub $field: $type,)*
        }
    )*};
}

/// A body that names a database.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Database {
    pub database_name: String,
    #[serde(default, deserialize_with = "bool_or_false")]
    pub drop_if_exists: bool,
}

collection_requests! {
    /// A body that names a collection and nothing else.
    Collection {}

    /// `/required_collection`.
    RequireCollection {
        /// `None` and 0 leave the dimension to the first write.
        #[serde(default)]
        dim: Option<u32>,
        #[serde(default, deserialize_with = "bool_or_false")]
        drop_if_exists: bool,
        #[serde(default)]
        description: Option<String>,
        #[serde(default)]
        dtypes: Option<String>,
    }

    /// `/update_description`, `/update_collection_description`.
    Describe {
        #[serde(default)]
        description: Option<String>,
    }

    /// `/add` and `/upsert`.
    Write {
        ids: Ids,
        vectors: VectorRows,
        #[serde(default)]
        fields: Option<FieldsList>,
    }

    /// `/delete` and `/restore`.
    SelectIds {
        ids: OneOrManyIds,
    }

    /// `/commit`.
    Commit {
        /// Records that an old client had kept back; only their number matters.
        #[serde(default)]
        items: Option<Vec<serde::de::IgnoredAny>>,
    }

    /// `/build_index`.
    BuildIndex {
        #[serde(default)]
        index_mode: Option<String>,
        #[serde(default)]
        n_clusters: Option<u64>,
        #[serde(default)]
        params: Option<BTreeMap<String, serde_json::Number>>,
    }

    /// `/search` and `/search_profile`.
    Search {
        vector: Vector,
        #[serde(default = "ten", deserialize_with = "count_or::<_, 10>")]
        k: u64,
        #[serde(default, rename = "where")]
        filter: Option<String>,
        #[serde(default, deserialize_with = "bool_or_false")]
        return_fields: bool,
        #[serde(default)]
        vector_field: Option<String>,
        #[serde(default = "ten", deserialize_with = "count_or::<_, 10>")]
        nprobe: u64,
        #[serde(default, deserialize_with = "bool_or_false")]
        approx: bool,
        /// `None` where it was null: how infinity looks in JSON, and a wish not to round.
        #[serde(default = "eps")]
        eps: Option<f64>,
    }

    /// `/batch_search`.
    BatchSearch {
        vectors: VectorRows,
        #[serde(default = "ten", deserialize_with = "count_or::<_, 10>")]
        k: u64,
        #[serde(default, rename = "where")]
        filter: Option<String>,
        #[serde(default, deserialize_with = "bool_or_false")]
        return_fields: bool,
        #[serde(default)]
        vector_field: Option<String>,
        #[serde(default = "ten", deserialize_with = "count_or::<_, 10>")]
        nprobe: u64,
    }

    /// `/search_range`.
    SearchRange {
        vector: Vector,
        threshold: f64,
        #[serde(default = "thousand", deserialize_with = "count_or::<_, 1000>")]
        max_results: u64,
    }

    /// `/query` and `/query_vectors`.
    Query {
        #[serde(default, rename = "where")]
        filter: Option<String>,
        #[serde(default)]
        filter_ids: Option<OneOrManyIds>,
        #[serde(default, deserialize_with = "bool_or_false")]
        return_ids_only: bool,
    }

    /// `/head` and `/tail`.
    Ends {
        #[serde(default = "five", deserialize_with = "count_or::<_, 5>")]
        n: u64,
    }

    /// `/read_by_only_id`.
    Read {
        id: OneOrManyIds,
    }

    /// `/is_id_exists`.
    IdExists {
        id: AnyId,
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

fn eps() -> Option<f64> {
    Some(EPS)
}

fn five() -> u64 {
    5
}

fn ten() -> u64 {
    10
}

fn thousand() -> u64 {
    1000
}

fn bool_or_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(false))
}

/// A non-negative integer, `DEFAULT` where it is null.
fn count_or<'de, D: Deserializer<'de>, const DEFAULT: u64>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(CountVisitor { default: DEFAULT })
}

struct CountVisitor {
    default: u64,
}

impl Visitor<'_> for CountVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a non-negative integer")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(self.default)
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
