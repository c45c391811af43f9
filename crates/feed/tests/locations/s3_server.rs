//! `s3://` against an S3-compatible server that was started for it, with an empty bucket:
//!
//!     LAVANDIN_TEST_S3=http://127.0.0.1:9000/bucket cargo test -p lavandin-feed --test locations -- --ignored
//!
//! `tests/e2e/s3_server.py` starts one and makes the bucket.

use crate::{World, content, location};
use lavandin_feed::location::LocationError;

fn world() -> (World, String) {
    let named = std::env::var("LAVANDIN_TEST_S3").expect("LAVANDIN_TEST_S3 names the server and a bucket");
    let (endpoint, bucket) = named.rsplit_once('/').expect("http://host:port/bucket");
    let world = World::with(|options| {
        options.s3.endpoint = Some(endpoint.to_owned());
        options.s3.access_key_id = Some("testing".into());
        options.s3.secret_access_key = Some("testing".into());
    });
    (world, format!("s3://{bucket}"))
}

#[tokio::test]
#[ignore = "needs an S3-compatible server, see the module"]
async fn objects_are_put_listed_and_read() {
    let (world, bucket) = world();
    let source = world.dir.path().join("source");
    let directory = location(&format!("{bucket}/data set/ä"));
    for (name, len) in [("small a+b.bin", 1000), ("large.bin", 17 << 20), ("empty.bin", 0), ("deeper", 3)] {
        std::fs::write(&source, content(len)).expect("written");
        let target = match name {
            "deeper" => directory.join(name).expect("a name").join("hidden.bin").expect("a name"),
            _ => directory.join(name).expect("a name"),
        };
        let put = world.stores.put(&target, &source).await.expect("put");
        assert_eq!(world.stores.version(&target).await.expect("a version"), put);
        let local = world.stores.local(&target, Some(&put)).await.expect("the object");
        assert!(std::fs::read(&local.path).expect("readable") == content(len));
    }
    let entries = world.stores.list(&directory).await.expect("files");
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["empty.bin", "large.bin", "small a+b.bin"]);
    for entry in &entries {
        let file = directory.join(&entry.name).expect("a name");
        assert_eq!(world.stores.version(&file).await.expect("a version"), entry.version);
    }
}

#[tokio::test]
#[ignore = "needs an S3-compatible server, see the module"]
async fn more_objects_than_a_page_holds() {
    let (world, bucket) = world();
    let source = world.dir.path().join("source");
    std::fs::write(&source, "x").expect("written");
    for at in 0..1100 {
        world.stores.put(&location(&format!("{bucket}/pages/{at:04}.csv")), &source).await.expect("put");
    }
    let names = world.names(&format!("{bucket}/pages")).await.expect("files");
    assert_eq!((names.len(), names[0].as_str(), names[1099].as_str()), (1100, "0000.csv", "1099.csv"));
}

#[tokio::test]
#[ignore = "needs an S3-compatible server, see the module"]
async fn what_is_not_there() {
    let (world, bucket) = world();
    let error = world.names("s3://no-such-bucket-at-all/a").await.expect_err("no bucket");
    assert!(error.to_string().ends_with("not found; there is no such bucket"), "{error}");
    assert!(matches!(world.names(&format!("{bucket}/none")).await, Err(LocationError::Empty { .. })));
    let error = world.read(&format!("{bucket}/none.csv")).await.expect_err("no object");
    assert!(matches!(error, LocationError::NotFound { .. }), "{error}");
}
