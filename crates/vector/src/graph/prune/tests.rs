use lavandin_types::Metric;

use super::*;
use crate::graph::key::key;
use crate::graph::tests::Data;
use crate::kernels::Kernels;

fn distances(space: &LinkSpace<'_>, from: u32, rows: &[u32]) -> Vec<f32> {
    let (mut target, mut work) = (RowTarget::default(), Work::default());
    space.target_of(from, &mut target);
    space.space().distances(rows, &target.target(), &mut work);
    work.distances.iter().map(|distance| distance.max(0.0)).collect()
}

fn candidates(space: &LinkSpace<'_>, p: u32, rows: &[u32]) -> Vec<u64> {
    let mut keys: Vec<u64> =
        rows.iter().zip(distances(space, p, rows)).map(|(row, distance)| key(distance, *row)).collect();
    keys.sort_unstable();
    keys
}

/// The textbook's loop: every candidate against every chosen neighbour.
fn simple(space: &LinkSpace<'_>, candidates: &[u64], parameters: Parameters) -> Vec<u32> {
    let rows: Vec<u32> = candidates.iter().map(|key| row_of(*key)).collect();
    let mut chosen: Vec<u32> = Vec::new();
    for limit in [1.0, parameters.alpha * parameters.alpha] {
        for (row, key) in rows.iter().zip(candidates) {
            let occluded = || {
                let between = distances(space, *row, &chosen);
                between.iter().any(|between| *between == 0.0 || distance_of(*key) / between > limit)
            };
            if chosen.len() < parameters.degree as usize && !chosen.contains(row) && !occluded() {
                chosen.push(*row);
            }
        }
    }
    for row in rows {
        if chosen.len() < parameters.degree as usize && !chosen.contains(&row) {
            chosen.push(row);
        }
    }
    chosen
}

#[test]
fn chooses_what_the_textbook_chooses() {
    for (metric, alpha) in [(Metric::L2, 1.2), (Metric::Ip, 1.1), (Metric::Cosine, 1.0)] {
        let data = Data::clustered(200, 12, 1);
        let block = data.block();
        let space = LinkSpace::new(&block, metric, Kernels::get());
        let mut pruning = Pruning::default();
        for (p, degree) in [(0, 8), (1, 20), (2, 60), (3, 1)] {
            let rows: Vec<u32> = (0..200).filter(|row| *row != p).collect();
            let keys = candidates(&space, p, &rows);
            let parameters = Parameters { degree, beam: 0, alpha };
            prune(&space, p, &keys, parameters, &mut pruning);
            assert_eq!(pruning.chosen, simple(&space, &keys, parameters));
            assert_eq!(pruning.chosen.len(), degree as usize);
            assert_eq!(pruning.chosen[0], row_of(keys[0]), "the nearest is always chosen");
        }
    }
}

#[test]
fn leaves_out_the_vertex_itself_and_repetitions() {
    let data = Data::clustered(20, 8, 2);
    let block = data.block();
    let space = LinkSpace::new(&block, Metric::L2, Kernels::get());
    let keys = candidates(&space, 4, &[4, 7, 7, 9, 4, 9]);
    let mut pruning = Pruning::default();
    for degree in [1, 8] {
        prune(&space, 4, &keys, Parameters { degree, ..Parameters::default() }, &mut pruning);
        assert_eq!(pruning.chosen.len(), 2.min(degree as usize));
        assert!(!pruning.chosen.contains(&4));
    }
}
