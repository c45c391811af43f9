//! Exact search: the best `k` of all wanted rows of some blocks, as if every row had been compared.
//!
//! Inner product, L2 and cosine are screened by codes, a tile of 64 rows at a time, and only rows that the bounds cannot
//! exclude are compared in full (see [`crate::screen`] for the method and the proof). Other metrics compare every
//! wanted row.
//!
//! Wanted rows are a bitmap over the segment's row numbers. Of a tile where most rows are wanted all codes are
//! multiplied; wanted rows of the other tiles are listed, their codes are asked for ahead of time, and 64 listed rows make
//! a tile of their own.
//!
//! Driven by `shard`, which merges the lists of segments. Deliberately absent: threads (a caller that has several
//! gives each some of the blocks) and approximate search (`graph`).

use lavandin_types::{Metric, Selection};

use crate::block::{Block, Codes};
use crate::kernels::{Kernels, TILE_ROWS, Tile};
use crate::metric::Measure;
use crate::screen::{ScanStats, Screen, Shortlist, has_screen, prefetch_bytes};
use crate::top_k::{Neighbor, TopK};

/// A tile with at most this many wanted rows has them listed: beyond, reading all its codes in order costs less.
const LISTED_MAX: u32 = 16;

/// What to search in.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub metric: Metric,
    pub kernels: &'a Kernels,
    pub blocks: &'a [Block<'a>],
    /// The rows that may be found, by the segment's row numbers; none means all.
    pub selection: Option<&'a Selection>,
}

/// How much to find.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// At most this many rows,
    pub k: usize,
    /// none of them farther than this.
    pub limit: f32,
}

impl Wanted {
    /// The best `k` at any distance.
    pub fn top(k: usize) -> Self {
        Self { k, limit: f32::INFINITY }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Best first; equal distances by row.
    pub neighbors: Vec<Neighbor>,
    pub stats: ScanStats,
}

/// The best rows for one query. Panics if the query's dimension is not the blocks'.
pub fn scan(target: &Target<'_>, query: &[f32], wanted: Wanted) -> Found {
    check_dimension(target, query.len());
    if wanted.k == 0 || wanted.limit.is_nan() {
        return Found::default();
    }
    let measure = Measure::new(target.metric, target.kernels, query);
    if !has_screen(target.metric) {
        return compare_all(target, &measure, wanted);
    }
    let screen = Screen::new(target.metric, query);
    let mut scan = Scan {
        target,
        screen: &screen,
        measure: &measure,
        shortlist: Shortlist::new(wanted.k, wanted.limit),
        tile: Tile::EMPTY,
        dots: [0; TILE_ROWS],
    };
    for block in 0..target.blocks.len() {
        scan.block(block);
    }
    scan.finish()
}

/// Panics if a block has another dimension than the query.
pub(crate) fn check_dimension(target: &Target<'_>, dim: usize) {
    assert!(target.blocks.iter().all(|block| block.dim == dim), "the query has the blocks' dimension");
}

/// Which of the 64 rows from `first` on are wanted, of `count` that there are.
#[inline]
pub(crate) fn wanted_rows(selection: Option<&Selection>, first: u32, count: usize) -> u64 {
    let present = if count >= TILE_ROWS { u64::MAX } else { (1 << count) - 1 };
    let Some(selection) = selection else { return present };
    let words = selection.words();
    let (word, shift) = ((first / 64) as usize, first % 64);
    let word_at = |index: usize| words.get(index).copied().unwrap_or(0);
    let low = word_at(word) >> shift;
    let high = if shift == 0 { 0 } else { word_at(word + 1) << (64 - shift) };
    (low | high) & present
}

/// The positions of the set bits.
#[inline]
pub(crate) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

struct Scan<'a> {
    target: &'a Target<'a>,
    screen: &'a Screen,
    measure: &'a Measure<'a>,
    shortlist: Shortlist,
    tile: Tile,
    dots: [i32; TILE_ROWS],
}

impl Scan<'_> {
    fn block(&mut self, number: usize) {
        let block = &self.target.blocks[number];
        let rows = block.rows as usize;
        let mut listed = Vec::with_capacity(TILE_ROWS + LISTED_MAX as usize);
        for start in (0..rows).step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(rows - start);
            let wanted = wanted_rows(self.target.selection, block.first_row + start as u32, count);
            if wanted.count_ones() > LISTED_MAX {
                self.dense_tile(number, start..start + count, wanted);
                continue;
            }
            for bit in bits(wanted) {
                list(&block.codes, start + bit, &mut listed);
            }
            if listed.len() >= TILE_ROWS {
                self.listed_tile(number, &listed[..TILE_ROWS]);
                listed.drain(..TILE_ROWS);
            }
        }
        self.listed_tile(number, &listed);
    }

    /// Screens a range of rows, of which some are wanted.
    fn dense_tile(&mut self, number: usize, rows: std::ops::Range<usize>, wanted: u64) {
        let Codes { bytes, stride, meta } = self.target.blocks[number].codes;
        let kernels = self.target.kernels;
        let bytes = &bytes[rows.start * stride..rows.end * stride];
        (kernels.dot_rows)(bytes, &self.screen.codes.bytes, &mut self.dots[..rows.len()]);
        let meta = &meta[rows.clone()];
        (kernels.fill_tile)(meta, self.screen.form, &mut self.tile);
        self.shortlist.stats.screened += rows.len() as u64;
        let limit = self.shortlist.limit();
        let passed = (kernels.screen)(&self.tile, &self.dots, &self.screen.line, limit) & wanted;
        for row in bits(passed) {
            self.offer(number, row, &meta[row], rows.start + row);
        }
    }

    /// Screens at most 64 rows from anywhere in a block.
    fn listed_tile(&mut self, number: usize, rows: &[u32]) {
        if rows.is_empty() {
            return;
        }
        let codes = &self.target.blocks[number].codes;
        let kernels = self.target.kernels;
        (kernels.dot_listed)(codes.bytes, rows, &self.screen.codes.bytes, &mut self.dots[..rows.len()]);
        for (index, row) in rows.iter().enumerate() {
            self.tile.set(index, &codes.meta[*row as usize], self.screen.form);
        }
        self.shortlist.stats.screened += rows.len() as u64;
        let limit = self.shortlist.limit();
        let present = wanted_rows(None, 0, rows.len());
        let passed = (kernels.screen)(&self.tile, &self.dots, &self.screen.line, limit) & present;
        for index in bits(passed) {
            let row = rows[index] as usize;
            self.offer(number, index, &codes.meta[row], row);
        }
    }

    #[inline]
    fn offer(&mut self, number: usize, in_tile: usize, meta: &crate::codes::CodeMeta, in_block: usize) {
        let at = (number as u32, in_block as u32);
        if self.shortlist.offer(self.screen, self.dots[in_tile], meta, at) {
            self.shortlist.compare(self.measure, self.target.blocks);
        }
    }

    fn finish(mut self) -> Found {
        self.shortlist.compare(self.measure, self.target.blocks);
        Found { stats: self.shortlist.stats, neighbors: self.shortlist.into_best() }
    }
}

/// Lists a row and asks for its codes, which are needed some rows later.
#[inline]
fn list(codes: &Codes<'_>, row: usize, listed: &mut Vec<u32>) {
    prefetch_bytes(codes.row(row));
    prefetch_bytes(std::slice::from_ref(&codes.meta[row]));
    listed.push(row as u32);
}

/// Compares every wanted row.
fn compare_all(target: &Target<'_>, measure: &Measure<'_>, wanted: Wanted) -> Found {
    let mut best = TopK::new(wanted.k);
    let mut stats = ScanStats::default();
    for block in target.blocks {
        let rows = block.rows as usize;
        for start in (0..rows).step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(rows - start);
            let rows = wanted_rows(target.selection, block.first_row + start as u32, count);
            stats.compared += u64::from(rows.count_ones());
            for bit in bits(rows) {
                let distance = measure.distance(block.row(start + bit));
                if distance <= wanted.limit {
                    best.offer(distance, block.first_row + (start + bit) as u32);
                }
            }
        }
    }
    Found { neighbors: best.into_sorted(), stats }
}

#[cfg(test)]
pub(crate) mod tests;
