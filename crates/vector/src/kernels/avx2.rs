//! Kernels for AVX2 with FMA and F16C, with and without AVX-VNNI.
//!
//! As in `avx512`: `#[target_feature]` functions, safe wrappers that check lengths, tables that are handed out only
//! where the processor has the features. The byte tails are copied to a zeroed register's worth of bytes.

use std::arch::x86_64::*;

use super::table::rows_of_tile;
use super::tile::{Form, Line, TILE_ROWS, Tile};
use super::{Kernels, Level, scalar};
use crate::codes::CodeMeta;

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Avx2,
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
    level: Level::Avx2Vnni,
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
    fn dot_f32(&[f32], &[f32]) -> f32 = dot_f32_avx2;
    fn l2_f32(&[f32], &[f32]) -> f32 = l2_f32_avx2;
    fn dot_f16(&[u16], &[f32]) -> f32 = dot_f16_avx2;
    fn l2_f16(&[u16], &[f32]) -> f32 = l2_f16_avx2;
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
            let rows = rows_of_tile(codes, queries, stride, out);
            for (query, out) in queries.chunks_exact(stride).zip(out.chunks_exact_mut(TILE_ROWS)) {
                // The tile stays in the first-level cache from one query to the next.
                $rows(codes, query, &mut out[..rows]);
            }
        }
    };
}

checked_codes!(wide: dot_codes, dot_rows, dot_listed, dot_tile);
checked_codes!(vnni: dot_codes_vnni, dot_rows_vnni, dot_listed_vnni, dot_tile_vnni);

/// Fewer than eight numbers, and zeros.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn rest_f32(rest: &[f32]) -> __m256 {
    let mut eight = [0.0f32; 8];
    eight[..rest.len()].copy_from_slice(rest);
    // SAFETY: eight numbers.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

/// Fewer than eight binary16 numbers, widened, and zeros.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn rest_f16(rest: &[u16]) -> __m256 {
    let mut eight = [0u16; 8];
    eight[..rest.len()].copy_from_slice(rest);
    // SAFETY: eight numbers.
    unsafe { widen_f16(eight.as_ptr()) }
}

/// Eight binary16 numbers, widened.
///
/// # Safety
/// Eight numbers from `at` on are readable.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widen_f16(at: *const u16) -> __m256 {
    // SAFETY: the caller's promise.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn multiply_add(x: __m256, y: __m256, sum: __m256) -> __m256 {
    _mm256_fmadd_ps(x, y, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn square_add(x: __m256, y: __m256, sum: __m256) -> __m256 {
    let difference = _mm256_sub_ps(x, y);
    _mm256_fmadd_ps(difference, difference, sum)
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_f32(sums: [__m256; 4]) -> f32 {
    let [s0, s1, s2, s3] = sums;
    let sum = _mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3));
    let four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Four sums over whole groups of 32, one over the rest.
macro_rules! float_kernel {
    ($name:ident, $row:ty, $load:ident, $rest:ident, $step:ident) => {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn $name(a: &[$row], b: &[f32]) -> f32 {
            let mut sums = [_mm256_setzero_ps(); 4];
            let whole = a.len() - a.len() % 32;
            for at in (0..whole).step_by(32) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `at + 32 <= whole`, and both slices have at least `whole` numbers.
                    let (x, y) = unsafe {
                        let at = at + 8 * lane;
                        ($load(a.as_ptr().add(at)), _mm256_loadu_ps(b.as_ptr().add(at)))
                    };
                    *sum = $step(x, y, *sum);
                }
            }
            for (a, b) in a[whole..].chunks(8).zip(b[whole..].chunks(8)) {
                sums[0] = $step($rest(a), rest_f32(b), sums[0]);
            }
            sum_f32(sums)
        }
    };
}

float_kernel!(dot_f32_avx2, f32, _mm256_loadu_ps, rest_f32, multiply_add);
float_kernel!(l2_f32_avx2, f32, _mm256_loadu_ps, rest_f32, square_add);
float_kernel!(dot_f16_avx2, u16, widen_f16, rest_f16, multiply_add);
float_kernel!(l2_f16_avx2, u16, widen_f16, rest_f16, square_add);

/// Up to 32 bytes, and zeros.
#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes<T: bytemuck::Pod>(from: &[T]) -> __m256i {
    const { assert!(size_of::<T>() == 1) };
    let from: &[u8] = bytemuck::cast_slice(from);
    let mut bytes = [0u8; 32];
    let from = if let Ok(whole) = <&[u8; 32]>::try_from(from) {
        whole
    } else {
        bytes[..from.len()].copy_from_slice(from);
        &bytes
    };
    // SAFETY: 32 bytes.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// The sum of each of eight registers, in their order.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_each(sums: [__m256i; 8]) -> __m256i {
    let mut fours = [_mm256_setzero_si256(); 2];
    for (four, s) in fours.iter_mut().zip(sums.chunks_exact(4)) {
        let low = _mm256_add_epi32(_mm256_unpacklo_epi32(s[0], s[1]), _mm256_unpackhi_epi32(s[0], s[1]));
        let high = _mm256_add_epi32(_mm256_unpacklo_epi32(s[2], s[3]), _mm256_unpackhi_epi32(s[2], s[3]));
        *four = _mm256_add_epi32(_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
    }
    let [a, b] = fours;
    _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b))
}

/// Query bytes as VNNI takes them.
#[inline]
#[target_feature(enable = "avx2")]
fn prepare_vnni(query: __m256i) -> __m256i {
    query
}

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn step_vnni(sum: __m256i, codes: __m256i, query: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sum, codes, query)
}

/// Even and odd query bytes widened apart.
#[inline]
#[target_feature(enable = "avx2")]
fn prepare_wide(query: __m256i) -> (__m256i, __m256i) {
    (_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(query)), _mm256_srai_epi16::<8>(query))
}

/// Thirty-two products in 16-bit halves, so that nothing saturates (as the instruction for bytes would).
#[inline]
#[target_feature(enable = "avx2")]
fn step_wide(sum: __m256i, codes: __m256i, (even, odd): (__m256i, __m256i)) -> __m256i {
    let even = _mm256_madd_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0xff)), even);
    let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(codes), odd);
    _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
}

/// The integer kernels, in terms of how query bytes are prepared and how 32 products are added up.
macro_rules! code_kernels {
    ($module:ident, $features:literal, $prepare:ident, $step:ident) => {
        mod $module {
            use super::*;

            #[target_feature(enable = $features)]
            pub(super) fn dot(codes: &[u8], query: &[i8]) -> i32 {
                let mut sums = [_mm256_setzero_si256(); 2];
                for (codes, query) in codes.chunks(64).zip(query.chunks(64)) {
                    let halves = codes.chunks(32).zip(query.chunks(32));
                    for (sum, (codes, query)) in sums.iter_mut().zip(halves) {
                        *sum = $step(*sum, load_bytes(codes), $prepare(load_bytes(query)));
                    }
                }
                let sum = _mm256_add_epi32(sums[0], sums[1]);
                let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
                let two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
                _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
            }

            /// Eight rows with one query.
            ///
            /// # Safety
            /// The query's length is a multiple of 32, and as many bytes are readable at each row.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn dot_8(rows: [*const u8; 8], query: &[i8]) -> __m256i {
                let mut sums = [_mm256_setzero_si256(); 8];
                for at in (0..query.len()).step_by(32) {
                    // SAFETY: `at + 32` is within the query and, as the caller promised, within the rows.
                    let query = $prepare(unsafe { _mm256_loadu_si256(query.as_ptr().add(at).cast()) });
                    for (sum, row) in sums.iter_mut().zip(rows) {
                        // SAFETY: as above.
                        *sum = $step(*sum, unsafe { _mm256_loadu_si256(row.add(at).cast()) }, query);
                    }
                }
                sum_each(sums)
            }

            #[target_feature(enable = $features)]
            pub(super) fn rows(codes: &[u8], query: &[i8], out: &mut [i32]) {
                let stride = query.len();
                let (groups, rest) = out.as_chunks_mut::<8>();
                let mut row = codes.as_ptr();
                for out in groups {
                    // SAFETY: there are as many rows of `stride` bytes as results; the group's are within them.
                    unsafe {
                        let rows = std::array::from_fn(|index| row.wrapping_add(index.wrapping_mul(stride)));
                        _mm256_storeu_si256(out.as_mut_ptr().cast(), dot_8(rows, query));
                        row = row.add(stride.wrapping_mul(8));
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
                let (groups, rest) = out.as_chunks_mut::<8>();
                let (row_groups, row_rest) = rows.as_chunks::<8>();
                for (rows, out) in row_groups.iter().zip(groups) {
                    let rows = rows.map(|row| codes.as_ptr().wrapping_add(row as usize * stride));
                    // SAFETY: the rows were checked to be within the codes; `out` holds eight results.
                    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), dot_8(rows, query)) };
                }
                for (row, out) in row_rest.iter().zip(rest) {
                    let start = *row as usize * stride;
                    *out = dot(&codes[start..start + stride], query);
                }
            }
        }
    };
}

code_kernels!(vnni, "avx2,avxvnni", prepare_vnni, step_vnni);
code_kernels!(wide, "avx2", prepare_wide, step_wide);

fn fill_tile(meta: &[CodeMeta], form: Form, tile: &mut Tile) {
    let Ok(meta) = <&[CodeMeta; TILE_ROWS]>::try_from(meta) else {
        return scalar::fill_tile(meta, form, tile);
    };
    // SAFETY: the tables of this file are handed out only where the processor has their features.
    unsafe { fill_tile_avx2(meta, form, tile) }
}

fn screen(tile: &Tile, dots: &[i32; TILE_ROWS], line: &Line, limit: f32) -> u64 {
    // SAFETY: the tables of this file are handed out only where the processor has their features.
    unsafe { screen_avx2(tile, dots, line, limit) }
}

/// Eight headers as columns: scale, squared norm, inverse norm, error.
#[inline]
#[target_feature(enable = "avx2")]
fn columns(meta: &[CodeMeta; 8]) -> [__m256; 4] {
    // SAFETY: a header is four numbers, and `row + 4` is one of the eight.
    let pair = |row: usize| unsafe {
        let (low, high) = (&raw const meta[row], &raw const meta[row + 4]);
        _mm256_set_m128(_mm_loadu_ps(high.cast()), _mm_loadu_ps(low.cast()))
    };
    let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3));
    let (scale_norm2, inverse_error) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (scale_norm2_2, inverse_error_2) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    [
        _mm256_shuffle_ps::<0x44>(scale_norm2, scale_norm2_2),
        _mm256_shuffle_ps::<0xee>(scale_norm2, scale_norm2_2),
        _mm256_shuffle_ps::<0x44>(inverse_error, inverse_error_2),
        _mm256_shuffle_ps::<0xee>(inverse_error, inverse_error_2),
    ]
}

#[target_feature(enable = "avx2")]
fn fill_tile_avx2(meta: &[CodeMeta; TILE_ROWS], form: Form, tile: &mut Tile) {
    for (group, meta) in meta.as_chunks::<8>().0.iter().enumerate() {
        let [mut scale, norm2, inverse, mut error] = columns(meta);
        let mut norm = _mm256_mul_ps(norm2, inverse);
        let base = match form {
            Form::InnerProduct => _mm256_setzero_ps(),
            Form::L2 { base_factor } => _mm256_mul_ps(norm2, _mm256_set1_ps(base_factor)),
            Form::Cosine => {
                scale = _mm256_mul_ps(scale, inverse);
                error = _mm256_mul_ps(error, inverse);
                norm = _mm256_mul_ps(norm, inverse);
                _mm256_setzero_ps()
            }
        };
        let at = group * 8;
        // SAFETY: `at + 8 <= TILE_ROWS`, the length of each column; a tile and so its columns are aligned to 64.
        unsafe {
            _mm256_store_ps(tile.scale.as_mut_ptr().add(at), scale);
            _mm256_store_ps(tile.error.as_mut_ptr().add(at), error);
            _mm256_store_ps(tile.norm.as_mut_ptr().add(at), norm);
            _mm256_store_ps(tile.base.as_mut_ptr().add(at), base);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn screen_avx2(tile: &Tile, dots: &[i32; TILE_ROWS], line: &Line, limit: f32) -> u64 {
    let offset = _mm256_set1_epi32(line.offset);
    let (bias, by_dot) = (_mm256_set1_ps(line.bias), _mm256_set1_ps(line.dot));
    let (by_error, by_norm) = (_mm256_set1_ps(line.error), _mm256_set1_ps(line.norm));
    let limit = _mm256_set1_ps(limit);
    let mut passed = 0u64;
    for group in 0..TILE_ROWS / 8 {
        let at = group * 8;
        // SAFETY: `at + 8 <= TILE_ROWS`, the length of each column and of `dots`; columns are aligned to 64.
        let (dot, scale, error, norm, base) = unsafe {
            (
                _mm256_loadu_si256(dots.as_ptr().add(at).cast()),
                _mm256_load_ps(tile.scale.as_ptr().add(at)),
                _mm256_load_ps(tile.error.as_ptr().add(at)),
                _mm256_load_ps(tile.norm.as_ptr().add(at)),
                _mm256_load_ps(tile.base.as_ptr().add(at)),
            )
        };
        let dot = _mm256_cvtepi32_ps(_mm256_sub_epi32(dot, offset));
        let lost = _mm256_fmadd_ps(by_error, error, _mm256_mul_ps(by_norm, norm));
        let sum = _mm256_fmadd_ps(by_dot, _mm256_mul_ps(dot, scale), lost);
        let lower = _mm256_sub_ps(_mm256_add_ps(bias, base), sum);
        let mask = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NGT_UQ>(lower, limit));
        passed |= u64::from(mask as u32) << at;
    }
    passed
}
