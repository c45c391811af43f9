//! A state from a snapshot beside the one that it replaces: readers, files, and jobs of the former.

use crate::disk::{files, write};
use crate::store::{COLLECTION, Store, batch, ids, schema};
use lavandin_shard::{
    Change, FileKind, Shard, ShardLimits, SnapshotFiles, contains, hold_files, segment_folder,
    segment_folders, with_folder,
};
use lavandin_storage::{Directory, MemoryDirectory};
use lavandin_types::{ElementType, RecordId, SequenceNumber};
use std::sync::Arc;

const FOLDER: SequenceNumber = SequenceNumber::new(9);

fn store(disk: &MemoryDirectory, start: u64) -> Store {
    let mut store = Store::open(Arc::new(disk.clone())).unwrap();
    store.open_collection(schema(ElementType::F32)).unwrap();
    for part in [start, start + 10] {
        let names: Vec<_> = (part..part + 3).map(RecordId::Int).collect();
        store.change(Change::Add(batch(ids(&names), &[1, 2, 3], true))).unwrap().unwrap();
        store.checkpoint().unwrap();
    }
    store
}

/// The payload of a store's checkpoint of now.
fn payload(store: &mut Store) -> Vec<u8> {
    let (_, job) = store.take_checkpoint();
    let (cancel, progress) = (false.into(), 0.into());
    let context = lavandin_shard::JobContext { threads: 1, cancel: &cancel, progress: &progress };
    match job.run(&context).unwrap() {
        lavandin_shard::JobResult::Checkpoint(result) => result.payload,
        _ => panic!("a checkpoint job made something else"),
    }
}

#[test]
fn a_state_takes_the_place_of_another_and_its_readers() {
    let (theirs, ours) = (MemoryDirectory::new(), MemoryDirectory::new());
    let mut from = store(&theirs, 0);
    let mut old = store(&ours, 100);
    // What a snapshot brings: files that are held, though a merge takes their names.
    let theirs: Arc<dyn Directory> = Arc::new(theirs);
    let payload = payload(&mut from);
    let held = hold_files(&theirs, &payload).unwrap();
    let named: Vec<_> = held.iter().map(|held| held.file).collect();
    assert!(named.len() == 2 && SnapshotFiles::read(&payload).unwrap().are(&named));
    ours.create_dir_all(&segment_folder(FOLDER)).unwrap();
    for held in &held {
        assert_eq!((held.file.kind, held.file.bytes), (FileKind::Rows, held.bytes().len() as u64));
        assert!(held.file.check(held.bytes()));
        write(&ours, &held.file.path(FOLDER), held.bytes());
    }
    let payload = with_folder(&payload, FOLDER).unwrap();
    let before = files(&ours);
    let reader = old.copy.consumer().reader();
    let view = reader.view(COLLECTION).unwrap();
    let mut new = Shard::open_beside(Arc::new(ours.clone()), ShardLimits::default(), &payload).unwrap();
    new.publish();
    assert_eq!(files(&ours), before, "the former state is whole until it is replaced");
    assert!(contains(&reader.view(COLLECTION).unwrap(), &RecordId::Int(100)));
    // A job of the former state is none of the new one.
    let jobs = old.take_jobs(true);
    assert!(!jobs.is_empty() && jobs.iter().all(|job| old.copy.consumer().is_own(job) && !new.is_own(job)));
    new.take_over(&reader);
    let shown = reader.view(COLLECTION).unwrap();
    assert!(contains(&shown, &RecordId::Int(0)) && !contains(&shown, &RecordId::Int(100)));
    assert!(contains(&view, &RecordId::Int(100)));
    new.remove_replaced().unwrap();
    assert_eq!(segment_folders(&ours).unwrap(), [FOLDER]);
    assert_eq!(new.folder(), FOLDER);
    assert!(old.finish(&jobs[0]).is_err(), "its folder is gone");
}

#[test]
fn files_are_told_from_those_that_are_not_meant() {
    let disk = MemoryDirectory::new();
    let mut from = store(&disk, 0);
    let payload = payload(&mut from);
    let directory: Arc<dyn Directory> = Arc::new(disk);
    let held = hold_files(&directory, &payload).unwrap();
    let (one, two) = (&held[0], &held[1]);
    assert!(!one.file.check(two.bytes()) && !one.file.check(&one.bytes()[..one.bytes().len() - 1]));
    for byte in (0..one.bytes().len()).step_by(7) {
        let mut flipped = one.bytes().to_vec();
        flipped[byte] ^= 32;
        // Padding is read by nobody and has no checksum.
        assert!(!one.file.check(&flipped) || one.bytes()[byte] == 0, "byte {byte}");
    }
    let files = SnapshotFiles::read(&payload).unwrap();
    let graph = lavandin_shard::SegmentFile { kind: FileKind::Graph, ..one.file };
    let strange = lavandin_shard::SegmentFile { segment: two.file.segment.next(), ..two.file };
    assert!(files.are(&[one.file, two.file, graph]));
    for wrong in [&[one.file][..], &[one.file, one.file, two.file], &[one.file, strange], &[one.file, graph]]
    {
        assert!(!files.are(wrong));
    }
    assert!(!files.are(&[one.file, two.file, graph, graph]));
    for length in 0..payload.len() {
        assert!(SnapshotFiles::read(&payload[..length]).is_err());
    }
}
