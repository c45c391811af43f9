use super::*;
use crate::location::cached_file::{hash_of_tag, hash_of_url};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

const NAME: &str = "a.csv";

fn key(url: &str, tag: &str, size: u64) -> CacheKey {
    CacheKey { url: hash_of_url(url), tag: hash_of_tag(Some(tag)), size }
}

fn version(size: u64, tag: &str) -> Version {
    Version::new(size, Some(tag.to_owned()))
}

async fn add(cache: &DiskCache, url: &str, tag: &str, bytes: &[u8]) -> Result<Pinned, LocationError> {
    let mut reservation = cache.reservation();
    reservation.grow(bytes.len() as u64, url, Instant::now() + Duration::from_millis(20)).await?;
    let part = cache.part_path();
    fs::write(&part, bytes).expect("written");
    let key = key(url, tag, bytes.len() as u64);
    Ok(cache.insert(&part, (key, xxh3_128(bytes)), ".csv".into(), reservation)?.expect("just inserted"))
}

fn has(cache: &DiskCache, url: &str, tag: &str, size: u64) -> bool {
    cache.find(hash_of_url(url), &version(size, tag)).is_some()
}

fn files_on_disk(dir: &Path) -> usize {
    fs::read_dir(dir).expect("a folder").count()
}

#[tokio::test]
async fn the_least_recently_used_goes_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 30).expect("opens");
    for url in ["a", "b", "c"] {
        add(&cache, url, "1", &[1; 10]).await.expect("fits");
    }
    assert!(has(&cache, "a", "1", 10));
    add(&cache, "d", "1", &[1; 10]).await.expect("fits");
    assert!(has(&cache, "a", "1", 10) && !has(&cache, "b", "1", 10) && has(&cache, "c", "1", 10));
    assert_eq!(cache.usage().bytes, 30);
    assert_eq!(cache.usage().evictions, 1);
    assert_eq!(files_on_disk(dir.path()), 3);
}

#[tokio::test]
async fn a_file_in_use_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 20).expect("opens");
    let held = add(&cache, "a", "1", &[1; 15]).await.expect("fits");
    let error = add(&cache, "b", "1", &[1; 15]).await.expect_err("no room");
    assert!(matches!(error, LocationError::CacheFull { bytes: 15, cache_bytes_max: 20, .. }), "{error}");
    assert!(held.path.exists());
    assert_eq!(cache.usage().bytes_reserved, 0);
    drop(held);
    add(&cache, "b", "1", &[1; 15]).await.expect("fits now");
    assert!(!has(&cache, "a", "1", 15));
}

#[tokio::test]
async fn who_needs_room_waits_for_a_file_to_be_let_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 20).expect("opens");
    let held = add(&cache, "a", "1", &[1; 15]).await.expect("fits");
    let mut reservation = cache.reservation();
    let mut waits = Box::pin(reservation.grow(15, "b", Instant::now() + Duration::from_secs(60)));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waits).await.is_err());
    drop(held);
    waits.await.expect("room");
    assert_eq!(cache.usage().bytes_reserved, 15);
    drop(reservation);
    assert_eq!(cache.usage().bytes_reserved, 0);
}

#[tokio::test]
async fn a_file_larger_than_the_cache_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 20).expect("opens");
    let error = add(&cache, "a", "1", &[1; 21]).await.expect_err("too large");
    assert!(
        matches!(error, LocationError::LargerThanCache { bytes: 21, cache_bytes_max: 20, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn versions_of_a_file_live_side_by_side() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 100).expect("opens");
    add(&cache, "a", "1", &[1; 10]).await.expect("fits");
    add(&cache, "a", "2", &[2; 10]).await.expect("fits");
    assert!(has(&cache, "a", "1", 10) && has(&cache, "a", "2", 10) && !has(&cache, "a", "3", 10));
    assert!(!has(&cache, "a", "1", 11));
}

#[tokio::test]
async fn a_replaced_file_stays_for_those_who_use_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 100).expect("opens");
    let old = add(&cache, "a", "1", &[1; 10]).await.expect("fits");
    let new = add(&cache, "a", "1", &[2; 10]).await.expect("fits");
    assert_eq!(fs::read(&old.path).expect("still there"), [1; 10]);
    assert_eq!(cache.usage().bytes, 20);
    drop(old);
    assert_eq!(cache.usage().bytes, 10);
    assert_eq!(files_on_disk(dir.path()), 1);
    assert_eq!(fs::read(&new.path).expect("there"), [2; 10]);
}

#[tokio::test]
async fn a_restart_takes_over_what_is_there_and_counts_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 100).expect("opens");
    for url in ["a", "b", "c"] {
        add(&cache, url, "1", url.as_bytes().repeat(10).as_slice()).await.expect("fits");
    }
    fs::write(dir.path().join("1f.part"), "under way").expect("written");
    fs::write(dir.path().join(NAME), "someone else's").expect("written");
    drop(cache);
    let cache = DiskCache::open(dir.path(), 25).expect("opens");
    assert_eq!(cache.usage().bytes, 20);
    assert_eq!(files_on_disk(dir.path()), 3);
    let found = cache.find(hash_of_url("c"), &version(10, "1")).expect("kept");
    assert!(!found.is_verified);
    assert_eq!(fs::read(&found.path).expect("there"), b"cccccccccc");
    cache.mark_verified(&found.guard);
    assert!(cache.find(hash_of_url("c"), &version(10, "1")).expect("kept").is_verified);
    assert!(has(&cache, "b", "1", 10) && !has(&cache, "a", "1", 10));
    let names = add(&cache, "d", "1", &[1; 5]).await.expect("fits").path;
    assert_eq!(files_on_disk(dir.path()), 4, "{names:?}");
}

#[tokio::test]
async fn a_file_of_the_wrong_length_is_removed_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 100).expect("opens");
    let path = add(&cache, "a", "1", &[1; 10]).await.expect("fits").path;
    drop(cache);
    fs::write(&path, [1; 4]).expect("written");
    let cache = DiskCache::open(dir.path(), 100).expect("opens");
    assert_eq!(cache.usage().files, 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_damaged_file_is_found_no_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = DiskCache::open(dir.path(), 100).expect("opens");
    let pinned = add(&cache, "a", "1", &[1; 10]).await.expect("fits");
    cache.discard(&pinned.guard);
    assert!(!has(&cache, "a", "1", 10) && pinned.path.exists());
    let path = pinned.path.clone();
    drop(pinned);
    assert!(!path.exists());
    assert_eq!(cache.usage(), CacheUse { bytes_max: 100, downloads: 1, ..CacheUse::default() });
}
