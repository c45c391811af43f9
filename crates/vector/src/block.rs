//! A block: some consecutive rows of one vector column, borrowed for the time of a search.
//!
//! Blocks are the unit of scanning. A sealed segment is one block (memory-mapped), a growing one several (its
//! append-only chunks). Row numbers are positions in the segment: a block's rows are
//! `first_row..first_row + rows`, and selections are bitmaps over these numbers.
//!
//! Invariants: every column of a block holds exactly `rows` rows of `dim` elements; codes are padded to a stride of
//! whole cache lines. [`Block::new`] checks the lengths once, so that the scans index without surprises.

use thiserror::Error;

use lavandin_types::ErrorCode;

use crate::codes::{CodeMeta, stride_for};

/// The elements of one row.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    F32(&'a [f32]),
    /// IEEE 754 binary16 bits.
    F16(&'a [u16]),
}

impl Row<'_> {
    pub fn dim(&self) -> usize {
        match self {
            Self::F32(row) => row.len(),
            Self::F16(row) => row.len(),
        }
    }
}

/// The elements of a block, row after row: `rows * dim` numbers.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    F32(&'a [f32]),
    /// IEEE 754 binary16 bits.
    F16(&'a [u16]),
}

impl<'a> Elements<'a> {
    /// The row at `index` (0-based in the block).
    #[inline]
    pub fn row(&self, index: usize, dim: usize) -> Row<'a> {
        let range = index * dim..index * dim + dim;
        match self {
            Self::F32(values) => Row::F32(&values[range]),
            Self::F16(values) => Row::F16(&values[range]),
        }
    }

    /// How many numbers there are in all.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The 8-bit codes of a block (see [`crate::codes`]).
#[derive(Clone, Copy, Debug)]
pub struct Codes<'a> {
    /// `rows * stride` bytes: code + 128, padded with 128.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next: `stride_for(dim)`.
    pub stride: usize,
    /// One entry a row.
    pub meta: &'a [CodeMeta],
}

impl<'a> Codes<'a> {
    /// The code bytes of the row at `index`, padding included.
    #[inline]
    pub fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..(index + 1) * self.stride]
    }
}

/// Consecutive rows of one vector column.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The segment's row number of the block's first row.
    pub first_row: u32,
    pub rows: u32,
    pub dim: usize,
    pub elements: Elements<'a>,
    pub codes: Codes<'a>,
}

/// Lengths that do not fit together: the bytes under the block are not what their header promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "block of {rows} rows of {dim} dimensions has {elements} elements, {code_bytes} code bytes and {meta} code headers"
)]
pub struct BlockError {
    pub rows: u32,
    pub dim: usize,
    pub elements: usize,
    pub code_bytes: usize,
    pub meta: usize,
}

impl BlockError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::DataCorrupt
    }
}

impl<'a> Block<'a> {
    /// A block over columns whose lengths fit `rows` and `dim`.
    pub fn new(
        first_row: u32,
        rows: u32,
        dim: usize,
        elements: Elements<'a>,
        codes: Codes<'a>,
    ) -> Result<Self, BlockError> {
        let block = Self { first_row, rows, dim, elements, codes };
        let count = rows as usize;
        let fits = dim > 0
            && elements.len() == count * dim
            && codes.stride == stride_for(dim)
            && codes.bytes.len() == count * codes.stride
            && codes.meta.len() == count
            && first_row.checked_add(rows).is_some();
        fits.then_some(block).ok_or(BlockError {
            rows,
            dim,
            elements: elements.len(),
            code_bytes: codes.bytes.len(),
            meta: codes.meta.len(),
        })
    }

    /// The part of the block from `start` (0-based in the block) to before `end`. Panics beyond the block.
    pub fn part(&self, start: u32, end: u32) -> Self {
        let (from, to) = (start as usize, end as usize);
        let elements = match self.elements {
            Elements::F32(values) => Elements::F32(&values[from * self.dim..to * self.dim]),
            Elements::F16(values) => Elements::F16(&values[from * self.dim..to * self.dim]),
        };
        let Codes { bytes, stride, meta } = self.codes;
        let codes = Codes { bytes: &bytes[from * stride..to * stride], stride, meta: &meta[from..to] };
        Self { first_row: self.first_row + start, rows: end - start, dim: self.dim, elements, codes }
    }

    /// The elements of the row at `index` (0-based in the block).
    #[inline]
    pub fn row(&self, index: usize) -> Row<'a> {
        self.elements.row(index, self.dim)
    }
}
