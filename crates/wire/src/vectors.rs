//! Vectors of JSON bodies.

use crate::WireError;
use crate::cursor::Cursor;

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

impl Vector {
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let mut numbers = Vec::new();
        cursor.numbers(&mut numbers)?;
        Ok(Self(numbers))
    }
}

impl VectorRows {
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let mut all = Self::default();
        cursor.list("a list of vectors", |cursor| all.read_row(cursor))?;
        Ok(all)
    }

    fn read_row(&mut self, cursor: &mut Cursor<'_>) -> Result<(), WireError> {
        let found = cursor.numbers(&mut self.numbers)?;
        if self.rows == 0 {
            self.dim = found;
        } else if found != self.dim {
            let (row, dim) = (self.rows, self.dim);
            let message =
                format!("dimension mismatch: expected {dim} as in vector 0, got {found} in vector {row}");
            return Err(cursor.wrong(&message));
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows as little-endian bytes.
    pub fn into_le_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.numbers.len() * 4);
        for number in self.numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
