//! `hf://` against a small fake of the hub.

use crate::server::{Reply, Request};
use crate::{Server, World, location};
use lavandin_feed::location::{LocationError, Version};

const LARGE: &[u8] = b"the large file's content";

/// The host that large files are redirected to. It must never see a token.
fn storage() -> Server {
    Server::start(|request, _| match request.header("authorization") {
        None if request.method == "GET" => Reply::file(request, LARGE, "a tag of its own"),
        None => Reply::status(403),
        Some(_) => Reply::status(400),
    })
}

fn page(items: &[(&str, u64, Option<&str>)]) -> String {
    let item = |(path, size, large): &(&str, u64, Option<&str>)| match large {
        Some(oid) => format!(
            r#"{{"type":"file","path":"{path}","size":130,"oid":"pointer","lfs":{{"oid":"{oid}","size":{size}}}}}"#
        ),
        None => format!(r#"{{"type":"file","path":"{path}","size":{size},"oid":"oid-{size}"}}"#),
    };
    format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(","))
}

fn hub(storage: &Server) -> Server {
    let elsewhere = storage.url("/blob");
    Server::start(move |request: &Request, _| {
        if request.header("authorization") != Some("Bearer hf_secret") {
            return Reply::status(401);
        }
        match request.path.as_str() {
            "/api/datasets/org/repo/tree/main/data" => Reply::ok(page(&[("data/b.csv", 3, None)]))
                .header("Link", "</api/datasets/org/repo/tree/main/data?cursor=x>; rel=\"next\""),
            "/api/datasets/org/repo/tree/main/data?cursor=x" => {
                Reply::ok(page(&[("data/a b.tar", LARGE.len() as u64, Some("sha"))]))
            }
            "/api/datasets/org/bad/tree/main" => Reply::ok(page(&[("../../etc/passwd", 3, None)])),
            "/datasets/org/repo/resolve/main/data/b.csv" => Reply::file(request, b"bbb", "oid-3"),
            "/datasets/org/repo/resolve/main/data/a%20b.tar" => Reply::status(302)
                .header("X-Linked-ETag", "\"sha\"")
                .header("X-Linked-Size", LARGE.len().to_string())
                .header("Location", elsewhere.clone()),
            _ => Reply::status(404),
        }
    })
}

fn world(hub: &Server, token: Option<&str>) -> World {
    World::with(|options| {
        options.hf.endpoint = hub.url("");
        options.hf.token = token.map(str::to_owned);
    })
}

#[tokio::test]
async fn pages_are_listed_and_files_read() {
    let storage = storage();
    let hub = hub(&storage);
    let world = world(&hub, Some("hf_secret"));
    let directory = location("hf://org/repo/data");
    let entries = world.stores.list(&directory).await.expect("files");
    let found: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.version.clone())).collect();
    let large = Version::new(LARGE.len() as u64, Some("sha".into()));
    assert_eq!(found, [("a b.tar", large), ("b.csv", Version::new(3, Some("oid-3".into())))]);
    for entry in &entries {
        let file = directory.join(&entry.name).expect("a name");
        assert_eq!(world.stores.version(&file).await.expect("a version"), entry.version);
        let local = world.stores.local(&file, Some(&entry.version)).await.expect("the file");
        let expected = if entry.name == "b.csv" { b"bbb" } else { LARGE };
        assert_eq!(std::fs::read(&local.path).expect("readable"), expected);
    }
    assert!(storage.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn errors_advise_on_the_token() {
    let storage = storage();
    let hub = hub(&storage);
    let error = world(&hub, None).names("hf://org/repo/data").await.expect_err("no token");
    assert!(
        matches!(error, LocationError::Denied { .. }) && error.to_string().contains("set HF_TOKEN"),
        "{error}"
    );
    let error = world(&hub, Some("hf_wrong")).names("hf://org/repo/data").await.expect_err("a wrong token");
    assert!(
        error.to_string().contains("the token in HF_TOKEN") && !error.to_string().contains("hf_wrong"),
        "{error}"
    );
    let error = world(&hub, Some("hf_secret")).names("hf://org/none/data").await.expect_err("no such thing");
    assert!(matches!(error, LocationError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn paths_that_leave_the_directory_are_refused() {
    let storage = storage();
    let hub = hub(&storage);
    let error = world(&hub, Some("hf_secret")).names("hf://org/bad").await.expect_err("a bad name");
    assert!(matches!(error, LocationError::BadName { .. }), "{error}");
}
