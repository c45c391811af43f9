//! Metrics that are sums (or the maximum) of a term a dimension.
//!
//! Terms are added in single precision over pieces of 256 elements, sixteen sums at a time, which vectorises on any
//! processor; pieces are added in double precision. All terms are positive, so nothing cancels and the relative error
//! stays near 1e-6.

const PIECE: usize = 256;
const LANES: usize = 16;

pub(super) fn l1(a: &[f32], b: &[f32]) -> f32 {
    finite_or(sum(a, b, |x, y| (x - y).abs()), || {
        a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).abs()).sum()
    })
}

pub(super) fn chebyshev(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (lane, (x, y)) in lanes.iter_mut().zip(a_chunks.remainder().iter().zip(b_chunks.remainder())) {
        *lane = (x - y).abs();
    }
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            let difference = (x - y).abs();
            // Not `f32::max`, which costs a comparison with NaN each time.
            *lane = if difference > *lane { difference } else { *lane };
        }
    }
    lanes.into_iter().fold(0.0, f32::max)
}

pub(super) fn canberra(a: &[f32], b: &[f32]) -> f32 {
    let sum = sum(a, b, |x, y| {
        let scale = x.abs() + y.abs();
        if scale > 0.0 { (x - y).abs() / scale } else { 0.0 }
    });
    // An infinite scale made a term 0 or NaN; both need an element above half of the largest number.
    let large = |vector: &[f32]| vector.iter().any(|x| x.abs() > f32::MAX / 2.0);
    if sum.is_finite() && !(large(a) || large(b)) {
        return sum as f32;
    }
    let exact = a.iter().zip(b).map(|(x, y)| {
        let (x, y) = (f64::from(*x), f64::from(*y));
        let scale = x.abs() + y.abs();
        if scale > 0.0 { (x - y).abs() / scale } else { 0.0 }
    });
    exact.sum::<f64>() as f32
}

pub(super) fn bray_curtis(a: &[f32], b: &[f32]) -> f32 {
    let mut difference = sum(a, b, |x, y| (x - y).abs());
    let mut total = sum(a, b, |x, y| (x + y).abs());
    if !difference.is_finite() || !total.is_finite() {
        let exact = |term: fn(f64, f64) -> f64| {
            a.iter().zip(b).map(|(x, y)| term(f64::from(*x), f64::from(*y)).abs()).sum::<f64>()
        };
        (difference, total) = (exact(|x, y| x - y), exact(|x, y| x + y));
    }
    if difference == 0.0 { 0.0 } else { (difference / total) as f32 }
}

fn finite_or(sum: f64, exact: impl FnOnce() -> f64) -> f32 {
    if sum.is_finite() { sum as f32 } else { exact() as f32 }
}

#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    a.chunks(PIECE).zip(b.chunks(PIECE)).map(|(a, b)| f64::from(sum_piece(a, b, &term))).sum()
}

#[inline(always)]
fn sum_piece(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (lane, (x, y)) in lanes.iter_mut().zip(a_chunks.remainder().iter().zip(b_chunks.remainder())) {
        *lane = term(*x, *y);
    }
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += term(*x, *y);
        }
    }
    lanes.iter().sum()
}
