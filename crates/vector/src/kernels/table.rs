//! The table of kernels of one level.

use std::sync::OnceLock;

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::tile::{Form, Line, TILE_ROWS, Tile};
use super::{Level, scalar};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::codes::CodeMeta;

/// The kernels of one level. Every function panics when lengths that must be equal are not.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    pub level: Level,
    /// `sum(a_i * b_i)`.
    pub dot_f32: fn(&[f32], &[f32]) -> f32,
    /// `sum((a_i - b_i)^2)`.
    pub l2_f32: fn(&[f32], &[f32]) -> f32,
    /// The same of a row of binary16 bits and a query.
    pub dot_f16: fn(&[u16], &[f32]) -> f32,
    pub l2_f16: fn(&[u16], &[f32]) -> f32,
    /// `sum(codes_i * query_i)` of unsigned and signed bytes, for at most `codes::DIMENSION_MAX` of them: what
    /// `QueryCodes::dot` takes.
    pub dot_codes: fn(&[u8], &[i8]) -> i32,
    /// `dot_codes` of consecutive rows: `(codes, query, out)`, one result a row; the query's length is the stride, a
    /// multiple of 64.
    pub dot_rows: fn(&[u8], &[i8], &mut [i32]),
    /// `dot_codes` of some rows: `(codes, rows, query, out)`, rows as positions in `codes`.
    pub dot_listed: DotListed,
    /// `dot_codes` of a tile of at most `TILE_ROWS` rows with several queries: `(codes, queries, stride, out)`; the
    /// result of row `r` and query `q` goes to `out[q * TILE_ROWS + r]`.
    pub dot_tile: fn(&[u8], &[i8], usize, &mut [i32]),
    /// Turns at most `TILE_ROWS` rows' headers into the columns of a tile.
    pub fill_tile: fn(&[CodeMeta], Form, &mut Tile),
    /// The rows of a tile whose lower bound does not exceed the limit, as a bit each. Bits of rows that were not
    /// filled mean nothing.
    pub screen: fn(&Tile, &[i32; TILE_ROWS], &Line, f32) -> u64,
}

/// `(codes, rows, query, out)`
type DotListed = fn(&[u8], &[u32], &[i8], &mut [i32]);

/// Checks the arguments of a `dot_tile` kernel; the number of rows.
pub(super) fn rows_of_tile(codes: &[u8], queries: &[i8], stride: usize, out: &[i32]) -> usize {
    let rows = codes.len() / stride;
    assert!(stride.is_multiple_of(64) && codes.len() == rows * stride && rows <= TILE_ROWS);
    assert!(queries.len().is_multiple_of(stride) && out.len() == queries.len() / stride * TILE_ROWS);
    rows
}

impl Kernels {
    /// The best table for this processor.
    pub fn get() -> &'static Self {
        static BEST: OnceLock<&'static Kernels> = OnceLock::new();
        BEST.get_or_init(|| {
            Level::ALL.into_iter().rev().find_map(Self::for_level).unwrap_or(&scalar::KERNELS)
        })
    }

    /// The table of one level, if this processor runs it.
    pub fn for_level(level: Level) -> Option<&'static Self> {
        if !level.is_supported() {
            return None;
        }
        match level {
            Level::Scalar => Some(&scalar::KERNELS),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => Some(&neon::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Some(&avx2::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2Vnni => Some(&avx2::KERNELS_VNNI),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Some(&avx512::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => Some(&avx512::KERNELS_VNNI),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }
}
