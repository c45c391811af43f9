//! Searches see what is live, filtered and in order, wherever the records happen to be stored.

use crate::store::{Store, batch, schema, vector_of};
use lavandin_shard::{
    BatchIds, Change, IndexSpec, ReadError, Request, Schema, SearchRequest, Which, records, search,
    search_range,
};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{BuildParameters, ElementType, IndexMode, RecordId, SchemaVersion};
use std::sync::Arc;

fn with_mode(mode: &str, version: u64) -> Schema {
    let index = IndexSpec { mode: IndexMode::parse(mode).unwrap(), parameters: BuildParameters::default() };
    Schema { version: SchemaVersion::new(version), index: Some(index), ..schema(ElementType::F32) }
}

fn request(value: i32, k: usize, filter: Option<&str>) -> SearchRequest {
    SearchRequest {
        queries: vector_of(value).to_vec(),
        k,
        filter: filter.map(str::to_owned),
        probe: 0,
        with_fields: true,
        use_graph: true,
        threads: 1,
    }
}

fn found(store: &Store, request: &SearchRequest) -> Vec<RecordId> {
    let view = store.view().unwrap();
    let result = search(&view, request).unwrap();
    result.hits[0].iter().map(|hit| hit.id.clone()).collect()
}

/// A hundred records over three segments, one of them growing.
fn filled() -> Store {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    store.open_collection(with_mode("FLAT-L2", 1)).unwrap();
    for part in 0..3 {
        let values: Vec<i32> = (part * 34..(part + 1) * 34).collect();
        let ids = BatchIds::Range { start: part as u64 * 34, count: 34 };
        store.change(Change::Add(batch(ids, &values, true))).unwrap().unwrap();
        if part < 2 {
            store.checkpoint().unwrap();
        }
    }
    store
}

fn ints(ids: &[u64]) -> Vec<RecordId> {
    ids.iter().copied().map(RecordId::Int).collect()
}

#[test]
fn the_nearest_come_first_from_every_segment() {
    let store = filled();
    assert_eq!(found(&store, &request(33, 3, None)), ints(&[33, 32, 34]), "equal distances by insertion");
    assert_eq!(found(&store, &request(101, 2, None)), ints(&[101, 100]));
    assert_eq!(found(&store, &request(5, 0, None)), ints(&[]));
    assert_eq!(found(&store, &request(5, 1000, None)).len(), 102);
}

#[test]
fn deleted_records_vanish_from_searches_until_restored() {
    let mut store = filled();
    store.change(Change::Delete(ints(&[33, 101]))).unwrap().unwrap();
    assert_eq!(found(&store, &request(33, 2, None)), ints(&[32, 34]));
    assert_eq!(found(&store, &request(101, 1, None)), ints(&[100]));
    store.change(Change::Restore(ints(&[33]))).unwrap().unwrap();
    assert_eq!(found(&store, &request(33, 1, None)), ints(&[33]));
}

#[test]
fn an_upsert_moves_a_record_and_keeps_its_place() {
    let mut store = filled();
    store.change(Change::Upsert(batch(BatchIds::Ints(vec![3]), &[90], true))).unwrap().unwrap();
    assert_eq!(found(&store, &request(90, 2, None)), ints(&[3, 90]), "equal vectors, the older record first");
    assert_eq!(found(&store, &request(3, 1, None)), ints(&[2]));
    let view = store.view().unwrap();
    let head = records(&view, &Which::First(5), false).unwrap();
    assert_eq!(head.iter().map(|record| record.id.clone()).collect::<Vec<_>>(), ints(&[0, 1, 2, 3, 4]));
}

#[test]
fn filters_choose_before_the_nearest_are_taken() {
    let store = filled();
    let filtered = |filter| found(&store, &request(50, 3, Some(filter)));
    assert_eq!(filtered("n < 10"), ints(&[9, 8, 7]));
    assert_eq!(filtered("n >= 33 AND n <= 34"), ints(&[34, 33]));
    assert_eq!(filtered("text = 'text 77'"), ints(&[77]));
    assert_eq!(filtered("id IN (1, 99)"), ints(&[1, 99]));
    assert_eq!(filtered("n > 1000"), ints(&[]));
    let view = store.view().unwrap();
    let error = search(&view, &request(1, 1, Some("nosuch = 1"))).unwrap_err();
    assert!(matches!(error, ReadError::Filter(_)), "{error}");
}

#[test]
fn a_range_is_cut_at_its_threshold_and_its_count() {
    let store = filled();
    let view = store.view().unwrap();
    let hits = search_range(&view, &vector_of(10), 2.26 * 4.0, 100).unwrap();
    let ids: Vec<_> = hits.iter().map(|hit| hit.id.clone()).collect();
    assert_eq!(ids, ints(&[10, 9, 11, 8, 12]));
    assert_eq!(search_range(&view, &vector_of(10), 1e9, 7).unwrap().len(), 7);
}

#[test]
fn merging_changes_no_answer() {
    let mut store = filled();
    store.change(Change::Delete(ints(&[5, 40]))).unwrap().unwrap();
    store.change(Change::Upsert(batch(BatchIds::Ints(vec![8]), &[70], true))).unwrap().unwrap();
    store.checkpoint().unwrap();
    let requests = [request(5, 4, None), request(70, 4, None), request(40, 4, Some("n > 20"))];
    let before: Vec<_> = requests.iter().map(|request| found(&store, request)).collect();
    let jobs = store.take_jobs(true);
    assert_eq!(jobs.len(), 1, "one merge of all segments");
    store.change(Change::Delete(ints(&[41]))).unwrap().unwrap();
    store.change(Change::Restore(ints(&[41]))).unwrap().unwrap();
    for job in &jobs {
        store.finish(job).unwrap();
    }
    let after: Vec<_> = requests.iter().map(|request| found(&store, request)).collect();
    assert_eq!(before, after);
    assert_eq!(store.view().unwrap().statistics().segments, 1);
}

#[test]
fn a_view_does_not_see_what_comes_after_it() {
    let mut store = filled();
    let view = store.view().unwrap();
    store.change(Change::Delete(ints(&[50]))).unwrap().unwrap();
    store.change(Change::Upsert(batch(BatchIds::Ints(vec![51]), &[-500], true))).unwrap().unwrap();
    store.change(Change::Add(batch(BatchIds::Ints(vec![7000]), &[50], true))).unwrap().unwrap();
    let old = search(&view, &request(50, 3, None)).unwrap();
    let old: Vec<_> = old.hits[0].iter().map(|hit| hit.id.clone()).collect();
    assert_eq!(old, ints(&[50, 49, 51]));
    assert_eq!(found(&store, &request(50, 3, None)), ints(&[7000, 49, 48]));
}

#[test]
fn another_index_brings_another_metric() {
    let mut store = filled();
    assert_eq!(found(&store, &request(10, 1, None)), ints(&[10]));
    let schema = with_mode("FLAT-IP", 2);
    store.request(Request::SetSchema { collection: crate::store::COLLECTION, schema }).unwrap().unwrap();
    assert_eq!(found(&store, &request(10, 1, None)), ints(&[101]), "the longest has the largest product");
}

#[test]
fn several_threads_find_what_one_finds() {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    store.open_collection(with_mode("FLAT-L2", 1)).unwrap();
    for part in 0..5u64 {
        // Equal vectors far apart, so that ties cross the borders between threads.
        let values: Vec<i32> = (0..10_000).map(|row| (row * 7 + part as i32) % 3_000).collect();
        let ids = BatchIds::Range { start: part * 10_000, count: 10_000 };
        store.change(Change::Add(batch(ids, &values, false))).unwrap().unwrap();
        if part == 2 {
            store.checkpoint().unwrap();
        }
    }
    store.change(Change::Delete(ints(&[3, 20_000, 49_999]))).unwrap().unwrap();
    for value in [0, 1_500, 2_999] {
        let one = request(value, 50, None);
        for threads in [2, 3, 16] {
            let several = SearchRequest { threads, ..one.clone() };
            assert_eq!(found(&store, &several), found(&store, &one), "{threads} threads");
        }
    }
}
