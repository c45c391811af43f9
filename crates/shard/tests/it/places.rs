//! Places in the order of insertion that a write brings along.

use crate::store::{Store, batch, schema};
use lavandin_shard::{BatchIds, Change, Outcome, Places, RecordBatch, Which, records};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{ElementType, RecordId};
use std::sync::Arc;

fn open(directory: &MemoryDirectory) -> Store {
    Store::open(Arc::new(directory.clone())).unwrap()
}

fn at(first: Option<u64>, ids: &[u64]) -> RecordBatch {
    let values: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    // The second record's place is five behind the first one's.
    let places =
        first.map(|first| Places { first, offsets: (0..ids.len() as u32).map(|row| 5 * row).collect() });
    RecordBatch { places, ..batch(BatchIds::Ints(ids.to_vec()), &values, false) }
}

fn order(store: &Store) -> Vec<(RecordId, u64)> {
    let view = store.view().unwrap();
    let all = records(&view, &Which::All, false).unwrap();
    all.into_iter().map(|record| (record.id, record.place)).collect()
}

#[test]
fn a_given_place_is_taken_or_raised_and_survives() {
    let directory = MemoryDirectory::new();
    let mut store = open(&directory);
    store.open_collection(schema(ElementType::F32)).unwrap();
    let writes = [
        Change::Add(at(None, &[1])),
        Change::Add(at(Some(100), &[2, 3])),
        Change::Add(at(Some(50), &[4])),
        Change::Upsert(at(Some(900), &[1, 5])),
        Change::Add(at(None, &[6])),
        Change::Add(at(Some(u64::MAX), &[7, 8])),
    ];
    for write in writes {
        store.change(write).unwrap().unwrap();
    }
    let last = 1 << 62;
    let expected = [(1, 0), (2, 100), (3, 105), (4, 106), (5, 905), (6, 906), (7, last), (8, last + 1)];
    let expected: Vec<_> = expected.map(|(id, place)| (RecordId::Int(id), place)).to_vec();
    assert_eq!(order(&store), expected);
    assert_eq!(store.view().unwrap().statistics().ever_written, 8);

    drop(store);
    assert_eq!(order(&open(&directory)), expected, "after a replay");
    let mut store = open(&directory);
    store.checkpoint().unwrap();
    drop(store);
    let mut store = open(&directory);
    assert_eq!(order(&store), expected, "from a checkpoint");
    let assigned = RecordBatch { ids: BatchIds::Assigned { count: 1 }, ..at(None, &[0]) };
    let outcome = store.change(Change::Add(assigned)).unwrap().unwrap();
    assert_eq!(outcome, Outcome::Assigned { start: 9, count: 1 }, "places do not steer the ids");
    assert_eq!(store.view().unwrap().statistics().ever_written, 9);
}
