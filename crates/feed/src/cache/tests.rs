use super::*;
use arrow::array::{ArrayRef, Int64Array};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

/// Rows of a chunk that holds a little more than `KIB` KiB.
const KIB: u64 = 8;

fn chunk(first: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 1024));
    RecordBatch::try_from_iter([("a", column)]).unwrap()
}

fn key(chunk: u32) -> ChunkKey {
    ChunkKey { file: u128::from(chunk / 100), chunk, columns: 0 }
}

type Cache = ChunkCache<&'static str>;

fn load(cache: &Cache, number: u32) -> Arc<RecordBatch> {
    cache.get_or_read(key(number), || Ok(chunk(i64::from(number)))).unwrap()
}

fn is_kept(cache: &Cache, number: u32) -> bool {
    let before = cache.stats().hits;
    let _ = cache.get_or_read(key(number), || Err("not kept"));
    cache.stats().hits > before
}

#[test]
fn the_chunk_used_longest_ago_goes_first() {
    let cache = Cache::new(3 * KIB * 1024 + 1000);
    for number in [1, 2, 3, 1, 4] {
        load(&cache, number);
    }
    assert_eq!([1, 2, 3, 4].map(|number| is_kept(&cache, number)), [true, false, true, true]);
    let stats = cache.stats();
    assert_eq!((stats.chunks, stats.evictions, stats.misses), (3, 1, 5));
    assert!(stats.held_bytes <= stats.budget_bytes);
}

#[test]
fn a_chunk_in_use_stays_and_counts() {
    let cache = Cache::new(2 * KIB * 1024 + 1000);
    let held = load(&cache, 1);
    for number in 2..6 {
        load(&cache, number);
    }
    assert!(is_kept(&cache, 1));
    assert_eq!(cache.stats().chunks, 2);
    let all: Vec<_> = (6..10).map(|number| load(&cache, number)).collect();
    assert!(cache.stats().held_bytes > cache.stats().budget_bytes, "nothing that is in use can be freed");
    drop((held, all));
    load(&cache, 10);
    assert!(cache.stats().held_bytes <= cache.stats().budget_bytes);
}

#[test]
fn failures_are_not_kept_and_large_chunks_neither() {
    let cache = Cache::new(100);
    assert_eq!(cache.get_or_read(key(1), || Err("no disk")), Err("no disk"));
    assert_eq!(load(&cache, 1).num_rows(), 1024);
    let stats = cache.stats();
    assert_eq!((stats.failures, stats.oversized, stats.chunks, stats.held_bytes), (1, 1, 0, 0));
}

#[test]
fn columns_are_part_of_the_key() {
    assert_ne!(ChunkKey::columns_hash(&["a", "b"]), ChunkKey::columns_hash(&["b", "a"]));
    assert_ne!(ChunkKey::columns_hash(&["ab"]), ChunkKey::columns_hash(&["a", "b"]));
    assert_eq!(ChunkKey::columns_hash(&["a"]), ChunkKey::columns_hash(&["a".to_owned()]));
}

/// Starts a read that waits for a signal, and `count` more requests for the same chunk that wait for it.
fn with_waiters(
    cache: &Arc<Cache>,
    outcome: fn() -> Result<RecordBatch, &'static str>,
    count: u64,
) -> Vec<thread::Result<Result<Arc<RecordBatch>, &'static str>>> {
    let (start, go) = mpsc::channel::<()>();
    let entered = Arc::new(Barrier::new(2));
    let reader = {
        let (cache, entered) = (Arc::clone(cache), Arc::clone(&entered));
        thread::spawn(move || {
            cache.get_or_read(key(1), || {
                entered.wait();
                go.recv().unwrap();
                outcome()
            })
        })
    };
    entered.wait();
    let waiters: Vec<_> = (0..count)
        .map(|_| {
            let cache = Arc::clone(cache);
            thread::spawn(move || cache.get_or_read(key(1), || Ok(chunk(77))))
        })
        .collect();
    while cache.stats().joined < count {
        thread::yield_now();
    }
    start.send(()).unwrap();
    std::iter::once(reader).chain(waiters).map(thread::JoinHandle::join).collect()
}

#[test]
fn one_read_serves_all_who_ask_meanwhile() {
    let cache = Arc::new(Cache::new(1 << 20));
    let all = with_waiters(&cache, || Ok(chunk(5)), 4);
    let all: Vec<_> = all.into_iter().map(|one| one.unwrap().unwrap()).collect();
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
    assert_eq!((cache.stats().misses, cache.stats().joined), (1, 4));
}

#[test]
fn who_waits_for_a_failing_read_gets_its_error() {
    let cache = Arc::new(Cache::new(1 << 20));
    let all = with_waiters(&cache, || Err("cut"), 3);
    assert!(all.into_iter().all(|one| one.unwrap() == Err("cut")));
    assert_eq!((cache.stats().misses, cache.stats().failures), (1, 1));
    assert_eq!(load(&cache, 1).num_rows(), 1024);
}

#[test]
fn a_panic_while_reading_hands_the_read_to_one_who_waits() {
    let cache = Arc::new(Cache::new(1 << 20));
    let mut all = with_waiters(&cache, || panic!("on purpose"), 3).into_iter();
    assert!(all.next().unwrap().is_err());
    let rest: Vec<_> = all.map(|one| one.unwrap().unwrap()).collect();
    assert!(rest.iter().all(|one| Arc::ptr_eq(one, &rest[0])), "the others were read once");
    assert_eq!(cache.stats().misses, 2);
}

#[test]
fn many_threads_read_each_chunk_once_while_all_fit() {
    let cache = Arc::new(Cache::new(1 << 24));
    let reads = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..8_u32)
        .map(|thread| {
            let (cache, reads) = (Arc::clone(&cache), Arc::clone(&reads));
            thread::spawn(move || {
                for step in 0..500 {
                    let number = (step * 7 + thread * 13) % 50;
                    let read = || {
                        reads.fetch_add(1, Ordering::Relaxed);
                        Ok(chunk(i64::from(number)))
                    };
                    assert_eq!(*cache.get_or_read(key(number), read).unwrap(), chunk(i64::from(number)));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(reads.load(Ordering::Relaxed), 50);
}
