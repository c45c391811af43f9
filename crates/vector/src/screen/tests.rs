use super::*;
use crate::block::Row;
use crate::kernels::tests::Numbers;
use crate::metric::distance;
use crate::scan::tests::{Rows, Shape, all_kernels, make, screened};

#[test]
fn computed_distances_lie_within_the_bounds() {
    let mut numbers = Numbers(50);
    for shape in [Shape::Random, Shape::Coarse, Shape::Scales, Shape::Shifted, Shape::Sparse] {
        for dim in [1, 2, 33, 64, 384, 2000] {
            let rows = Rows::new(dim, make(&mut numbers, shape, dim, 60), false);
            let block = &rows.blocks(0, &[0])[0];
            let mut queries = make(&mut numbers, shape, dim, 4);
            // A row as the query: the distance is zero, the bounds are not.
            let Row::F32(first) = block.row(0) else { panic!("rows are in single precision") };
            queries.extend_from_slice(first);
            for query in queries.chunks(dim) {
                for metric in screened() {
                    for kernels in all_kernels() {
                        check(metric, kernels, query, block);
                    }
                }
            }
        }
    }
}

fn check(metric: Metric, kernels: &crate::kernels::Kernels, query: &[f32], block: &Block<'_>) {
    let screen = Screen::new(metric, query);
    let mut dots = [0; crate::kernels::TILE_ROWS];
    let rows = block.rows as usize;
    (kernels.dot_rows)(block.codes.bytes, &screen.codes.bytes, &mut dots[..rows]);
    let mut tile = crate::kernels::Tile::EMPTY;
    (kernels.fill_tile)(block.codes.meta, screen.form, &mut tile);
    for index in 0..rows {
        let computed = distance(metric, kernels, query, block.row(index));
        let (lower, upper) = screen.bounds(dots[index], &block.codes.meta[index]);
        assert!(lower <= computed && computed <= upper, "{metric:?} {lower} {computed} {upper}");
        // The kernel's own lower bound: a row at the limit passes.
        let passed = (kernels.screen)(&tile, &dots, &screen.line, computed);
        assert!(passed >> index & 1 == 1, "{metric:?} {:?} {computed}", kernels.level);
    }
}

#[test]
fn early_comparisons_lose_nothing() {
    let rows = Rows::new(1, (0..10_000).map(|x| x as f32).collect(), false);
    let blocks = rows.blocks(0, &[0]);
    let query = [20_000.0];
    let measure = Measure::new(Metric::L2, crate::kernels::Kernels::get(), &query);
    let screen = Screen::new(Metric::L2, &query);
    let mut shortlist = Shortlist::new(3, f32::INFINITY);
    let mut early = 0;
    // The nearest come last, so each row beats all before it.
    for (index, meta) in blocks[0].codes.meta.iter().enumerate() {
        let dot = (crate::kernels::Kernels::get().dot_codes)(blocks[0].codes.row(index), &screen.codes.bytes);
        if shortlist.offer(&screen, dot, meta, (0, index as u32)) {
            shortlist.compare(&measure, &blocks);
            early += 1;
        }
    }
    shortlist.compare(&measure, &blocks);
    let rows: Vec<u32> = shortlist.into_best().iter().map(|neighbor| neighbor.row).collect();
    assert_eq!(rows, [9_999, 9_998, 9_997]);
    assert_eq!(early, 0, "rows that were beaten do not fill the list");
}

#[test]
fn a_query_without_a_bound_compares_everything_in_turn() {
    let rows = Rows::new(2, vec![1e25; 2 * 10_000], false);
    let blocks = rows.blocks(0, &[0]);
    let query = [1e25, 1e20];
    let kernels = crate::kernels::Kernels::get();
    for metric in screened() {
        let target = crate::scan::Target { metric, kernels, blocks: &blocks, selection: None };
        let found = crate::scan::scan(&target, &query, crate::scan::Wanted::top(5));
        assert_eq!(found.stats.compared, 10_000);
        assert!(found.neighbors.iter().map(|neighbor| neighbor.row).eq(0..5));
    }
}
