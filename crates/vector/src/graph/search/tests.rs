use lavandin_types::Metric;

use super::*;
use crate::graph::tests::{Data, clustered};

#[test]
fn rows_are_numbered_as_in_the_segment() {
    let data = Data::clustered(500, 12, 1);
    let graph = data.build(Metric::L2, 1);
    let moved = data.first(500, 1_000);
    let target = Target { kernels: Kernels::get(), block: &moved, allowed: None };
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    graph.view().search(&target, data.row(7), Wanted { k: 1, beam: 50 }, &mut scratch, &mut out).unwrap();
    assert_eq!(out, [Neighbor { distance: 0.0, row: 1_007 }]);
    let mut allowed = Selection::none(1_500);
    (1_100..1_200).for_each(|row| allowed.insert(row));
    let target = Target { allowed: Some(&allowed), ..target };
    graph.view().search(&target, data.row(107), Wanted { k: 5, beam: 50 }, &mut scratch, &mut out).unwrap();
    assert_eq!(out[0], Neighbor { distance: 0.0, row: 1_107 });
    assert!(out.iter().all(|neighbor| allowed.contains(neighbor.row)));
}

#[test]
fn a_block_may_have_more_rows_than_the_graph() {
    let data = Data::clustered(500, 12, 2);
    let graph = data.build(Metric::Ip, 1);
    let more = Data::new(12, [&data.rows[..], &clustered(100, 12, 3)].concat());
    let block = more.block();
    let target = Target { kernels: Kernels::get(), block: &block, allowed: None };
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    graph.view().search(&target, more.row(550), Wanted { k: 10, beam: 50 }, &mut scratch, &mut out).unwrap();
    assert_eq!(out.len(), 10);
    assert!(out.iter().all(|neighbor| neighbor.row < 500));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let data = Data::clustered(50, 12, 4);
    let graph = data.build(Metric::L2, 1);
    let (fewer, block) = (data.first(49, 0), data.block());
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let wanted = Wanted { k: 1, beam: 10 };
    let target = Target { kernels: Kernels::get(), block: &fewer, allowed: None };
    let result = graph.view().search(&target, data.row(0), wanted, &mut scratch, &mut out);
    assert!(matches!(result, Err(GraphError::Mismatch { .. })));
    let target = Target { block: &block, ..target };
    let result = graph.view().search(&target, &[0.0; 11], wanted, &mut scratch, &mut out);
    assert_eq!(result.unwrap_err(), GraphError::QueryDimension { found: 11, expected: 12 });
}

#[test]
fn asks_for_none_or_more_than_there_are() {
    let data = Data::clustered(50, 12, 5);
    let graph = data.build(Metric::L2, 1);
    let block = data.block();
    let target = Target { kernels: Kernels::get(), block: &block, allowed: None };
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    for (k, found) in [(0, 0), (50, 50), (1_000, 50)] {
        graph.view().search(&target, data.row(0), Wanted { k, beam: 1 }, &mut scratch, &mut out).unwrap();
        assert_eq!(out.len(), found);
    }
}

#[test]
fn queries_that_are_not_finite_do_not_panic() {
    let data = Data::clustered(300, 4, 6);
    let block = data.block();
    let target = Target { kernels: Kernels::get(), block: &block, allowed: None };
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    for metric in [Metric::Ip, Metric::L2, Metric::Cosine] {
        let graph = data.build(metric, 1);
        for value in [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-42] {
            let wanted = Wanted { k: 3, beam: 10 };
            graph.view().search(&target, &[value; 4], wanted, &mut scratch, &mut out).unwrap();
        }
    }
}
