//! Reads the golden vectors of `fixtures/` (see `golden.py` there).

/// Asserts that `values` are what a line's last part says: all of them, or their checksum, first and last ten.
pub(crate) fn check(expected: &str, values: &[u64], what: &str) {
    if let Some(all) = expected.strip_prefix("all") {
        assert_eq!(numbers(all.trim_start()), values, "{what}");
        return;
    }
    let (sum, ends) = expected.strip_prefix("sum ").and_then(|rest| rest.split_once(' ')).unwrap();
    let count = values.len();
    assert_eq!(numbers(ends), [&values[..10], &values[count - 10..]].concat(), "{what}");
    let state = values
        .iter()
        .fold(0_u64, |state, value| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(value + 1));
    assert_eq!(state.to_string(), sum, "{what}");
}

pub(crate) fn numbers(text: &str) -> Vec<u64> {
    text.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect()
}
