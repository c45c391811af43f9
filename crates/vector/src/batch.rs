//! Exact search for many queries at once: each finds what [`scan`](crate::scan::scan) finds for it alone.
//!
//! One query's scan waits for memory; many share what is read. Queries are taken in groups whose codes stay in the
//! second-level cache; every tile of 64 rows is multiplied with a whole group, four queries and four rows at a time,
//! before the next is read, so the work is bound by multiplications. Bounds, waiting rows and the comparison of full
//! vectors are those of [`crate::screen`], a shortlist for each query.
//!
//! Where a selection leaves rows of a tile out, the wanted rows of several tiles are copied together: multiplying
//! unwanted rows with a group costs more than the copy.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::block::Block;
use crate::codes::CodeMeta;
use crate::kernels::{TILE_ROWS, Tile};
use crate::metric::Measure;
use crate::scan::{Found, Target, Wanted, bits, check_dimension, wanted_rows};
use crate::screen::{ScanStats, Screen, Shortlist, has_screen};
use crate::top_k::TopK;

/// Queries of a group. Bounds the memory of a batch besides its results.
const GROUP_QUERIES: usize = 128;

/// Queries that are multiplied with a tile before their results are screened: 4 KiB of results.
const STEP_QUERIES: usize = 16;

/// The best rows for each query. `queries` are `dim` numbers each, one after another. Panics if the dimension is not
/// the blocks' or does not divide the queries.
pub fn batch(target: &Target<'_>, queries: &[f32], dim: usize, wanted: Wanted) -> Vec<Found> {
    check_dimension(target, dim);
    assert!(queries.len().is_multiple_of(dim), "whole queries");
    let count = queries.len() / dim;
    if wanted.k == 0 || wanted.limit.is_nan() {
        return vec![Found::default(); count];
    }
    let mut found = Vec::with_capacity(count);
    for queries in queries.chunks(GROUP_QUERIES * dim) {
        let measures: Vec<_> =
            queries.chunks(dim).map(|query| Measure::new(target.metric, target.kernels, query)).collect();
        if has_screen(target.metric) {
            found.extend(Group::new(target, &measures, wanted).run());
        } else {
            found.extend(compare_all(target, &measures, wanted));
        }
    }
    found
}

/// A group's search over screened rows.
struct Group<'a> {
    target: &'a Target<'a>,
    measures: &'a [Measure<'a>],
    screens: Vec<Screen>,
    shortlists: Vec<Shortlist>,
    /// The codes of all queries, in whole cache lines (a load across two takes twice as long).
    codes: Vec<CacheLine>,
    tile: Tile,
    dots: Vec<i32>,
    gathered: Gathered,
}

#[repr(C, align(64))]
#[derive(Clone, Copy, Zeroable, Pod)]
struct CacheLine([i8; 64]);

/// Wanted rows of one block, copied together from tiles that are not wanted whole.
#[derive(Default)]
struct Gathered {
    rows: Vec<u32>,
    bytes: Vec<u8>,
    meta: Vec<CodeMeta>,
}

impl Gathered {
    fn add(&mut self, block: &Block<'_>, row: usize) {
        self.rows.push(row as u32);
        self.bytes.extend_from_slice(block.codes.row(row));
        self.meta.push(block.codes.meta[row]);
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.bytes.clear();
        self.meta.clear();
    }
}

/// Where the rows of a tile are in their block.
#[derive(Clone, Copy)]
enum Places<'a> {
    From(usize),
    At(&'a [u32]),
}

impl<'a> Group<'a> {
    fn new(target: &'a Target<'a>, measures: &'a [Measure<'a>], wanted: Wanted) -> Self {
        let screens: Vec<_> =
            measures.iter().map(|measure| Screen::new(target.metric, measure.query())).collect();
        Self {
            target,
            measures,
            shortlists: measures.iter().map(|_| Shortlist::new(wanted.k, wanted.limit)).collect(),
            codes: screens
                .iter()
                .flat_map(|screen| screen.codes.bytes.as_chunks::<64>().0)
                .map(|line| CacheLine(*line))
                .collect(),
            screens,
            tile: Tile::EMPTY,
            dots: vec![0; STEP_QUERIES * TILE_ROWS],
            gathered: Gathered::default(),
        }
    }

    fn run(mut self) -> impl Iterator<Item = Found> {
        for number in 0..self.target.blocks.len() {
            self.block(number);
        }
        for (shortlist, measure) in self.shortlists.iter_mut().zip(self.measures) {
            shortlist.compare(measure, self.target.blocks);
        }
        self.shortlists
            .into_iter()
            .map(|shortlist| Found { stats: shortlist.stats, neighbors: shortlist.into_best() })
    }

    fn block(&mut self, number: usize) {
        let block = &self.target.blocks[number];
        let rows = block.rows as usize;
        for start in (0..rows).step_by(TILE_ROWS) {
            let count = TILE_ROWS.min(rows - start);
            let wanted = wanted_rows(self.target.selection, block.first_row + start as u32, count);
            if wanted.count_ones() as usize == count {
                self.whole_tile(number, start..start + count);
                continue;
            }
            for bit in bits(wanted) {
                self.gathered.add(block, start + bit);
                if self.gathered.rows.len() == TILE_ROWS {
                    self.gathered_tile(number);
                }
            }
        }
        self.gathered_tile(number);
    }

    fn whole_tile(&mut self, number: usize, rows: Range<usize>) {
        let codes = self.target.blocks[number].codes;
        let bytes = &codes.bytes[rows.start * codes.stride..rows.end * codes.stride];
        self.tile(number, bytes, &codes.meta[rows.clone()], Places::From(rows.start));
    }

    fn gathered_tile(&mut self, number: usize) {
        let mut gathered = std::mem::take(&mut self.gathered);
        if !gathered.rows.is_empty() {
            self.tile(number, &gathered.bytes, &gathered.meta, Places::At(&gathered.rows));
        }
        gathered.clear();
        self.gathered = gathered;
    }

    /// Screens a tile for all queries.
    fn tile(&mut self, number: usize, bytes: &[u8], meta: &[CodeMeta], places: Places<'_>) {
        let kernels = self.target.kernels;
        let stride = self.target.blocks[number].codes.stride;
        (kernels.fill_tile)(meta, self.screens[0].form, &mut self.tile);
        let present = wanted_rows(None, 0, meta.len());
        let codes: &[i8] = bytemuck::cast_slice(&self.codes);
        for (step, queries) in codes.chunks(STEP_QUERIES * stride).enumerate() {
            let first = step * STEP_QUERIES;
            let dots = &mut self.dots[..queries.len() / stride * TILE_ROWS];
            (kernels.dot_tile)(bytes, queries, stride, dots);
            for (index, dots) in dots.as_chunks::<TILE_ROWS>().0.iter().enumerate() {
                let (screen, shortlist) = (&self.screens[first + index], &mut self.shortlists[first + index]);
                shortlist.stats.screened += meta.len() as u64;
                let passed = (kernels.screen)(&self.tile, dots, &screen.line, shortlist.limit()) & present;
                for row in bits(passed) {
                    let place = match places {
                        Places::From(first) => (first + row) as u32,
                        Places::At(rows) => rows[row],
                    };
                    if shortlist.offer(screen, dots[row], &meta[row], (number as u32, place)) {
                        shortlist.compare(&self.measures[first + index], self.target.blocks);
                    }
                }
            }
        }
    }
}

/// Compares every wanted row with every query, for metrics without a screen.
fn compare_all(target: &Target<'_>, measures: &[Measure<'_>], wanted: Wanted) -> Vec<Found> {
    let mut best: Vec<_> = measures.iter().map(|_| TopK::new(wanted.k)).collect();
    let mut stats = ScanStats::default();
    for block in target.blocks {
        let count = block.rows as usize;
        for start in (0..count).step_by(TILE_ROWS) {
            let first = block.first_row + start as u32;
            let rows = wanted_rows(target.selection, first, TILE_ROWS.min(count - start));
            stats.compared += u64::from(rows.count_ones());
            // The tile's rows stay in the cache from one query to the next.
            for (measure, best) in measures.iter().zip(&mut best) {
                for bit in bits(rows) {
                    let distance = measure.distance(block.row(start + bit));
                    if distance <= wanted.limit {
                        best.offer(distance, first + bit as u32);
                    }
                }
            }
        }
    }
    best.into_iter().map(|best| Found { neighbors: best.into_sorted(), stats }).collect()
}

#[cfg(test)]
mod tests;
