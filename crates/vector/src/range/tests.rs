use lavandin_types::Metric;

use super::*;
use crate::kernels::Kernels;
use crate::kernels::tests::Numbers;
use crate::scan::tests::{Rows, Shape, brute_force, make};

#[test]
fn thresholds_are_scores_and_belong_to_the_range() {
    let rows = Rows::new(1, vec![1.0, 2.0, 3.0, 4.0], false);
    let blocks = rows.blocks(0, &[0]);
    let found = |metric, threshold, max_results| -> Vec<u32> {
        let target = Target { metric, kernels: Kernels::get(), blocks: &blocks, selection: None };
        range(&target, &[1.0], threshold, max_results).neighbors.iter().map(|neighbor| neighbor.row).collect()
    };
    assert_eq!(found(Metric::Ip, 2.0, 10), [3, 2, 1]);
    assert_eq!(found(Metric::Ip, 2.0, 2), [3, 2]);
    assert_eq!(found(Metric::L2, 4.0, 10), [0, 1, 2]);
    assert_eq!(found(Metric::L1, 1.0, 10), [0, 1]);
    assert_eq!(found(Metric::L2, -1.0, 10), []);
    assert_eq!(found(Metric::L2, 4.0, 0), []);
}

#[test]
fn a_range_is_the_comparison_of_every_row() {
    let mut numbers = Numbers(30);
    for shape in [Shape::Random, Shape::Coarse, Shape::Shifted] {
        let rows = Rows::new(32, make(&mut numbers, shape, 32, 3000), false);
        let blocks = rows.blocks(0, &[0, 1000]);
        for metric in [Metric::Ip, Metric::L2, Metric::Cosine, Metric::L1] {
            let target = Target { metric, kernels: Kernels::get(), blocks: &blocks, selection: None };
            let query = make(&mut numbers, shape, 32, 1);
            let middle = brute_force(&target, &query, Wanted::top(1500))[1499].distance;
            for max_results in [10, 1000, usize::MAX] {
                let found = range(&target, &query, score(metric, middle), max_results);
                let expected = brute_force(&target, &query, Wanted { k: max_results, limit: middle });
                assert_eq!(found.neighbors, expected, "{metric:?} {shape:?} {max_results}");
            }
        }
    }
}
