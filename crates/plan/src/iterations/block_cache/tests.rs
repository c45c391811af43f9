use super::*;

#[test]
fn what_was_used_longest_ago_goes_first() {
    let mut lru = Lru::new(3, 100);
    (0..3).for_each(|key| lru.insert(key, key, 1));
    assert_eq!(lru.get(&0), Some(0));
    lru.insert(3, 3, 1);
    assert_eq!((lru.get(&1), lru.get(&0), lru.get(&3)), (None, Some(0), Some(3)));
    assert_eq!(lru.weight, 3);
}

#[test]
fn the_weights_are_bounded_but_the_last_value_stays() {
    let mut lru = Lru::new(10, 100);
    (0..5).for_each(|key| lru.insert(key, key, 40));
    assert_eq!((lru.values.len(), lru.weight), (2, 80));
    lru.insert(9, 9, 1000);
    assert_eq!((lru.get(&9), lru.values.len(), lru.weight), (Some(9), 1, 1000));
    lru.insert(9, 10, 7);
    assert_eq!((lru.get(&9), lru.weight), (Some(10), 7), "replaced, not added");
}
