use super::*;
use axum::http::HeaderValue;

fn admits(keys: &Keys, value: Option<&str>) -> bool {
    let mut headers = HeaderMap::new();
    if let Some(value) = value {
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    keys.admit(&headers)
}

#[test]
fn without_a_key_everyone_is_let_in() {
    let keys = Keys::new(None);
    assert!(keys.is_empty() && admits(&keys, None) && admits(&keys, Some("Bearer x")));
}

#[test]
fn bearer_and_basic_carry_the_key() {
    let keys = Keys::new(Some("se:same"));
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    assert!(admits(&keys, Some("Bearer se:same")));
    assert!(admits(&keys, Some("bearer  se:same")));
    assert!(admits(&keys, Some(&basic("any:se:same"))));
    assert!(admits(&keys, Some(&basic(":se:same"))));
    for wrong in [
        None,
        Some("Bearer sesame"),
        Some("Bearer"),
        Some("se:same"),
        Some("Digest se:same"),
        Some("Basic %"),
    ] {
        assert!(!admits(&keys, wrong), "{wrong:?}");
    }
    assert!(!admits(&keys, Some(&basic("sesame"))));
    assert!(!admits(&keys, Some(&basic("se:wrong"))));
}
