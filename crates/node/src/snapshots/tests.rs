mod rig;
mod serving;

use self::rig::{Copy, INDEXED, PLAIN, Wire, add, sequence, source, stale};
use super::receiver::{PIECE_BYTES, PIECES_MAX};
use super::*;
use lavandin_shard::{Change, segment_folder};
use lavandin_storage::{Directory, Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::RecordId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn memory() -> Arc<dyn Directory> {
    Arc::new(MemoryDirectory::new())
}

#[tokio::test]
async fn a_copy_becomes_what_the_checkpoint_was_and_its_readers_see_it() {
    let (from, expected) = source(memory());
    let disk = MemoryDirectory::new();
    let mut copy = stale(Arc::new(disk.clone()));
    let before = copy.readers.shard.view(PLAIN).unwrap();
    let wire = Wire::to(&from);
    let receiver = wire.receiver(&copy, |wire, request| wire.call(request));
    let fetched = receiver.fetch(copy.standing()).await.unwrap();
    assert_eq!(copy.digests()[0].records, 35, "nothing has changed before the snapshot is installed");
    let Progress { bytes_done: done, bytes_total: total } = &*receiver.progress;
    assert_eq!(done.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
    assert_eq!(wire.bytes.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), expected);
    assert_eq!(sequence(&copy), fetched.sequence);
    // Whoever holds a view of the former state reads on.
    assert_eq!(before.statistics().live, 35);
    assert!(lavandin_shard::contains(&before, &RecordId::Int(604)));
    let folder = segment_folder(fetched.sequence);
    let files = copy.files();
    assert!(files.iter().all(|file| file.starts_with(&folder)), "{files:?}");
    assert_eq!(files.iter().filter(|file| file.ends_with(".graph")).count(), 1, "{files:?}");
    assert_eq!(copy.readers.shard.view(INDEXED).unwrap().statistics().indexed_rows, 1100);
    drop(copy);
    // A start finds it again, and it goes on in that folder.
    let mut copy = Copy::open(Arc::new(disk.crash(1))).unwrap();
    assert_eq!(copy.digests(), expected);
    assert_eq!(copy.files(), files);
    copy.change(PLAIN, add(900, 3));
    copy.checkpoint();
    let digests = copy.digests();
    let copy = Copy::open(Arc::clone(&copy.directory)).unwrap();
    assert_eq!(copy.digests(), digests);
    assert!(copy.files().iter().all(|file| file.starts_with(&folder)));
}

#[tokio::test]
async fn the_next_snapshot_brings_only_what_is_new() {
    let (mut from, _) = source(memory());
    let mut copy = stale(memory());
    let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
    copy.install(&fetched).unwrap();
    from.change(PLAIN, add(200, 10));
    from.checkpoint();
    let wire = Wire::to(&from);
    let receiver = wire.receiver(&copy, |wire, request| wire.call(request));
    let fetched = receiver.fetch(copy.standing()).await.unwrap();
    let total = receiver.progress.bytes_total.load(Ordering::Relaxed);
    assert_eq!(receiver.progress.bytes_done.load(Ordering::Relaxed), total);
    assert!(wire.bytes.load(Ordering::Relaxed) < total / 2);
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), from.digests());
    let folder = segment_folder(fetched.sequence);
    assert!(copy.files().iter().all(|file| file.starts_with(&folder)), "{:?}", copy.files());
    // There is nothing to be had from a copy that is not ahead.
    let error = Wire::to(&from).fetch(&copy).await.unwrap_err();
    assert!(matches!(error, SnapshotError::NotAhead { .. }), "{error}");
}

#[tokio::test]
async fn what_was_fetched_before_an_interruption_is_not_fetched_again() {
    let (from, expected) = source(memory());
    let whole = Wire::to(&from);
    whole.fetch(&stale(memory())).await.unwrap();
    let (pieces, bytes) = (whole.pieces.load(Ordering::Relaxed), whole.bytes.load(Ordering::Relaxed));
    assert!(pieces > 20, "{pieces} pieces");
    for answered in 0..pieces {
        let mut copy = stale(memory());
        let broken = Wire { pieces_max: Some(answered), ..Wire::to(&from) };
        let error = broken.fetch(&copy).await.unwrap_err();
        assert!(matches!(error, SnapshotError::Call { .. }), "{error}");
        let wire = Wire::to(&from);
        let fetched = wire.fetch(&copy).await.unwrap();
        let snapshot = fetched.snapshot.len() as u64;
        let lost = u64::from(PIECE_BYTES) * PIECES_MAX as u64;
        let again = wire.bytes.load(Ordering::Relaxed) + broken.bytes.load(Ordering::Relaxed);
        assert!(again <= bytes + snapshot + lost, "{again} of {bytes} after {answered}");
        copy.install(&fetched).unwrap();
        assert_eq!(copy.digests(), expected);
    }
}

/// Else the next attempt would take over what the disk does not hold.
#[tokio::test]
async fn a_failure_of_the_disk_is_told_whatever_else_goes_wrong() {
    let (from, _) = source(memory());
    let whole = Wire::to(&from);
    whole.fetch(&stale(memory())).await.unwrap();
    let pieces = whole.pieces.load(Ordering::Relaxed);
    let mut struck = 0;
    for answered in 1..pieces {
        for call in 0..12 {
            let faulty = FaultyDirectory::new(memory());
            let copy = stale(Arc::new(faulty.clone()));
            faulty.fail_at(faulty.calls().mutating + 2 * call, Fault::Failed);
            let broken = Wire { pieces_max: Some(answered), ..Wire::to(&from) };
            let error = broken.fetch(&copy).await.unwrap_err();
            assert_eq!(matches!(error, SnapshotError::Storage(_)), faulty.has_struck(), "{error}");
            struck += usize::from(faulty.has_struck());
        }
    }
    assert!(struck > 50, "{struck}");
}

#[tokio::test]
async fn what_an_attempt_at_an_older_snapshot_left_is_taken_over() {
    let (mut from, _) = source(memory());
    let mut copy = stale(memory());
    let pieces = Wire::to(&from);
    pieces.fetch(&copy).await.unwrap();
    let before = copy.files();
    from.change(PLAIN, add(200, 10));
    from.checkpoint();
    let wire = Wire::to(&from);
    let fetched = wire.fetch(&copy).await.unwrap();
    assert!(wire.bytes.load(Ordering::Relaxed) < pieces.bytes.load(Ordering::Relaxed) / 2);
    assert!(copy.files().iter().all(|file| !before.contains(file) || file.starts_with("segments/")));
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), from.digests());
    // And where the log has made a snapshot superfluous, what is left of it goes.
    from.change(PLAIN, add(300, 10));
    from.checkpoint();
    let live = copy.files();
    Wire::to(&from).fetch(&copy).await.unwrap();
    assert_ne!(copy.files(), live);
    discard_unfinished(&*copy.directory, copy.standing().folder).unwrap();
    assert_eq!(copy.files(), live);
}

#[tokio::test]
async fn a_spoiled_piece_is_fetched_again_and_one_that_stays_so_is_an_error() {
    let (from, expected) = source(memory());
    let mut copy = stale(memory());
    let wire = Wire { spoil: Some(7), ..Wire::to(&from) };
    let fetched = wire.fetch(&copy).await.unwrap();
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), expected);
    let copy = stale(memory());
    let error = Wire { spoil: Some(1), ..Wire::to(&from) }.fetch(&copy).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
    assert_eq!(copy.digests()[0].records, 35);
}

/// Flips a bit in the middle of a file.
fn flip(directory: &dyn Directory, name: &str) {
    let length = directory.len(name).unwrap();
    let mut file = directory.open(name).unwrap();
    let mut byte = [0];
    file.read_at(length / 2, &mut byte).unwrap();
    file.write_at(length / 2, &[byte[0] ^ 16]).unwrap();
}

#[tokio::test]
async fn a_damaged_file_of_the_source_is_named_and_a_damaged_graph_is_left_out() {
    let disk = MemoryDirectory::new();
    let (from, expected) = source(Arc::new(disk.clone()));
    let files = from.files();
    let graph = files.iter().find(|file| file.ends_with(".graph")).unwrap();
    flip(&disk, graph);
    let mut copy = stale(memory());
    let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), expected);
    assert!(copy.files().iter().all(|file| file.ends_with(".rows")), "{:?}", copy.files());
    let rows = graph.replace(".graph", ".rows");
    flip(&disk, &rows);
    let copy = stale(memory());
    let error = Wire::to(&from).fetch(&copy).await.unwrap_err();
    let name = rows.rsplit('/').next().unwrap();
    assert!(matches!(&error, SnapshotError::Damaged { file, .. } if file.ends_with(name)), "{error}");
    assert_eq!(copy.digests()[0].records, 35);
}

#[tokio::test]
async fn files_that_were_damaged_on_this_disk_between_attempts_are_fetched_again() {
    let (from, expected) = source(memory());
    let mut copy = stale(memory());
    Wire::to(&from).fetch(&copy).await.unwrap();
    for file in copy.files().iter().filter(|file| !file.starts_with("segments/")) {
        flip(&*copy.directory, file);
    }
    let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
    copy.install(&fetched).unwrap();
    assert_eq!(copy.digests(), expected);
}

/// One failure at every call that changes the disk; the power goes; what is opened then is the old copy or the new one,
/// and can be rebuilt.
#[tokio::test]
async fn a_crash_at_any_call_leaves_the_old_copy_or_the_new_one() {
    let (from, expected) = source(memory());
    let old = stale(memory()).digests();
    let (mut olds, mut news) = (0, 0);
    for fault in [Fault::Crash, Fault::TornCrash, Fault::Failed, Fault::NoSpace] {
        for call in 0.. {
            let disk = MemoryDirectory::new();
            let faulty = FaultyDirectory::new(Arc::new(disk.clone()));
            let mut copy = stale(Arc::new(faulty.clone()));
            faulty.fail_at(faulty.calls().mutating + call, fault);
            let installed = match Wire::to(&from).fetch(&copy).await {
                Ok(fetched) => copy.install(&fetched).is_ok(),
                Err(_) => false,
            };
            let seen = copy.digests();
            assert!(seen == if installed { expected.clone() } else { old.clone() });
            drop(copy);
            if !faulty.has_struck() {
                assert!(installed);
                break;
            }
            let mut copy = Copy::open(Arc::new(disk.crash(call))).unwrap();
            let found = copy.digests();
            if found == expected {
                news += 1;
                assert!(copy.files().iter().all(|file| !file.starts_with("segments/")));
                continue;
            }
            assert!(found == old && !installed, "{fault:?} at {call}");
            olds += 1;
            let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
            copy.install(&fetched).unwrap();
            assert_eq!(copy.digests(), expected);
        }
    }
    assert!(olds > 100 && news > 20, "{olds} old, {news} new");
}

#[tokio::test]
async fn jobs_of_the_former_state_are_told_apart() {
    let (from, expected) = source(memory());
    let mut copy = stale(memory());
    copy.checkpoint();
    copy.merge_all();
    copy.change(PLAIN, Change::Delete(vec![RecordId::Int(500)]));
    let job = copy.group.consumer_mut().shard.take_checkpoint().unwrap();
    assert!(copy.group.consumer().shard.is_own(&job));
    let fetched = Wire::to(&from).fetch(&copy).await.unwrap();
    copy.install(&fetched).unwrap();
    assert!(!copy.group.consumer().shard.is_own(&job));
    copy.checkpoint();
    assert_eq!(copy.digests(), expected);
}
