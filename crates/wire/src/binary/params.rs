//! Parameters of the binary endpoints.

use crate::{QueryString, WireError, request::EPS};
use lavandin_types::ElementType;
use std::borrow::Cow;

/// Where the ids of a records body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdsEncoding {
    /// Behind the vectors, 8 bytes each.
    Raw,
    /// `start`, `start + 1`, and so on; no bytes.
    Range { start: u64 },
}

/// Parameters of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsParams<'a> {
    pub database: Cow<'a, str>,
    pub collection: Cow<'a, str>,
    pub dim: u32,
    pub count: u32,
    pub element: ElementType,
    pub ids: IdsEncoding,
    /// `None` where the request leaves it to the endpoint.
    pub return_ids: Option<bool>,
}

/// Parameters of a search or a batch search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchParams<'a> {
    pub database: Cow<'a, str>,
    pub collection: Cow<'a, str>,
    pub dim: u32,
    /// Queries in the body; 1 for a single search.
    pub count: u32,
    pub k: u64,
    pub element: ElementType,
    pub with_fields: bool,
    pub probe: u64,
    pub approx: bool,
    pub eps: f64,
    pub filter: Option<Cow<'a, str>>,
    /// A named vector field other than the default one.
    pub vector_field: Option<Cow<'a, str>>,
}

/// Parameters of `/head_binary` and `/tail_binary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndsParams<'a> {
    pub database: Cow<'a, str>,
    pub collection: Cow<'a, str>,
    pub n: u64,
}

impl<'a> RecordsParams<'a> {
    pub fn parse(query: &'a str) -> Result<Self, WireError> {
        let (mut database, mut collection, mut dim, mut count) = (None, None, None, None);
        let (mut element, mut raw, mut start, mut return_ids) = (ElementType::F32, true, None, None);
        for pair in QueryString(query).pairs() {
            let (name, value) = pair?;
            match &*name {
                "database_name" => database = Some(value),
                "collection_name" => collection = Some(value),
                "dim" => dim = Some(size("dim", &value)?),
                "n_vectors" => count = Some(size("n_vectors", &value)?),
                "vector_encoding" => element = encoding(&value)?,
                "ids_encoding" => raw = ids_are_raw(&value)?,
                "ids_start" => start = Some(number("ids_start", &value, "an integer from 0 to 2^64-1")?),
                "return_ids" => return_ids = Some(boolean("return_ids", &value)?),
                _ => {}
            }
        }
        let ids = match (raw, start) {
            (true, _) => IdsEncoding::Raw,
            (false, Some(start)) => IdsEncoding::Range { start },
            (false, None) => return Err(WireError::MissingParameter("ids_start")),
        };
        Ok(Self {
            database: required("database_name", database)?,
            collection: required("collection_name", collection)?,
            dim: required("dim", dim)?,
            count: required("n_vectors", count)?,
            element,
            ids,
            return_ids,
        })
    }
}

impl<'a> SearchParams<'a> {
    /// Reads the parameters; `batch` says whether the body holds `n_queries` vectors rather than one.
    pub fn parse(query: &'a str, batch: bool) -> Result<Self, WireError> {
        let (mut database, mut collection, mut dim, mut count) = (None, None, None, None);
        let (mut k, mut probe, mut element) = (10, 10, ElementType::F32);
        let (mut with_fields, mut approx, mut eps) = (false, false, EPS);
        let (mut filter, mut vector_field) = (None, None);
        for pair in QueryString(query).pairs() {
            let (name, value) = pair?;
            match &*name {
                "database_name" => database = Some(value),
                "collection_name" => collection = Some(value),
                "dim" => dim = Some(size("dim", &value)?),
                "n_queries" => count = Some(size("n_queries", &value)?),
                "k" => k = number("k", &value, "a non-negative integer")?,
                "nprobe" => probe = number("nprobe", &value, "a non-negative integer")?,
                "vector_encoding" => element = encoding(&value)?,
                "return_fields" => with_fields = boolean("return_fields", &value)?,
                "approx" => approx = boolean("approx", &value)?,
                "eps" => eps = number("eps", &value, "a number")?,
                "where" => filter = Some(value),
                "vector_field" => vector_field = Some(value),
                _ => {}
            }
        }
        Ok(Self {
            database: required("database_name", database)?,
            collection: required("collection_name", collection)?,
            dim: required("dim", dim)?,
            count: if batch { required("n_queries", count)? } else { 1 },
            k,
            element,
            with_fields,
            probe,
            approx,
            eps,
            filter,
            vector_field: vector_field.filter(|name| name != "default"),
        })
    }
}

impl<'a> EndsParams<'a> {
    pub fn parse(query: &'a str) -> Result<Self, WireError> {
        let (mut database, mut collection, mut n) = (None, None, 5);
        for pair in QueryString(query).pairs() {
            let (name, value) = pair?;
            match &*name {
                "database_name" => database = Some(value),
                "collection_name" => collection = Some(value),
                "n" => n = number("n", &value, "a non-negative integer")?,
                _ => {}
            }
        }
        Ok(Self {
            database: required("database_name", database)?,
            collection: required("collection_name", collection)?,
            n,
        })
    }
}

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::MissingParameter(name))
}

fn wrong(name: &'static str, value: &str, expected: &'static str) -> WireError {
    WireError::Parameter { name, found: value.chars().take(80).collect(), expected }
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, WireError> {
    value.parse().map_err(|_| wrong(name, value, expected))
}

/// A dimension or a count of vectors: zero of either is a mistake.
fn size(name: &'static str, value: &str) -> Result<u32, WireError> {
    let expected = "an integer from 1 to 4294967295";
    match number(name, value, expected)? {
        0 => Err(wrong(name, value, expected)),
        size => Ok(size),
    }
}

fn boolean(name: &'static str, value: &str) -> Result<bool, WireError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(name, value, "true or false")),
    }
}

fn encoding(value: &str) -> Result<ElementType, WireError> {
    ElementType::parse(value).ok_or_else(|| wrong("vector_encoding", value, "float32 or float16"))
}

fn ids_are_raw(value: &str) -> Result<bool, WireError> {
    match value {
        "raw" => Ok(true),
        "range" => Ok(false),
        _ => Err(wrong("ids_encoding", value, "raw or range")),
    }
}
