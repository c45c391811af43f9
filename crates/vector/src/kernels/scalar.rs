//! Kernels in plain Rust: the reference for the others, and what runs where nothing better does.

use half::slice::HalfFloatSliceExt;

use super::tile::{Form, Line, TILE_ROWS, Tile};
use super::{Kernels, Level};
use crate::codes::CodeMeta;

pub(super) static KERNELS: Kernels = Kernels {
    level: Level::Scalar,
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

/// Independent sums, so that the additions overlap (and the compiler uses what registers the baseline has).
const LANES: usize = 16;

fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    sum_pairs(a, b, |x, y| x * y)
}

fn l2_f32(a: &[f32], b: &[f32]) -> f32 {
    sum_pairs(a, b, |x, y| (x - y) * (x - y))
}

fn dot_f16(row: &[u16], query: &[f32]) -> f32 {
    sum_widened(row, query, dot_f32)
}

fn l2_f16(row: &[u16], query: &[f32]) -> f32 {
    sum_widened(row, query, l2_f32)
}

fn dot_codes(codes: &[u8], query: &[i8]) -> i32 {
    assert_eq!(codes.len(), query.len());
    codes.iter().zip(query).fold(0i32, |sum, (code, q)| sum.wrapping_add(i32::from(*code) * i32::from(*q)))
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
    let rows = super::table::rows_of_tile(codes, queries, stride, out);
    for (query, out) in queries.chunks_exact(stride).zip(out.chunks_exact_mut(TILE_ROWS)) {
        dot_rows(codes, query, &mut out[..rows]);
    }
}

pub(super) fn fill_tile(meta: &[CodeMeta], form: Form, tile: &mut Tile) {
    assert!(meta.len() <= TILE_ROWS);
    for (row, meta) in meta.iter().enumerate() {
        tile.set(row, meta, form);
    }
}

pub(super) fn screen(tile: &Tile, dots: &[i32; TILE_ROWS], line: &Line, limit: f32) -> u64 {
    let mut passed = 0;
    for (row, dot) in dots.iter().enumerate() {
        passed |= u64::from(tile.passes(row, *dot, line, limit)) << row;
    }
    passed
}

#[inline(always)]
fn sum_pairs(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    assert_eq!(a.len(), b.len());
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let mut lanes = [0.0f32; LANES];
    for (lane, (x, y)) in lanes.iter_mut().zip(rest) {
        *lane = term(*x, *y);
    }
    for (x, y) in a_chunks.zip(b_chunks) {
        for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += term(*x, *y);
        }
    }
    lanes.iter().sum()
}

/// Adds up a kernel over pieces of the row converted to `f32`.
pub(super) fn sum_widened(row: &[u16], query: &[f32], kernel: impl Fn(&[f32], &[f32]) -> f32) -> f32 {
    assert_eq!(row.len(), query.len());
    let mut wide = [0.0f32; 256];
    row.chunks(wide.len())
        .zip(query.chunks(wide.len()))
        .map(|(row, query)| {
            let wide = &mut wide[..row.len()];
            bytemuck::cast_slice::<u16, half::f16>(row).convert_to_f32_slice(wide);
            kernel(wide, query)
        })
        .sum()
}
