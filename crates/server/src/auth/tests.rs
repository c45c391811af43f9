use super::*;
use axum::http::HeaderValue;
use lavandin_node::KeyRole;

fn admitted(keys: &Keys, value: Option<&str>) -> Result<(), Refusal> {
    let mut headers = HeaderMap::new();
    if let Some(value) = value {
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    keys.admit(&headers, &Catalogue::default())
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

#[test]
fn without_a_key_everyone_is_let_in() {
    let keys = Keys::new(None, false);
    assert!(!keys.are_wanted(&Catalogue::default()));
    assert_eq!(admitted(&keys, None), Ok(()));
    assert_eq!(admitted(&keys, Some("Bearer x")), Ok(()));
    assert_eq!(admitted(&Keys::new(Some("sesame"), true), None), Ok(()));
}

#[test]
fn bearer_and_basic_carry_the_key_of_the_command_line() {
    let keys = Keys::new(Some("se:same"), false);
    for right in
        ["Bearer se:same", "bearer  se:same", &basic("any:se:same"), &basic(":se:same"), &basic("se:same")]
    {
        assert_eq!(admitted(&keys, Some(right)), Ok(()), "{right}");
    }
    for (wrong, refusal) in [
        ("Bearer sesame", Refusal::Wrong),
        ("Bearer", Refusal::Missing),
        ("se:same", Refusal::Missing),
        ("Digest se:same", Refusal::Missing),
        ("Basic %", Refusal::Malformed),
        (&basic("sesame"), Refusal::Malformed),
        (&basic("se:wrong"), Refusal::Wrong),
    ] {
        assert_eq!(admitted(&keys, Some(wrong)), Err(refusal), "{wrong}");
    }
    assert_eq!(admitted(&keys, None), Err(Refusal::Missing));
}

#[test]
fn a_stored_key_is_refused_when_locked_or_expired() {
    let mut key = ApiKey {
        id: "la-1".to_owned(),
        secret_hash: digest(b"secret"),
        role: KeyRole::Admin,
        note: None,
        locked: false,
        expires_at_s: Some(100),
        created_at_s: 0,
    };
    assert_eq!(check(&key, b"secret", 99), Ok(()));
    assert_eq!(check(&key, b"secret", 100), Err(Refusal::Expired));
    assert_eq!(check(&key, b"wrong", 100), Err(Refusal::Wrong));
    key.locked = true;
    assert_eq!(check(&key, b"secret", 99), Err(Refusal::Locked));
}
