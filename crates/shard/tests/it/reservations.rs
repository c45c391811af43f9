//! Writes that are reserved first and logged later, or released.

use crate::store::{COLLECTION, Store, batch, schema};
use lavandin_group::Staged;
use lavandin_shard::{BatchIds, Change, Outcome, Rejection, Request, Reservation, check_batch};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{ElementType, RecordId, RequestId};
use std::sync::Arc;

fn store() -> Store {
    let mut store = Store::open(Arc::new(MemoryDirectory::new())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    store
}

fn reserve(store: &mut Store, ids: BatchIds) -> Result<Reservation, Rejection> {
    let values = vec![1; ids.len()];
    store.copy.consumer_mut().reserve(COLLECTION, batch(ids, &values, true), false)
}

fn add(store: &mut Store, id: u64) -> Result<Outcome, Rejection> {
    store.change(Change::Add(batch(BatchIds::Ints(vec![id]), &[1], false))).unwrap()
}

#[test]
fn reserved_ids_are_taken_until_they_are_released() {
    let forms = [
        BatchIds::Ints(vec![5, 6]),
        BatchIds::Range { start: 5, count: 2 },
        BatchIds::Mixed(vec![RecordId::Int(5), RecordId::from("x")]),
    ];
    for ids in forms {
        let mut store = store();
        let reservation = reserve(&mut store, ids.clone()).unwrap();
        // Other writes come and go, which makes nothing pending of what is staged.
        add(&mut store, 100).unwrap();
        assert_eq!(add(&mut store, 5), Err(Rejection::Exists(RecordId::Int(5))), "{ids:?}");
        assert_eq!(reserve(&mut store, ids.clone()), Err(Rejection::Exists(RecordId::Int(5))));
        store.copy.consumer_mut().release(&reservation);
        add(&mut store, 5).unwrap();
    }
}

#[test]
fn a_reserved_write_is_logged_as_it_was_checked() {
    let mut store = store();
    let reservation = reserve(&mut store, BatchIds::Ints(vec![5, 6])).unwrap();
    add(&mut store, 7).unwrap();
    assert_eq!(store.request(Request::Reserved(reservation)).unwrap().unwrap(), Outcome::Count(2));
    assert_eq!(store.view().unwrap().statistics().live, 3);
    assert_eq!(add(&mut store, 6), Err(Rejection::Exists(RecordId::Int(6))));

    let mut same = self::store();
    add(&mut same, 7).unwrap();
    same.change(Change::Add(batch(BatchIds::Ints(vec![5, 6]), &[1, 1], true))).unwrap().unwrap();
    assert_eq!(store.digest(), same.digest());
}

#[test]
fn what_a_reserved_add_holds_is_not_upserted_before_it() {
    for ids in [BatchIds::Ints(vec![5]), BatchIds::Range { start: 5, count: 1 }] {
        let mut store = store();
        let upsert = || Change::Upsert(batch(BatchIds::Ints(vec![4, 5]), &[7, 7], false));
        let held = Err(Rejection::Reserved(RecordId::Int(5)));
        let reservation = reserve(&mut store, ids.clone()).unwrap();
        assert_eq!(store.change(upsert()).unwrap(), held);
        let reserved = batch(BatchIds::Ints(vec![5]), &[7], false);
        let refused = store.copy.consumer_mut().reserve(COLLECTION, reserved, true).map(drop);
        assert_eq!(refused, held.clone().map(drop), "nor by a batch that may be logged before");
        store.copy.consumer_mut().release(&reservation);
        store.change(upsert()).unwrap().unwrap();

        let mut store = self::store();
        let reservation = reserve(&mut store, ids).unwrap();
        let add = store.copy.stage(RequestId::NONE, Request::Reserved(reservation)).unwrap();
        assert!(matches!(add, Staged::Pending(_)));
        // From here on it comes after the add, whenever that is applied.
        store.change(upsert()).unwrap().unwrap();
        assert_eq!(store.view().unwrap().statistics().live, 2, "4, and 5 once");
    }
}

#[test]
fn a_dropped_collection_takes_no_reserved_write() {
    let mut store = store();
    let reservation = reserve(&mut store, BatchIds::Ints(vec![5])).unwrap();
    let drop_it = Request::Drop { collection: COLLECTION };
    assert!(matches!(store.copy.stage(RequestId::NONE, drop_it).unwrap(), Staged::Pending(_)));
    let late = store.request(Request::Reserved(reservation)).unwrap();
    assert_eq!(late, Err(Rejection::UnknownCollection));
}

#[test]
fn a_batch_is_checked_by_itself_with_its_own_row_numbers() {
    let schema = schema(ElementType::F32);
    let fine = batch(BatchIds::Ints(vec![1, 2]), &[1, 2], true);
    assert_eq!(check_batch(&schema, &fine), Ok(()));
    let twice = batch(BatchIds::Ints(vec![1, 1]), &[1, 2], true);
    assert_eq!(check_batch(&schema, &twice), Err(Rejection::Repeated(RecordId::Int(1))));
    let mut bytes = fine.vectors.bytes.to_vec();
    bytes[16..20].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut broken = fine.clone();
    broken.vectors.bytes = bytes.into();
    assert_eq!(check_batch(&schema, &broken), Err(Rejection::NotFinite { row: 1 }));
    let none = batch(BatchIds::Ints(vec![]), &[], false);
    assert_eq!(check_batch(&schema, &none), Err(Rejection::CountMismatch { ids: 0, vectors: 0 }));
}
