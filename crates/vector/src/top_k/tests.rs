use super::*;
use crate::kernels::tests::Numbers;

fn sorted(mut all: Vec<Neighbor>, k: usize) -> Vec<Neighbor> {
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    all.truncate(k);
    all
}

fn some(numbers: &mut Numbers, count: u32) -> Vec<Neighbor> {
    // Few different distances, so that ties are common; infinities too.
    (0..count)
        .map(|row| Neighbor {
            distance: match numbers.below(12) {
                0 => f32::INFINITY,
                1 => f32::NEG_INFINITY,
                n => n as f32 - 6.0,
            },
            row,
        })
        .collect()
}

#[test]
fn keeps_the_best_with_ties_by_row() {
    let mut numbers = Numbers(1);
    for k in [0, 1, 2, 10, 100, 1000] {
        let mut all = some(&mut numbers, 300);
        let expected = sorted(all.clone(), k);
        // The order of offers does not matter.
        all.sort_by_key(|neighbor| neighbor.row.wrapping_mul(2_654_435_761));
        let mut best = TopK::new(k);
        for neighbor in &all {
            let limit = best.limit();
            let taken = best.offer(neighbor.distance, neighbor.row);
            assert!(!taken || neighbor.distance <= limit);
        }
        assert_eq!(best.is_full(), k <= 300);
        assert_eq!(best.into_sorted(), expected);
    }
}

#[test]
fn the_limit_is_the_worst_of_a_full_list() {
    let mut best = TopK::new(2);
    assert_eq!(best.limit(), f32::INFINITY);
    best.offer(3.0, 1);
    assert_eq!(best.limit(), f32::INFINITY);
    best.offer(1.0, 2);
    assert_eq!(best.limit(), 3.0);
    assert!(best.offer(3.0, 0), "a lower row wins a tie");
    assert!(!best.offer(3.0, 1));
    assert_eq!(TopK::new(0).limit(), f32::NEG_INFINITY);
}

#[test]
fn merging_lists_is_searching_their_union() {
    let mut numbers = Numbers(2);
    let all = some(&mut numbers, 200);
    let parts: Vec<Vec<Neighbor>> = all.chunks(33).map(|part| sorted(part.to_vec(), 20)).collect();
    assert_eq!(merge(20, parts.iter().map(Vec::as_slice)), sorted(all, 20));
}
