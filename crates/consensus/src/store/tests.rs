use super::faulty::FaultyDisk;
use super::*;
use crate::raft_types::{LeaderId, StoredMembership};
use openraft::entry::RaftEntry;

fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
}

fn entries(indices: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    indices.into_iter().map(|index| Entry::new_blank(log_id(index))).collect()
}

fn store() -> Store {
    Store::open_backend(FaultyDisk::default(), 1).unwrap()
}

#[test]
fn holes_are_reported() {
    let store = store();
    store.append(&entries([0, 1, 3])).unwrap();
    assert!(matches!(store.entries(..), Err(StoreError::Corrupt(_))));
    assert_eq!(store.entries(..=1).unwrap().len(), 2);
    store.truncate_after(Some(1)).unwrap();
    assert_eq!(store.verify().unwrap().entries, 2);
}

#[test]
fn a_log_shorter_than_its_snapshot_says_is_reported() {
    let store = store();
    store.append(&entries(0..10)).unwrap();
    store.purge(&log_id(4)).unwrap();
    assert!(matches!(store.verify(), Err(StoreError::Corrupt(_))), "purged without a snapshot");
    let meta = SnapshotMeta { last_log_id: Some(log_id(6)), last_membership: StoredMembership::default() };
    store.save_snapshot(&meta, &[5; 3 * CHUNK_BYTES / 2]).unwrap();
    assert_eq!(store.verify().unwrap().entries, 5);
    assert_eq!(store.snapshot().unwrap(), Some((meta.clone(), vec![5; 3 * CHUNK_BYTES / 2])));
    store.save_snapshot(&meta, &[6]).unwrap();
    assert_eq!(store.snapshot().unwrap(), Some((meta, vec![6])));
    store.truncate_after(None).unwrap();
    store.append(&entries([7])).unwrap();
    assert!(matches!(store.verify(), Err(StoreError::Corrupt(_))), "entries 5 and 6 are missing");
}

#[test]
fn a_closed_store_refuses() {
    let store = store();
    store.close();
    assert!(matches!(store.append(&entries([0])), Err(StoreError::Closed)));
    assert!(matches!(store.vote(), Err(StoreError::Closed)));
}

#[test]
fn what_is_committed_travels_with_the_next_write() {
    let disk = FaultyDisk::default();
    let store = Store::open_backend(disk.clone(), 1).unwrap();
    let reopened = |disk: &FaultyDisk| Store::open_backend(FaultyDisk::with(disk.crash(1)), 1).unwrap();
    let syncs = disk.syncs();
    store.set_committed(Some(log_id(1)));
    assert_eq!(disk.syncs(), syncs);
    store.append(&entries([0, 1])).unwrap();
    assert_eq!(reopened(&disk).committed(), Some(log_id(1)));
    // Committed by others, and not written here yet: as a hint it is worth nothing.
    store.set_committed(Some(log_id(5)));
    store.append(&entries([2])).unwrap();
    assert_eq!(reopened(&disk).committed(), None);
    store.append(&entries([3, 4, 5])).unwrap();
    assert_eq!(reopened(&disk).committed(), Some(log_id(5)));
}

#[test]
fn a_file_keeps_its_identity_and_another_has_another() {
    let disk = FaultyDisk::default();
    let first = Store::open_backend(disk.clone(), 1).unwrap().directory();
    let again = Store::open_backend(FaultyDisk::with(disk.crash(1)), 1).unwrap().directory();
    assert_eq!(first, again);
    assert_ne!(first, store().directory());
}
