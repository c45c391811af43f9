use proptest::prelude::*;

use super::*;
use crate::block::Elements;
use crate::codes::{CodeMeta, encode_row, stride_for};
use crate::kernels::Level;
use crate::kernels::tests::Numbers;

/// Rows with their codes, cut into blocks.
pub(crate) struct Rows {
    dim: usize,
    halves: Option<Vec<u16>>,
    floats: Vec<f32>,
    codes: Vec<u8>,
    meta: Vec<CodeMeta>,
}

impl Rows {
    pub(crate) fn new(dim: usize, mut floats: Vec<f32>, half: bool) -> Self {
        let halves = half.then(|| {
            let bits: Vec<u16> = floats.iter().map(|x| half::f16::from_f32(*x).to_bits()).collect();
            floats = bits.iter().map(|x| half::f16::from_bits(*x).to_f32()).collect();
            bits
        });
        let mut codes = vec![0; floats.len() / dim * stride_for(dim)];
        let rows = floats.chunks(dim).zip(codes.chunks_mut(stride_for(dim)));
        let meta = rows.map(|(row, codes)| encode_row(row, codes)).collect();
        Self { dim, halves, floats, codes, meta }
    }

    /// Blocks that begin at the given rows (ascending, from 0), numbered from `first_row` on.
    pub(crate) fn blocks(&self, first_row: u32, starts: &[usize]) -> Vec<Block<'_>> {
        let ends = starts.iter().skip(1).copied().chain([self.meta.len()]);
        starts.iter().zip(ends).map(|(start, end)| self.block(first_row, *start, end)).collect()
    }

    fn block(&self, first_row: u32, start: usize, end: usize) -> Block<'_> {
        let stride = stride_for(self.dim);
        let elements = match &self.halves {
            Some(halves) => Elements::F16(&halves[start * self.dim..end * self.dim]),
            None => Elements::F32(&self.floats[start * self.dim..end * self.dim]),
        };
        let codes =
            Codes { bytes: &self.codes[start * stride..end * stride], stride, meta: &self.meta[start..end] };
        Block::new(first_row + start as u32, (end - start) as u32, self.dim, elements, codes).unwrap()
    }
}

/// Compares every row, without any of the code under test.
pub(crate) fn brute_force(target: &Target<'_>, query: &[f32], wanted: Wanted) -> Vec<Neighbor> {
    let mut all = Vec::new();
    for block in target.blocks {
        for index in 0..block.rows {
            let row = block.first_row + index;
            let distance =
                crate::metric::distance(target.metric, target.kernels, query, block.row(index as usize));
            let selected = target.selection.is_none_or(|selection| selection.contains(row));
            if selected && distance <= wanted.limit {
                all.push(Neighbor { distance, row });
            }
        }
    }
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    all.truncate(wanted.k);
    all
}

/// What rows look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Random,
    /// Coordinates are few small integers: many equal distances, many equal rows.
    Coarse,
    /// Random, each row scaled by another power of ten, some beyond what single precision squares.
    Scales,
    /// Near each other, far from the origin: bounds are wide compared with distances.
    Shifted,
    /// Mostly zero rows.
    Sparse,
}

const SHAPES: [Shape; 5] = [Shape::Random, Shape::Coarse, Shape::Scales, Shape::Shifted, Shape::Sparse];

pub(crate) fn make(numbers: &mut Numbers, shape: Shape, dim: usize, rows: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(dim * rows);
    for _ in 0..rows {
        let scale = 10f64.powi(numbers.below(70) as i32 - 35);
        let empty = numbers.below(4) > 0;
        for _ in 0..dim {
            let x = numbers.float();
            all.push(match shape {
                Shape::Random => x,
                Shape::Coarse => (x * 2.0).round(),
                Shape::Scales => (f64::from(x) * scale) as f32,
                Shape::Shifted => 10.0 + 0.01 * x,
                Shape::Sparse if empty || x < 0.8 => 0.0,
                Shape::Sparse => x,
            });
        }
    }
    all
}

pub(crate) fn select(numbers: &mut Numbers, len: u32, per_mille: u64) -> Selection {
    let mut selection = Selection::none(len);
    for row in 0..len {
        if numbers.below(1000) < per_mille {
            selection.insert(row);
        }
    }
    selection
}

pub(crate) fn screened() -> [Metric; 3] {
    [Metric::Ip, Metric::L2, Metric::Cosine]
}

pub(crate) fn all_kernels() -> Vec<&'static Kernels> {
    Level::ALL.into_iter().filter_map(Kernels::for_level).collect()
}

#[track_caller]
fn check(target: &Target<'_>, query: &[f32], wanted: Wanted) {
    let found = scan(target, query, wanted);
    let expected = brute_force(target, query, wanted);
    assert_eq!(found.neighbors, expected, "{:?} {:?} {wanted:?}", target.metric, target.kernels.level);
}

proptest! {
    #[test]
    fn a_scan_is_the_comparison_of_every_row(
        seed in 1u64..u64::MAX,
        shape in prop::sample::select(SHAPES.to_vec()),
        dim in prop::sample::select(vec![1usize, 2, 3, 16, 63, 64, 65, 128, 200]),
        count in 1usize..300,
        half in any::<bool>(),
        per_mille in prop::sample::select(vec![0u64, 5, 50, 250, 500, 900, 1000, 2000]),
        k in prop::sample::select(vec![1usize, 2, 10, 50, 1000]),
        first_row in prop::sample::select(vec![0u32, 1, 64, 100]),
    ) {
        let mut numbers = Numbers(seed);
        let rows = Rows::new(dim, make(&mut numbers, shape, dim, count), half);
        let middle = numbers.below(count as u64) as usize;
        let blocks = rows.blocks(first_row, &[0, middle]);
        let selection = select(&mut numbers, first_row + count as u32, per_mille);
        // 2000 per mille stands for a search without a selection.
        let selection = (per_mille <= 1000).then_some(&selection);
        let mut queries = make(&mut numbers, shape, dim, 3);
        queries.extend_from_slice(&rows.floats[..dim]);
        queries.extend(std::iter::repeat_n(0.0, dim));
        for kernels in all_kernels() {
            for metric in screened() {
                let target = Target { metric, kernels, blocks: &blocks, selection };
                for query in queries.chunks(dim) {
                    check(&target, query, Wanted::top(k));
                    let some = brute_force(&target, query, Wanted::top(k)).last().map_or(0.0, |last| last.distance);
                    check(&target, query, Wanted { k, limit: some });
                    check(&target, query, Wanted { k: 1000, limit: some });
                }
            }
        }
    }
}

#[test]
fn other_metrics_compare_every_row() {
    let mut numbers = Numbers(20);
    let rows = Rows::new(2, make(&mut numbers, Shape::Random, 2, 300), false);
    let blocks = rows.blocks(0, &[0, 70]);
    let selection = select(&mut numbers, 300, 300);
    for metric in Metric::ALL {
        for selection in [None, Some(&selection)] {
            let target = Target { metric, kernels: Kernels::get(), blocks: &blocks, selection };
            check(&target, &[0.3, 0.4], Wanted::top(7));
            check(&target, &[0.3, 0.4], Wanted { k: 20, limit: 0.3 });
        }
    }
}

/// Every row is at the same distance, so every row waits: the list of waiting rows is cut in between.
#[test]
fn many_equal_rows() {
    let rows = Rows::new(8, vec![0.3; 8 * 20_000], false);
    let blocks = rows.blocks(0, &[0, 5_000, 15_001]);
    for metric in screened() {
        for query in [[0.7; 8], [0.0; 8]] {
            let target = Target { metric, kernels: Kernels::get(), blocks: &blocks, selection: None };
            let found = scan(&target, &query, Wanted::top(100));
            assert!(found.neighbors.iter().map(|neighbor| neighbor.row).eq(0..100));
        }
    }
}

#[test]
fn few_full_vectors_are_compared() {
    let mut numbers = Numbers(21);
    let rows = Rows::new(128, make(&mut numbers, Shape::Random, 128, 20_000), false);
    let blocks = rows.blocks(0, &[0]);
    for metric in screened() {
        let target = Target { metric, kernels: Kernels::get(), blocks: &blocks, selection: None };
        let stats = scan(&target, &numbers.floats(128), Wanted::top(10)).stats;
        assert_eq!(stats.screened, 20_000);
        assert!(stats.compared < 100, "{metric:?}: {}", stats.compared);
    }
}

#[test]
fn nothing_to_find() {
    let rows = Rows::new(4, vec![1.0; 40], false);
    let blocks = rows.blocks(0, &[0]);
    let target = Target { metric: Metric::L2, kernels: Kernels::get(), blocks: &blocks, selection: None };
    assert_eq!(scan(&target, &[0.0; 4], Wanted::top(0)), Found::default());
    assert!(scan(&target, &[0.0; 4], Wanted { k: 3, limit: 3.9 }).neighbors.is_empty());
    assert_eq!(scan(&target, &[0.0; 4], Wanted { k: 3, limit: 4.0 }).neighbors.len(), 3);
    assert!(scan(&target, &[0.0; 4], Wanted { k: 3, limit: f32::NAN }).neighbors.is_empty());
    assert!(scan(&Target { blocks: &[], ..target }, &[0.0; 4], Wanted::top(3)).neighbors.is_empty());
    // A selection that ends before the rows do leaves the others out.
    let short = Selection::all(3);
    let found = scan(&Target { selection: Some(&short), ..target }, &[0.0; 4], Wanted::top(9));
    assert_eq!(found.neighbors.len(), 3);
}

#[test]
#[should_panic(expected = "dimension")]
fn a_query_of_another_dimension_is_refused() {
    let rows = Rows::new(4, vec![1.0; 40], false);
    let blocks = rows.blocks(0, &[0]);
    let target = Target { metric: Metric::L2, kernels: Kernels::get(), blocks: &blocks, selection: None };
    scan(&target, &[0.0; 5], Wanted::top(1));
}

#[test]
fn wanted_rows_are_read_at_any_shift() {
    let mut numbers = Numbers(22);
    let selection = select(&mut numbers, 300, 400);
    for first in [0, 1, 63, 64, 100, 250, 299, 300, 1000] {
        for count in [1, 13, 63, 64] {
            let word = wanted_rows(Some(&selection), first, count);
            for bit in 0..64 {
                let expected = (bit as usize) < count && selection.contains(first + bit);
                assert_eq!(word >> bit & 1 == 1, expected);
            }
            assert_eq!(bits(word).count() as u32, word.count_ones());
        }
    }
}
