//! What answers become.

use crate::server::Once;
use lavandin_client::{Blocking, ClientError, ClientOptions, NextOptions, Submitted};
use lavandin_types::ErrorCode;

fn version_of(status: &str, headers: &str, body: &str) -> ClientError {
    let server = Once::new(status, headers, body.as_bytes());
    let error = server.client(None).run(async |client| client.version().await).unwrap_err();
    server.asked();
    error
}

#[test]
fn refusals_have_the_server_s_words() {
    let error = version_of("404 Not Found", "", r#"{"detail":"Dataset not found","code":"not_found"}"#);
    assert_eq!((error.to_string().as_str(), error.code()), ("Dataset not found", ErrorCode::NotFound));
    let error = version_of("401 Unauthorized", "", r#"{"detail":"Invalid API key"}"#);
    assert_eq!(error.code(), ErrorCode::Unauthorized);
    let error = version_of("409 Conflict", "", r#"{"error":"it exists","code":"already_exists"}"#);
    assert_eq!((error.to_string().as_str(), error.code()), ("it exists", ErrorCode::AlreadyExists));
    let error = version_of("500 Internal Server Error", "", "Internal Server Error");
    assert_eq!(error.to_string(), "status 500: Internal Server Error");
    let faults = r#"{"detail":[{"type":"missing","loc":["body","name"],"msg":"Field required","input":{}}]}"#;
    let error = version_of("422 Unprocessable Entity", "", faults);
    assert_eq!(error.to_string(), "the request is malformed: body name - Field required");
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

#[test]
fn answers_of_something_else_are_told_so() {
    let error = version_of("200 OK", "", "<html>");
    assert!(error.to_string().contains("is it a server of this API?"), "{error}");
    let error = version_of("307 Temporary Redirect", "location: /elsewhere\r\n", "");
    assert!(matches!(error, ClientError::Refused { status: 307, .. }), "{error}");
}

fn next_of(status: &str, headers: &str, body: &str) -> ClientError {
    let server = Once::new(status, headers, body.as_bytes());
    let client = server.client(None);
    let next = client.run(async |client| client.next_batch("it-1", NextOptions::default()).await);
    server.asked();
    next.unwrap_err()
}

#[test]
fn the_end_and_failed_samples_are_told_apart() {
    let error = next_of("400 Bad Request", "", r#"{"detail":"No more indices to pop"}"#);
    assert!(matches!(error, ClientError::End { .. }), "{error}");
    let headers = "X-Lavender-Data-Error: SAMPLE_PROCESSING_ERROR\r\nX-Lavender-Data-Sample-Current: 3\r\n";
    let error = next_of("500 Internal Server Error", headers, r#"{"detail":"division by zero"}"#);
    assert!(matches!(error, ClientError::SampleFailed { current: Some(3), .. }), "{error}");
    assert_eq!(error.to_string(), "division by zero");
}

#[test]
fn a_result_may_not_be_there_yet() {
    let body = r#"{"detail":"Data is still being processed"}"#;
    for (status, expected) in [("202 Accepted", true), ("200 OK", false)] {
        let server = Once::new(status, "", body.as_bytes());
        let found = server.client(None).run(async |client| client.submitted("it-1", "00ff").await).unwrap();
        assert_eq!(found == Submitted::Pending, expected);
        assert_eq!(server.asked().line, "GET /api/iterations/it-1/next/00ff");
    }
}

#[test]
fn nobody_and_silence_are_told_apart() {
    let port = {
        // Free again at the end of the block.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let nobody = Blocking::new(&ClientOptions::new(format!("http://127.0.0.1:{port}"))).unwrap();
    let error = nobody.run(async |client| client.version().await).unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(error.to_string().ends_with("; is the server running there?"), "{error}");
    assert_eq!(error.code(), ErrorCode::Unavailable);

    let server = Once::new("", "", b"");
    let client = server.client(None);
    let error = client.run(async |client| client.version().await).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    drop(client);
    server.asked();
}

#[test]
fn datasets_are_found_by_their_exact_name() {
    // A server may answer with more than was asked for.
    let other = r#"[{"id":"ds-1","name":"abc","uid_column_name":"id","created_at":"2026-11-20T15:27:14"}]"#;
    let server = Once::json(other);
    let error = server.client(None).run(async |client| client.dataset_by_name("ab").await).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.code()),
        ("there is no dataset named \"ab\"", ErrorCode::NotFound)
    );
    server.asked();
}
