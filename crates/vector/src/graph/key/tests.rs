use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn keys_are_ordered_as_distances(a: f32, b: f32, row in 0..ROWS_MAX) {
        prop_assert_eq!(key(a, row).cmp(&key(b, row)), a.total_cmp(&b));
    }

    #[test]
    fn keys_give_back_what_they_were_made_of(distance: f32, row in 0..ROWS_MAX) {
        for key in [key(distance, row), key(distance, row) | EXPANDED] {
            prop_assert_eq!(distance_of(key).to_bits(), distance.to_bits());
            prop_assert_eq!(row_of(key), row);
        }
    }
}
