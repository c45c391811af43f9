//! Kernels for AVX-512, with and without VNNI.
//!
//! Each kernel is a `#[target_feature]` function over slices and a safe wrapper that checks the lengths. The tables
//! below are handed out by `Kernels::for_level` only, after it asked the processor: that is what makes the wrappers'
//! calls sound. Tails are loaded with masks, which read nothing beyond the slice.

use std::arch::x86_64::*;

use super::table::rows_of_tile;
use super::tile::{Form, Line, TILE_ROWS, Tile};
use super::{Kernels, Level, scalar};
use crate::codes::CodeMeta;

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Avx512,
    dot_f32,
    l2_f32,
    dot_f16,
    l2_f16,
    dot_codes,
    dot_rows,
    dot_listed,
    dot_tile,
    fill_tile,
    screen,
};

pub(super) static KERNELS_VNNI: Kernels = Kernels {
    level: Level::Avx512Vnni,
    dot_codes: dot_codes_vnni,
    dot_rows: dot_rows_vnni,
    dot_listed: dot_listed_vnni,
    dot_tile: dot_tile_vnni,
    ..KERNELS
};

/// A safe wrapper of the table around a `#[target_feature]` function of two slices of equal length.
macro_rules! checked {
    ($(fn $name:ident($a:ty, $b:ty) -> $out:ty = $inner:ident;)*) => {$(
        fn $name(a: $a, b: $b) -> $out {
            assert_eq!(a.len(), b.len());
            // SAFETY: the tables of this file are handed out only where the processor has their features.
            unsafe { $inner(a, b) }
        }
    )*};
}

checked! {
    fn dot_f32(&[f32], &[f32]) -> f32 = dot_f32_avx512;
    fn l2_f32(&[f32], &[f32]) -> f32 = l2_f32_avx512;
    fn dot_f16(&[u16], &[f32]) -> f32 = dot_f16_avx512;
    fn l2_f16(&[u16], &[f32]) -> f32 = l2_f16_avx512;
}

/// The same for the integer kernels of one module.
macro_rules! checked_codes {
    ($module:ident: $dot:ident, $rows:ident, $listed:ident, $tile:ident) => {
        fn $dot(codes: &[u8], query: &[i8]) -> i32 {
            assert_eq!(codes.len(), query.len());
            // SAFETY: the tables of this file are handed out only where the processor has their features.
            unsafe { $module::dot(codes, query) }
        }

        fn $rows(codes: &[u8], query: &[i8], out: &mut [i32]) {
            assert!(query.len().is_multiple_of(64) && codes.len() == query.len() * out.len());
            // SAFETY: as above.
            unsafe { $module::rows(codes, query, out) }
        }

        fn $listed(codes: &[u8], rows: &[u32], query: &[i8], out: &mut [i32]) {
            assert!(query.len().is_multiple_of(64) && !query.is_empty() && rows.len() == out.len());
            // SAFETY: as above.
            unsafe { $module::listed(codes, rows, query, out) }
        }

        fn $tile(codes: &[u8], queries: &[i8], stride: usize, out: &mut [i32]) {
            rows_of_tile(codes, queries, stride, out);
            // SAFETY: as above.
            unsafe { $module::tile(codes, queries, stride, out) }
        }
    };
}

checked_codes!(wide: dot_codes, dot_rows, dot_listed, dot_tile);
checked_codes!(vnni: dot_codes_vnni, dot_rows_vnni, dot_listed_vnni, dot_tile_vnni);

/// The low `count` bits, all of them from 64 on.
#[inline]
fn low_bits(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// Up to 16 numbers from `at` on, zeros after the end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_f32(from: &[f32], at: usize) -> __m512 {
    let mask = low_bits(from.len() - at) as u16;
    // SAFETY: `at` is within the slice, and masked-out lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr().add(at)) }
}

/// Up to 16 binary16 numbers from `at` on, widened, zeros after the end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_f16(from: &[u16], at: usize) -> __m512 {
    let mask = low_bits(from.len() - at) as u16;
    // SAFETY: `at` is within the slice, and masked-out lanes are not read.
    _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask, from.as_ptr().add(at).cast()) })
}

/// Sixteen binary16 numbers, widened.
///
/// # Safety
/// Sixteen numbers from `at` on are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn widen_f16(at: *const u16) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
}

/// Four sums over whole groups of 64, one over the rest.
macro_rules! float_kernel {
    ($name:ident, $row:ty, $load:expr, $load_rest:ident, $step:expr) => {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn $name(a: &[$row], b: &[f32]) -> f32 {
            let step = $step;
            let mut sums = [_mm512_setzero_ps(); 4];
            let whole = a.len() - a.len() % 64;
            for at in (0..whole).step_by(64) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `at + 64 <= whole`, and both slices have at least `whole` numbers.
                    let (x, y) = unsafe {
                        let at = at + 16 * lane;
                        ($load(a.as_ptr().add(at)), _mm512_loadu_ps(b.as_ptr().add(at)))
                    };
                    *sum = step(x, y, *sum);
                }
            }
            for at in (whole..a.len()).step_by(16) {
                sums[0] = step($load_rest(a, at), load_f32(b, at), sums[0]);
            }
            let [s0, s1, s2, s3] = sums;
            _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)))
        }
    };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn multiply_add(x: __m512, y: __m512, sum: __m512) -> __m512 {
    _mm512_fmadd_ps(x, y, sum)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn square_add(x: __m512, y: __m512, sum: __m512) -> __m512 {
    let difference = _mm512_sub_ps(x, y);
    _mm512_fmadd_ps(difference, difference, sum)
}

float_kernel!(dot_f32_avx512, f32, _mm512_loadu_ps, load_f32, |x, y, sum| multiply_add(x, y, sum));
float_kernel!(l2_f32_avx512, f32, _mm512_loadu_ps, load_f32, |x, y, sum| square_add(x, y, sum));
float_kernel!(dot_f16_avx512, u16, widen_f16, load_f16, |x, y, sum| multiply_add(x, y, sum));
float_kernel!(l2_f16_avx512, u16, widen_f16, load_f16, |x, y, sum| square_add(x, y, sum));

/// Up to 64 bytes from `at` on, zeros after the end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_bytes<T: bytemuck::Pod>(from: &[T], at: usize) -> __m512i {
    const { assert!(size_of::<T>() == 1) };
    let mask = low_bits(from.len() - at);
    // SAFETY: `at` is within the slice, and masked-out lanes are not read.
    unsafe { _mm512_maskz_loadu_epi8(mask, from.as_ptr().add(at).cast()) }
}

/// The sum of each of sixteen registers, in their order.
#[inline]
#[target_feature(enable = "avx512f")]
fn sum_each(sums: [__m512i; 16]) -> __m512i {
    let zero = _mm512_setzero_si512();
    let mut fours = [zero; 4];
    for (four, s) in fours.iter_mut().zip(sums.chunks_exact(4)) {
        let low = _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
        let high = _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
        *four = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    }
    let [a, b, c, d] = fours;
    let ab = fold_quarters(a, b);
    let cd = fold_quarters(c, d);
    fold_quarters(ab, cd)
}

/// Adds neighbouring quarters: `[a0 + a1, a2 + a3, b0 + b1, b2 + b3]`.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold_quarters(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b))
}

/// Query bytes as VNNI takes them.
#[inline]
#[target_feature(enable = "avx512f")]
fn prepare_vnni(query: __m512i) -> __m512i {
    query
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn step_vnni(sum: __m512i, codes: __m512i, query: __m512i) -> __m512i {
    _mm512_dpbusd_epi32(sum, codes, query)
}

/// Even and odd query bytes widened apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn prepare_wide(query: __m512i) -> (__m512i, __m512i) {
    (_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(query)), _mm512_srai_epi16::<8>(query))
}

/// Sixty-four products in 16-bit halves, so that nothing saturates (as the instruction for bytes would).
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn step_wide(sum: __m512i, codes: __m512i, (even, odd): (__m512i, __m512i)) -> __m512i {
    let even = _mm512_madd_epi16(_mm512_and_si512(codes, _mm512_set1_epi16(0xff)), even);
    let odd = _mm512_madd_epi16(_mm512_srli_epi16::<8>(codes), odd);
    _mm512_add_epi32(sum, _mm512_add_epi32(even, odd))
}

/// The integer kernels, in terms of how query bytes are prepared and how 64 products are added up.
macro_rules! code_kernels {
    ($module:ident, $features:literal, $prepare:ident, $step:ident) => {
        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn dot(codes: &[u8], query: &[i8]) -> i32 {
                let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
                for at in (0..codes.len()).step_by(128) {
                    even = $step(even, load_bytes(codes, at), $prepare(load_bytes(query, at)));
                    let at = at + 64;
                    if at < codes.len() {
                        odd = $step(odd, load_bytes(codes, at), $prepare(load_bytes(query, at)));
                    }
                }
                _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd))
            }

            /// Sixteen rows with one query.
            ///
            /// # Safety
            /// The query's length is a multiple of 64, and as many bytes are readable at each row.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn dot_16(rows: [*const u8; 16], query: &[i8]) -> __m512i {
                let mut sums = [_mm512_setzero_si512(); 16];
                for at in (0..query.len()).step_by(64) {
                    // SAFETY: `at + 64` is within the query and, as the caller promised, within the rows.
                    let query = $prepare(unsafe { _mm512_loadu_si512(query.as_ptr().add(at).cast()) });
                    for (sum, row) in sums.iter_mut().zip(rows) {
                        // SAFETY: as above.
                        *sum = $step(*sum, unsafe { _mm512_loadu_si512(row.add(at).cast()) }, query);
                    }
                }
                sum_each(sums)
            }

            #[target_feature(enable = $features)]
            pub(super) fn rows(codes: &[u8], query: &[i8], out: &mut [i32]) {
                let stride = query.len();
                let (groups, rest) = out.as_chunks_mut::<16>();
                let mut row = codes.as_ptr();
                for out in groups {
                    // SAFETY: there are as many rows of `stride` bytes as results; the group's are within them.
                    unsafe {
                        let rows = std::array::from_fn(|index| row.wrapping_add(index.wrapping_mul(stride)));
                        _mm512_storeu_si512(out.as_mut_ptr().cast(), dot_16(rows, query));
                        row = row.add(stride.wrapping_mul(16));
                    }
                }
                let done = codes.len() - rest.len() * stride;
                for (row, out) in codes[done..].chunks_exact(stride).zip(rest) {
                    *out = dot(row, query);
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn listed(codes: &[u8], rows: &[u32], query: &[i8], out: &mut [i32]) {
                let stride = query.len();
                let last = codes.len() / stride;
                assert!(rows.iter().all(|row| (*row as usize) < last));
                let (groups, rest) = out.as_chunks_mut::<16>();
                let (row_groups, row_rest) = rows.as_chunks::<16>();
                for (rows, out) in row_groups.iter().zip(groups) {
                    let rows = rows.map(|row| codes.as_ptr().wrapping_add(row as usize * stride));
                    // SAFETY: the rows were checked to be within the codes; `out` holds sixteen results.
                    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), dot_16(rows, query)) };
                }
                for (row, out) in row_rest.iter().zip(rest) {
                    let start = *row as usize * stride;
                    *out = dot(&codes[start..start + stride], query);
                }
            }

            /// Four rows with four queries, into four places.
            ///
            /// # Safety
            /// The stride is a multiple of 64; four rows and four queries of it are readable, and four results are
            /// writable at each place.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn dot_4x4(rows: *const u8, queries: *const i8, stride: usize, out: [*mut i32; 4]) {
                let mut sums = [_mm512_setzero_si512(); 16];
                for at in (0..stride).step_by(64) {
                    // SAFETY: `at + 64 <= stride`, within each of the four rows and queries.
                    let rows: [__m512i; 4] = unsafe {
                        let rows = rows.add(at);
                        [
                            _mm512_loadu_si512(rows.cast()),
                            _mm512_loadu_si512(rows.add(stride).cast()),
                            _mm512_loadu_si512(rows.add(stride.wrapping_mul(2)).cast()),
                            _mm512_loadu_si512(rows.add(stride.wrapping_mul(3)).cast()),
                        ]
                    };
                    for (index, sums) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                        // SAFETY: as above.
                        let query = $prepare(unsafe {
                            _mm512_loadu_si512(
                                queries.add(index.wrapping_mul(stride).wrapping_add(at)).cast(),
                            )
                        });
                        for (sum, row) in sums.iter_mut().zip(rows) {
                            *sum = $step(*sum, row, query);
                        }
                    }
                }
                let sums = sum_each(sums);
                // SAFETY: four results are writable at each place.
                unsafe {
                    _mm_storeu_si128(out[0].cast(), _mm512_extracti32x4_epi32::<0>(sums));
                    _mm_storeu_si128(out[1].cast(), _mm512_extracti32x4_epi32::<1>(sums));
                    _mm_storeu_si128(out[2].cast(), _mm512_extracti32x4_epi32::<2>(sums));
                    _mm_storeu_si128(out[3].cast(), _mm512_extracti32x4_epi32::<3>(sums));
                }
            }

            #[target_feature(enable = $features)]
            pub(super) fn tile(codes: &[u8], queries: &[i8], stride: usize, out: &mut [i32]) {
                let rows = codes.len() / stride;
                let whole_rows = rows - rows % 4;
                let (out_groups, out_rest) = out.as_chunks_mut::<{ 4 * TILE_ROWS }>();
                let query_groups = queries.chunks_exact(4 * stride);
                let query_rest = query_groups.remainder();
                for (queries, out) in query_groups.zip(out_groups) {
                    for row in (0..whole_rows).step_by(4) {
                        // SAFETY: `row + 4 <= rows <= TILE_ROWS`, so rows and places are within their slices; the
                        // group holds four queries.
                        unsafe {
                            let place = out.as_mut_ptr().add(row);
                            let places = [
                                place,
                                place.add(TILE_ROWS),
                                place.add(2 * TILE_ROWS),
                                place.add(3 * TILE_ROWS),
                            ];
                            dot_4x4(codes.as_ptr().add(row * stride), queries.as_ptr(), stride, places);
                        }
                    }
                    for row in whole_rows..rows {
                        let codes = &codes[row * stride..(row + 1) * stride];
                        for (index, query) in queries.chunks_exact(stride).enumerate() {
                            out[index * TILE_ROWS + row] = dot(codes, query);
                        }
                    }
                }
                let out_rest = out_rest.chunks_exact_mut(TILE_ROWS);
                for (query, out) in query_rest.chunks_exact(stride).zip(out_rest) {
                    self::rows(codes, query, &mut out[..rows]);
                }
            }
        }
    };
}

code_kernels!(vnni, "avx512f,avx512bw,avx512vl,avx512vnni", prepare_vnni, step_vnni);
code_kernels!(wide, "avx512f,avx512bw,avx512vl", prepare_wide, step_wide);

fn fill_tile(meta: &[CodeMeta], form: Form, tile: &mut Tile) {
    let Ok(meta) = <&[CodeMeta; TILE_ROWS]>::try_from(meta) else {
        return scalar::fill_tile(meta, form, tile);
    };
    // SAFETY: the tables of this file are handed out only where the processor has their features.
    unsafe { fill_tile_avx512(meta, form, tile) }
}

fn screen(tile: &Tile, dots: &[i32; TILE_ROWS], line: &Line, limit: f32) -> u64 {
    // SAFETY: the tables of this file are handed out only where the processor has their features.
    unsafe { screen_avx512(tile, dots, line, limit) }
}

/// Sixteen headers as columns: scale, squared norm, inverse norm, error.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns(meta: &[CodeMeta; 16]) -> [__m512; 4] {
    let scale_norm2 = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    let inverse_error = _mm512_add_epi32(scale_norm2, _mm512_set1_epi32(2));
    let from = meta.as_ptr().cast::<f32>();
    // SAFETY: sixteen headers are 64 numbers.
    let [a, b, c, d] = unsafe {
        [
            _mm512_loadu_ps(from),
            _mm512_loadu_ps(from.add(16)),
            _mm512_loadu_ps(from.add(32)),
            _mm512_loadu_ps(from.add(48)),
        ]
    };
    let (low, high) = (_mm512_permutex2var_ps(a, scale_norm2, b), _mm512_permutex2var_ps(c, scale_norm2, d));
    let (scale, norm2) = (_mm512_shuffle_f32x4::<0x44>(low, high), _mm512_shuffle_f32x4::<0xee>(low, high));
    let (low, high) =
        (_mm512_permutex2var_ps(a, inverse_error, b), _mm512_permutex2var_ps(c, inverse_error, d));
    let (inverse, error) = (_mm512_shuffle_f32x4::<0x44>(low, high), _mm512_shuffle_f32x4::<0xee>(low, high));
    [scale, norm2, inverse, error]
}

#[target_feature(enable = "avx512f")]
fn fill_tile_avx512(meta: &[CodeMeta; TILE_ROWS], form: Form, tile: &mut Tile) {
    for (group, meta) in meta.as_chunks::<16>().0.iter().enumerate() {
        let [mut scale, norm2, inverse, mut error] = columns(meta);
        let mut norm = _mm512_mul_ps(norm2, inverse);
        let base = match form {
            Form::InnerProduct => _mm512_setzero_ps(),
            Form::L2 { base_factor } => _mm512_mul_ps(norm2, _mm512_set1_ps(base_factor)),
            Form::Cosine => {
                scale = _mm512_mul_ps(scale, inverse);
                error = _mm512_mul_ps(error, inverse);
                norm = _mm512_mul_ps(norm, inverse);
                _mm512_setzero_ps()
            }
        };
        let at = group * 16;
        // SAFETY: `at + 16 <= TILE_ROWS`, the length of each column; a tile and so its columns are aligned to 64.
        unsafe {
            _mm512_store_ps(tile.scale.as_mut_ptr().add(at), scale);
            _mm512_store_ps(tile.error.as_mut_ptr().add(at), error);
            _mm512_store_ps(tile.norm.as_mut_ptr().add(at), norm);
            _mm512_store_ps(tile.base.as_mut_ptr().add(at), base);
        }
    }
}

#[target_feature(enable = "avx512f")]
fn screen_avx512(tile: &Tile, dots: &[i32; TILE_ROWS], line: &Line, limit: f32) -> u64 {
    let offset = _mm512_set1_epi32(line.offset);
    let (bias, by_dot) = (_mm512_set1_ps(line.bias), _mm512_set1_ps(line.dot));
    let (by_error, by_norm) = (_mm512_set1_ps(line.error), _mm512_set1_ps(line.norm));
    let limit = _mm512_set1_ps(limit);
    let mut passed = 0u64;
    for group in 0..TILE_ROWS / 16 {
        let at = group * 16;
        // SAFETY: `at + 16 <= TILE_ROWS`, the length of each column and of `dots`; columns are aligned to 64.
        let (dot, scale, error, norm, base) = unsafe {
            (
                _mm512_loadu_si512(dots.as_ptr().add(at).cast()),
                _mm512_load_ps(tile.scale.as_ptr().add(at)),
                _mm512_load_ps(tile.error.as_ptr().add(at)),
                _mm512_load_ps(tile.norm.as_ptr().add(at)),
                _mm512_load_ps(tile.base.as_ptr().add(at)),
            )
        };
        let dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(dot, offset));
        let lost = _mm512_fmadd_ps(by_error, error, _mm512_mul_ps(by_norm, norm));
        let sum = _mm512_fmadd_ps(by_dot, _mm512_mul_ps(dot, scale), lost);
        let lower = _mm512_sub_ps(_mm512_add_ps(bias, base), sum);
        let mask = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(lower, limit);
        passed |= u64::from(mask) << at;
    }
    passed
}
