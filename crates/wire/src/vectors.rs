//! Vectors in JSON: lists of finite numbers, read straight into 32-bit floats.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use std::fmt;

/// One vector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vector(pub Vec<f32>);

/// Vectors of one dimension, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorRows {
    pub rows: usize,
    pub dim: usize,
    pub numbers: Vec<f32>,
}

impl VectorRows {
    /// The rows as little-endian bytes.
    pub fn into_le_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.numbers.len() * 4);
        for number in self.numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        RowSeed(&mut numbers).deserialize(deserializer)?;
        Ok(Self(numbers))
    }
}

impl<'de> Deserialize<'de> for VectorRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = VectorRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vectors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<VectorRows, A::Error> {
        let mut all = VectorRows::default();
        while let Some(read) = seq.next_element_seed(RowSeed(&mut all.numbers))? {
            if all.rows == 0 {
                all.dim = read;
            } else if read != all.dim {
                let (row, dim) = (all.rows, all.dim);
                return Err(A::Error::custom(format_args!(
                    "dimension mismatch: expected {dim} as in vector 0, got {read} in vector {row}"
                )));
            }
            all.rows += 1;
        }
        Ok(all)
    }
}

/// Appends one row; its value is the number of elements.
struct RowSeed<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector: a list of finite numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
        let start = self.0.len();
        while let Some(Number(number)) = seq.next_element()? {
            self.0.push(number);
        }
        Ok(self.0.len() - start)
    }
}

struct Number(f32);

impl<'de> Deserialize<'de> for Number {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f32(NumberVisitor).map(Self)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a finite number (NaN and infinity have no JSON form, null stands for neither)")
    }

    #[inline]
    fn visit_f64<E: Error>(self, value: f64) -> Result<f32, E> {
        let number = value as f32;
        if !number.is_finite() {
            return Err(E::invalid_value(Unexpected::Float(value), &"a number within 32-bit floats"));
        }
        Ok(number)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f32, E> {
        Ok(value as f32)
    }
}

#[cfg(test)]
mod tests;
