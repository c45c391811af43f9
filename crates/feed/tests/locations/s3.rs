//! `s3://` against a fake that speaks just enough of the protocol, and fails on demand.

use crate::server::{Reply, Request};
use crate::{Server, World, content, location};
use lavandin_feed::location::{LocationError, Version};
use lavandin_types::ErrorCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn world(server: &Server) -> World {
    World::with(|options| {
        options.s3.endpoint = Some(server.url(""));
        options.s3.access_key_id = Some("id".into());
        options.s3.secret_access_key = Some("secret".into());
    })
}

fn error(status: u16, code: &str) -> Reply {
    Reply { status, ..Reply::ok(format!("<Error><Code>{code}</Code><Message>a sentence</Message></Error>")) }
}

fn listing(keys: &[(&str, u64)], next: Option<&str>) -> Reply {
    let object = |(key, size): &(&str, u64)| {
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;tag-{size}&quot;</ETag>\
             <LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
        )
    };
    let objects: String = keys.iter().map(object).collect();
    let next = next
        .map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"))
        .unwrap_or_default();
    Reply::ok(format!("<ListBucketResult>{objects}{next}</ListBucketResult>"))
}

fn query<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let (_, query) = request.path.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[tokio::test]
async fn pages_are_listed_even_if_one_fails_at_first() {
    let server = Server::start(|request, earlier| {
        assert_eq!(
            (query(request, "prefix"), query(request, "delimiter")),
            (Some("data%2Ftrain%2F"), Some("%2F"))
        );
        match (query(request, "continuation-token"), earlier) {
            (None, _) => listing(&[("data/train/", 0), ("data/train/b c.csv", 2)], Some("more")),
            (Some(_), 0) => error(503, "SlowDown"),
            (Some(_), _) => listing(&[("data/train/a.csv", 1)], None),
        }
    });
    let entries = world(&server).stores.list(&location("s3://bucket/data/train/")).await.expect("files");
    let found: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.version.clone())).collect();
    let version = |size: u64| Version::new(size, Some(format!("tag-{size}")));
    assert_eq!(found, [("a.csv", version(1)), ("b c.csv", version(2))]);
    let signed = |request: &Request| {
        request.header("authorization").is_some_and(|text| text.contains("AWS4-HMAC-SHA256"))
    };
    assert_eq!(server.requests().len(), 3);
    assert!(server.requests().iter().all(signed));
}

#[tokio::test]
async fn errors_keep_their_cause() {
    let server = Server::start(|request, _| match request.path.split(['?', '/']).nth(1) {
        Some("none") => error(404, "NoSuchBucket"),
        Some("denied") => error(403, "InvalidAccessKeyId"),
        Some("elsewhere") => error(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-1"),
        Some("down") => error(500, "InternalError"),
        _ => listing(&[], None),
    });
    let fails = async |text: &str| world(&server).names(text).await.expect_err("it fails");
    let error = fails("s3://none/a").await;
    assert_eq!(error.to_string(), "s3://none/a: not found; there is no such bucket");
    let error = fails("s3://denied/a").await;
    assert!(error.to_string().contains("InvalidAccessKeyId, a sentence"), "{error}");
    assert!(error.to_string().contains("check AWS_ACCESS_KEY_ID"), "{error}");
    let error = fails("s3://elsewhere/a").await;
    assert!(error.to_string().contains("eu-west-1: set AWS_REGION"), "{error}");
    let error = fails("s3://down/a").await;
    assert!(matches!(error, LocationError::Busy { status: 500, .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(matches!(fails("s3://bucket/a").await, LocationError::Empty { .. }));
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let server = Server::start(|_, _| error(403, "AccessDenied"));
    let world = World::with(|options| options.s3.endpoint = Some(server.url("")));
    let error = world.names("s3://bucket/a").await.expect_err("denied");
    assert!(error.to_string().contains("not signed: set AWS_ACCESS_KEY_ID"), "{error}");
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn an_object_is_read_through_failures() {
    let server = Server::start(|request, earlier| {
        let reply = Reply::file(request, &content(2_500_000), "v1")
            .header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT");
        match (request.method.as_str(), earlier) {
            ("GET", 0) => error(503, "SlowDown"),
            ("GET", 1) => reply.cut(1_500_000),
            _ => reply,
        }
    });
    let world = world(&server);
    let version = Version::new(2_500_000, Some("v1".into()));
    assert_eq!(world.stores.version(&location("s3://bucket/d/a b.bin")).await.expect("a version"), version);
    assert_eq!(world.read("s3://bucket/d/a b.bin").await.expect("the object"), content(2_500_000));
    let gets: Vec<_> = server.requests().into_iter().filter(|request| request.method == "GET").collect();
    assert_eq!(gets.iter().map(Request::range_start).collect::<Vec<_>>(), [None, None, Some(1_500_000)]);
    assert!(gets.iter().all(|request| request.path == "/bucket/d/a%20b.bin"));
    let other = Version::new(2_500_000, Some("v0".into()));
    let error =
        world.stores.local(&location("s3://bucket/d/a b.bin"), Some(&other)).await.expect_err("changed");
    assert!(matches!(error, LocationError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_object_is_asked_for_once() {
    let server = Server::start(|_, _| error(404, "NoSuchKey"));
    let asked = Version::new(1, None);
    let error =
        world(&server).stores.local(&location("s3://bucket/a"), Some(&asked)).await.expect_err("missing");
    assert!(matches!(error, LocationError::NotFound { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

/// Keys or part numbers, with their bytes.
type Objects = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Takes objects, whole and in parts; the first request of each path fails.
fn taking(objects: Objects) -> Server {
    Server::start(move |request, earlier| {
        let mut objects = objects.lock().expect("no panic");
        if earlier == 0 && request.method == "PUT" {
            return error(500, "InternalError");
        }
        match (request.method.as_str(), query(request, "uploadId"), query(request, "partNumber")) {
            ("PUT", None, None) => objects.push((request.path.clone(), request.body.clone())),
            ("PUT", Some("u1"), Some(part)) => objects.push((part.to_owned(), request.body.clone())),
            ("POST", None, _) => {
                return Reply::ok(
                    "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
                );
            }
            ("POST", Some("u1"), _) => {
                objects.sort();
                let body = "<CompleteMultipartUploadResult><ETag>&quot;whole&quot;</ETag></CompleteMultipartUploadResult>";
                return Reply::ok(body);
            }
            _ => return error(400, "Unexpected"),
        }
        Reply::ok("").header("ETag", "\"one\"")
    })
}

#[tokio::test]
async fn files_are_put_whole_or_in_parts() {
    for (len, tag, parts) in [(0, "one", 1), (1000, "one", 1), (20 << 20, "whole", 3)] {
        let objects = Arc::default();
        let server = taking(Arc::clone(&objects));
        let world = world(&server);
        let source = world.dir.path().join("source");
        std::fs::write(&source, content(len)).expect("written");
        let version = world.stores.put(&location("s3://bucket/out/a.bin"), &source).await.expect("put");
        assert_eq!(version, Version::new(len as u64, Some(tag.into())));
        let objects = objects.lock().expect("no panic");
        assert_eq!(objects.len(), parts);
        assert!(objects.iter().flat_map(|(_, bytes)| bytes).eq(&content(len)));
    }
}

#[tokio::test]
async fn others_get_a_signed_url() {
    let server = Server::start(|_, _| Reply::status(500));
    let valid_for = Duration::from_secs(600);
    let url = world(&server).stores.url(&location("s3://bucket/a b.csv"), valid_for).await.expect("a URL");
    let url = url.expect("a key to sign with");
    assert!(url.starts_with(&server.url("/bucket/a%20b.csv?")) && url.contains("X-Amz-Signature="), "{url}");
    assert!(url.contains("X-Amz-Expires=600") && !url.contains("secret"), "{url}");
    for text in ["s3://bucket/a", "file:///a"] {
        assert_eq!(World::new().stores.url(&location(text), valid_for).await.expect("no error"), None);
    }
    let url = World::new().stores.url(&location("http://host.test/a"), valid_for).await.expect("a URL");
    assert_eq!(url.as_deref(), Some("http://host.test/a"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "POST" => Reply::ok(
            "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        "PUT" => error(403, "AccessDenied"),
        _ => Reply::status(204),
    });
    let world = world(&server);
    let source = world.dir.path().join("source");
    std::fs::write(&source, content(9 << 20)).expect("written");
    let error = world.stores.put(&location("s3://bucket/a"), &source).await.expect_err("denied");
    assert!(matches!(error, LocationError::Denied { .. }), "{error}");
    assert!(server.requests().iter().any(|request| request.method == "DELETE"));
}
