use super::*;
use bytes::Bytes;
use lavandin_feed::python::Generation;
use std::sync::atomic::{AtomicU32, Ordering};

fn reply(bytes: usize) -> BatchReply {
    let entries = vec![("item".to_owned(), Entry::Item(Bytes::from(vec![7; bytes])))];
    BatchReply { generation: Generation::default(), entries }
}

fn key(number: u8) -> BatchKey {
    [number; 32]
}

fn keep(cache: &BatchCache, number: u8, bytes: usize) {
    match cache.look_up(key(number)) {
        Lookup::Missing(making) => making.keep(&reply(bytes)),
        Lookup::Found(_) => panic!("{number} is there already"),
    }
}

fn is_there(cache: &BatchCache, number: u8) -> bool {
    matches!(cache.look_up(key(number)), Lookup::Found(_))
}

#[test]
fn the_least_recently_used_goes_first() {
    let one = reply_bytes(&reply(1000));
    let cache = BatchCache::new(2 * one);
    keep(&cache, 1, 1000);
    keep(&cache, 2, 1000);
    assert!(is_there(&cache, 1));
    keep(&cache, 3, 1000);
    assert_eq!((is_there(&cache, 1), is_there(&cache, 2), is_there(&cache, 3)), (true, false, true));
    assert_eq!(cache.bytes(), 2 * one);
}

#[test]
fn what_is_larger_than_the_budget_is_not_kept() {
    let cache = BatchCache::new(100);
    keep(&cache, 1, 1000);
    assert!(!is_there(&cache, 1) && cache.bytes() == 0);
}

#[test]
fn a_failure_leaves_the_work_to_the_next() {
    let cache = BatchCache::new(1 << 20);
    let Lookup::Missing(making) = cache.look_up(key(1)) else { panic!("nothing is there") };
    drop(making);
    keep(&cache, 1, 10);
    assert!(is_there(&cache, 1));
}

#[test]
fn many_that_ask_at_once_make_it_once() {
    let cache = BatchCache::new(1 << 20);
    let made = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match cache.look_up(key(1)) {
                Lookup::Found(found) => assert_eq!(reply_bytes(&found), reply_bytes(&reply(10))),
                Lookup::Missing(making) => {
                    made.fetch_add(1, Ordering::Relaxed);
                    making.keep(&reply(10));
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}
