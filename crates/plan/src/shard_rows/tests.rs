use super::*;
use proptest::prelude::*;

#[test]
fn nothing() {
    for rows in [vec![], vec![0], vec![0, 0, 0]] {
        let shards = rows.len() as u32;
        let rows = ShardRows::new(rows);
        assert_eq!((rows.total(), rows.shards(), rows.locate(0)), (0, shards, None));
        assert_eq!((rows.rows(0), rows.rows(u32::MAX), rows.start(7)), (0, 0, 0));
    }
}

#[test]
fn empty_shard_files_hold_nothing() {
    let rows = ShardRows::new(vec![0, 3, 0, 0, 2, 0]);
    let places: Vec<_> = (0..6).map(|index| rows.locate(index)).collect();
    let expected = [Some((1, 0)), Some((1, 1)), Some((1, 2)), Some((4, 0)), Some((4, 1)), None];
    assert_eq!(places, expected);
    assert_eq!(rows.iter().collect::<Vec<_>>(), [0, 3, 0, 0, 2, 0]);
}

/// Sums beyond 32 bits, and one shard file that outweighs all others.
#[test]
fn large_and_uneven() {
    let mut counts = vec![u32::MAX; 3];
    counts.extend([1; 1000]);
    let rows = ShardRows::new(counts);
    let large = u64::from(u32::MAX);
    assert_eq!(rows.locate(3 * large - 1), Some((2, u32::MAX - 1)));
    assert_eq!(rows.locate(3 * large + 999), Some((1002, 0)));
    assert_eq!(rows.locate(3 * large + 1000), None);
}

proptest! {
    #[test]
    fn locates_every_sample(counts in prop::collection::vec(prop_oneof![Just(0), 0..5_u32, 0..300_u32], 0..60)) {
        let rows = ShardRows::new(counts.clone());
        let mut index = 0;
        for (shard, count) in (0..).zip(counts) {
            prop_assert_eq!(rows.start(shard), index);
            prop_assert_eq!(rows.rows(shard), count);
            for row in 0..count {
                prop_assert_eq!(rows.locate(index), Some((shard, row)));
                index += 1;
            }
        }
        prop_assert_eq!(rows.total(), index);
        prop_assert_eq!(rows.locate(index), None);
    }
}
