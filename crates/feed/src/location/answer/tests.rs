use super::*;
use reqwest::header::HeaderValue;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value")))
        .collect()
}

fn of_status(status: u16) -> LocationError {
    let hints = Hints { not_found: "; look again", denied: "; ask" };
    let status = StatusCode::from_u16(status).expect("a status");
    failure("f", status, &headers(&[("retry-after", "7")]), "why", hints)
}

#[test]
fn statuses_become_errors_by_what_can_be_done() {
    assert!(matches!(of_status(404), LocationError::NotFound { hint: "; look again", .. }));
    for status in [401, 403] {
        assert_eq!(of_status(status).to_string(), format!("f: access denied ({status}: why); ask"));
    }
    for status in [408, 429, 500, 502, 503, 504, 599] {
        assert!(of_status(status).is_retryable(), "{status}");
        assert_eq!(of_status(status).retry_after(), Some(Duration::from_secs(7)));
    }
    for status in [301, 304, 400, 405, 416, 501] {
        assert!(matches!(of_status(status), LocationError::Refused { .. }), "{status}");
        assert!(!of_status(status).is_retryable());
    }
}

#[test]
fn the_tag_is_the_etag_or_the_date() {
    assert_eq!(tag(&headers(&[("etag", "\"a\""), ("last-modified", "Mon")])).as_deref(), Some("a"));
    assert_eq!(tag(&headers(&[("last-modified", "Mon")])).as_deref(), Some("Mon"));
    assert_eq!(tag(&headers(&[])), None);
}

#[test]
fn content_ranges_are_read() {
    let read = |text| content_range(&headers(&[("content-range", text)]));
    assert_eq!(read("bytes 5-9/10"), Some((5, Some(10))));
    assert_eq!(read("bytes 5-9/*"), Some((5, None)));
    for text in ["bytes */10", "5-9/10", "bytes 5/10", "bytes x-9/10", "bytes 5-9/x", ""] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn a_cause_is_one_line_of_text() {
    assert_eq!(readable_cause(b"\n  no such key \nmore"), "no such key");
    assert_eq!(readable_cause(b"<html><body>long</body>"), "");
    assert_eq!(readable_cause(&[0xff, b'a', 7]), "\u{fffd}a");
    assert_eq!(readable_cause("x".repeat(1000).as_bytes()).len(), 200);
}
