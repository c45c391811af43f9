use super::*;
use proptest::prelude::*;

fn bytes(set: &RoaringBitmap) -> Vec<u8> {
    let mut out = Vec::new();
    write_set(&mut out, set);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_sets_have_equal_bytes_whatever_their_history(
        edits in prop::collection::vec((0_u32..140_000, 1_u32..20_000, any::<bool>()), 0..40),
    ) {
        let mut set = RoaringBitmap::new();
        for (start, length, add) in edits {
            if add {
                set.insert_range(start..start + length);
            } else {
                set.remove_range(start..start + length / 3);
            }
        }
        let one_by_one: RoaringBitmap = set.iter().collect();
        prop_assert_eq!(bytes(&set), bytes(&one_by_one));
        let mut ranges = set.iter();
        let mut by_runs = RoaringBitmap::new();
        while let Some(range) = ranges.next_range() {
            by_runs.insert_range(range);
        }
        prop_assert_eq!(bytes(&set), bytes(&by_runs));

        let written = bytes(&set);
        let mut rest = &written[..];
        let back = read_set(&mut rest).expect("just written");
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&back, &set);
        prop_assert_eq!(bytes(&back), written);
    }

    #[test]
    fn sets_of_64_bits_come_back(numbers in prop::collection::btree_set(any::<u64>(), 0..50)) {
        let set: RoaringTreemap = numbers.iter().copied().collect();
        let mut out = Vec::new();
        write_set_64(&mut out, &set);
        let mut rest = &out[..];
        prop_assert_eq!(read_set_64(&mut rest), Some(set));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn damaged_sets_do_not_panic(mut numbers in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_set(&mut &numbers[..]);
        let _ = read_set_64(&mut &numbers[..]);
        // Past the cookie.
        numbers.splice(0..0, 12_346_u32.to_le_bytes());
        let _ = read_set(&mut &numbers[..]);
    }
}

#[test]
fn an_emptied_upper_half_leaves_no_bytes() {
    let mut set: RoaringTreemap = [5, 1 << 40].into_iter().collect();
    set.remove(1 << 40);
    let mut out = Vec::new();
    write_set_64(&mut out, &set);
    let mut same = Vec::new();
    write_set_64(&mut same, &[5].into_iter().collect());
    assert_eq!(out, same);
}
