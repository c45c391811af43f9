//! What the tests of the graph share, and tests of the whole: build, store, open, search.

use std::sync::atomic::{AtomicBool, AtomicU64};

use half::f16;
use lavandin_types::{Metric, Selection};

use super::*;
use crate::block::{Block, Codes, Elements};
use crate::codes::{CodeMeta, encode_row, stride_for};
use crate::kernels::Kernels;
use crate::scan::{self, scan};
use crate::top_k::Neighbor;

pub(super) const METRICS: [Metric; 3] = [Metric::Ip, Metric::L2, Metric::Cosine];

/// Rows and their codes.
pub(super) struct Data {
    pub(super) dim: usize,
    pub(super) rows: Vec<f32>,
    halves: Vec<u16>,
    codes: Vec<u8>,
    meta: Vec<CodeMeta>,
}

impl Data {
    pub(super) fn new(dim: usize, rows: Vec<f32>) -> Self {
        let mut codes = vec![0; rows.len() / dim * stride_for(dim)];
        let meta = rows.chunks(dim).zip(codes.chunks_mut(stride_for(dim)));
        let meta = meta.map(|(row, codes)| encode_row(row, codes)).collect();
        Self { dim, rows, halves: Vec::new(), codes, meta }
    }

    /// The same rows rounded to binary16, coded from what is stored.
    pub(super) fn halved(&self) -> Self {
        let halves: Vec<u16> = self.rows.iter().map(|x| f16::from_f32(*x).to_bits()).collect();
        let rounded = halves.iter().map(|bits| f16::from_bits(*bits).to_f32()).collect();
        Self { halves, ..Self::new(self.dim, rounded) }
    }

    pub(super) fn clustered(count: usize, dim: usize, seed: u64) -> Self {
        Self::new(dim, clustered(count, dim, seed))
    }

    pub(super) fn count(&self) -> u32 {
        self.meta.len() as u32
    }

    pub(super) fn row(&self, row: u32) -> &[f32] {
        &self.rows[row as usize * self.dim..][..self.dim]
    }

    pub(super) fn block(&self) -> Block<'_> {
        self.first(self.count(), 0)
    }

    /// A block of the first rows.
    pub(super) fn first(&self, rows: u32, first_row: u32) -> Block<'_> {
        let (count, stride) = (rows as usize, stride_for(self.dim));
        let codes = Codes { bytes: &self.codes[..count * stride], stride, meta: &self.meta[..count] };
        let elements = match self.halves.is_empty() {
            true => Elements::F32(&self.rows[..count * self.dim]),
            false => Elements::F16(&self.halves[..count * self.dim]),
        };
        Block::new(first_row, rows, self.dim, elements, codes).unwrap()
    }

    pub(super) fn build(&self, metric: Metric, threads: usize) -> Graph {
        let builder = GraphBuilder::new(self.block(), metric, Parameters::default()).unwrap();
        run(builder, threads)
    }

    pub(super) fn truth(
        &self,
        metric: Metric,
        query: &[f32],
        k: usize,
        selection: Option<&Selection>,
    ) -> Vec<Neighbor> {
        let blocks = [self.block()];
        let target = scan::Target { metric, kernels: Kernels::get(), blocks: &blocks, selection };
        scan(&target, query, scan::Wanted::top(k)).neighbors
    }
}

pub(super) fn run(builder: GraphBuilder<'_>, threads: usize) -> Graph {
    builder.build(threads, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap()
}

/// Reproducible numbers.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(super) fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    /// About normally distributed: the sum of a few uniform numbers.
    pub(super) fn normal(&mut self) -> f32 {
        let sum: f64 = (0..6).map(|_| self.next() as f64 / (1u64 << 53) as f64).sum();
        ((sum - 3.0) * std::f64::consts::SQRT_2) as f32
    }
}

/// Rows around 30 centres, of norms that differ by some tens of percent.
pub(super) fn clustered(count: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(7);
    let centres: Vec<f32> = (0..30 * dim).map(|_| random.normal()).collect();
    let mut random = Random::new(seed);
    (0..count)
        .flat_map(|_| {
            let centre = random.below(30) as usize;
            let row: Vec<f32> =
                (0..dim).map(|at| centres[centre * dim + at] + 0.4 * random.normal()).collect();
            row
        })
        .collect()
}

/// Whether every row can be reached from the entry points, and no row has itself or another twice among its
/// neighbours.
pub(super) fn assert_sound(graph: GraphRef<'_>) {
    graph.verify().unwrap();
    let mut reached = vec![false; graph.rows() as usize];
    let mut queue: Vec<u32> = graph.entries.to_vec();
    while let Some(row) = queue.pop() {
        if !std::mem::replace(&mut reached[row as usize], true) {
            queue.extend(graph.neighbours_of(row));
        }
    }
    assert_eq!(reached.iter().filter(|reached| !**reached).count(), 0, "rows that no walk can find");
    for row in 0..graph.rows() {
        let mut neighbours: Vec<u32> = graph.neighbours_of(row).collect();
        assert!(neighbours.len() <= graph.parameters().degree as usize);
        neighbours.sort_unstable();
        assert!(neighbours.windows(2).all(|pair| pair[0] != pair[1]), "row {row} has a neighbour twice");
        assert!(!neighbours.contains(&row), "row {row} is its own neighbour");
    }
}

/// The share of the true neighbours that searches find; checks order and distances too.
pub(super) fn recall(data: &Data, graph: GraphRef<'_>, queries: &[f32], k: usize, beam: usize) -> f64 {
    let block = data.block();
    let target = Target { kernels: Kernels::get(), block: &block, allowed: None };
    let (mut scratch, mut out, mut hits, mut wanted) = (Scratch::new(), Vec::new(), 0, 0);
    for query in queries.chunks_exact(data.dim) {
        graph.search(&target, query, Wanted { k, beam }, &mut scratch, &mut out).unwrap();
        let truth = data.truth(graph.metric(), query, k, None);
        assert_eq!(out.len(), truth.len());
        assert!(out.is_sorted_by(|a, b| (a.distance, a.row) < (b.distance, b.row)));
        for found in &out {
            let row = block.row(found.row as usize);
            let distance = crate::metric::distance(graph.metric(), Kernels::get(), query, row);
            assert_eq!(found.distance, distance);
        }
        hits += out.iter().filter(|found| truth.contains(found)).count();
        wanted += truth.len();
    }
    hits as f64 / wanted as f64
}

#[test]
fn finds_nearly_all_under_every_metric_and_element_type() {
    let full = Data::clustered(3_000, 48, 1);
    let queries = clustered(100, 48, 2);
    for data in [full.halved(), full] {
        for metric in METRICS {
            let graph = data.build(metric, 1);
            assert_sound(graph.view());
            let recall = recall(&data, graph.view(), &queries, 10, beam_for(10, 10, data.count()));
            assert!(recall >= 0.97, "{metric:?}: {recall}");
        }
    }
}

#[test]
fn a_graph_of_several_threads_is_as_good() {
    let data = Data::clustered(4_000, 24, 3);
    let queries = clustered(100, 24, 4);
    for threads in [2, 3, 8] {
        let graph = data.build(Metric::L2, threads);
        assert_sound(graph.view());
        let recall = recall(&data, graph.view(), &queries, 10, 24);
        assert!(recall >= 0.97, "{threads} threads: {recall}");
    }
}

#[test]
fn rows_in_the_order_of_their_clusters_are_no_trouble() {
    let mut rows: Vec<Vec<f32>> = clustered(3_000, 16, 5).chunks(16).map(<[f32]>::to_vec).collect();
    rows.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let data = Data::new(16, rows.concat());
    let graph = data.build(Metric::L2, 1);
    assert_sound(graph.view());
    let recall = recall(&data, graph.view(), &clustered(100, 16, 6), 10, 24);
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn the_inner_product_finds_long_rows() {
    // The nearest row by inner product is often a long one of another direction.
    let mut random = Random::new(8);
    let mut rows = clustered(3_000, 32, 9);
    for row in rows.chunks_mut(32) {
        let length = 0.2 + 3.0 * (random.below(1000) as f32 / 1000.0);
        row.iter_mut().for_each(|x| *x *= length);
    }
    let data = Data::new(32, rows);
    let graph = data.build(Metric::Ip, 1);
    assert_sound(graph.view());
    let recall = recall(&data, graph.view(), &clustered(100, 32, 10), 10, 32);
    assert!(recall >= 0.97, "{recall}");
}
