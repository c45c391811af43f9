use super::*;

#[test]
fn a_step_down_from_https_is_refused() {
    let web = Web::new(&StoreOptions::new("data".into())).expect("a client");
    let from = |scheme: &str| Url::parse(&format!("{scheme}://host.test/a/b")).expect("a URL");
    let next =
        |scheme: &str, target: &str| web.next_url(&from(scheme), target, "f").map(|url| url.to_string());
    assert_eq!(next("https", "../c").expect("good"), "https://host.test/c");
    assert_eq!(next("http", "http://other.test/c").expect("good"), "http://other.test/c");
    assert_eq!(next("http", "https://other.test/c").expect("good"), "https://other.test/c");
    for target in ["http://host.test/a/b", "file:///etc/passwd", "ftp://host.test/", "https://"] {
        let error = next("https", target).expect_err(target);
        assert!(matches!(error, LocationError::Refused { .. }), "{error}");
    }
}
