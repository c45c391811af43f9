//! What copies compare: equal records give equal digests, whatever their segments, and others do not.

use crate::disk::{files, flip};
use crate::store::{COLLECTION, Store, batch, ids, schema};
use lavandin_group::GroupCopy;
use lavandin_shard::{Change, Comparison, Digest, Request, Shard, compare};
use lavandin_storage::{Directory, MemoryDirectory};
use lavandin_types::{CollectionId, ElementType, RecordId, SequenceNumber};
use std::sync::Arc;

const OTHER: CollectionId = CollectionId::new(8);

fn ints(range: std::ops::Range<u64>) -> Vec<RecordId> {
    range.map(RecordId::Int).collect()
}

fn digests(copy: &GroupCopy<Shard>) -> Vec<Digest> {
    let views = copy.consumer().reader().views();
    views.iter().map(|(collection, view)| Digest::of(*collection, view).unwrap()).collect()
}

/// The same operations; `often` seals and merges between them.
fn live(disk: &MemoryDirectory, often: bool) -> Store {
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    store.request(Request::Open { collection: OTHER, schema: schema(ElementType::F16) }).unwrap().unwrap();
    let settle = |store: &mut Store| {
        if often {
            store.checkpoint().unwrap();
            for job in store.take_jobs(true) {
                store.finish(&job).unwrap();
            }
        }
    };
    for part in 0..4_u64 {
        let names = ints(part * 10..part * 10 + 12);
        let values: Vec<i32> = (0..12).map(|row| row * 3 + part as i32).collect();
        store.change(Change::Upsert(batch(ids(&names), &values, part % 2 == 0))).unwrap().unwrap();
        settle(&mut store);
        store.change(Change::Delete(ints(part * 10..part * 10 + 3))).unwrap().unwrap();
        let change = Change::Upsert(batch(ids(&[RecordId::from("a")]), &[part as i32], true));
        store.request(Request::Change { collection: OTHER, change }).unwrap().unwrap();
        settle(&mut store);
    }
    store.change(Change::Restore(ints(0..2))).unwrap().unwrap();
    store
}

#[test]
fn copies_with_other_segments_are_alike() {
    let (one, two) = (MemoryDirectory::new(), MemoryDirectory::new());
    let (one, mut two) = (live(&one, false), live(&two, true));
    let (ours, theirs) = (digests(&one.copy), digests(&two.copy));
    assert_eq!(ours, theirs);
    assert_eq!(ours.iter().map(|digest| digest.collection).collect::<Vec<_>>(), [COLLECTION, OTHER]);
    assert_eq!(
        (ours[0].records, ours[0].hash),
        (one.view().unwrap().statistics().live, one.digest().unwrap())
    );
    assert_eq!(compare(&ours, &theirs), Comparison::default());
    // One that has gone on is not compared; one that has another record at the same place differs.
    two.change(Change::Delete(ints(20..21))).unwrap().unwrap();
    let ahead = digests(&two.copy);
    let unsettled = Comparison { unsettled: vec![COLLECTION], ..Comparison::default() };
    assert_eq!(compare(&ours, &ahead), unsettled);
    assert_eq!(compare(&ours[1..], &theirs), unsettled, "nor is one that only one copy has");
    let mut other = theirs;
    other[1].hash ^= 1;
    assert_eq!(compare(&ours, &other), Comparison { different: vec![OTHER], ..Comparison::default() });
    other[1] = Digest { sequence: SequenceNumber::new(1), ..other[1] };
    assert_eq!(compare(&ours, &other).different, []);
}

#[test]
fn rows_that_changed_where_they_lie_are_found() {
    let disk = MemoryDirectory::new();
    let mut store = live(&disk, true);
    store.checkpoint().unwrap();
    drop(store);
    let name = files(&disk).into_iter().find(|name| name.starts_with("segments/")).unwrap();
    flip(&disk, &name, 70, 3);
    let store = Store::open(Arc::new(disk)).unwrap();
    let views = store.copy.consumer().reader().views();
    let failed = views.iter().filter(|(collection, view)| Digest::of(*collection, view).is_err());
    assert_eq!(failed.count(), 1);
}

/// The first damage that the checks of all files find.
fn check_files(disk: &Arc<dyn Directory>, store: &Store) -> Option<String> {
    let views = store.copy.consumer().reader().views();
    let mut checks = views.iter().flat_map(|(_, view)| view.file_checks(disk));
    checks.find_map(|mut check| {
        loop {
            match check.read(1000) {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(damage) => return Some(damage.to_string()),
            }
        }
    })
}

#[test]
fn files_that_change_under_an_open_store_are_found() {
    let disk = MemoryDirectory::new();
    let mut store = live(&disk, true);
    store.checkpoint().unwrap();
    let directory: Arc<dyn Directory> = Arc::new(disk.clone());
    assert_eq!(check_files(&directory, &store), None);
    let name = files(&disk).into_iter().find(|name| name.starts_with("segments/")).unwrap();
    let length = directory.len(&name).unwrap() as usize;
    // In the header, the first section, the table and the footer.
    for place in [20, 70, length - 100, length - 1] {
        flip(&disk, &name, place, 3);
        let found = check_files(&directory, &store).unwrap();
        assert!(found.contains(&name), "{place}: {found}");
        flip(&disk, &name, place, 3);
        assert_eq!(check_files(&directory, &store), None);
    }
    directory.remove(&name).unwrap();
    assert!(check_files(&directory, &store).is_some());
    let views = store.copy.consumer().reader().views();
    let view = &views[0].1;
    let missing = view.file_checks(&directory);
    assert_eq!(missing.iter().filter(|check| !check.is_present() && check.is_needed_by(view)).count(), 1);
}
