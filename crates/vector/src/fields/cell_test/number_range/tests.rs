use super::*;

const INTS: [i128; 12] = [
    0,
    1,
    2,
    5,
    -1,
    -2,
    9_007_199_254_740_991,
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    u64::MAX as i128,
    i64::MIN as i128,
    i64::MAX as i128,
];
const FLOATS: [f64; 14] = [
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    2.0,
    -0.5,
    -1.0,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    1.844_674_407_370_955_2e19,
    -9.223_372_036_854_776e18,
    1e300,
    -1e300,
];

/// Every pair of bounds against every value, compared through `Number` alone.
#[test]
fn each_kind_agrees_with_exact_comparison() {
    let numbers: Vec<Number> =
        INTS.into_iter().map(Number::Int).chain(FLOATS.into_iter().map(Number::Float)).collect();
    let bounds = || {
        let limits = numbers.iter().flat_map(|number| [Bound::Included(*number), Bound::Excluded(*number)]);
        limits.chain([Bound::Unbounded])
    };
    for (low, high) in bounds().flat_map(|low| bounds().map(move |high| (low, high))) {
        let range = NumberRange::new(low, high);
        for number in &numbers {
            let above = match low {
                Bound::Unbounded => true,
                Bound::Included(low) => *number >= low,
                Bound::Excluded(low) => *number > low,
            };
            let below = match high {
                Bound::Unbounded => true,
                Bound::Included(high) => *number <= high,
                Bound::Excluded(high) => *number < high,
            };
            let found = match *number {
                Number::Float(value) => range.float.is_some_and(|(low, high)| value >= low && value <= high),
                Number::Int(value) if value < 0 => range
                    .negative
                    .is_some_and(|(low, span)| (value as i64 as u64).wrapping_sub(low as u64) <= span),
                Number::Int(value) => {
                    range.unsigned.is_some_and(|(low, span)| (value as u64).wrapping_sub(low) <= span)
                }
            };
            assert_eq!(found, above && below, "{number:?} in {low:?} .. {high:?}");
        }
    }
}
