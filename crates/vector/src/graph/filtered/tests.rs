use lavandin_types::Metric;

use crate::graph::tests::{Data, METRICS, clustered};
use crate::graph::{Scratch, Target, Wanted};
use crate::kernels::Kernels;

use super::*;

/// The share of the true allowed neighbours that walks find.
fn recall(data: &Data, metric: Metric, allowed: &Selection, queries: &[f32]) -> f64 {
    let graph = data.build(metric, 1);
    let block = data.block();
    let target = Target { kernels: Kernels::get(), block: &block, allowed: Some(allowed) };
    let (mut scratch, mut out, mut hits, mut wanted) = (Scratch::new(), Vec::new(), 0, 0);
    for query in queries.chunks(data.dim) {
        graph.view().search(&target, query, Wanted { k: 10, beam: 48 }, &mut scratch, &mut out).unwrap();
        assert!(out.iter().all(|neighbor| allowed.contains(neighbor.row)));
        let truth = data.truth(metric, query, 10, Some(allowed));
        hits += out.iter().filter(|neighbor| truth.contains(neighbor)).count();
        wanted += truth.len();
    }
    hits as f64 / wanted as f64
}

#[test]
fn walks_find_the_allowed_rows() {
    let data = Data::clustered(4_000, 24, 1);
    let queries = clustered(60, 24, 2);
    for metric in METRICS {
        for share in [2, 10, 100] {
            let mut allowed = Selection::none(data.count());
            (0..data.count()).filter(|row| row * 7 % share == 0).for_each(|row| allowed.insert(row));
            let recall = recall(&data, metric, &allowed, &queries);
            assert!(recall >= 0.99, "{metric:?} 1/{share}: {recall}");
        }
    }
}

#[test]
fn walks_find_a_region_far_from_the_query() {
    let data = Data::clustered(4_000, 24, 3);
    // The rows nearest to one of them: a region, while queries are everywhere.
    let mut allowed = Selection::none(data.count());
    for neighbor in data.truth(Metric::L2, data.row(11), 120, None) {
        allowed.insert(neighbor.row);
    }
    let recall = recall(&data, Metric::L2, &allowed, &clustered(60, 24, 4));
    assert!(recall >= 0.99, "{recall}");
}

#[test]
fn entry_points_are_rows_of_the_graph() {
    let mut allowed = Selection::none(1_000);
    [3, 64, 65, 500, 999].into_iter().for_each(|row| allowed.insert(row));
    let mut entries = Vec::new();
    Filtered::new(&allowed, 60, 800, 1).entries(&[5], 800, &mut entries);
    assert!(entries.starts_with(&[5]) && entries.contains(&4) && entries.contains(&440));
    assert!(entries.iter().all(|row| *row < 800));
    Filtered::new(&Selection::none(0), 60, 800, 1).entries(&[5], 800, &mut entries);
    assert_eq!(entries, [5]);
}
