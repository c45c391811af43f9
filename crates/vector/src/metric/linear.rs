//! Inner product, L2 and cosine, on the kernels.
//!
//! A sum that left the range in which single precision is accurate is repeated in double precision; that happens for
//! vectors beyond about 1e-15 and 1e19 only.

use half::slice::HalfFloatSliceExt;

use crate::block::Row;
use crate::kernels::Kernels;

/// Below this a sum of squares may have lost digits to underflow.
const SQUARES_MIN: f32 = 1e-30;

pub(super) fn inner_product(kernels: &Kernels, query: &[f32], row: Row<'_>) -> f32 {
    let dot = dot(kernels, query, row);
    // Not `-dot`: that would tell 0 from -0.
    if dot.is_finite() { 0.0 - dot } else { 0.0 - dot_exact(query, row) as f32 }
}

pub(super) fn l2(kernels: &Kernels, query: &[f32], row: Row<'_>) -> f32 {
    let distance = match row {
        Row::F32(row) => (kernels.l2_f32)(row, query),
        Row::F16(row) => (kernels.l2_f16)(row, query),
    };
    if (SQUARES_MIN..=f32::MAX).contains(&distance) {
        return distance;
    }
    sum_exact(query, row, |a, b| (a - b) * (a - b)) as f32
}

/// `norm2` is the query's.
pub(super) fn cosine(kernels: &Kernels, query: &[f32], norm2: f64, row: Row<'_>) -> f32 {
    let row_norm2 = match row {
        Row::F32(row) => (kernels.dot_f32)(row, row),
        Row::F16(row) => widened(row, |row| (kernels.dot_f32)(row, row)),
    };
    let dot = dot(kernels, query, row);
    let accurate = (SQUARES_MIN..=f32::MAX).contains(&row_norm2) && dot.is_finite();
    if accurate && (f64::from(SQUARES_MIN)..=f64::from(f32::MAX)).contains(&norm2) {
        return one_minus(f64::from(dot), norm2, f64::from(row_norm2));
    }
    one_minus(dot_exact(query, row), norm2, sum_exact(query, row, |_, b| b * b))
}

/// `|vector|^2` in double precision.
pub(super) fn norm2(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

/// Runs a function on a row of binary16 bits as single precision.
pub(super) fn widened<T>(row: &[u16], run: impl FnOnce(&[f32]) -> T) -> T {
    const ON_STACK: usize = 1024;
    let bits = bytemuck::cast_slice::<u16, half::f16>(row);
    if row.len() > ON_STACK {
        return run(&bits.to_f32_vec());
    }
    let mut wide = [0.0; ON_STACK];
    let wide = &mut wide[..row.len()];
    bits.convert_to_f32_slice(wide);
    run(wide)
}

fn dot(kernels: &Kernels, query: &[f32], row: Row<'_>) -> f32 {
    match row {
        Row::F32(row) => (kernels.dot_f32)(row, query),
        Row::F16(row) => (kernels.dot_f16)(row, query),
    }
}

fn one_minus(dot: f64, norm2: f64, row_norm2: f64) -> f32 {
    if norm2 == 0.0 || row_norm2 == 0.0 {
        return 1.0;
    }
    (1.0 - (dot / (norm2.sqrt() * row_norm2.sqrt())).clamp(-1.0, 1.0)) as f32
}

#[cold]
fn dot_exact(query: &[f32], row: Row<'_>) -> f64 {
    sum_exact(query, row, |a, b| a * b)
}

#[cold]
fn sum_exact(query: &[f32], row: Row<'_>, term: impl Fn(f64, f64) -> f64) -> f64 {
    match row {
        Row::F32(row) => query.iter().zip(row).map(|(a, b)| term(f64::from(*a), f64::from(*b))).sum(),
        Row::F16(row) => {
            query.iter().zip(row).map(|(a, b)| term(f64::from(*a), half::f16::from_bits(*b).to_f64())).sum()
        }
    }
}
