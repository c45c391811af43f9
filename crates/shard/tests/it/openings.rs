//! Collections come into being, change their schema, and do not, where the log fails.

use crate::disk::files;
use crate::store::{COLLECTION, Store, batch, schema};
use lavandin_group::{GroupError, Staged};
use lavandin_shard::{BatchIds, Change, Request, Schema};
use lavandin_storage::{Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::{CollectionId, ElementType, RequestId, SchemaVersion};
use std::sync::Arc;

fn add(collection: CollectionId, id: u64) -> Request {
    Request::Change { collection, change: Change::Add(batch(BatchIds::Ints(vec![id]), &[1], true)) }
}

fn open(collection: CollectionId) -> Request {
    Request::Open { collection, schema: schema(ElementType::F32) }
}

/// Stages the requests, all of which must be accepted.
fn stage(store: &mut Store, requests: impl IntoIterator<Item = Request>) {
    for request in requests {
        let staged = store.copy.stage(RequestId::NONE, request).unwrap();
        assert!(matches!(staged, Staged::Pending(_)), "a request was refused");
    }
}

#[test]
fn a_collection_is_opened_and_written_in_one_commit() {
    let disk = MemoryDirectory::new();
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    stage(&mut store, [open(COLLECTION), add(COLLECTION, 1), add(COLLECTION, 2)]);
    assert!(store.view().is_none(), "nobody sees it before it is logged");
    store.copy.commit().unwrap();
    store.copy.consumer_mut().publish();
    assert_eq!(store.view().unwrap().statistics().live, 2);
    drop(store);
    assert_eq!(Store::open(Arc::new(disk)).unwrap().view().unwrap().statistics().live, 2);
}

#[test]
fn a_view_names_the_opening_before_the_first_write() {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    // The second opening finds what a refused change has made to stand in for the first.
    let refused = Change::Add(batch(BatchIds::Ints(vec![1, 1]), &[1, 1], true));
    stage(&mut store, [open(COLLECTION)]);
    let refused = Request::Change { collection: COLLECTION, change: refused };
    assert!(matches!(store.copy.stage(RequestId::NONE, refused).unwrap(), Staged::Rejected(_)));
    store.copy.commit().unwrap();
    store.copy.consumer_mut().publish();
    assert_eq!(store.view().unwrap().sequence(), store.copy.applied().sequence);
}

#[test]
fn an_opening_that_was_not_logged_leaves_nothing() {
    let directory = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
    let mut store = Store::open(Arc::new(directory.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    let other = CollectionId::new(9);
    stage(&mut store, [add(COLLECTION, 5), open(other), add(other, 1)]);
    directory.fail_at(directory.calls().mutating, Fault::Failed);
    assert!(matches!(store.copy.commit(), Err(GroupError::Poisoned { .. })));
    store.copy.consumer_mut().publish();
    assert_eq!(store.copy.consumer().collection_ids(), [COLLECTION]);
    assert_eq!(store.view().unwrap().statistics().live, 0);
}

#[test]
fn another_schema_changes_the_index_and_never_the_form() {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    store.request(add(COLLECTION, 1)).unwrap().unwrap();
    let other = Schema {
        version: SchemaVersion::new(2),
        element: ElementType::F16,
        dim: 77,
        ..schema(ElementType::F32)
    };
    store.request(Request::SetSchema { collection: COLLECTION, schema: other.clone() }).unwrap().unwrap();
    let view = store.view().unwrap();
    assert_eq!(*view.schema(), Schema { version: other.version, ..schema(ElementType::F32) });
    store.request(add(COLLECTION, 2)).unwrap().unwrap();
    assert_eq!(store.view().unwrap().statistics().live, 2);
}

#[test]
fn a_checkpoint_that_fails_half_way_gives_back_its_space() {
    let mut failures = 0;
    for offset in 0..40 {
        let disk = MemoryDirectory::new();
        let directory = FaultyDirectory::new(Arc::new(disk.clone()));
        let mut store = Store::open(Arc::new(directory.clone())).unwrap();
        let collections = (1..4).map(CollectionId::new);
        stage(&mut store, collections.flat_map(|id| [open(id), add(id, 1)]));
        store.copy.commit().unwrap();
        let (_, job) = store.take_checkpoint();
        directory.fail_at(directory.calls().mutating + offset, Fault::NoSpace);
        if store.finish(&job).is_err() {
            let left = files(&disk).into_iter().filter(|name| name.ends_with(".rows")).count();
            assert_eq!(left, 0, "after a failure at {offset}");
            failures += 1;
        }
    }
    assert!(failures >= 6, "{failures} failures");
}
