//! Query strings, and numbers in paths. Unknown parameters are ignored; of a repeated one the last counts.

use crate::QueryString;
use crate::lavender::check::{Field, Fields};
use crate::lavender::invalid::{Faults, Invalid};
use serde_json::{Map, Value};

/// The parameters as fields of an object whose values are all text.
fn object(query: &str) -> Value {
    // A piece that is not UTF-8 when decoded is as good as unknown.
    let pairs = QueryString(query).pairs().filter_map(Result::ok);
    Value::Object(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
}

fn read<T>(query: &str, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> Result<T, Invalid> {
    let whole = object(query);
    let none = Map::new();
    let mut faults = Faults::new("query");
    let object = whole.as_object().unwrap_or(&none);
    let value = read(&mut Fields { object, whole: &whole, faults: &mut faults });
    faults.finish(Some(value))
}

/// `GET /datasets/`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetsQuery {
    /// Only the dataset of this name.
    pub name: Option<String>,
}

impl DatasetsQuery {
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        read(query, |fields| Self { name: fields.optional("name") })
    }
}

/// `GET /iterations/`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IterationsQuery {
    pub dataset_id: Option<String>,
}

impl IterationsQuery {
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        read(query, |fields| Self { dataset_id: fields.optional("dataset_id") })
    }
}

/// `GET …/shards`; a number below 0 counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageQuery {
    pub offset: u64,
    pub limit: u64,
}

impl PageQuery {
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        let from_zero = |number: i64| u64::try_from(number).unwrap_or(0);
        read(query, |fields| Self {
            offset: from_zero(fields.optional("offset").unwrap_or(0)),
            limit: from_zero(fields.optional("limit").unwrap_or(10)),
        })
    }
}

/// `GET …/next` and `POST …/next`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextQuery {
    pub rank: i64,
    pub no_cache: bool,
    pub max_retry_count: i64,
    /// Ours; see [`crate::lavender::extension`].
    pub batches: Option<u32>,
    pub step: Option<u64>,
    /// Sent by clients that were never published and speak another dialect.
    pub seq: Option<i64>,
}

impl NextQuery {
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        read(query, |fields| Self {
            rank: fields.optional("rank").unwrap_or(0),
            no_cache: fields.optional("no_cache").unwrap_or(false),
            max_retry_count: fields.optional("max_retry_count").unwrap_or(0),
            batches: fields.optional("batches"),
            step: fields.optional("step"),
            seq: fields.optional("seq"),
        })
    }
}

/// `GET …/cursor`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CursorQuery {
    pub steps: u64,
}

impl CursorQuery {
    pub fn parse(query: &str) -> Result<Self, Invalid> {
        read(query, |fields| Self { steps: fields.optional("steps").unwrap_or(0) })
    }
}

/// The index of `POST …/complete/{index}`.
pub fn parse_index(text: &str) -> Result<i64, Invalid> {
    let mut faults = Faults::new("path");
    let value = Value::String(text.to_owned());
    let index = faults.inside("index".into(), |faults| i64::read(&value, faults));
    faults.finish(index)
}

#[cfg(test)]
mod tests;
