use super::*;
use proptest::prelude::*;

fn listed(permutation: &Permutation) -> Vec<u64> {
    (0..permutation.count).map(|place| permutation.at(place)).collect()
}

/// χ² in standard deviations from its mean: within about ±4 for what is even.
fn deviation(counts: &[u64], expected: f64) -> f64 {
    let chi: f64 = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    (chi - freedom) / (2.0 * freedom).sqrt()
}

/// Frozen: cursors of earlier versions mean these.
#[test]
fn golden() {
    assert_eq!(derive_key(&[]), 0);
    assert_eq!(derive_key(&[0]), 16_294_208_416_658_607_535);
    let key = derive_key(&[7, 0, 3]);
    assert_eq!(listed(&Permutation::new(12, key)), [7, 2, 1, 3, 4, 11, 5, 0, 8, 10, 6, 9]);
    let large = Permutation::new(1 << 48, key);
    let items = [0, 1, (1 << 48) - 1].map(|place| large.at(place));
    assert_eq!(items, [199_994_705_931_536, 59_401_458_501_908, 95_491_172_372_969]);
    let middle = Permutation::new(1000, key);
    assert_eq!([0, 1, 999].map(|place| middle.at(place)), [653, 117, 636]);
}

#[test]
fn permutes_every_small_count() {
    for count in (0..600).chain([1023, 1024, 1025, 4096, 65_535, 65_537]) {
        let mut items = listed(&Permutation::new(count, derive_key(&[count])));
        items.sort_unstable();
        assert_eq!(items, (0..count).collect::<Vec<_>>());
    }
}

/// All arrangements of a few items are equally likely.
#[test]
fn arrangements_are_even() {
    for count in 2..=6_u64 {
        let arrangements: u64 = (1..=count).product();
        let mut seen = vec![0; arrangements as usize];
        for seed in 0..arrangements * 200 {
            let items = listed(&Permutation::new(count, derive_key(&[seed])));
            let number = (0..items.len()).fold(0, |number, i| {
                number * (items.len() - i) + items[i + 1..].iter().filter(|item| **item < items[i]).count()
            });
            seen[number] += 1;
        }
        let off = deviation(&seen, 200.0);
        assert!(off.abs() < 4.0, "{count} items: {off}");
    }
}

/// How far two places' items lie apart says nothing about how far apart the places are.
#[test]
fn distances_are_even() {
    for count in [300_u64, 5_000, 100_000, 262_144] {
        let permutation = Permutation::new(count, derive_key(&[count]));
        let items = listed(&permutation);
        let low = 1_u64 << permutation.bits;
        for step in [1, 2, low - 1, low, low + 1, permutation.high] {
            let bins = (count / 50).min(256);
            let mut seen = vec![0; bins as usize];
            for (place, item) in (0..).zip(&items) {
                let other = items[((place + step) % count) as usize];
                seen[((other + count - item) % count * bins / count) as usize] += 1;
            }
            let off = deviation(&seen, count as f64 / bins as f64);
            assert!(off.abs() < 4.5, "{count} items, step {step}: {off}");
        }
    }
}

/// Two permutations of neighbouring keys agree in about one place, as unrelated ones do.
#[test]
fn keys_are_unrelated() {
    let agreements = (0..400).map(|seed| {
        let (a, b) = (derive_key(&[1, seed]), derive_key(&[1, seed + 1]));
        let (a, b) = (Permutation::new(1000, a), Permutation::new(1000, b));
        (0..1000).filter(|place| a.at(*place) == b.at(*place)).count()
    });
    let agreements: Vec<usize> = agreements.collect();
    assert!((300..500).contains(&agreements.iter().sum::<usize>()));
    assert!(agreements.iter().max() < Some(&10));
}

proptest! {
    /// Of any size: in range, and no two of a sample of places share an item.
    #[test]
    fn one_to_one(count in (0..=48_u32).prop_flat_map(|bits| 1..=1_u64 << bits), seed: u64, from: u64) {
        let permutation = Permutation::new(count, derive_key(&[seed]));
        let places = (0..count.min(2000)).map(|place| (place + from % count) % count);
        let mut items: Vec<u64> = places.map(|place| permutation.at(place)).collect();
        prop_assert!(items.iter().all(|item| *item < count));
        items.sort_unstable();
        items.dedup();
        prop_assert_eq!(items.len() as u64, count.min(2000));
    }
}
