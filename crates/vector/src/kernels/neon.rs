//! Kernels for NEON. Half-precision rows are widened in pieces (by the processor, through `half`) and then multiplied.
//!
//! Every AArch64 processor has NEON, so these functions are safe to call there.

use std::arch::aarch64::*;

use super::table::rows_of_tile;
use super::tile::TILE_ROWS;
use super::{Kernels, Level, scalar};

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Neon,
    dot_f32,
    l2_f32,
    dot_f16,
    l2_f16,
    dot_codes,
    dot_rows,
    dot_listed,
    dot_tile,
    fill_tile: scalar::fill_tile,
    screen: scalar::screen,
};

/// Four sums over whole groups of 16, and the rest one by one.
macro_rules! float_kernel {
    ($name:ident, $step:expr, $term:expr) => {
        fn $name(a: &[f32], b: &[f32]) -> f32 {
            assert_eq!(a.len(), b.len());
            let (a_groups, a_rest) = a.as_chunks::<16>();
            let (b_groups, b_rest) = b.as_chunks::<16>();
            // SAFETY: NEON is always there; a group has sixteen numbers.
            let sum = unsafe {
                let mut sums = [vdupq_n_f32(0.0); 4];
                for (a, b) in a_groups.iter().zip(b_groups) {
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        let at = 4 * lane;
                        let (x, y) = (vld1q_f32(a.as_ptr().add(at)), vld1q_f32(b.as_ptr().add(at)));
                        *sum = $step(*sum, x, y);
                    }
                }
                let [s0, s1, s2, s3] = sums;
                vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)))
            };
            a_rest.iter().zip(b_rest).fold(sum, |sum, (x, y)| sum + $term(*x, *y))
        }
    };
}

float_kernel!(dot_f32, |sum, x, y| vfmaq_f32(sum, x, y), |x: f32, y: f32| x * y);
float_kernel!(
    l2_f32,
    |sum, x, y| {
        let difference = vsubq_f32(x, y);
        vfmaq_f32(sum, difference, difference)
    },
    |x: f32, y: f32| (x - y) * (x - y)
);

fn dot_f16(row: &[u16], query: &[f32]) -> f32 {
    scalar::sum_widened(row, query, dot_f32)
}

fn l2_f16(row: &[u16], query: &[f32]) -> f32 {
    scalar::sum_widened(row, query, l2_f32)
}

fn dot_codes(codes: &[u8], query: &[i8]) -> i32 {
    assert_eq!(codes.len(), query.len());
    let (code_groups, code_rest) = codes.as_chunks::<16>();
    let (query_groups, query_rest) = query.as_chunks::<16>();
    // SAFETY: NEON is always there; a group has sixteen bytes. Bytes are widened to 16 bits before they are
    // multiplied into 32-bit sums, so nothing saturates.
    let sum = unsafe {
        let mut sums = [vdupq_n_s32(0); 4];
        for (codes, query) in code_groups.iter().zip(query_groups) {
            let (codes, query) = (vld1q_u8(codes.as_ptr()), vld1q_s8(query.as_ptr()));
            let codes_low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));
            let codes_high = vreinterpretq_s16_u16(vmovl_high_u8(codes));
            let (query_low, query_high) = (vmovl_s8(vget_low_s8(query)), vmovl_high_s8(query));
            sums[0] = vmlal_s16(sums[0], vget_low_s16(codes_low), vget_low_s16(query_low));
            sums[1] = vmlal_high_s16(sums[1], codes_low, query_low);
            sums[2] = vmlal_s16(sums[2], vget_low_s16(codes_high), vget_low_s16(query_high));
            sums[3] = vmlal_high_s16(sums[3], codes_high, query_high);
        }
        let [s0, s1, s2, s3] = sums;
        vaddvq_s32(vaddq_s32(vaddq_s32(s0, s1), vaddq_s32(s2, s3)))
    };
    let rest = code_rest.iter().zip(query_rest);
    rest.fold(sum, |sum, (code, q)| sum.wrapping_add(i32::from(*code) * i32::from(*q)))
}

fn dot_rows(codes: &[u8], query: &[i8], out: &mut [i32]) {
    assert_eq!(codes.len(), query.len() * out.len());
    for (row, out) in codes.chunks_exact(query.len()).zip(out) {
        *out = dot_codes(row, query);
    }
}

fn dot_listed(codes: &[u8], rows: &[u32], query: &[i8], out: &mut [i32]) {
    assert_eq!(rows.len(), out.len());
    for (row, out) in rows.iter().zip(out) {
        let start = *row as usize * query.len();
        *out = dot_codes(&codes[start..start + query.len()], query);
    }
}

fn dot_tile(codes: &[u8], queries: &[i8], stride: usize, out: &mut [i32]) {
    let rows = rows_of_tile(codes, queries, stride, out);
    for (query, out) in queries.chunks_exact(stride).zip(out.chunks_exact_mut(TILE_ROWS)) {
        dot_rows(codes, query, &mut out[..rows]);
    }
}
