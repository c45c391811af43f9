//! The JSON of replies: `{"status":"success","params":{…}}` and error bodies.
//!
//! A reply is written pair by pair into one buffer. Scores and vectors are written with the fewest digits that give
//! the same 32-bit float back; a score that is infinite is written as null, which JSON readers of numbers take for
//! "no number".

use crate::{FieldsJson, IdJson, fields::ValueJson};
use lavandin_types::{ErrorCode, FieldsRef, RecordIdRef};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// One hit, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct HitRef<'a> {
    pub id: RecordIdRef<'a>,
    pub score: f32,
    pub fields: FieldsRef<'a>,
}

/// One record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    pub id: RecordIdRef<'a>,
    pub vector: &'a [f32],
    pub fields: FieldsRef<'a>,
}

/// Builds a success reply.
#[derive(Debug)]
pub struct ReplyWriter {
    bytes: Vec<u8>,
    empty: bool,
}

impl Default for ReplyWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplyWriter {
    pub fn new() -> Self {
        Self { bytes: br#"{"status":"success","params":{"#.to_vec(), empty: true }
    }

    /// The names that nearly every reply begins with.
    #[must_use]
    pub fn of_collection(database: &str, collection: &str) -> Self {
        Self::new().with("database_name", &database).with("collection_name", &collection)
    }

    /// Adds a pair. `value` must serialise to JSON without an error of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        if !std::mem::take(&mut self.empty) {
            self.bytes.push(b',');
        }
        append_json(&mut self.bytes, name);
        self.bytes.push(b':');
        append_json(&mut self.bytes, value);
        self
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"}}");
        self.bytes
    }
}

fn append_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value)
        .expect("writing to memory cannot fail and replies have no failing parts");
}

/// The body of an error reply.
#[derive(Clone, Debug)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    pub code: ErrorCode,
    pub request_id: &'a str,
    /// Byte position in a filter's text, and what was expected there.
    pub position: Option<usize>,
    pub expected: Option<&'a str>,
}

impl ErrorBody<'_> {
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96 + self.message.len());
        append_json(&mut bytes, self);
        bytes
    }
}

impl Serialize for ErrorBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("error", self.message)?;
        map.serialize_entry("code", self.code.name())?;
        map.serialize_entry("request_id", self.request_id)?;
        if let Some(position) = self.position {
            map.serialize_entry("position", &position)?;
        }
        if let Some(expected) = self.expected {
            map.serialize_entry("expected", expected)?;
        }
        map.end()
    }
}

/// Hits as `{"k":…,"ids":[…],"scores":[…],"fields":[…], …}`; `extra` pairs of text follow.
#[derive(Clone, Debug)]
pub struct HitsJson<'a, I> {
    pub hits: I,
    /// Written as `k` where given.
    pub k: Option<u64>,
    pub with_fields: bool,
    pub extra: &'a [(&'a str, &'a str)],
}

impl<'a, I: Iterator<Item = HitRef<'a>> + Clone> Serialize for HitsJson<'_, I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(k) = self.k {
            map.serialize_entry("k", &k)?;
        }
        map.serialize_entry("ids", &List(self.hits.clone().map(|hit| IdJson(hit.id))))?;
        map.serialize_entry("scores", &List(self.hits.clone().map(|hit| hit.score)))?;
        let fields = self.hits.clone().filter(|_| self.with_fields).map(|hit| FieldsJson(hit.fields));
        map.serialize_entry("fields", &List(fields))?;
        for (name, value) in self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Records in one of the shapes that listings have.
#[derive(Clone, Debug)]
pub enum RecordsJson<I> {
    /// `[[vectors], [ids], [fields]]`
    Columns(I),
    /// `[{…fields, "id": …}, …]`
    Rows(I),
    /// `[ids]`
    Ids(I),
}

impl<'a, I: Iterator<Item = RecordRef<'a>> + Clone> Serialize for RecordsJson<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Columns(records) => {
                let mut columns = serializer.serialize_seq(Some(3))?;
                columns.serialize_element(&List(records.clone().map(|record| record.vector)))?;
                columns.serialize_element(&List(records.clone().map(|record| IdJson(record.id))))?;
                columns.serialize_element(&List(records.clone().map(|record| FieldsJson(record.fields))))?;
                columns.end()
            }
            Self::Rows(records) => List(records.clone().map(Row)).serialize(serializer),
            Self::Ids(records) => List(records.clone().map(|record| IdJson(record.id))).serialize(serializer),
        }
    }
}

struct Row<'a>(RecordRef<'a>);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // The record's id wins over a field of that name.
        for (name, value) in self.0.fields.iter().filter(|(name, _)| *name != "id") {
            map.serialize_entry(name, &ValueJson(value))?;
        }
        map.serialize_entry("id", &IdJson(self.0.id))?;
        map.end()
    }
}

struct List<I>(I);

impl<T: Serialize, I: Iterator<Item = T> + Clone> Serialize for List<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

#[cfg(test)]
mod tests;
