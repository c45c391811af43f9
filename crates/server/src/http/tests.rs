use super::RequestNames;
use crate::http::name::X_REQUEST_ID;
use axum::http::{HeaderMap, HeaderValue};

#[test]
fn a_sane_name_is_kept_and_another_replaced() {
    let names = RequestNames::new();
    let named = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        names.name(&headers)
    };
    assert_eq!(named("req-1.a:b"), "req-1.a:b");
    for strange in ["", "a b", "a\"b", "ü", &"x".repeat(129)] {
        assert_ne!(named(strange), strange, "{strange:?}");
    }
    let (first, second) = (names.name(&HeaderMap::new()), names.name(&HeaderMap::new()));
    assert_ne!(first, second);
    assert!(first.to_str().unwrap().ends_with("-6"), "{first:?}");
}
