//! Locations as `node` uses them: real files, and servers of this process that fail in every way a network does.
//!
//! `s3_server` is ignored: it needs an S3-compatible server, see there.

mod cache;
mod hf;
mod origin;
mod s3;
mod s3_server;
mod server;
mod web;

use lavandin_feed::location::{Location, LocationError, StoreOptions, Stores};
use server::Server;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Stores that lose no time, with a data directory that goes with them.
struct World {
    dir: TempDir,
    stores: Stores,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let stores = stores(dir.path(), change);
        Self { dir, stores }
    }

    /// Starts anew on the same data directory.
    fn restarted(self) -> Self {
        let Self { dir, stores } = self;
        drop(stores);
        Self { stores: self::stores(dir.path(), |_| {}), dir }
    }

    async fn read(&self, text: &str) -> Result<Vec<u8>, LocationError> {
        let file = self.stores.local(&location(text), None).await?;
        Ok(std::fs::read(&file.path).expect("readable"))
    }

    async fn names(&self, text: &str) -> Result<Vec<String>, LocationError> {
        let entries = self.stores.list(&location(text)).await?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    /// Downloads that were left in the middle.
    fn parts(&self) -> usize {
        let names = std::fs::read_dir(self.dir.path().join("file-cache")).expect("a folder");
        names
            .filter(|name| {
                name.as_ref().is_ok_and(|name| name.path().extension().is_some_and(|e| e == "part"))
            })
            .count()
    }
}

fn stores(dir: &Path, change: impl FnOnce(&mut StoreOptions)) -> Stores {
    let mut options = StoreOptions::new(dir.to_owned());
    options.retry_pause = Duration::from_millis(1);
    options.request_timeout = Duration::from_secs(20);
    options.environment_proxies = false;
    change(&mut options);
    Stores::new(options).expect("good settings")
}

/// Polls until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::task::yield_now().await;
    }
}

fn location(text: &str) -> Location {
    Location::parse(text).expect("a location")
}

/// Bytes that differ everywhere, so that a piece in the wrong place shows.
fn content(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}
