//! Record ids in JSON: a string or an integer from 0 to 2^64-1. `5` and `"5"` are different ids.

use lavandin_types::{RecordId, RecordIdRef};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::fmt;

/// A list of ids; one of integers alone stays compact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    Ints(Vec<u64>),
    Mixed(Vec<RecordId>),
}

/// One id, or a list of them, as some endpoints accept both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrManyIds(pub Ids);

/// Writes an id.
#[derive(Clone, Copy, Debug)]
pub struct IdJson<'a>(pub RecordIdRef<'a>);

const EXPECTED: &str = "an id: a non-empty string or an integer from 0 to 18446744073709551615";

impl Ids {
    pub fn len(&self) -> usize {
        match self {
            Self::Ints(ids) => ids.len(),
            Self::Mixed(ids) => ids.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = RecordIdRef<'_>> {
        let (ints, mixed) = match self {
            Self::Ints(ids) => (ids.as_slice(), &[] as &[RecordId]),
            Self::Mixed(ids) => (&[] as &[u64], ids.as_slice()),
        };
        ints.iter().map(|id| RecordIdRef::Int(*id)).chain(mixed.iter().map(RecordId::as_ref))
    }

    pub fn into_record_ids(self) -> Vec<RecordId> {
        match self {
            Self::Ints(ids) => ids.into_iter().map(RecordId::Int).collect(),
            Self::Mixed(ids) => ids,
        }
    }

    fn push(&mut self, id: RecordId) {
        match (&mut *self, id) {
            (Self::Ints(ids), RecordId::Int(id)) => ids.push(id),
            (Self::Mixed(ids), id) => ids.push(id),
            (Self::Ints(ids), id) => {
                let mut mixed: Vec<_> = ids.drain(..).map(RecordId::Int).collect();
                mixed.push(id);
                *self = Self::Mixed(mixed);
            }
        }
    }
}

/// A wrapper, because neither `RecordId` nor serde's traits belong to this crate.
pub(crate) struct OneId(pub(crate) RecordId);

impl<'de> Deserialize<'de> for OneId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor).map(Self)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = RecordId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<RecordId, E> {
        Ok(RecordId::Int(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<RecordId, E> {
        if value.is_empty() {
            return Err(E::invalid_value(Unexpected::Other("an empty string"), &self));
        }
        Ok(RecordId::Str(value.into()))
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(IdsVisitor { one_is_fine: false })
    }
}

impl<'de> Deserialize<'de> for OneOrManyIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdsVisitor { one_is_fine: true }).map(Self)
    }
}

struct IdsVisitor {
    one_is_fine: bool,
}

impl<'de> Visitor<'de> for IdsVisitor {
    type Value = Ids;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.one_is_fine { "an id or a list of ids" } else { "a list of ids" })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ids, A::Error> {
        let mut ids = Ids::Ints(Vec::new());
        while let Some(OneId(id)) = seq.next_element()? {
            ids.push(id);
        }
        Ok(ids)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Ids, E> {
        if !self.one_is_fine {
            return Err(E::invalid_type(Unexpected::Unsigned(value), &self));
        }
        Ok(Ids::Ints(vec![value]))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Ids, E> {
        if !self.one_is_fine {
            return Err(E::invalid_type(Unexpected::Str(value), &self));
        }
        Ok(Ids::Mixed(vec![IdVisitor.visit_str(value)?]))
    }
}

impl Serialize for IdJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            RecordIdRef::Int(value) => serializer.serialize_u64(value),
            RecordIdRef::Str(value) => serializer.serialize_str(value),
        }
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for id in self.iter() {
            list.serialize_element(&IdJson(id))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests;
