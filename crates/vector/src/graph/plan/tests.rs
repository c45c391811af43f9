use lavandin_types::{Metric, Selection};

use super::*;
use crate::graph::tests::{Data, clustered};
use crate::kernels::Kernels;

#[test]
fn few_matches_are_scanned_and_many_walked() {
    let data = Data::clustered(20_000, 4, 1);
    let graph = data.build(Metric::L2, 2);
    let plan = |matches| plan(matches, &graph.view(), Wanted { k: 10, beam: 30 }, &Costs::default());
    assert_eq!(plan(0), Plan::Scan);
    assert_eq!(plan(100), Plan::Scan);
    assert_eq!(plan(20_000), Plan::Graph { beam: 30 });
    // Once walking pays it pays with more matches too.
    let first = (0..=200).find(|part| plan(part * 100) != Plan::Scan).unwrap();
    assert!((first..=200).all(|part| plan(part * 100) != Plan::Scan));
}

#[test]
fn finds_k_where_k_match_however_bad_the_plan() {
    let data = Data::clustered(2_000, 8, 2);
    let graph = data.build(Metric::L2, 1);
    let block = data.block();
    // Walks look free, so they are taken for everything.
    let costs = Costs { walk_vertex: 0.0, walk_row: 0.0, walk_line: 0.0, ..Costs::default() };
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    for matches in [0u32, 1, 5, 12, 700] {
        let mut allowed = Selection::none(2_000);
        (0..matches).for_each(|row| allowed.insert(row * 2));
        let target = Target { kernels: Kernels::get(), block: &block, allowed: Some(&allowed) };
        for query in clustered(20, 8, 3).chunks(8) {
            let wanted = Wanted { k: 10, beam: 16 };
            planned_search(
                &graph.view(),
                &target,
                matches,
                (query, wanted, &costs),
                (&mut scratch, &mut out),
            )
            .unwrap();
            assert_eq!(out.len(), 10.min(matches as usize));
            assert!(out.iter().all(|neighbor| allowed.contains(neighbor.row)));
        }
    }
}

#[test]
fn a_scan_is_exact() {
    let data = Data::clustered(500, 8, 4);
    let graph = data.build(Metric::Ip, 1);
    let block = data.block();
    let mut allowed = Selection::none(500);
    (0..50).for_each(|row| allowed.insert(row * 3));
    let target = Target { kernels: Kernels::get(), block: &block, allowed: Some(&allowed) };
    let (mut scratch, mut out) = (Scratch::new(), Vec::new());
    let arguments = (data.row(1), Wanted { k: 10, beam: 16 }, &Costs::default());
    let planned = planned_search(&graph.view(), &target, 50, arguments, (&mut scratch, &mut out)).unwrap();
    assert_eq!(planned.path, Path::Scan);
    assert_eq!(out, data.truth(Metric::Ip, data.row(1), 10, Some(&allowed)));
}
