//! `http://` against a server that misbehaves.

use crate::server::{Reply, Request};
use crate::{Server, World, content, location};
use lavandin_feed::location::{LocationError, Version};
use lavandin_types::ErrorCode;
use std::time::Duration;

const LEN: usize = 3_000_000;

/// A server of `/d/a.bin` whose GETs `change` may spoil; it gets the number of GETs before.
fn of_file(change: impl Fn(Reply, &Request, usize) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request, earlier| {
        let reply = Reply::file(request, &content(LEN), "v1");
        match (request.path.as_str(), request.method.as_str()) {
            ("/d/a.bin", "GET") => change(reply, request, earlier),
            ("/d/a.bin", _) => reply,
            _ => Reply::status(404),
        }
    })
}

fn expected() -> Version {
    Version::new(LEN as u64, Some("v1".into()))
}

#[tokio::test]
async fn the_index_is_listed_with_sizes_and_tags() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/d/index.html" => Reply::ok("b.csv 12\n\na.csv\nc%20d.csv x y\n"),
        "/d/a.csv" => Reply::file(request, b"aaa", "1"),
        "/d/b.csv" => Reply::ok("bb").header("Last-Modified", "Mon"),
        // Does not do HEAD; the name is not encoded twice.
        "/d/c%2520d.csv" => Reply::status(405),
        _ => Reply::status(404),
    });
    let entries = World::new().stores.list(&location(&server.url("/d"))).await.expect("files");
    let found: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.version.clone())).collect();
    let expected = [
        ("a.csv", Version::new(3, Some("1".into()))),
        ("b.csv", Version::new(2, Some("Mon".into()))),
        ("c%20d.csv", Version::default()),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_listing_that_fails_says_why() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/empty/index.html" => Reply::ok("\n"),
        "/page/index.html" => Reply::ok("<html>\n"),
        "/up/index.html" => Reply::ok("a.csv\n../secret\n"),
        "/denied/index.html" => Reply::status(403),
        _ => Reply::status(404),
    });
    let world = World::new();
    let fails =
        async |path: &str| world.stores.list(&location(&server.url(path))).await.expect_err("no list");
    assert!(matches!(fails("/empty").await, LocationError::Empty { .. }));
    assert!(matches!(fails("/page").await, LocationError::BadListing { .. }));
    let error = fails("/up").await;
    assert!(
        matches!(error, LocationError::BadListing { .. }) && error.to_string().contains("../secret"),
        "{error}"
    );
    assert!(matches!(fails("/denied").await, LocationError::Denied { .. }));
    let error = fails("/none/").await;
    assert!(
        error.to_string().contains("/none/index.html: not found; a directory needs an index.html"),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(server.requests().iter().all(|request| request.path.ends_with("/index.html")));
}

#[tokio::test]
async fn two_failures_and_then_the_file() {
    let server = of_file(|reply, _, earlier| if earlier < 2 { Reply::status(500) } else { reply });
    let world = World::new();
    assert_eq!(world.read(&server.url("/d/a.bin")).await.expect("the file"), content(LEN));
    assert_eq!(server.count("GET", "/d/a.bin"), 3);
}

#[tokio::test]
async fn failures_that_do_not_end_are_given_up() {
    let server = of_file(|_, _, _| Reply { status: 503, ..Reply::ok("try later\nmore") });
    let error =
        World::with(|options| options.retries = 2).read(&server.url("/d/a.bin")).await.expect_err("down");
    assert!(error.to_string().ends_with("/d/a.bin: the server answered 503: try later"), "{error}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert_eq!(server.count("GET", "/d/a.bin"), 3);
}

#[tokio::test]
async fn what_is_not_there_is_asked_for_once() {
    let server = of_file(|_, _, _| Reply::status(404));
    let world = World::new();
    let error =
        world.stores.local(&location(&server.url("/d/a.bin")), Some(&expected())).await.expect_err("gone");
    assert!(matches!(error, LocationError::NotFound { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_broke() {
    let server = of_file(|reply, _, earlier| match earlier {
        0 => reply.cut(1_200_000),
        1 => reply.cut(700_000),
        _ => reply,
    });
    let world = World::new();
    assert_eq!(world.read(&server.url("/d/a.bin")).await.expect("the file"), content(LEN));
    let starts: Vec<_> =
        server.requests().iter().filter(|r| r.method == "GET").map(Request::range_start).collect();
    assert_eq!(starts, [None, Some(1_200_000), Some(1_900_000)]);
    assert_eq!(world.parts(), 0);
}

#[tokio::test]
async fn a_server_without_ranges_or_tags_starts_again() {
    for with_tag in [true, false] {
        let server = of_file(move |_, _, earlier| {
            let reply = Reply::ok(content(LEN));
            let reply = if with_tag { reply.header("ETag", "\"v1\"") } else { reply };
            if earlier == 0 { reply.cut(1_500_000) } else { reply }
        });
        let world = World::new();
        assert_eq!(world.read(&server.url("/d/a.bin")).await.expect("the file"), content(LEN));
        assert_eq!(server.count("GET", "/d/a.bin"), 2);
        let second = server.requests().pop().expect("two");
        assert_eq!(second.range_start().is_some(), with_tag);
    }
}

#[tokio::test]
async fn a_file_that_changes_between_two_tries_is_not_patched_together() {
    let server = of_file(|reply, request, earlier| match earlier {
        0 => reply.cut(1_500_000),
        _ => Reply::file(request, &content(LEN + 4)[4..], "v2"),
    });
    let world = World::new();
    assert_eq!(world.read(&server.url("/d/a.bin")).await.expect("the new file"), content(LEN + 4)[4..]);
    let error =
        world.stores.local(&location(&server.url("/d/a.bin")), Some(&expected())).await.expect_err("changed");
    assert!(matches!(error, LocationError::Changed { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_shrank_between_two_tries_is_read_anew() {
    let server = of_file(|reply, request, earlier| match earlier {
        0 => reply.cut(1_500_000),
        _ => Reply::file(request, &content(1000), "v2"),
    });
    assert_eq!(World::new().read(&server.url("/d/a.bin")).await.expect("the new file"), content(1000));
}

#[tokio::test]
async fn another_version_than_expected_names_both() {
    let server = of_file(|reply, _, _| reply);
    let world = World::new();
    let file = location(&server.url("/d/a.bin"));
    for (other, text) in [
        (Version::new(LEN as u64, Some("v0".into())), "expected 3000000 bytes with tag \"v0\""),
        (Version { size: None, tag: Some("v0".into()) }, "expected any size with tag \"v0\""),
        (Version::new(7, None), "expected 7 bytes"),
    ] {
        let error = world.stores.local(&file, Some(&other)).await.expect_err("another");
        let shown = error.to_string();
        assert!(shown.contains(text) && shown.contains("found 3000000 bytes with tag \"v1\""), "{shown}");
        assert!(shown.contains("/d/a.bin") && shown.ends_with("sync the shardset again"), "{shown}");
        assert_eq!(error.code(), ErrorCode::DataCorrupt);
    }
    let good = world.stores.local(&file, Some(&expected())).await.expect("the same");
    assert_eq!((good.size, good.version), (LEN as u64, expected()));
    assert_eq!(world.parts(), 0);
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_an_error() {
    let server = of_file(|_, _, _| Reply { announced: Some(LEN), ..Reply::ok(content(1000)) });
    let error = World::with(|options| options.retries = 1)
        .read(&server.url("/d/a.bin"))
        .await
        .expect_err("too short");
    assert!(matches!(error, LocationError::Broken { got: 1000, .. }), "{error}");
}

#[tokio::test]
async fn silence_is_given_up() {
    let server = Server::start(|_, _| Reply::ok("some").cut(2).hanging());
    let world = World::with(|options| {
        options.request_timeout = Duration::from_millis(100);
        options.retries = 1;
    });
    let expected = Version::new(4, None);
    let error = world
        .stores
        .local(&location(&server.url("/d/a.bin")), Some(&expected))
        .await
        .expect_err("nothing comes");
    assert!(matches!(error, LocationError::Stalled { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
    assert_eq!(server.count("GET", "/d/a.bin"), 2);
    assert_eq!(world.parts(), 0);
}

#[tokio::test]
async fn a_call_has_an_end() {
    let server = of_file(|_, _, _| Reply::status(503).header("Retry-After", "0"));
    let world = World::with(|options| {
        options.retries = u32::MAX;
        options.call_timeout = Duration::from_millis(200);
    });
    let error = world.read(&server.url("/d/a.bin")).await.expect_err("it never gets better");
    assert!(matches!(error, LocationError::DeadlineExceeded { .. } | LocationError::Busy { .. }), "{error}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let server = of_file(|reply, _, _| reply);
    let url = server.url("/d/a.bin");
    drop(server);
    let error = World::with(|options| options.retries = 1).read(&url).await.expect_err("nobody there");
    assert!(matches!(error, LocationError::Unreachable { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/moved" => Reply::status(302).header("Location", "../d/a.bin"),
        "/d/a.bin" => Reply::file(request, b"here", "v1"),
        _ => Reply::status(307).header("Location", "/round"),
    });
    let world = World::new();
    assert_eq!(world.read(&server.url("/moved")).await.expect("the file"), b"here");
    let error = world.read(&server.url("/round")).await.expect_err("no end");
    assert!(matches!(error, LocationError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_answers_no_head_is_read_all_the_same() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "GET" => Reply::ok("content"),
        _ => Reply::status(405),
    });
    let world = World::new();
    assert_eq!(world.read(&server.url("/a")).await.expect("the file"), b"content");
    let version = world.stores.version(&location(&server.url("/a"))).await.expect("a version");
    assert_eq!(version, Version::new(7, None));
}

#[tokio::test]
async fn nothing_is_written_to_a_web_server() {
    let world = World::new();
    for text in ["http://127.0.0.1:9/a", "hf://org/repo/a"] {
        let error = world.stores.put(&location(text), world.dir.path()).await.expect_err("read only");
        assert!(error.to_string().contains("can only be read"), "{error}");
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
}
