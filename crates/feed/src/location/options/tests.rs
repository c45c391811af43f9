use super::*;

fn variables(set: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |asked| set.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
}

#[test]
fn settings_come_from_the_variables() {
    let set = variables(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("HF_ENDPOINT", "http://127.0.0.1:9001"),
        ("HF_TOKEN", "hf_token"),
    ]);
    let s3 = S3Settings::from_variables(&set);
    assert_eq!(s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!((s3.access_key_id.as_deref(), s3.secret_access_key.as_deref()), (Some("id"), Some("secret")));
    assert_eq!((s3.session_token.as_deref(), s3.region.as_str()), (Some("session"), "eu-west-1"));
    let hf = HfSettings::from_variables(&set);
    assert_eq!((hf.endpoint.as_str(), hf.token.as_deref()), ("http://127.0.0.1:9001", Some("hf_token")));
}

#[test]
fn the_narrower_variable_wins_and_an_empty_one_is_unset() {
    let s3 = S3Settings::from_variables(&variables(&[
        ("AWS_ENDPOINT_URL", "http://all"),
        ("AWS_ENDPOINT_URL_S3", "http://s3"),
        ("AWS_REGION", "  "),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", ""),
    ]));
    assert_eq!(s3.endpoint.as_deref(), Some("http://s3"));
    assert_eq!((s3.region.as_str(), s3.access_key_id), ("eu-west-1", None));
    assert_eq!(S3Settings::default().region, "us-east-1");
    assert_eq!(HfSettings::from_variables(&|_| None), HfSettings::default());
}
