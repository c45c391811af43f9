//! Files that another node has.

use crate::{World, content, location};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use lavandin_feed::location::{Body, Fingerprint, LocationError, Origin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use xxhash_rust::xxh3::xxh3_128;

/// Sends these bytes in parts, and breaks off once.
#[derive(Debug)]
struct Other {
    bytes: Vec<u8>,
    opened: AtomicUsize,
    breaks_after: usize,
}

impl Origin for Other {
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Body, LocationError>> {
        let is_first = self.opened.fetch_add(1, Ordering::Relaxed) == 0;
        let left = &self.bytes[offset as usize..];
        let count = if is_first { self.breaks_after.min(left.len()) } else { left.len() };
        let mut parts: Vec<_> =
            left[..count].chunks(1000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        if count < left.len() {
            let (file, cause) = ("it".to_owned(), "the node went away".to_owned());
            parts.push(Err(LocationError::Broken { file, got: count as u64, cause }));
        }
        async move { Ok(stream::iter(parts).boxed()) }.boxed()
    }
}

fn other(bytes: Vec<u8>, breaks_after: usize) -> Arc<Other> {
    Arc::new(Other { bytes, opened: AtomicUsize::new(0), breaks_after })
}

#[tokio::test]
async fn a_file_of_another_node_is_fetched_once_and_goes_on_where_it_broke_off() {
    let world = World::new();
    let bytes = content(50_000);
    let (file, wanted) = (location("file:///elsewhere/a.csv"), Fingerprint::of_content(xxh3_128(&bytes)));
    let origin = other(bytes.clone(), 7_000);
    for _ in 0..2 {
        let found = world.stores.by_content(&file, (wanted, 50_000), origin.clone()).await.expect("the file");
        assert_eq!(std::fs::read(&found.path).expect("readable"), bytes);
        assert_eq!(found.content, Some(wanted));
        assert!(found.path.to_string_lossy().ends_with(".csv"));
    }
    let known = world.stores.cached_content((wanted, 50_000)).await.expect("a look");
    assert_eq!(known.and_then(|file| file.content), Some(wanted));
    let other = Fingerprint::of_content(7);
    assert!(world.stores.cached_content((other, 50_000)).await.expect("a look").is_none());
    assert_eq!(origin.opened.load(Ordering::Relaxed), 2, "a second try, and no download after that");
}

#[tokio::test]
async fn another_content_is_refused_and_not_kept() {
    let world = World::new();
    let bytes = content(3_000);
    let (file, wanted) = (location("file:///elsewhere/a.csv"), Fingerprint::of_content(xxh3_128(&bytes)));
    let mut damaged = bytes.clone();
    damaged[2_000] ^= 1;
    let refused = world.stores.by_content(&file, (wanted, 3_000), other(damaged, usize::MAX)).await;
    assert!(matches!(refused, Err(LocationError::Broken { .. })), "{refused:?}");
    let found = world.stores.by_content(&file, (wanted, 3_000), other(bytes, usize::MAX)).await;
    assert!(found.is_ok(), "{found:?}");
}
