//! Downloads and the disk cache together.

use crate::server::Reply;
use crate::{Server, World, content, location, until};
use lavandin_feed::location::{LocationError, Version, content_fingerprint};
use std::sync::{Mutex, mpsc};

/// A server of any path: the content is the path, 100 times; its tag is `tag`.
fn of_paths(tag: &'static str) -> Server {
    Server::start(move |request, _| Reply::file(request, request.path.repeat(100).as_bytes(), tag))
}

fn version(path: &str, tag: &str) -> Version {
    Version::new(path.len() as u64 * 100, Some(tag.to_owned()))
}

#[tokio::test]
async fn a_file_is_downloaded_once() {
    let server = of_paths("1");
    let world = World::new();
    let file = location(&server.url("/a.csv"));
    let first = world.stores.local(&file, Some(&version("/a.csv", "1"))).await.expect("the file");
    let second = world.stores.local(&file, Some(&version("/a.csv", "1"))).await.expect("the file");
    let unasked = world.stores.local(&file, None).await.expect("the file");
    assert_eq!(first.path, second.path);
    assert_eq!(first.path, unasked.path);
    assert!(first.path.to_string_lossy().ends_with(".csv"));
    assert_eq!(first.content, Some(content_fingerprint(&first.path).expect("readable").0));
    assert_eq!((server.count("GET", "/a.csv"), server.count("HEAD", "/a.csv")), (1, 1));
    let usage = world.stores.cache_use();
    assert_eq!((usage.files, usage.bytes, usage.hits, usage.downloads), (1, 600, 2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_cause_one_download() {
    // Opens when the sender is dropped.
    let (closed, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let server = Server::start(move |request, _| {
        let _ = gate.lock().expect("no panic").recv();
        Reply::file(request, &content(2_000_000), "1")
    });
    let world = World::new();
    let expected = Version::new(2_000_000, Some("1".into()));
    let ask = || {
        let (stores, file, expected) = (world.stores.clone(), location(&server.url("/a")), expected.clone());
        tokio::spawn(async move { stores.local(&file, Some(&expected)).await.map(|file| file.path) })
    };
    let asked: Vec<_> = (0..20).map(|_| ask()).collect();
    until("a first request", || !server.requests().is_empty()).await;
    drop(closed);
    let mut paths = Vec::new();
    for one in asked {
        paths.push(one.await.expect("no panic").expect("the file"));
    }
    paths.dedup();
    assert_eq!(paths.len(), 1);
    assert_eq!(server.count("GET", "/a"), 1);
}

#[tokio::test]
async fn a_restart_keeps_what_was_downloaded() {
    let server = of_paths("1");
    let world = World::new();
    let file = location(&server.url("/a.csv"));
    let before = world.stores.local(&file, None).await.expect("the file");
    let path = before.path.clone();
    drop(before);
    let world = world.restarted();
    let after = world.stores.local(&file, Some(&version("/a.csv", "1"))).await.expect("the file");
    assert_eq!(after.path, path);
    assert_eq!(server.count("GET", "/a.csv"), 1);
}

#[tokio::test]
async fn a_file_that_a_crash_damaged_is_downloaded_again() {
    let server = of_paths("1");
    let world = World::new();
    let file = location(&server.url("/a.csv"));
    let path = world.stores.local(&file, None).await.expect("the file").path;
    std::fs::write(&path, "\0".repeat(600)).expect("written");
    let world = world.restarted();
    let after = world.stores.local(&file, Some(&version("/a.csv", "1"))).await.expect("the file");
    assert_eq!(std::fs::read_to_string(&after.path).expect("readable"), "/a.csv".repeat(100));
    assert_eq!(server.count("GET", "/a.csv"), 2);
    assert_eq!(world.stores.cache_use().files, 1);
}

#[tokio::test]
async fn a_file_that_somebody_removed_is_downloaded_again() {
    let server = of_paths("1");
    let world = World::new();
    let file = location(&server.url("/a.csv"));
    let first = world.stores.local(&file, None).await.expect("the file");
    std::fs::remove_file(&first.path).expect("removed");
    let again = world.stores.local(&file, None).await.expect("the file");
    assert!(again.path.exists());
    drop(first);
    assert!(again.path.exists());
}

#[tokio::test]
async fn the_cap_holds_and_files_in_use_stay() {
    let server = of_paths("1");
    let world = World::with(|options| {
        options.cache_bytes_max = 1_000;
        options.request_timeout = std::time::Duration::from_millis(200);
    });
    let get =
        async |path: &str| world.stores.local(&location(&server.url(path)), Some(&version(path, "1"))).await;
    let held = get("/a").await.expect("fits");
    for path in ["/b", "/c", "/d", "/e", "/f", "/g"] {
        drop(get(path).await.expect("fits"));
        assert!(world.stores.cache_use().bytes <= 1_000);
    }
    assert!(held.path.exists());
    assert_eq!(world.stores.cache_use().evictions, 2);
    let more =
        [get("/h").await.expect("fits"), get("/i").await.expect("fits"), get("/j").await.expect("fits")];
    let error = get("/longer").await.expect_err("all is in use");
    assert!(matches!(error, LocationError::CacheFull { .. }), "{error}");
    drop(more);
    get("/longer").await.expect("fits now");
    let error = get("/too-long-for-this").await.expect_err("too large");
    assert!(matches!(error, LocationError::LargerThanCache { bytes: 1800, .. }), "{error}");
    assert_eq!(world.stores.cache_use().bytes_reserved, 0);
    assert_eq!(world.parts(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_a_small_cache_get_the_right_bytes() {
    let server = of_paths("1");
    let world = World::with(|options| options.cache_bytes_max = 2_000);
    let read = |reader: usize| {
        let (stores, urls) =
            (world.stores.clone(), (0..12).map(|at| server.url(&format!("/{at:02}"))).collect::<Vec<_>>());
        tokio::spawn(async move {
            for turn in 0..40 {
                let at = (turn * 7 + reader * 5) % 12;
                let path = format!("/{at:02}");
                let file =
                    stores.local(&location(&urls[at]), Some(&version(&path, "1"))).await.expect("the file");
                assert!(stores.cache_use().bytes + stores.cache_use().bytes_reserved <= 2_000);
                assert_eq!(std::fs::read_to_string(&file.path).expect("readable"), path.repeat(100));
            }
        })
    };
    let readers: Vec<_> = (0..4).map(read).collect();
    for reader in readers {
        reader.await.expect("no panic");
    }
    assert!(world.stores.cache_use().evictions > 0);
    assert_eq!(world.parts(), 0);
}

#[tokio::test]
async fn a_new_version_is_a_new_file_beside_the_old() {
    let server = Server::start(|request, earlier| {
        let tag = if earlier == 0 { "1" } else { "2" };
        Reply::file(request, tag.repeat(50).as_bytes(), tag)
    });
    let world = World::new();
    let file = location(&server.url("/a"));
    let old = world.stores.local(&file, None).await.expect("the file");
    let new = world.stores.local(&file, None).await.expect("the file");
    assert_eq!(std::fs::read(&old.path).expect("readable"), [b'1'; 50]);
    assert_eq!(std::fs::read(&new.path).expect("readable"), [b'2'; 50]);
    let still = world.stores.local(&file, Some(&old.version)).await.expect("from the cache");
    assert_eq!(still.path, old.path);
    assert_eq!(old.fingerprint().expect("known"), content_fingerprint(&old.path).expect("readable").0);
    assert_ne!(old.fingerprint().expect("known"), new.fingerprint().expect("known"));
}

/// Tags tell versions of one file apart, not files: many servers make them of size and time.
#[tokio::test]
async fn files_of_one_size_and_tag_are_told_apart() {
    let server = of_paths("Sat, 21 Nov 2026 10:00:00 GMT");
    let world = World::new();
    let mut fingerprints = Vec::new();
    for path in ["/a.csv", "/b.csv", "/a.csv"] {
        let file = world.stores.local(&location(&server.url(path)), None).await.expect("the file");
        assert_eq!(file.version, version("/a.csv", "Sat, 21 Nov 2026 10:00:00 GMT"));
        fingerprints.push(file.fingerprint().expect("known"));
    }
    assert_ne!(fingerprints[0], fingerprints[1]);
    assert_eq!(fingerprints[0], fingerprints[2]);
}

#[tokio::test]
async fn without_a_tag_a_file_is_trusted_only_when_expected() {
    let server = Server::start(|request, earlier| match request.method.as_str() {
        "GET" => Reply::ok(format!("content {earlier}")),
        _ => Reply::ok("content 0"),
    });
    let world = World::new();
    let file = location(&server.url("/a"));
    let first = world.stores.local(&file, None).await.expect("the file");
    let expected = world.stores.local(&file, Some(&first.version)).await.expect("the file");
    assert_eq!(expected.path, first.path);
    let anew = world.stores.local(&file, None).await.expect("the file");
    assert_eq!(std::fs::read_to_string(&anew.path).expect("readable"), "content 1");
    // Of equal size and without a tag, only the content tells them apart.
    assert_eq!(anew.version, first.version);
    assert_ne!(anew.fingerprint().expect("known"), first.fingerprint().expect("known"));
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_behind() {
    let server =
        Server::start(|request, _| Reply::file(request, &content(3_000_000), "1").cut(2_000_000).hanging());
    let world = World::new();
    let file = location(&server.url("/a"));
    let stores = world.stores.clone();
    let asked = tokio::spawn(async move { stores.local(&file, None).await });
    until("a download", || world.stores.cache_use().bytes_reserved > 0 && world.parts() > 0).await;
    asked.abort();
    until("nothing left", || world.stores.cache_use().bytes_reserved == 0 && world.parts() == 0).await;
    assert_eq!(world.stores.cache_use().files, 0);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "GET" => Reply::ok("").header("ETag", "\"1\""),
        _ => Reply::ok("").header("ETag", "\"1\""),
    });
    let world = World::new();
    let file = world.stores.local(&location(&server.url("/a")), None).await.expect("the file");
    assert_eq!((file.size, std::fs::read(&file.path).expect("readable").len()), (0, 0));
}

#[tokio::test]
async fn local_files_are_used_where_they_are() {
    let world = World::new();
    let path = world.dir.path().join("a.csv");
    std::fs::write(&path, "abc").expect("written");
    let file = location(&format!("file://{}", path.display()));
    let found = world.stores.local(&file, None).await.expect("the file");
    assert_eq!((found.path.as_path(), found.size, found.content), (path.as_path(), 3, None));
    assert_eq!(found.fingerprint().expect("readable"), content_fingerprint(&path).expect("readable").0);
    std::fs::write(&path, "abcd").expect("written");
    assert!(matches!(found.fingerprint(), Err(LocationError::Changed { .. })));
    let error = world.stores.local(&file, Some(&found.version)).await.expect_err("changed");
    assert!(matches!(error, LocationError::Changed { .. }), "{error}");
    let entries =
        world.stores.list(&location(&format!("file://{}", world.dir.path().display()))).await.expect("files");
    assert_eq!(entries[0].version, world.stores.version(&file).await.expect("a version"));
    let target = location(&format!("file://{}/out/b.csv", world.dir.path().display()));
    world.stores.put(&target, &path).await.expect("written");
    assert_eq!(world.read(target.as_str()).await.expect("readable"), b"abcd");
}
