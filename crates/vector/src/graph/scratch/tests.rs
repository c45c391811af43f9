use super::*;

#[test]
fn a_row_is_fresh_once_a_walk() {
    let mut seen = Seen::default();
    let mut fresh = Vec::new();
    // More walks than there are tags.
    for _ in 0..600 {
        seen.start(8);
        seen.keep_fresh(&[3, 5, 3], &mut fresh, |_| ());
        assert_eq!(fresh, [3, 5]);
        seen.keep_fresh(&[5, 1], &mut fresh, |_| ());
        assert_eq!(fresh, [1]);
    }
}

#[test]
fn rows_beyond_the_graph_are_left_out_even_after_a_larger_one() {
    let mut seen = Seen::default();
    let mut fresh = Vec::new();
    seen.start(100);
    seen.start(8);
    seen.keep_fresh(&[7, 8, 99, u32::MAX], &mut fresh, |_| ());
    assert_eq!(fresh, [7]);
}
