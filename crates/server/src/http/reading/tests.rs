use super::*;
use axum::body::Body;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn each_mode_is_understood() {
    let mode = |pairs: &[_]| wanted(&headers(pairs)).expect("it is a mode").consistency().clone();
    assert_eq!(mode(&[]), Consistency::Usual);
    assert_eq!(mode(&[("x-session-token", "1:5")]), Consistency::Usual);
    assert_eq!(mode(&[("x-read-consistency", "primary")]), Consistency::Primary);
    assert_eq!(mode(&[("x-read-consistency", "linearizable")]), Consistency::Linearizable);
    assert_eq!(mode(&[("x-read-consistency", "any")]), Consistency::Any);
    let bounded = mode(&[("x-read-consistency", "bounded"), ("x-max-staleness-ms", "250")]);
    assert_eq!(bounded, Consistency::Bounded(Duration::from_millis(250)));
    assert_eq!(mode(&[("x-read-consistency", "session")]), Consistency::Session(Progress::new()));
    let session = mode(&[("x-read-consistency", "session"), ("x-session-token", "2:7,10:0")]);
    let expected = Progress::from([(GroupId::new(2), 7), (GroupId::new(10), 0)]);
    assert_eq!(session, Consistency::Session(expected));
}

#[test]
fn what_is_no_mode_is_refused_with_what_would_be() {
    let refused = |pairs: &[_]| wanted(&headers(pairs)).expect_err("it is none").message;
    assert!(refused(&[("x-read-consistency", "newest")]).contains("linearizable"));
    assert!(refused(&[("x-read-consistency", "bounded")]).contains("x-max-staleness-ms"));
    let bounded = [("x-read-consistency", "bounded"), ("x-max-staleness-ms", "soon")];
    assert!(refused(&bounded).contains("milliseconds"));
    for token in ["x", "1", "1:", ":1", "1:-2", "1:2,", "1:99999999999999999999"] {
        let refused = refused(&[("x-read-consistency", "session"), ("x-session-token", token)]);
        assert!(refused.contains("begin without one"), "{token}: {refused}");
    }
}

#[test]
fn a_reply_names_the_session_and_nothing_without_one() {
    let told = |pairs: &[_]| {
        let mut response = Response::new(Body::empty());
        tell(&wanted(&headers(pairs)).expect("it is a mode"), &mut response);
        let token = response.headers().get(SESSION).map(|value| value.to_str().expect("text").to_owned());
        assert!(response.headers().get(ANSWERED_BY).is_none(), "nobody has answered yet");
        token
    };
    assert_eq!(told(&[("x-read-consistency", "primary")]), None);
    assert_eq!(told(&[("x-read-consistency", "session")]).as_deref(), Some(""));
    let session = [("x-read-consistency", "session"), ("x-session-token", "10:4,2:7")];
    assert_eq!(told(&session).as_deref(), Some("2:7,10:4"));
}
