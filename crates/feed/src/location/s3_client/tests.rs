use super::*;

#[test]
fn elements_are_found_in_an_errors_body() {
    let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>The key</Message></Error>";
    assert_eq!(element(text, "Code"), Some("NoSuchKey"));
    assert_eq!(element(text, "Message"), Some("The key"));
    assert_eq!(element(text, "Resource"), None);
    assert_eq!(element("<Code>cut", "Code"), None);
}

#[test]
fn a_wrong_region_is_named() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-bucket-region", "eu-west-1".parse().expect("a value"));
    let failure =
        Failure::Status { status: StatusCode::MOVED_PERMANENTLY, headers, cause: "PermanentRedirect".into() };
    let text = failure.to_error("s3://b/a", Hints::default()).to_string();
    assert!(text.contains("eu-west-1: set AWS_REGION"), "{text}");
}
