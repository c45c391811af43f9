//! Field objects between JSON text and their binary form, in one pass each way.
//!
//! Counts precede their elements in the binary form and are not known while the text is read: a zero is written
//! first and replaced at the end.

use lavandin_types::{ArrayRef, FieldsRef, ValueRef, write_str, write_value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt;

/// One field object in its binary form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldObject(pub Vec<u8>);

/// The fields of a batch of records: for each in order one byte 0 (none given), or one byte 1 and the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldsList {
    pub count: usize,
    pub bytes: Vec<u8>,
}

/// Writes a field object as JSON.
#[derive(Clone, Copy, Debug)]
pub struct FieldsJson<'a>(pub FieldsRef<'a>);

impl<'de> Deserialize<'de> for FieldObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bytes = Vec::new();
        deserializer.deserialize_map(ObjectVisitor(&mut bytes))?;
        Ok(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for FieldsList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = FieldsList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of field objects, one a record, or null for a record without")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FieldsList, A::Error> {
        let mut list = FieldsList::default();
        while seq.next_element_seed(EntrySeed(&mut list.bytes))?.is_some() {
            list.count += 1;
        }
        Ok(list)
    }
}

/// One entry of a list: null, or an object.
struct EntrySeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field object or null")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push(0);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.push(1);
        ObjectVisitor(self.0).visit_map(map)
    }
}

struct ObjectVisitor<'a>(&'a mut Vec<u8>);

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let start = reserve_count(self.0);
        let mut count = 0u32;
        while map.next_key_seed(NameSeed(self.0))?.is_some() {
            map.next_value_seed(ValueSeed(self.0))?;
            count += 1;
        }
        set_count(self.0, start, count);
        Ok(())
    }
}

struct NameSeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        write_str(self.0, name);
        Ok(())
    }
}

struct ValueSeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        write_value(self.0, ValueRef::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        write_value(self.0, ValueRef::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        write_value(self.0, ValueRef::I64(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        write_value(self.0, ValueRef::U64(value));
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if !value.is_finite() {
            return Err(E::custom("a field holds a number that is not finite"));
        }
        write_value(self.0, ValueRef::F64(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        write_value(self.0, ValueRef::Str(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.push(TAG_ARRAY);
        let start = reserve_count(self.0);
        let mut count = 0u32;
        while seq.next_element_seed(ValueSeed(self.0))?.is_some() {
            count += 1;
        }
        set_count(self.0, start, count);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.push(TAG_OBJECT);
        ObjectVisitor(self.0).visit_map(map)
    }
}

const TAG_ARRAY: u8 = 7;
const TAG_OBJECT: u8 = 8;

fn reserve_count(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

fn set_count(out: &mut [u8], start: usize, count: u32) {
    out[start..start + 4].copy_from_slice(&count.to_le_bytes());
}

impl Serialize for FieldsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, &ValueJson(value))?;
        }
        map.end()
    }
}

pub(crate) struct ValueJson<'a>(pub(crate) ValueRef<'a>);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ValueRef::Null => serializer.serialize_unit(),
            ValueRef::Bool(value) => serializer.serialize_bool(value),
            ValueRef::I64(value) => serializer.serialize_i64(value),
            ValueRef::U64(value) => serializer.serialize_u64(value),
            ValueRef::F64(value) => serializer.serialize_f64(value),
            ValueRef::Str(value) => serializer.serialize_str(value),
            ValueRef::Array(array) => ArrayJson(array).serialize(serializer),
            ValueRef::Object(object) => FieldsJson(object).serialize(serializer),
        }
    }
}

struct ArrayJson<'a>(ArrayRef<'a>);

impl Serialize for ArrayJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0.iter() {
            list.serialize_element(&ValueJson(value))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests;
