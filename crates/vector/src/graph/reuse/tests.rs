use lavandin_types::Metric;

use super::*;
use crate::graph::tests::{Data, METRICS, Random, assert_sound, clustered, recall, run};
use crate::graph::{GraphBuilder, Parameters};

fn builder(data: &Data, metric: Metric) -> GraphBuilder<'_> {
    GraphBuilder::new(data.block(), metric, Parameters::default()).unwrap()
}

#[test]
fn grows_by_inserts() {
    let data = Data::clustered(3_000, 32, 1);
    let queries = clustered(100, 32, 2);
    for metric in METRICS {
        let first = GraphBuilder::new(data.first(2_000, 0), metric, Parameters::default()).unwrap();
        let first = run(first, 1);
        let grown = run(builder(&data, metric).extending(first.view()), 2);
        assert_sound(grown.view());
        assert_eq!(grown.view().rows(), 3_000);
        let recall = recall(&data, grown.view(), &queries, 10, 24);
        assert!(recall >= 0.97, "{metric:?}: {recall}");
    }
}

#[test]
fn a_merge_drops_and_renumbers_rows() {
    let old = Data::clustered(3_000, 32, 3);
    let graph = old.build(Metric::L2, 1);
    let mut random = Random::new(4);
    for dropped in [0, 5, 30, 70, 99] {
        // New rows come first, then what is left of the old ones.
        let added = clustered(500, 32, 5);
        let mut rows = added.clone();
        let new_rows: Vec<u32> = (0..3_000)
            .map(|row| {
                if random.below(100) < dropped {
                    return DROPPED;
                }
                rows.extend_from_slice(old.row(row));
                (rows.len() / 32 - 1) as u32
            })
            .collect();
        let data = Data::new(32, rows);
        let merged = run(builder(&data, Metric::L2).reusing(graph.view(), &new_rows), 2);
        assert_sound(merged.view());
        let recall = recall(&data, merged.view(), &clustered(100, 32, 6), 10, 24);
        assert!(recall >= 0.96, "{dropped} % dropped: {recall}");
    }
}

#[test]
fn a_graph_that_does_not_fit_is_refused() {
    let data = Data::clustered(100, 8, 7);
    let other = Data::clustered(100, 9, 7);
    let more = Data::clustered(101, 8, 7);
    let fails = |builder: GraphBuilder<'_>| {
        let result = builder.build(1, &Default::default(), &Default::default());
        assert!(matches!(result, Err(GraphError::Mismatch { .. })));
    };
    fails(builder(&data, Metric::L2).extending(other.build(Metric::L2, 1).view()));
    fails(builder(&data, Metric::L2).extending(more.build(Metric::L2, 1).view()));
    let graph = data.build(Metric::L2, 1);
    fails(builder(&data, Metric::L2).reusing(graph.view(), &[0; 99]));
    fails(builder(&data, Metric::L2).reusing(graph.view(), &[100; 100]));
}
