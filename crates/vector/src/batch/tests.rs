use lavandin_types::Metric;

use super::*;
use crate::kernels::tests::Numbers;
use crate::scan::scan;
use crate::scan::tests::{Rows, Shape, all_kernels, make, select};

#[track_caller]
fn check(target: &Target<'_>, queries: &[f32], dim: usize, wanted: Wanted) {
    let found = batch(target, queries, dim, wanted);
    assert_eq!(found.len(), queries.len() / dim);
    for (query, found) in queries.chunks(dim).zip(found) {
        let expected = scan(target, query, wanted).neighbors;
        assert_eq!(found.neighbors, expected, "{:?} {:?} {wanted:?}", target.metric, target.kernels.level);
    }
}

#[test]
fn a_batch_finds_what_scans_find() {
    let mut numbers = Numbers(40);
    let kernels = all_kernels();
    for shape in [Shape::Random, Shape::Coarse, Shape::Scales, Shape::Shifted, Shape::Sparse] {
        for (dim, count, queries) in
            [(1, 100, 3), (20, 700, 1), (64, 333, 17), (100, 500, 140), (384, 300, 21)]
        {
            let rows = Rows::new(dim, make(&mut numbers, shape, dim, count), numbers.below(2) == 1);
            let blocks = rows.blocks(7, &[0, count / 3, count / 2]);
            let queries = make(&mut numbers, shape, dim, queries);
            for (index, per_mille) in [0, 3, 100, 700, 990, 1000].into_iter().enumerate() {
                let selection = select(&mut numbers, 7 + count as u32, per_mille);
                let selection = (per_mille > 0).then_some(&selection);
                for metric in [Metric::Ip, Metric::L2, Metric::Cosine] {
                    let kernels = kernels[(index + dim) % kernels.len()];
                    let target = Target { metric, kernels, blocks: &blocks, selection };
                    check(&target, &queries, dim, Wanted::top(10));
                }
            }
        }
    }
}

#[test]
fn other_metrics_too() {
    let mut numbers = Numbers(41);
    let rows = Rows::new(2, make(&mut numbers, Shape::Random, 2, 300), false);
    let blocks = rows.blocks(0, &[0, 70]);
    let selection = select(&mut numbers, 300, 300);
    for metric in Metric::ALL {
        for selection in [None, Some(&selection)] {
            let target = Target { metric, kernels: all_kernels()[0], blocks: &blocks, selection };
            check(&target, &[0.3, 0.4, 0.1, -0.2], 2, Wanted { k: 20, limit: 0.5 });
        }
    }
}

#[test]
fn nothing_to_find() {
    let rows = Rows::new(4, vec![1.0; 40], false);
    let blocks = rows.blocks(0, &[0]);
    let target = Target { metric: Metric::L2, kernels: all_kernels()[0], blocks: &blocks, selection: None };
    assert!(batch(&target, &[], 4, Wanted::top(3)).is_empty());
    assert_eq!(batch(&target, &[0.0; 8], 4, Wanted::top(0)), vec![Found::default(); 2]);
    let empty = batch(&Target { blocks: &[], ..target }, &[0.0; 8], 4, Wanted::top(3));
    assert!(empty.iter().all(|found| found.neighbors.is_empty()));
}
