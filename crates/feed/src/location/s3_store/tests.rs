use super::*;

#[test]
fn half_a_key_is_refused() {
    let mut options = StoreOptions::new("data".into());
    let store = |options: &StoreOptions| S3Store::new(options, Web::new(options).expect("a client"));
    options.s3.access_key_id = Some("id".into());
    let error = store(&options).expect_err("no secret");
    assert!(error.to_string().starts_with("AWS_SECRET_ACCESS_KEY"), "{error}");
    options.s3.secret_access_key = Some("secret".into());
    assert!(store(&options).is_ok());
    options.s3.endpoint = Some("127.0.0.1:9000".into());
    let error = store(&options).expect_err("no scheme");
    assert!(error.to_string().contains("http://"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    let mut options = StoreOptions::new("data".into());
    options.s3.secret_access_key = Some("hidden".into());
    options.s3.session_token = Some("hidden".into());
    options.hf.token = Some("hidden".into());
    assert!(!format!("{options:?}").contains("hidden"));
}
