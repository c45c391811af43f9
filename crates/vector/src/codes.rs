//! Eight-bit codes of vectors, with a proven bound on what they lose.
//!
//! A row `x` is coded as `x' = scale * c` with `scale = max|x_i| / 127` and integers `c_i = round(x_i / scale)` in
//! `-127..=127`, stored as `c_i + 128` in unsigned bytes, because the VNNI instructions multiply unsigned by signed
//! bytes. A query `q` is coded in the same way as `q' = scale_q * b` with signed bytes. Then
//! `<q', x'> = scale_q * scale * (sum((c_i + 128) * b_i) - 128 * sum(b_i))`: one integer dot product and one constant.
//!
//! # The bound
//!
//! ```text
//! <q,x> - <q',x'>  =  <q, x - x'> + <q - q', x'>
//! |..|            <=  |q| |x - x'| + |q - q'| |x'|           (Cauchy-Schwarz, twice)
//!                 <=  |q| error  + error_q (|x| + error)     (triangle inequality)
//! ```
//!
//! with `error >= |x - x'|` and `error_q >= |q - q'|` as stored. They are sums in double precision of numbers that are
//! exact in double precision (`scale * c` has at most 24 + 7 significant bits), so their relative error is below
//! `2 * dim * 2^-53 < 2^-35` for `dim <= 65,536`; they are multiplied by `1 + 2^-30` and rounded up to `f32`, hence true
//! upper bounds whatever `scale` is. What single-precision arithmetic adds on top is accounted for where the bound is
//! used ([`crate::scan`]).
//!
//! Invariants: a row whose squared norm is not within `1e-37..1e37` (or not finite) gets an infinite `error`: its codes
//! are still the best there are, but nothing is concluded from them, and the scans compare its full vector. Within
//! that range no product of two norms leaves the range of single precision. Zero rows are exact (`error` 0).

use bytemuck::{Pod, Zeroable};

use lavandin_types::Metric;

/// The most dimensions a code has: the integer dot product (at most 255 * 127 a dimension) must fit 31 bits.
pub const DIMENSION_MAX: usize = 65_536;

/// Rows of codes start at multiples of this many bytes: a cache line, and the widest register.
const STRIDE_UNIT: usize = 64;

/// Squared norms for which single-precision bounds hold.
const TRUSTED_NORM2: std::ops::RangeInclusive<f64> = 1e-37..=1e37;

/// What a row's code bytes mean.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct CodeMeta {
    /// `x` is about `scale * code`.
    pub scale: f32,
    /// `|x|^2`.
    pub norm2: f32,
    /// `1 / |x|`, 0 for a zero row.
    pub inv_norm: f32,
    /// At least `|x - scale * code|`; infinite where the numbers above are not to be trusted.
    pub error: f32,
}

/// Bytes from one row of codes to the next.
pub const fn stride_for(dim: usize) -> usize {
    dim.next_multiple_of(STRIDE_UNIT)
}

/// Codes `row` into `codes`, which has `stride_for(row.len())` bytes. Never fails; see the module on odd rows.
pub fn encode_row(row: &[f32], codes: &mut [u8]) -> CodeMeta {
    assert!(row.len() <= DIMENSION_MAX, "more dimensions than a code holds");
    assert_eq!(codes.len(), stride_for(row.len()), "one stride of code bytes");
    codes[row.len()..].fill(128);
    let Some(scale) = scale_of(row) else {
        codes.fill(128);
        return CodeMeta { scale: 0.0, norm2: f32::INFINITY, inv_norm: 0.0, error: f32::INFINITY };
    };
    quantize(row, scale, codes);
    let norm2 = sum(row, codes, |x, _| f64::from(x) * f64::from(x));
    let lost2 = sum(row, codes, |x, code| {
        let lost = f64::from(x) - f64::from(scale) * f64::from(i32::from(code).wrapping_sub(128));
        lost * lost
    });
    meta_of(scale, norm2, lost2)
}

/// A query coded for integer dot products with rows of codes.
#[derive(Clone, Debug)]
pub struct QueryCodes {
    /// One stride of signed bytes, padded with 0.
    pub bytes: Vec<i8>,
    /// `q` is about `scale * bytes`.
    pub scale: f32,
    /// What the rows' +128 adds to every integer dot product: `128 * sum(bytes)`.
    pub offset: i32,
    pub norm2: f32,
    /// `1 / |q|`, 0 for a zero query.
    pub inv_norm: f32,
    /// At least `|q - scale * bytes|`; infinite where nothing can be concluded from the codes.
    pub error: f32,
}

impl QueryCodes {
    pub fn new(query: &[f32]) -> Self {
        let mut codes = vec![0; stride_for(query.len())];
        let meta = encode_row(query, &mut codes);
        let bytes: Vec<i8> = codes.iter().map(|code| code.wrapping_sub(128) as i8).collect();
        let offset = 128 * bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>();
        let CodeMeta { scale, norm2, inv_norm, error } = meta;
        Self { bytes, scale, offset, norm2, inv_norm, error }
    }

    /// About `<q, x>`, from what a `dot_codes` kernel gave for the row's codes.
    #[inline]
    pub fn dot(&self, integer_dot: i32, row: &CodeMeta) -> f32 {
        integer_dot.wrapping_sub(self.offset) as f32 * (self.scale * row.scale)
    }

    /// About the distance of a row under inner product, L2 or cosine (the inner product for any other metric).
    #[inline]
    pub fn distance(&self, metric: Metric, integer_dot: i32, row: &CodeMeta) -> f32 {
        let dot = self.dot(integer_dot, row);
        match metric {
            Metric::L2 => self.norm2 + row.norm2 - 2.0 * dot,
            Metric::Cosine => 1.0 - dot * (self.inv_norm * row.inv_norm),
            _ => -dot,
        }
    }
}

/// `max|x_i| / 127`, or nothing if an element is not finite.
fn scale_of(row: &[f32]) -> Option<f32> {
    // Without the sign, numbers sort as their bits do, and what is not finite comes last.
    let max = row.iter().fold(0i32, |max, x| max.max((x.to_bits() & 0x7fff_ffff) as i32));
    let max = f32::from_bits(max as u32);
    max.is_finite().then_some(max / 127.0)
}

/// Any integers would do, because what they lose is computed from them; the nearest lose least.
fn quantize(row: &[f32], scale: f32, codes: &mut [u8]) {
    // Adding it leaves the nearest integer in the low bits (in two's complement), for anything below 2^22.
    const ROUNDER: f32 = (3 << 22) as f32;
    let inverse = 1.0 / scale;
    // For a scale of zero, or so small that its inverse overflows, every code is zero.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    for (code, x) in codes.iter_mut().zip(row) {
        let nearest = (x * inverse).clamp(-127.0, 127.0) + ROUNDER;
        *code = (nearest.to_bits() as u8).wrapping_add(128);
    }
}

fn meta_of(scale: f32, norm2: f64, lost2: f64) -> CodeMeta {
    let meta = CodeMeta {
        scale,
        norm2: norm2 as f32,
        inv_norm: if norm2 > 0.0 { (1.0 / norm2.sqrt()) as f32 } else { 0.0 },
        error: round_up(lost2.sqrt() * (1.0 + f64::powi(2.0, -30))),
    };
    let trusted = norm2 == 0.0 || TRUSTED_NORM2.contains(&norm2);
    if trusted { meta } else { CodeMeta { error: f32::INFINITY, ..meta } }
}

/// Adds up a term of every element and its code; eight sums at a time, so that the additions overlap.
#[inline(always)]
fn sum(row: &[f32], codes: &[u8], term: impl Fn(f32, u8) -> f64) -> f64 {
    let (groups, rest) = row.as_chunks::<8>();
    let (code_groups, code_rest) = codes[..row.len()].as_chunks::<8>();
    let mut lanes = [0.0f64; 8];
    for (lane, (x, code)) in lanes.iter_mut().zip(rest.iter().zip(code_rest)) {
        *lane = term(*x, *code);
    }
    for (group, codes) in groups.iter().zip(code_groups) {
        for lane in 0..8 {
            lanes[lane] += term(group[lane], codes[lane]);
        }
    }
    lanes.iter().sum()
}

/// The least `f32` that is not below `value`.
fn round_up(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) < value { nearest.next_up() } else { nearest }
}

#[cfg(test)]
mod tests;
