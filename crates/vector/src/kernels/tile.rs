//! What the screening kernels work on: a tile of rows, and one query's line of coefficients.
//!
//! Screening asks of each row of a tile whether its distance can be within a limit. The lower bound of the distance is,
//! for inner product, L2 and cosine alike (see [`crate::screen`] for the coefficients and the proof):
//!
//! ```text
//! lower = (line.bias + base) - (line.dot * (dot - line.offset) * scale + line.error * error + line.norm * norm)
//! ```

use crate::codes::CodeMeta;

/// Rows that are screened together: one word of a selection.
pub const TILE_ROWS: usize = 64;

/// The row side of the bound, by column.
#[repr(C, align(64))]
#[derive(Clone, Debug)]
pub struct Tile {
    pub scale: [f32; TILE_ROWS],
    pub error: [f32; TILE_ROWS],
    pub norm: [f32; TILE_ROWS],
    pub base: [f32; TILE_ROWS],
}

/// Which form the columns of a tile have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// As stored; no base.
    InnerProduct,
    /// As stored; the base is the squared norm times this factor, which is a little below one.
    L2 { base_factor: f32 },
    /// All divided by the row's norm; no base.
    Cosine,
}

/// The query side of the bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    pub offset: i32,
    pub bias: f32,
    pub dot: f32,
    pub error: f32,
    pub norm: f32,
}

impl Tile {
    pub const EMPTY: Self = Self {
        scale: [0.0; TILE_ROWS],
        error: [0.0; TILE_ROWS],
        norm: [0.0; TILE_ROWS],
        base: [0.0; TILE_ROWS],
    };

    /// Sets one row.
    #[inline(always)]
    pub(crate) fn set(&mut self, row: usize, meta: &CodeMeta, form: Form) {
        let norm = meta.norm2 * meta.inv_norm;
        (self.scale[row], self.error[row], self.norm[row], self.base[row]) = match form {
            Form::InnerProduct => (meta.scale, meta.error, norm, 0.0),
            Form::L2 { base_factor } => (meta.scale, meta.error, norm, meta.norm2 * base_factor),
            Form::Cosine => {
                (meta.scale * meta.inv_norm, meta.error * meta.inv_norm, norm * meta.inv_norm, 0.0)
            }
        };
    }

    /// Whether `row` is possibly within `limit`. A bound that is not a number (infinite errors) excludes nothing.
    #[inline(always)]
    pub(crate) fn passes(&self, row: usize, dot: i32, line: &Line, limit: f32) -> bool {
        let dot = dot.wrapping_sub(line.offset) as f32;
        let product = line.dot * (dot * self.scale[row]);
        let lost = line.error * self.error[row] + line.norm * self.norm[row];
        let lower = (line.bias + self.base[row]) - (product + lost);
        !matches!(lower.partial_cmp(&limit), Some(std::cmp::Ordering::Greater))
    }
}
