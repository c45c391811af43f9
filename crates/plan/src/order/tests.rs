use super::*;
use crate::mt19937::golden;
use proptest::prelude::*;
use std::collections::HashSet;

fn listed(order: &EpochOrder) -> Vec<u64> {
    (0..order.blocks()).flat_map(|number| order.block(number).indices(0).collect::<Vec<_>>()).collect()
}

fn prepared(order: Order, rows: &[u32]) -> EpochOrder {
    order.prepare(&ShardRows::new(rows.to_vec())).unwrap()
}

fn lavender(seed: u32, block_shards: u32) -> Order {
    Order::Lavender { shuffle: Some(LavenderShuffle { seed, block_shards }) }
}

/// What the published server hands to a single rank.
#[test]
fn lavender_as_published() {
    let mut cases = 0;
    for line in include_str!("../../fixtures/lavender_order.txt").lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (rows, seed, block_shards, expected) = (word(), word(), word(), word());
        let rows: Vec<u32> = golden::numbers(rows).into_iter().map(|count| count as u32).collect();
        let order = match seed {
            "-" => Order::Lavender { shuffle: None },
            seed => lavender(seed.parse().unwrap(), block_shards.parse().unwrap()),
        };
        golden::check(expected, &listed(&prepared(order, &rows)), line);
        cases += 1;
    }
    assert_eq!(cases, 205);
}

/// Without a shuffle a block is a shard file, empty ones too.
#[test]
fn lavender_blocks() {
    let order = prepared(Order::Lavender { shuffle: None }, &[3, 0, 2]);
    let blocks: Vec<_> = (0..4).map(|number| order.block(number)).collect();
    assert_eq!(order.blocks(), 3);
    assert_eq!(blocks.iter().map(Block::len).collect::<Vec<_>>(), [3, 0, 2, 0]);
    assert_eq!(blocks[2].shards(), Some(vec![2]));
    let order = prepared(lavender(1, 2), &[3, 0, 2]);
    assert_eq!((order.blocks(), order.block(2).len()), (2, 0));
}

/// Frozen: cursors of earlier versions mean these.
#[test]
fn golden_orders() {
    let rows = [4, 0, 3, 5, 1];
    let global = prepared(Order::Global { seed: 1, epoch: 2 }, &rows);
    assert_eq!(listed(&global), [2, 1, 3, 9, 10, 5, 6, 12, 8, 11, 4, 7, 0]);
    let windowed = prepared(Order::Windowed { seed: 1, epoch: 2, window_shards: 2 }, &rows);
    assert_eq!(listed(&windowed), [0, 1, 2, 3, 7, 11, 8, 9, 12, 10, 4, 6, 5]);
}

#[test]
fn refused() {
    let none = Order::Windowed { seed: 0, epoch: 0, window_shards: 0 };
    let rows = ShardRows::new(vec![1 << 25, 1 << 25, 1]);
    assert_eq!(none.check(&rows), Err(OrderError::NoShards));
    assert_eq!(lavender(1, 0).check(&rows), Err(OrderError::NoShards));
    assert_eq!(lavender(1, 3).check(&rows), Err(OrderError::BlockTooLarge { samples: (1 << 26) + 1 }));
    assert_eq!(lavender(1, 2).check(&rows), Ok(()));
    let rows = ShardRows::new(vec![u32::MAX; (1 << 16) + 1]);
    assert_eq!(Order::Sequential.check(&rows), Err(OrderError::TooManySamples { samples: rows.total() }));
    let rows = ShardRows::new(vec![1 << 31; 1 << 17]);
    for order in [Order::Sequential, Order::Global { seed: 1, epoch: 0 }] {
        let order = order.prepare(&rows).unwrap();
        assert_eq!(order.block_at((1 << 48) - 1), Some(((1 << 34) - 1, BLOCK_SAMPLES - 1)));
        assert!(order.block((1 << 34) - 1).index(BLOCK_SAMPLES - 1) < 1 << 48);
        assert!(order.block(u64::MAX).is_empty());
    }
}

/// Windows of equally many samples are shuffled differently, and hold their own shard files only.
#[test]
fn windows_have_orders_of_their_own() {
    let order = prepared(Order::Windowed { seed: 3, epoch: 0, window_shards: 5 }, &[100; 40]);
    assert_eq!(order.blocks(), 8);
    let mut seen = HashSet::new();
    let mut files = HashSet::new();
    for number in 0..8 {
        let block = order.block(number);
        let shards = block.shards().unwrap();
        let inside = |index: u64| {
            let file = shards.iter().position(|shard| u64::from(*shard) == index / 100).unwrap();
            file as u64 * 100 + index % 100
        };
        assert!(seen.insert(block.indices(0).map(inside).collect::<Vec<_>>()), "window {number}");
        files.extend(shards);
    }
    assert_eq!(files.len(), 40);
}

/// A window of many samples is more than one block, so that more than one rank can work on it.
#[test]
fn large_windows_are_cut() {
    let order = prepared(Order::Windowed { seed: 3, epoch: 0, window_shards: 2 }, &[20_000, 0, 20_000, 5]);
    let lens: Vec<u64> = (0..=order.blocks()).map(|number| order.block(number).len()).collect();
    assert_eq!(lens.iter().sum::<u64>(), 40_005);
    assert!(lens.len() >= 4 && lens.iter().all(|len| *len <= BLOCK_SAMPLES));
    assert_eq!(lens.last(), Some(&0));
}

#[test]
fn epochs_and_seeds_differ() {
    let rows = ShardRows::new(vec![50; 20]);
    let mut seen = HashSet::new();
    for seed in [0, 1, u64::MAX] {
        for epoch in 0..20 {
            for order in
                [Order::Global { seed, epoch: 0 }, Order::Windowed { seed, epoch: 0, window_shards: 4 }]
            {
                let order = order.with_epoch(epoch);
                assert_eq!(order.epoch(), epoch);
                assert!(seen.insert(listed(&order.prepare(&rows).unwrap())), "{order:?}");
            }
        }
    }
}

/// A batch of 256 of a global shuffle has samples of each of 20 shard files, as many of each as by chance.
#[test]
fn global_batches_touch_every_shard_file() {
    for (seed, files, rows) in [(0, 20, 10_000), (1, 20, 10_000), (2, 20, 1_000)] {
        let order = prepared(Order::Global { seed, epoch: 0 }, &vec![rows; files]);
        let (mut distinct, mut squares, mut batches) = (0, 0.0, 0_u32);
        for batch in listed(&order).chunks_exact(256) {
            let mut counts = vec![0_u32; files];
            batch.iter().for_each(|index| counts[(index / u64::from(rows)) as usize] += 1);
            distinct += counts.iter().filter(|count| **count > 0).count();
            squares += counts.iter().map(|count| (f64::from(*count) - 12.8).powi(2)).sum::<f64>();
            batches += 1;
        }
        // A batch misses a given file once in 500,000.
        assert!(distinct as f64 / f64::from(batches) > 19.99, "{distinct} in {batches}");
        // χ² with 19 degrees of freedom for each batch (less what drawing without putting back takes off).
        let chi = squares / 12.8 / f64::from(batches);
        assert!((17.5..20.5).contains(&chi), "{chi}");
    }
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Sequential),
        Just(Order::Lavender { shuffle: None }),
        (any::<u32>(), 1..12_u32).prop_map(|(seed, size)| lavender(seed, size)),
        (any::<u64>(), any::<u64>(), 1..12_u32).prop_map(|(seed, epoch, window_shards)| Order::Windowed {
            seed,
            epoch,
            window_shards
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(seed, epoch)| Order::Global { seed, epoch }),
    ]
}

proptest! {
    #[test]
    fn each_sample_has_one_place(
        order in orders(),
        rows in prop::collection::vec(prop_oneof![4 => 0..9_u32, 1 => 0..20_000_u32], 0..30),
    ) {
        let order = prepared(order, &rows);
        let mut place = 0;
        let mut indices = Vec::new();
        for number in 0..order.blocks() {
            let block = order.block(number);
            let shards: Option<HashSet<u32>> = block.shards().map(|shards| shards.into_iter().collect());
            for (inside, index) in (0..).zip(block.indices(0)) {
                prop_assert_eq!(order.block_at(place), Some((number, inside)));
                prop_assert_eq!(block.index(inside), index);
                let (shard, _) = order.rows().locate(index).unwrap();
                prop_assert!(shards.as_ref().is_none_or(|shards| shards.contains(&shard)));
                place += 1;
            }
            prop_assert_eq!(block.indices(block.len()).count(), 0);
            indices.extend(block.indices(0));
        }
        prop_assert_eq!(order.block_at(place), None);
        prop_assert!(order.block(order.blocks()).is_empty());
        prop_assert!(order.block(u64::MAX).is_empty());
        indices.sort_unstable();
        prop_assert!(indices.iter().copied().eq(0..order.total()));
    }

    #[test]
    fn bytes_there_and_back(order in orders(), noise: [u8; ORDER_BYTES]) {
        prop_assert_eq!(Order::from_bytes(&order.to_bytes()), Some(order));
        let mut noise = noise;
        noise[0] %= 6;
        if let Some(order) = Order::from_bytes(&noise) {
            prop_assert_eq!(order.to_bytes(), noise);
        }
    }
}
