//! Shapes and literals straight from JSON texts, without a tree of values in between.

use super::literal::Literal;
use super::shape::Shape;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Fields of a struct beyond this make it irregular.
const FIELDS_MAX: usize = 1024;

/// Makes a shape hold one more JSON value. Structs hold the keys of all objects; one that lacks a key is null there.
pub(super) struct Absorb<'a> {
    pub shape: &'a mut Shape,
    /// The shape is declared: what it does not hold is noted in `misfit`, and keys that it lacks are skipped.
    pub declared: bool,
    pub misfit: &'a mut bool,
}

impl Absorb<'_> {
    fn scalar(self, kind: Shape) {
        match (&*self.shape, &kind) {
            (shape, kind) if shape == kind => {}
            (Shape::Float, Shape::Int) => {}
            (Shape::Irregular, _) => {}
            _ if self.declared => *self.misfit = true,
            (Shape::Null, _) | (Shape::Int, Shape::Float) => *self.shape = kind,
            _ => *self.shape = Shape::Irregular,
        }
    }

    /// The shape's own empty list or struct, if it may become one.
    fn begin(&mut self, empty: Shape) {
        if *self.shape == Shape::Null && !self.declared {
            *self.shape = empty;
        }
    }

    fn misplaced(self) {
        match self.declared {
            true => *self.misfit = true,
            false => *self.shape = Shape::Irregular,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Absorb<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Absorb<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.scalar(Shape::Bool);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.scalar(Shape::Int);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        // A declared integer may be unsigned; the decoder checks its range.
        match value <= i64::MAX as u64 || self.declared {
            true => self.scalar(Shape::Int),
            false => self.misplaced(),
        }
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.scalar(Shape::Float);
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.scalar(Shape::Text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.begin(Shape::List(Box::new(Shape::Null)));
        let Shape::List(item) = &mut *self.shape else {
            self.misplaced();
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let (declared, misfit) = (self.declared, self.misfit);
        while items.next_element_seed(Absorb { shape: item, declared, misfit })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.begin(Shape::Struct(Vec::new()));
        if !matches!(self.shape, Shape::Struct(_)) {
            self.misplaced();
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut place = 0;
        while let Some(key) = entries.next_key::<Cow<'_, str>>()? {
            let Shape::Struct(fields) = &mut *self.shape else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let known = match fields.get(place) {
                Some((name, _)) if *name == *key => Some(place),
                _ => fields.iter().position(|(name, _)| *name == *key),
            };
            let known = match known {
                Some(known) => known,
                None if self.declared => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
                None if fields.len() == FIELDS_MAX => {
                    entries.next_value::<IgnoredAny>()?;
                    *self.shape = Shape::Irregular;
                    continue;
                }
                None => {
                    fields.push((key.into_owned(), Shape::Null));
                    fields.len() - 1
                }
            };
            let shape = &mut fields[known].1;
            entries.next_value_seed(Absorb { shape, declared: self.declared, misfit: self.misfit })?;
            place = known + 1;
        }
        Ok(())
    }
}

impl<'de> serde::Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LiteralVisitor)
    }
}

struct LiteralVisitor;

impl<'de> Visitor<'de> for LiteralVisitor {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Literal, E> {
        Ok(Literal::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Literal, E> {
        Ok(Literal::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Literal, E> {
        Ok(Literal::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Literal, E> {
        Ok(i64::try_from(value).map_or_else(|_| Literal::BigInt(value.to_string()), Literal::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Literal, E> {
        Ok(Literal::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Literal, E> {
        Ok(Literal::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Literal, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Literal::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Literal, A::Error> {
        let mut dict = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Literal>()? {
            dict.push((Literal::Text(key), value));
        }
        Ok(Literal::Dict(dict))
    }
}

/// How many items the list, or entries the object, of a JSON text has; characters of a string; `None` for others.
pub(crate) fn json_length(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'[' | b'{' => {}
        b'"' => return serde_json::from_str::<String>(text).ok().map(|text| text.chars().count() as u64),
        _ => return None,
    }
    let (mut depth, mut commas, mut in_string, mut escaped, mut empty) = (0_u32, 0, false, false, true);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                in_string = !in_string;
                empty = false;
            }
            _ if in_string => {}
            b'[' | b'{' => {
                empty &= depth == 0;
                depth += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => commas += 1,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => empty = false,
        }
    }
    Some(if empty { 0 } else { commas + 1 })
}
