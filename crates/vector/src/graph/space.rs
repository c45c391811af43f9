//! The space in which a graph lives: approximate distances between rows, and from a query to rows, on 8-bit codes.
//!
//! Every row has a [`Term`] `{mul, add}`. With `<c, b>` the integer dot product of a row's codes and a target's codes,
//! the distance is `bias + add - weight * mul * <c, b>`, where bias and weight belong to the target:
//!
//! | metric | mul | add | weight of a query | bias of a query |
//! |---|---|---|---|---|
//! | inner product | `f` | 0 | `s` | 0 |
//! | L2 (squared) | `f` | `norm2` | `2 s` | `norm2(q)` |
//! | cosine | `f / norm` | 0 | `s / norm(q)` | 1 |
//!
//! `f = <x, c> / <c, c>` is the factor that brings `f * c` nearest to the row `x`; it makes up for the part of the
//! coding error that is parallel to the row, which is the part that would disturb the order of near rows. `s` is the
//! same for the query.
//!
//! Links are made between rows by a distance that is never negative: squared L2 distance for L2; squared distance of the
//! normalised rows for cosine; `2 (M^2 - <x,y>)` for the inner product, with `M` the largest norm. The last is no
//! Euclidean distance: every row's nearest are long rows, which is what queries look for too (Morozov and Babenko,
//! "Non-metric similarity graphs for maximum inner product search", NeurIPS 2018). The usual reduction, a further
//! coordinate that gives all rows norm `M`, was measured and is far worse once norms differ: on WordNet embeddings with
//! norms spread by 30 % a beam of 48 finds 0.74 instead of 0.99.

use bytemuck::{Pod, Zeroable};

use lavandin_types::Metric;

use crate::block::{Block, Codes, Row};
use crate::kernels::Kernels;
use crate::screen::prefetch_bytes;

/// What turns integer dot products with a row into distances.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub(super) struct Term {
    pub(super) mul: f32,
    pub(super) add: f32,
}

/// Rows of codes and their terms: enough to estimate distances.
#[derive(Clone, Copy)]
pub(super) struct Space<'a> {
    pub(super) codes: Codes<'a>,
    pub(super) terms: &'a [Term],
    pub(super) kernels: &'a Kernels,
}

/// A point that rows are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// One stride of signed codes, padded with 0.
    pub(super) codes: &'a [i8],
    /// `128 * sum(codes)`: what the rows' +128 adds to an integer dot product.
    pub(super) offset: i32,
    pub(super) weight: f32,
    pub(super) bias: f32,
}

/// Rows whose codes were asked for before their distances are computed; see `Seen::keep_fresh`.
pub(super) const EARLY: usize = 4;

impl Space<'_> {
    /// Asks for a row's codes. Rows are far apart in memory: a cache miss costs several times a row's arithmetic.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: u32) {
        prefetch_bytes(self.codes.row(row as usize));
    }

    /// Writes the distance of every listed row from `target`, in the list's order. Panics if a row is none.
    #[inline(always)]
    pub(super) fn distances(&self, rows: &[u32], target: &Target<'_>, work: &mut Work) {
        for row in rows.iter().skip(EARLY) {
            self.prefetch(*row);
        }
        for row in rows {
            prefetch_bytes(&self.terms[*row as usize..=*row as usize]);
        }
        work.dots.resize(rows.len(), 0);
        (self.kernels.dot_listed)(self.codes.bytes, rows, target.codes, &mut work.dots);
        work.distances.clear();
        work.distances.extend(rows.iter().zip(&work.dots).map(|(row, dot)| {
            let term = self.terms[*row as usize];
            let dot = dot.wrapping_sub(target.offset) as f32;
            target.bias + term.add - target.weight * term.mul * dot
        }));
    }
}

/// Buffers of distance computations.
#[derive(Debug, Default)]
pub(super) struct Work {
    dots: Vec<i32>,
    pub(super) distances: Vec<f32>,
}

/// The space of a block while links are made: it owns the terms.
pub(super) struct LinkSpace<'a> {
    codes: Codes<'a>,
    pub(super) terms: Vec<Term>,
    /// The bias of every row as a target, where the metric gives all the same.
    bias: f32,
    metric: Metric,
    kernels: &'a Kernels,
}

/// A row as a target: its signed codes.
#[derive(Debug, Default)]
pub(super) struct RowTarget {
    codes: Vec<i8>,
    offset: i32,
    weight: f32,
    bias: f32,
}

impl RowTarget {
    #[inline]
    pub(super) fn target(&self) -> Target<'_> {
        let Self { codes, offset, weight, bias } = self;
        Target { codes, offset: *offset, weight: *weight, bias: *bias }
    }
}

impl<'a> LinkSpace<'a> {
    pub(super) fn new(block: &Block<'a>, metric: Metric, kernels: &'a Kernels) -> Self {
        let terms = terms(block, metric, kernels);
        let norms = block.codes.meta.iter().map(|meta| meta.norm2).filter(|norm2| norm2.is_finite());
        let bias = match metric {
            Metric::Cosine => 2.0,
            _ => 2.0 * norms.fold(0.0f32, f32::max),
        };
        Self { codes: block.codes, terms, bias, metric, kernels }
    }

    pub(super) fn space(&self) -> Space<'_> {
        Space { codes: self.codes, terms: &self.terms, kernels: self.kernels }
    }

    /// Makes `row` a target.
    #[inline]
    pub(super) fn target_of(&self, row: u32, into: &mut RowTarget) {
        let at = row as usize;
        let bytes = self.codes.row(at);
        into.codes.clear();
        // Code + 128 with its top bit flipped is the code in two's complement.
        into.codes.extend(bytes.iter().map(|code| (*code ^ 0x80) as i8));
        let sum = bytes.iter().fold(0u32, |sum, code| sum + u32::from(*code)) as i32;
        into.offset = 128 * (sum - 128 * bytes.len() as i32);
        let term = self.terms[at];
        into.weight = 2.0 * term.mul;
        // Under L2 both rows' squared norms count, the other one's from its term.
        into.bias = if self.metric == Metric::L2 { term.add } else { self.bias };
    }
}

/// The terms of all rows of a block.
fn terms(block: &Block<'_>, metric: Metric, kernels: &Kernels) -> Vec<Term> {
    let mut codes = vec![0.0f32; block.dim];
    (0..block.rows as usize)
        .map(|index| {
            for (value, code) in codes.iter_mut().zip(block.codes.row(index)) {
                *value = f32::from(*code) - 128.0;
            }
            let length2 = (kernels.dot_f32)(&codes, &codes);
            let dot = match block.row(index) {
                Row::F32(row) => (kernels.dot_f32)(row, &codes),
                Row::F16(row) => (kernels.dot_f16)(row, &codes),
            };
            let factor = if length2 > 0.0 { dot / length2 } else { 0.0 };
            let factor = if factor.is_finite() { factor } else { 0.0 };
            let meta = &block.codes.meta[index];
            match metric {
                Metric::L2 => Term { mul: factor, add: meta.norm2 },
                Metric::Cosine => Term { mul: factor * meta.inv_norm, add: 0.0 },
                _ => Term { mul: factor, add: 0.0 },
            }
        })
        .collect()
}

/// A query as a target; reused from search to search.
#[derive(Debug, Default)]
pub(super) struct QueryTarget {
    codes: Vec<i8>,
    offset: i32,
    weight: f32,
    bias: f32,
}

impl QueryTarget {
    /// Codes `query` (finite numbers; others give useless distances) for rows of `stride` code bytes.
    pub(super) fn set(&mut self, query: &[f32], metric: Metric, stride: usize) {
        let largest = query.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        self.codes.clear();
        self.codes.extend(query.iter().map(|value| round(value * inverse) as i8));
        let (mut dot, mut length2, mut norm2, mut sum) = (0.0f32, 0.0f32, 0.0f32, 0i32);
        for (value, code) in query.iter().zip(&self.codes) {
            let rounded = f32::from(*code);
            dot += value * rounded;
            length2 += rounded * rounded;
            norm2 += value * value;
            sum += i32::from(*code);
        }
        self.codes.resize(stride, 0);
        self.offset = 128 * sum;
        let factor = if length2 > 0.0 { dot / length2 } else { 0.0 };
        (self.weight, self.bias) = match metric {
            Metric::L2 => (2.0 * factor, norm2),
            Metric::Cosine if norm2 > 0.0 => (factor / norm2.sqrt(), 1.0),
            Metric::Cosine => (0.0, 1.0),
            _ => (factor, 0.0),
        };
    }

    pub(super) fn target(&self) -> Target<'_> {
        let Self { codes, offset, weight, bias } = self;
        Target { codes, offset: *offset, weight: *weight, bias: *bias }
    }
}

/// To the nearest integer, for |value| up to 2^22: adding 1.5 * 2^23 leaves no bits for a fraction. `f32::round` is a
/// library call on baseline x86-64.
#[inline]
fn round(value: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT) - SHIFT
}

#[cfg(test)]
mod tests;
