use super::*;

/// The first draws for the seed of the authors' reference code, as every implementation publishes them.
#[test]
fn first_draws() {
    let mut generator = Mt19937::new(5489);
    let draws: Vec<u32> = (0..5).map(|_| generator.next_u32()).collect();
    assert_eq!(draws, [3_499_211_612, 581_869_302, 3_890_346_734, 3_586_334_585, 545_404_204]);
    let ten_thousandth = (5..10_000).map(|_| generator.next_u32()).last();
    assert_eq!(ten_thousandth, Some(4_123_659_995));
}

#[test]
fn shuffles_as_numpy() {
    let mut cases = 0;
    for line in include_str!("../../fixtures/numpy_shuffle.txt").lines() {
        let mut words = line.splitn(3, ' ');
        let (seed, count) = (words.next().unwrap(), words.next().unwrap());
        let mut items: Vec<u32> = (0..count.parse().unwrap()).collect();
        Mt19937::new(seed.parse().unwrap()).shuffle(&mut items);
        let items: Vec<u64> = items.into_iter().map(u64::from).collect();
        golden::check(words.next().unwrap(), &items, &format!("seed {seed}, {count} items"));
        cases += 1;
    }
    assert_eq!(cases, 72);
}
