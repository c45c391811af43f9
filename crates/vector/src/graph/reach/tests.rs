use lavandin_types::Metric;
use proptest::prelude::*;

use super::*;
use crate::graph::tests::{Data, Random};
use crate::kernels::Kernels;

fn reached(neighbours: &[u32], stride: usize, entries: &[u32]) -> usize {
    let mut reached = vec![false; neighbours.len() / stride];
    let mut queue = entries.to_vec();
    while let Some(row) = queue.pop() {
        if !std::mem::replace(&mut reached[row as usize], true) {
            let row = row as usize * stride;
            queue.extend(neighbours[row..row + stride].iter().filter(|row| **row != NONE));
        }
    }
    reached.iter().filter(|reached| **reached).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Links that leave most rows unreachable: few a row, towards few rows.
    #[test]
    fn every_row_becomes_reachable(
        seed in 1u64..1_000_000, rows in 1u32..300, degree in 1u32..5, towards in 1u32..40, entries in 1u32..4,
    ) {
        let data = Data::clustered(rows as usize, 8, seed);
        let block = data.block();
        let space = LinkSpace::new(&block, Metric::L2, Kernels::get());
        let mut random = Random::new(seed);
        let stride = words_of(degree);
        let mut neighbours = vec![NONE; rows as usize * stride];
        for row in neighbours.chunks_mut(stride) {
            let count = random.below(degree + 1) as usize;
            row[..count].fill_with(|| random.below(towards.min(rows)));
        }
        let entries: Vec<u32> = (0..entries.min(rows)).collect();
        connect(&space, &entries, degree, &mut neighbours, &AtomicBool::new(false)).unwrap();
        prop_assert_eq!(reached(&neighbours, stride, &entries), rows as usize);
        for row in neighbours.chunks(stride) {
            prop_assert!(row[degree as usize..].iter().all(|word| *word == NONE), "more links than the degree");
        }
    }
}

#[test]
fn changes_nothing_where_all_is_reachable() {
    let data = Data::clustered(3, 8, 1);
    let block = data.block();
    let space = LinkSpace::new(&block, Metric::L2, Kernels::get());
    let mut neighbours = vec![NONE; 3 * 16];
    (neighbours[0], neighbours[16], neighbours[32]) = (1, 2, 0);
    let before = neighbours.clone();
    connect(&space, &[0], 2, &mut neighbours, &AtomicBool::new(false)).unwrap();
    assert_eq!(neighbours, before);
}
