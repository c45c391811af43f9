use super::*;

#[test]
fn comparisons_are_exact() {
    use Number::{Float, Int};
    let two_53 = 9_007_199_254_740_992i128;
    assert_eq!(Int(1), Float(1.0));
    assert!(Int(two_53 + 1) > Float(two_53 as f64));
    assert!(Int(two_53 - 1) < Float(two_53 as f64));
    assert!(Int(i128::from(u64::MAX)) < Float(TWO_POW_64));
    assert_eq!(Int(i128::from(i64::MIN)), Float(-TWO_POW_63));
    assert!(Int(i128::from(i64::MIN)) > Float(-1e300));
    assert!(Int(2) < Float(2.5) && Int(3) > Float(2.5));
    assert!(Int(-2) > Float(-2.5) && Int(-3) < Float(-2.5));
    assert_eq!(Int(0), Float(-0.0));
    assert_eq!(Float(0.0), Float(-0.0));
}

#[test]
fn text_keeps_the_kind() {
    assert_eq!(Number::Float(1.0).to_string(), "1.0");
    assert_eq!(Number::Int(1).to_string(), "1");
    assert_eq!(Number::Float(1e300).to_string(), "1e300");
}
