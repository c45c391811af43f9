use super::*;
use crate::graph::tests::{Data, METRICS, assert_sound, recall, run};

#[test]
fn one_thread_builds_the_same_graph_twice() {
    let data = Data::clustered(800, 20, 1);
    assert_eq!(data.build(Metric::L2, 1).as_bytes(), data.build(Metric::L2, 1).as_bytes());
}

#[test]
fn few_rows_and_none() {
    for rows in [0, 1, 2, 3, 17, 40] {
        let data = Data::clustered(rows, 5, 2);
        for metric in METRICS {
            let graph = data.build(metric, 2);
            assert_sound(graph.view());
            assert_eq!(graph.view().rows() as usize, rows);
            let queries = data.rows.get(..5).unwrap_or(&[]);
            if rows > 0 {
                assert_eq!(recall(&data, graph.view(), queries, 10, 64), 1.0);
            }
        }
    }
}

#[test]
fn equal_rows_are_all_reachable() {
    let mut rows = vec![0.5f32; 2_000 * 4];
    rows[4_000..].fill(0.25);
    for rows in [rows, vec![0.0; 1_000 * 4]] {
        let data = Data::new(4, rows);
        for metric in METRICS {
            assert_sound(data.build(metric, 2).view());
        }
    }
}

#[test]
fn degrees_down_to_one() {
    let data = Data::clustered(500, 8, 3);
    for degree in [1, 2, 5, 16, 100] {
        let parameters = Parameters { degree, ..Parameters::default() };
        let graph = run(GraphBuilder::new(data.block(), Metric::L2, parameters).unwrap(), 1);
        assert_sound(graph.view());
        assert_eq!(graph.view().parameters().degree, degree);
    }
}

#[test]
fn counts_rows_and_stops_when_told() {
    let data = Data::clustered(2_000, 16, 4);
    let builder = || GraphBuilder::new(data.block(), Metric::L2, Parameters::default()).unwrap();
    let progress = AtomicU64::new(99);
    builder().build(2, &AtomicBool::new(false), &progress).unwrap();
    assert_eq!(progress.load(Ordering::Relaxed), 2_000);
    let cancelled = builder().build(2, &AtomicBool::new(true), &progress);
    assert_eq!(cancelled.unwrap_err(), GraphError::Cancelled);
    assert_eq!(progress.load(Ordering::Relaxed), 0);
}

#[test]
fn refuses_what_it_cannot_build() {
    let data = Data::clustered(10, 4, 5);
    let refuse = |metric, degree| {
        let parameters = Parameters { degree, ..Parameters::default() };
        GraphBuilder::new(data.block(), metric, parameters).unwrap_err()
    };
    assert_eq!(refuse(Metric::Canberra, 32), GraphError::Metric("canberra"));
    assert_eq!(refuse(Metric::L2, 0), GraphError::Degree(0));
    assert_eq!(refuse(Metric::L2, DEGREE_MAX + 1), GraphError::Degree(DEGREE_MAX + 1));
}

#[test]
fn the_order_is_a_permutation() {
    for rows in [1, 2, 3, 10, 64, 1_000, 4_181] {
        let order = Order::new(rows);
        let mut seen: Vec<u32> = (0..rows).map(|index| order.get(index)).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..rows));
    }
}
