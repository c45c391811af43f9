//! What is refused, and that a refusal leaves nothing.

use crate::store::{COLLECTION, DIM, Store, batch, ids, schema};
use bytes::Bytes;
use lavandin_group::Staged;
use lavandin_shard::{BatchIds, Change, Outcome, RecordBatch, Rejection, Request, ShardLimits, VectorBatch};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{ElementType, RecordId, RequestId};
use std::sync::Arc;

fn store(element: ElementType) -> Store {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    store.open_collection(schema(element)).unwrap();
    store
}

fn vectors(numbers: &[f32]) -> VectorBatch {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    VectorBatch { element: ElementType::F32, dim: DIM, bytes: Bytes::from(bytes) }
}

#[test]
fn bad_batches_are_refused_by_name_and_leave_nothing() {
    let mut store = store(ElementType::F32);
    store.change(Change::Add(batch(ids(&[RecordId::Int(1)]), &[1], true))).unwrap().unwrap();
    let before = (store.digest(), store.copy.applied().sequence);
    let one = |ids, vectors| RecordBatch { ids, vectors, fields: None, places: None };
    let fine = [1.0, 2.0, 3.0, 4.0];
    let cases = [
        (Change::Add(batch(ids(&[RecordId::Int(2), RecordId::Int(1)]), &[1, 2], false)), "already exists"),
        (
            Change::Add(batch(ids(&[RecordId::from("a"), RecordId::from("a")]), &[1, 2], false)),
            "occurs twice",
        ),
        (Change::Upsert(batch(ids(&[RecordId::from("")]), &[1], false)), "must not be empty"),
        (Change::Add(one(BatchIds::Ints(vec![9]), vectors(&[1.0, f32::NAN, 3.0, 4.0]))), "not finite"),
        (Change::Add(one(BatchIds::Ints(vec![9]), vectors(&[1.0, f32::INFINITY, 3.0, 4.0]))), "not finite"),
        (Change::Add(one(BatchIds::Ints(vec![9, 10]), vectors(&fine))), "2 ids for 1 vectors"),
        (
            Change::Add(one(BatchIds::Ints(vec![9]), VectorBatch { dim: 3, ..vectors(&[1.0, 2.0, 3.0]) })),
            "expected 4, got 3",
        ),
        (Change::Add(one(BatchIds::Range { start: u64::MAX, count: 2 }, vectors(&[0.0; 8]))), "largest id"),
        (
            Change::Add(RecordBatch {
                fields: Some(Bytes::from_static(&[1, 9, 9])),
                ..one(BatchIds::Ints(vec![9]), vectors(&fine))
            }),
            "malformed fields",
        ),
        (Change::Delete(vec![RecordId::from("")]), "must not be empty"),
    ];
    for (change, expected) in cases {
        let rejection = store.change(change).unwrap().unwrap_err().to_string();
        assert!(rejection.contains(expected), "{rejection:?} does not say {expected:?}");
    }
    assert_eq!((store.digest(), store.copy.applied().sequence), before);
}

#[test]
fn half_precision_refuses_what_it_cannot_hold() {
    let mut store = store(ElementType::F16);
    let wide = RecordBatch {
        ids: BatchIds::Ints(vec![1]),
        vectors: vectors(&[70_000.0, 0.0, 0.0, 0.0]),
        fields: None,
        places: None,
    };
    assert_eq!(store.change(Change::Add(wide)).unwrap(), Err(Rejection::TooWide { row: 0 }));
}

#[test]
fn staged_ids_are_taken_before_they_are_applied() {
    let mut store = store(ElementType::F32);
    let add = |ids| Request::Change { collection: COLLECTION, change: Change::Add(batch(ids, &[1], false)) };
    for taken in [BatchIds::Ints(vec![5]), BatchIds::Mixed(vec![RecordId::from("x")])] {
        assert!(matches!(store.copy.stage(RequestId::NONE, add(taken.clone())).unwrap(), Staged::Pending(_)));
        assert!(matches!(store.copy.stage(RequestId::NONE, add(taken)).unwrap(), Staged::Rejected(_)));
    }
    let assigned = add(BatchIds::Assigned { count: 1 });
    let Staged::Pending(ticket) = store.copy.stage(RequestId::NONE, assigned).unwrap() else {
        panic!("allotting was refused")
    };
    let outcomes = store.copy.commit().unwrap();
    assert_eq!(outcomes.get(ticket), Some(&Outcome::Assigned { start: 6, count: 1 }));
}

#[test]
fn what_is_applied_is_not_staged_any_more_whatever_else_is() {
    let mut store = store(ElementType::F32);
    let stage = |store: &mut Store, change| {
        let staged =
            store.copy.stage(RequestId::NONE, Request::Change { collection: COLLECTION, change }).unwrap();
        let Staged::Pending(ticket) = staged else { panic!("refused") };
        ticket
    };
    let assigned = || Change::Add(batch(BatchIds::Assigned { count: 2 }, &[1, 2], false));
    let named = || Change::Upsert(batch(BatchIds::Mixed(vec![RecordId::from("x")]), &[1], false));
    let first = stage(&mut store, assigned());
    stage(&mut store, assigned());
    store.copy.write_and_sync().unwrap();
    // The other copies have the first one only.
    store.copy.advance(first).unwrap();
    let third = stage(&mut store, assigned());
    stage(&mut store, named());
    let again = stage(&mut store, named());
    let outcomes = store.copy.commit().unwrap();
    assert_eq!(outcomes.get(third), Some(&Outcome::Assigned { start: 4, count: 2 }), "no gap");
    assert_eq!(outcomes.get(again), Some(&Outcome::Count(1)));

    // Of two that insert the same, the second one is still to come.
    stage(&mut store, Change::Delete(vec![RecordId::from("x")]));
    let compacted = stage(&mut store, Change::Compact);
    stage(&mut store, named());
    store.copy.write_and_sync().unwrap();
    store.copy.advance(compacted).unwrap();
    let add = Change::Add(batch(BatchIds::Mixed(vec![RecordId::from("x")]), &[1], false));
    let add = || Request::Change { collection: COLLECTION, change: add.clone() };
    assert!(matches!(store.copy.stage(RequestId::NONE, add()).unwrap(), Staged::Rejected(_)));
    store.copy.commit().unwrap();
    store.change(Change::Delete(vec![RecordId::from("x")])).unwrap().unwrap();
    let compacted = stage(&mut store, Change::Compact);
    stage(&mut store, assigned());
    store.copy.write_and_sync().unwrap();
    store.copy.advance(compacted).unwrap();
    assert!(matches!(store.copy.stage(RequestId::NONE, add()).unwrap(), Staged::Pending(_)));
    store.copy.commit().unwrap();
}

#[test]
fn what_staged_upserts_replace_takes_no_room() {
    let limits = ShardLimits { collection_vectors_max: 3, ..ShardLimits::default() };
    let mut store = Store::open_limited(Arc::new(MemoryDirectory::new()), limits).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    let of = |ids: &[u64]| batch(BatchIds::Ints(ids.to_vec()), &vec![1; ids.len()], false);
    store.change(Change::Add(of(&[1, 2]))).unwrap().unwrap();
    let mut stage = |change| {
        let staged = store.copy.stage(RequestId::NONE, Request::Change { collection: COLLECTION, change });
        match staged.unwrap() {
            Staged::Pending(_) => Ok(()),
            Staged::Rejected(rejection) => Err(rejection),
            Staged::Answered(outcome) => panic!("{outcome:?}"),
        }
    };
    assert_eq!(stage(Change::Upsert(of(&[1, 2]))), Ok(()));
    assert_eq!(stage(Change::Upsert(of(&[2, 3]))), Ok(()));
    assert_eq!(stage(Change::Upsert(of(&[1, 3]))), Ok(()), "3 is counted once");
    let full = Err(Rejection::TooManyVectors { vectors: 4, limit: 3 });
    assert_eq!(stage(Change::Add(of(&[4]))), full);
    assert_eq!(stage(Change::Upsert(of(&[4]))), full);
    let ranged = batch(BatchIds::Range { start: 2, count: 3 }, &[1; 3], false);
    assert_eq!(stage(Change::Upsert(ranged)), full);
    store.copy.commit().unwrap();
}

#[test]
fn a_retried_request_is_applied_once() {
    let mut store = store(ElementType::F32);
    let id = RequestId::new(77);
    let add = || Request::Change {
        collection: COLLECTION,
        change: Change::Add(batch(BatchIds::Assigned { count: 2 }, &[1, 2], false)),
    };
    let Staged::Pending(first) = store.copy.stage(id, add()).unwrap() else { panic!("refused") };
    let Staged::Pending(again) = store.copy.stage(id, add()).unwrap() else { panic!("refused") };
    assert_eq!(first, again, "a retry of a staged request waits for the same outcome");
    store.copy.commit().unwrap();
    let Staged::Answered(outcome) = store.copy.stage(id, add()).unwrap() else { panic!("applied again") };
    assert_eq!(outcome, Outcome::Assigned { start: 0, count: 2 });
}

#[test]
fn allotted_ids_follow_the_records_ever_inserted() {
    let mut store = store(ElementType::F32);
    let strings = ids(&[RecordId::from("a"), RecordId::from("b")]);
    store.change(Change::Add(batch(strings, &[1, 2], false))).unwrap().unwrap();
    let add = |count: u32| {
        let values = vec![0; count as usize];
        Change::Add(batch(BatchIds::Assigned { count }, &values, false))
    };
    assert_eq!(store.change(add(2)).unwrap().unwrap(), Outcome::Assigned { start: 2, count: 2 });
    store.change(Change::Add(batch(BatchIds::Ints(vec![100]), &[1], false))).unwrap().unwrap();
    assert_eq!(store.change(add(1)).unwrap().unwrap(), Outcome::Assigned { start: 101, count: 1 });
    store.change(Change::Delete(vec![RecordId::Int(101)])).unwrap().unwrap();
    store.change(Change::Compact).unwrap().unwrap();
    let start = 102;
    assert_eq!(store.change(add(1)).unwrap().unwrap(), Outcome::Assigned { start, count: 1 }, "never twice");
}
