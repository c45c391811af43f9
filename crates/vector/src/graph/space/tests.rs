use lavandin_types::Metric;

use super::*;
use crate::graph::tests::{Data, METRICS, clustered};

/// What links are made by.
fn exact(metric: Metric, a: &[f32], b: &[f32], largest: f64) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    match metric {
        Metric::Ip => 2.0 * (largest - dot(a, b)),
        Metric::L2 => dot(a, a) + dot(b, b) - 2.0 * dot(a, b),
        _ => 2.0 - 2.0 * dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

#[test]
fn rows_are_compared_by_a_distance_that_is_not_negative() {
    let data = Data::clustered(60, 40, 1);
    let norms = data.rows.chunks(40).map(|row| row.iter().map(|x| f64::from(x * x)).sum::<f64>());
    let largest = norms.fold(0.0, f64::max);
    let rows: Vec<u32> = (0..60).collect();
    for metric in METRICS {
        let block = data.block();
        let space = LinkSpace::new(&block, metric, Kernels::get());
        let (mut target, mut work) = (RowTarget::default(), Work::default());
        for row in &rows {
            space.target_of(*row, &mut target);
            space.space().distances(&rows, &target.target(), &mut work);
            for (other, distance) in rows.iter().zip(&work.distances) {
                let exact = exact(metric, data.row(*row), data.row(*other), largest);
                let scale = if metric == Metric::Cosine { 1.0 } else { largest };
                assert!((f64::from(*distance) - exact).abs() < 0.02 * scale, "{metric:?} {distance} {exact}");
                assert!(f64::from(*distance) > -0.02 * scale);
            }
        }
    }
}

#[test]
fn queries_are_compared_in_the_metrics_own_scale() {
    let data = Data::clustered(60, 40, 2);
    let rows: Vec<u32> = (0..60).collect();
    for metric in METRICS {
        let block = data.block();
        let terms = terms(&block, metric, Kernels::get());
        let space = Space { codes: block.codes, terms: &terms, kernels: Kernels::get() };
        let (mut target, mut work) = (QueryTarget::default(), Work::default());
        for query in clustered(20, 40, 3).chunks(40) {
            target.set(query, metric, block.codes.stride);
            space.distances(&rows, &target.target(), &mut work);
            let norm = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
            for (row, distance) in rows.iter().zip(&work.distances) {
                let exact = crate::metric::distance(metric, Kernels::get(), query, block.row(*row as usize));
                let scale = if metric == Metric::Cosine { 1.0 } else { norm(query) + norm(data.row(*row)) };
                assert!((distance - exact).abs() < 0.01 * scale, "{metric:?} {distance} {exact}");
            }
        }
    }
}

#[test]
fn zero_rows_and_queries_have_finite_distances() {
    let data = Data::new(4, vec![0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    for metric in METRICS {
        let block = data.block();
        let terms = terms(&block, metric, Kernels::get());
        let space = Space { codes: block.codes, terms: &terms, kernels: Kernels::get() };
        let (mut target, mut work) = (QueryTarget::default(), Work::default());
        for query in [[0.0; 4], [1.0; 4]] {
            target.set(&query, metric, block.codes.stride);
            space.distances(&[0, 1], &target.target(), &mut work);
            assert!(work.distances.iter().all(|distance| distance.is_finite()));
        }
    }
}
