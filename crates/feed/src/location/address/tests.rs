use super::*;
use lavandin_types::ErrorCode;

fn parse(text: &str) -> Location {
    Location::parse(text).expect(text)
}

fn refusal(text: &str) -> String {
    let error = Location::parse(text).expect_err(text);
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    error.to_string()
}

#[test]
fn each_scheme_is_taken_apart() {
    assert_eq!(parse("file:///data/train").place(), &Place::File("/data/train".into()));
    let relative = std::env::current_dir().expect("a working directory").join(".cache/train");
    assert_eq!(parse("file://.cache/train").file_path(), Some(relative.as_path()));
    let s3 = Place::S3 { bucket: "bucket".into(), key: "a/b c%20d".into() };
    assert_eq!(parse("s3://bucket/a/b c%20d/").place(), &s3);
    assert_eq!(parse("s3://bucket").place(), &Place::S3 { bucket: "bucket".into(), key: String::new() });
    let hf = Place::Hf { repository: "org/repo".into(), path: "data/train".into() };
    assert_eq!(parse("hf://org/repo/data/train").place(), &hf);
    assert_eq!(
        parse("hf://org/repo").place(),
        &Place::Hf { repository: "org/repo".into(), path: String::new() }
    );
    assert!(matches!(parse("https://host:8443/a").place(), Place::Web(url) if url.port() == Some(8443)));
    assert_eq!(parse("HTTP://host/a").scheme(), Scheme::Http);
}

#[test]
fn the_text_is_kept() {
    for text in ["file://.cache/x/", "s3://bucket/a/", "http://host/a%20b", "hf://org/repo/"] {
        assert_eq!(parse(text).as_str(), text);
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn a_text_without_a_known_scheme_is_told_which_there_are() {
    let text = refusal("/data/train");
    for scheme in ["file://", "s3://", "http://", "https://", "hf://", "file:///data/train"] {
        assert!(text.contains(scheme), "{text}");
    }
    let text = refusal("gs://bucket/a");
    assert!(text.contains("\"gs\"") && text.contains("s3://"), "{text}");
}

#[test]
fn malformed_texts_are_refused() {
    for text in [
        "file://",
        "s3://",
        "s3:///a",
        "s3://buck et/a",
        "s3://bucket/a/../b",
        "s3://bucket/./b",
        "s3://bucket/a//b",
        "hf://org",
        "hf://org/",
        "hf://../repo/a",
        "hf://org/repo/../../other",
        "http://",
        "http://host/a?key=1",
        "http://host/a#b",
        "file:///a\nb",
    ] {
        refusal(text);
    }
    refusal(&format!("file:///{}", "a".repeat(5000)));
}

#[test]
fn a_name_is_joined_as_one_segment() {
    assert_eq!(parse("file:///data").join("a.csv").expect("a name").as_str(), "file:///data/a.csv");
    assert_eq!(parse("file:///").join("a.csv").expect("a name").as_str(), "file:///a.csv");
    assert_eq!(parse("s3://bucket").join("a b").expect("a name").as_str(), "s3://bucket/a b");
    let joined = parse("http://host/d/").join("a b?#%2e.csv").expect("a name");
    assert_eq!(joined.as_str(), "http://host/d/a%20b%3F%23%252e.csv");
    assert_eq!(joined.name(), "a b?#%2e.csv");
    for name in ["", ".", "..", "a/b", "../a", "a\\b", "a\0b", &"a".repeat(256)] {
        assert!(parse("http://host/d").join(name).is_err(), "{name:?}");
        assert!(parse("file:///d").join(name).is_err(), "{name:?}");
    }
}

#[test]
fn the_name_is_the_last_segment() {
    assert_eq!(parse("file:///data/a.csv").name(), "a.csv");
    assert_eq!(parse("s3://bucket/x/a.csv").name(), "a.csv");
    assert_eq!(parse("s3://bucket").name(), "");
    assert_eq!(parse("http://host/x/%C3%A4%2.csv").name(), "ä%2.csv");
    assert_eq!(parse("hf://org/repo/x/").name(), "x");
}

#[test]
fn people_see_no_password() {
    let location = parse("https://user:secret@host/a");
    assert_eq!(location.to_string(), "https://…@host/a");
    assert_eq!(location.as_str(), "https://user:secret@host/a");
    assert!(!refusal("ftp://user:secret@host/a").contains("secret"));
    assert_eq!(parse("file://a@b/c").to_string(), "file://a@b/c");
}
