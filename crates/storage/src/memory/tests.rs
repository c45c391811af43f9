use super::*;
use crate::{conformance, read_checked};
use std::collections::BTreeSet;

const SEEDS: u64 = 400;

fn put(directory: &MemoryDirectory, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let mut file = directory.create(name).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

/// What a file may hold after a crash; `None` where it is gone.
fn outcomes(directory: &MemoryDirectory, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| directory.crash(seed).map(name).ok().map(|region| region.to_vec())).collect()
}

#[test]
fn conforms() {
    conformance::run(|| Arc::new(MemoryDirectory::new()));
}

#[test]
fn synced_bytes_under_a_synced_name_survive_every_crash() {
    let directory = MemoryDirectory::new();
    put(&directory, "a", b"kept").sync().unwrap();
    directory.sync_dir("").unwrap();
    assert_eq!(outcomes(&directory, "a"), BTreeSet::from([Some(b"kept".to_vec())]));
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let directory = MemoryDirectory::new();
    put(&directory, "a", b"kept").sync().unwrap();
    assert_eq!(outcomes(&directory, "a"), BTreeSet::from([None, Some(b"kept".to_vec())]));
}

#[test]
fn unsynced_writes_are_lost_kept_torn_and_reordered() {
    let directory = MemoryDirectory::new();
    let mut file = put(&directory, "a", &[1; 1024]);
    file.sync().unwrap();
    directory.sync_dir("").unwrap();
    file.write_at(0, &[2; 512]).unwrap();
    file.write_at(512, &[3; 1024]).unwrap();
    let outcomes = outcomes(&directory, "a");
    let has = |wanted: &dyn Fn(&[u8]) -> bool| outcomes.iter().flatten().any(|bytes| wanted(bytes));
    assert!(has(&|bytes| bytes == [1; 1024]), "all lost");
    assert!(has(&|bytes| bytes.len() == 1536 && bytes[0] == 2 && bytes[1535] == 3), "all kept");
    assert!(has(&|bytes| bytes[0] == 1 && bytes[512] == 3), "the second kept, the first not");
    assert!(has(&|bytes| bytes[0] == 2 && bytes[511] == 1), "torn within a sector");
    assert!(has(&|bytes| bytes[512] == 3 && bytes.len() == 1024), "half of the second");
    assert!(has(&|bytes| bytes.len() == 1536 && !matches!(bytes[1024], 0 | 3)), "foreign bytes");
}

#[test]
fn a_rename_is_whole_or_not_at_all() {
    let directory = MemoryDirectory::new();
    put(&directory, "a", b"old").sync().unwrap();
    directory.sync_dir("").unwrap();
    put(&directory, "b", b"new").sync().unwrap();
    directory.rename("b", "a").unwrap();
    let expected = BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]);
    assert_eq!(outcomes(&directory, "a"), expected);
    directory.sync_dir("").unwrap();
    assert_eq!(outcomes(&directory, "a"), BTreeSet::from([Some(b"new".to_vec())]));
    assert_eq!(outcomes(&directory, "b"), BTreeSet::from([None]));
}

#[test]
fn a_removed_file_may_come_back_until_its_folder_is_synced() {
    let directory = MemoryDirectory::new();
    put(&directory, "a", b"old").sync().unwrap();
    directory.sync_dir("").unwrap();
    directory.remove("a").unwrap();
    assert_eq!(outcomes(&directory, "a"), BTreeSet::from([None, Some(b"old".to_vec())]));
    directory.sync_dir("").unwrap();
    assert_eq!(outcomes(&directory, "a"), BTreeSet::from([None]));
}

#[test]
fn lost_writes_are_seen_until_the_crash() {
    let directory = MemoryDirectory::new();
    let mut file = put(&directory, "a", b"durable");
    file.sync().unwrap();
    directory.sync_dir("").unwrap();
    file.write_at(0, b"written").unwrap();
    directory.lose_unsynced("a");
    file.sync().unwrap();
    assert_eq!(&directory.map("a").unwrap()[..], b"written");
    assert_eq!(outcomes(&directory, "a"), BTreeSet::from([Some(b"durable".to_vec())]));
}

#[test]
fn a_crash_leaves_the_directory_itself_alone() {
    let directory = MemoryDirectory::new();
    put(&directory, "a", b"written");
    for seed in 0..SEEDS {
        directory.crash(seed);
    }
    assert_eq!(&directory.map("a").unwrap()[..], b"written");
    assert!(read_checked(&directory, "a").is_err());
    assert_ne!(directory.crash(0).power_cycle(), directory.power_cycle());
}
