//! Records that are replaced again and again.

use crate::disk::{duplicate, slow};
use crate::store::{Store, batch, schema, vector_of};
use lavandin_shard::{BatchIds, Change, View, Which, records};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{ElementType, RecordId};
use std::sync::Arc;

fn store(disk: &MemoryDirectory) -> Store {
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    if store.view().is_none() {
        store.open_collection(schema(ElementType::F32)).unwrap();
    }
    store
}

fn upsert(store: &mut Store, ids: &[u64], value: i32) {
    let values = vec![value; ids.len()];
    store.change(Change::Upsert(batch(BatchIds::Ints(ids.to_vec()), &values, false))).unwrap().unwrap();
}

fn value_of(view: &View, id: u64) -> f32 {
    records(view, &Which::Ids(vec![RecordId::Int(id)]), true).unwrap()[0].vector[0]
}

#[test]
fn a_view_finds_the_row_that_it_saw() {
    let disk = MemoryDirectory::new();
    let mut store = store(&disk);
    let mut views = Vec::new();
    for value in 0..200 {
        upsert(&mut store, &[7, value as u64 + 1000], value);
        views.push((store.view().unwrap(), value));
        if value % 70 == 69 {
            store.checkpoint().unwrap();
        }
    }
    for job in store.take_jobs(true) {
        store.finish(&job).unwrap();
    }
    views.push((store.view().unwrap(), 199));
    for (view, value) in &views {
        assert_eq!(value_of(view, 7), *value as f32);
        let unseen = records(view, &Which::Ids(vec![RecordId::Int(*value as u64 + 1001)]), false);
        assert!(unseen.is_err(), "a view shows what came after it");
    }
}

/// Finding, sealing and merging take no longer for a record that has been replaced more often: where they do, this
/// test takes minutes.
#[test]
fn one_record_is_replaced_very_often() {
    let rounds = if slow() { 1_000_000 } else { 100_000 };
    let disk = MemoryDirectory::new();
    let mut store = store(&disk);
    for round in 0..rounds {
        upsert(&mut store, &[7], round);
    }
    store.checkpoint().unwrap();
    upsert(&mut store, &[7], rounds);
    for job in store.take_jobs(true) {
        store.finish(&job).unwrap();
    }
    let (view, digest) = (store.view().unwrap(), store.digest());
    assert_eq!(value_of(&view, 7), vector_of(rounds)[0]);
    assert_eq!((view.statistics().live, view.statistics().ever_written), (1, 1));
    drop(store);
    let store = Store::open(Arc::new(duplicate(&disk))).unwrap();
    assert_eq!(store.digest(), digest);
    assert_eq!(value_of(&store.view().unwrap(), 7), vector_of(rounds)[0]);
}

#[test]
fn fields_are_kept_where_none_are_given_wherever_they_are() {
    let disk = MemoryDirectory::new();
    let mut store = store(&disk);
    let with_fields = batch(BatchIds::Ints(vec![1, 2]), &[1, 2], true);
    store.change(Change::Add(with_fields)).unwrap().unwrap();
    let fields = |store: &Store| {
        let all = records(&store.view().unwrap(), &Which::All, false).unwrap();
        all.into_iter().map(|record| record.fields).collect::<Vec<_>>()
    };
    let expected = fields(&store);
    // From the growing segment, from a sealed one, from a merged one.
    upsert(&mut store, &[1], 10);
    assert_eq!(fields(&store), expected);
    store.checkpoint().unwrap();
    upsert(&mut store, &[1, 2], 20);
    assert_eq!(fields(&store), expected);
    store.checkpoint().unwrap();
    for job in store.take_jobs(true) {
        store.finish(&job).unwrap();
    }
    upsert(&mut store, &[2], 30);
    assert_eq!(fields(&store), expected);
    drop(store);
    assert_eq!(fields(&Store::open(Arc::new(disk)).unwrap()), expected);
}
