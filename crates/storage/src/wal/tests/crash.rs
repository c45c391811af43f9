//! Loss of power and failing calls at every point of a log's life, recovery included.

use super::append::read;
use super::*;
use crate::{Fault, FaultyDirectory, LocalDirectory};

/// How many states of the disk are tried for each point of failure.
const SEEDS: u64 = 12;
const SEEDS_IN_RECOVERY: u64 = 3;

/// What a run of the log promised.
#[derive(Clone, Debug, Default)]
struct Promise {
    /// Frames up to here were written and synced.
    acknowledged: u64,
    /// Frames up to here were appended.
    appended: u64,
    /// Frames before here may have been removed.
    unneeded: u64,
}

/// A life of a log: batches of one, few and many frames, over several segments, with a truncated front. Stops at the
/// first failure and checks that every later call fails too.
fn live(directory: impl Directory + 'static, promise: &mut Promise) -> Result<(), StorageError> {
    let (mut wal, _) = open(directory, small_segments())?;
    let batches = [1, 1, 5, 1, 12, 2, 1, 8];
    let start = wal.next().map_or(promise.appended + 1, SequenceNumber::get);
    promise.appended = start - 1;
    for (index, frames) in batches.into_iter().enumerate() {
        let first = promise.appended + 1;
        promise.appended += frames;
        let result = commit(&mut wal, first..first + frames);
        if result.is_err() {
            assert!(matches!(commit(&mut wal, first..first + 1), Err(StorageError::Poisoned { .. })));
            assert!(matches!(wal.sync(), Err(StorageError::Poisoned { .. })));
            return result;
        }
        promise.acknowledged = promise.appended;
        if index == 5 {
            promise.unneeded = first;
            wal.truncate_front(number(first))?;
        }
    }
    Ok(())
}

/// Everything promised is there, in order, and nothing that was never appended.
fn check(found: &[u64], promise: &Promise, context: &str) {
    let last = found.last().copied().unwrap_or(0);
    assert!(found.windows(2).all(|pair| pair[1] == pair[0] + 1), "{context}: {found:?} is not dense");
    assert!(last >= promise.acknowledged, "{context}: {last} is the last frame, {promise:?}");
    assert!(last <= promise.appended, "{context}: {last} was never appended, {promise:?}");
    if promise.acknowledged > 0 {
        let first = found.first().copied().unwrap_or(u64::MAX);
        assert!(first <= promise.unneeded.max(1), "{context}: {first} is the first frame, {promise:?}");
    }
}

fn count_calls(run: impl FnOnce(&FaultyDirectory)) -> u64 {
    let directory = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
    run(&directory);
    directory.calls().mutating
}

/// Recovers what a crash left, with a crash at each call of the recovery, and goes on writing.
fn recover(crashed: &MemoryDirectory, promise: &Promise, seed: u64, context: &str) {
    let counting = FaultyDirectory::new(Arc::new(crashed.crash(0)));
    let (_, found) =
        open(counting.clone(), small_segments()).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&found, promise, context);
    for call in 0..counting.calls().mutating {
        let again = crashed.crash(0);
        let faulty = FaultyDirectory::new(Arc::new(again.clone()));
        faulty.fail_at(call, if seed.is_multiple_of(2) { Fault::Crash } else { Fault::TornCrash });
        let last_call = call + 1 == counting.calls().mutating;
        assert!(open(faulty, small_segments()).is_err() || last_call, "only the mark may be missing");
        for second_seed in 0..SEEDS_IN_RECOVERY {
            let context = format!("{context}, recovery crashed at {call}, {second_seed}");
            let twice = again.crash(seed ^ second_seed);
            let mut promise = promise.clone();
            let (_, found) =
                open(twice.clone(), small_segments()).unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&found, &promise, &context);
            // What a reader was told of is durable from then on.
            promise.acknowledged = promise.acknowledged.max(found.last().copied().unwrap_or(0));
            let (_, found) = open(twice.crash(second_seed), small_segments()).unwrap();
            check(&found, &promise, &context);
        }
    }
    let mut promise = promise.clone();
    promise.unneeded = promise.unneeded.max(found.first().copied().unwrap_or(0));
    let next_life = crashed.crash(0);
    live(next_life.clone(), &mut promise).unwrap_or_else(|error| panic!("{context}: next life: {error}"));
    let (_, found) = open(next_life.crash(seed), small_segments()).unwrap();
    check(&found, &promise, &format!("{context}, next life"));
}

#[test]
fn a_crash_at_any_call_loses_nothing_acknowledged() {
    let calls = count_calls(|directory| live(directory.clone(), &mut Promise::default()).unwrap());
    assert!(calls > 40, "{calls} calls");
    for fault in [Fault::Crash, Fault::TornCrash] {
        for call in 0..=calls {
            let memory = MemoryDirectory::new();
            let faulty = FaultyDirectory::new(Arc::new(memory.clone()));
            faulty.fail_at(call, fault);
            let mut promise = Promise::default();
            let result = live(faulty.clone(), &mut promise);
            assert_eq!(result.is_err(), faulty.has_struck());
            for seed in 0..SEEDS {
                let context = format!("{fault:?} at {call}, seed {seed}");
                recover(&memory.crash(seed), &promise, seed, &context);
            }
        }
    }
}

/// A call fails, the process goes on: the log is poisoned, opened again in the same life, and power is lost later.
#[test]
fn a_failure_at_any_call_loses_nothing_acknowledged() {
    let calls = count_calls(|directory| live(directory.clone(), &mut Promise::default()).unwrap());
    for fault in [Fault::Failed, Fault::Torn, Fault::NoSpace] {
        for call in 0..calls {
            let memory = MemoryDirectory::new();
            let faulty = FaultyDirectory::new(Arc::new(memory.clone()));
            faulty.fail_at(call, fault);
            let mut promise = Promise::default();
            live(faulty.clone(), &mut promise).unwrap_err();
            let context = format!("{fault:?} at {call}");
            // A failed sync drops dirty pages from the queue: reading shows them, the disk may never.
            files_if_any(&memory).iter().for_each(|name| memory.lose_unsynced(name));
            faulty.heal();
            let (mut wal, found) =
                open(faulty, small_segments()).unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&found, &promise, &context);
            let last = found.last().copied().unwrap_or(0);
            let found_again = Promise { acknowledged: last, appended: last, ..promise.clone() };
            for seed in 0..SEEDS {
                let (_, found) = open(memory.crash(seed), small_segments()).unwrap();
                check(&found, &found_again, &format!("{context}, opened again, seed {seed}"));
            }
            commit(&mut wal, last + 1..last + 4).unwrap();
            let later = Promise { acknowledged: last + 3, appended: last + 3, ..promise };
            for seed in 0..SEEDS {
                let (_, found) = open(memory.crash(seed), small_segments()).unwrap();
                check(&found, &later, &format!("{context}, written again, seed {seed}"));
            }
        }
    }
}

fn files_if_any(directory: &MemoryDirectory) -> Vec<String> {
    if directory.exists(FOLDER).unwrap() { files(directory) } else { Vec::new() }
}

/// Under `Os`, loss of power may lose frames, but what is left is a beginning of what was appended.
#[test]
fn os_durability_leaves_a_prefix_after_loss_of_power() {
    let options = WalOptions { segment_bytes_max: 3000, durability: Durability::Os };
    let memory = MemoryDirectory::new();
    let (mut wal, _) = open(memory.clone(), options).unwrap();
    let mut lost = 0;
    for sequence in 1..60 {
        commit(&mut wal, sequence..sequence + 1).unwrap();
        for seed in 0..SEEDS {
            let (_, found) = open(memory.crash(seed), options).unwrap();
            check(&found, &Promise { appended: sequence, ..Promise::default() }, "os");
            lost += u64::from(found.len() as u64 != sequence);
        }
    }
    assert!(lost > 0);
}

/// The same on a file system, where the process ends and the machine does not.
#[test]
fn local_files_survive_the_end_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let calls = count_calls(|directory| live(directory.clone(), &mut Promise::default()).unwrap());
    for call in (0..calls).step_by(9) {
        for fault in [Fault::Torn, Fault::TornCrash] {
            let local = LocalDirectory::new(folder.path().join(format!("{call}-{fault:?}"))).unwrap();
            let faulty = FaultyDirectory::new(Arc::new(local.clone()));
            faulty.fail_at(call, fault);
            let mut promise = Promise::default();
            live(faulty, &mut promise).unwrap_err();
            let (mut wal, found) = open(local.clone(), small_segments()).unwrap();
            check(&found, &promise, &format!("{fault:?} at {call}"));
            let last = found.last().copied().unwrap_or(0);
            commit(&mut wal, last + 1..last + 4).unwrap();
            assert_eq!(open(local, small_segments()).unwrap().1.last(), Some(&(last + 3)));
        }
    }
}

#[test]
fn a_full_disk_does_not_keep_a_log_from_opening() {
    let memory = MemoryDirectory::new();
    let (mut wal, _) = open(memory.clone(), small_segments()).unwrap();
    append(&mut wal, 1).unwrap();
    wal.write().unwrap();
    drop(wal);
    let faulty = FaultyDirectory::new(Arc::new(memory));
    // Folder, rewritten tail and sync work; the mark finds no space.
    faulty.fail_at(3, Fault::NoSpace);
    let (mut wal, found) = open(faulty.clone(), small_segments()).unwrap();
    assert!(found == [1] && faulty.has_struck());
    assert!(commit(&mut wal, 2..3).is_err());
    faulty.heal();
    let (mut wal, found) = open(faulty.clone(), small_segments()).unwrap();
    assert_eq!(found, [1]);
    commit(&mut wal, 2..3).unwrap();
    assert_eq!(open(faulty, small_segments()).unwrap().1, [1, 2]);
}

#[test]
fn a_removal_that_failed_is_tried_again() {
    for fault in [Fault::Failed, Fault::Torn] {
        let faulty = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
        let (mut wal, _) = open(faulty.clone(), small_segments()).unwrap();
        (1..40).for_each(|sequence| commit(&mut wal, sequence..sequence + 1).unwrap());
        faulty.fail_at(faulty.calls().mutating, fault);
        wal.truncate_front(number(40)).unwrap_err();
        let (first, bytes) = (wal.first().unwrap(), wal.bytes());
        assert_eq!(
            read(&wal, first.get()).first(),
            Some(&first.get()),
            "what may be gone is not read any more"
        );
        wal.truncate_front(number(40)).unwrap();
        assert!(wal.bytes() < bytes, "what may be there is counted");
        assert_eq!(files(&faulty).len(), 1);
        commit(&mut wal, 40..41).unwrap();
        assert_eq!(open(faulty, small_segments()).unwrap().1.last(), Some(&40));
    }
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    let directory = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
    let (mut wal, _) = open(directory.clone(), WalOptions::default()).unwrap();
    commit(&mut wal, 1..2).unwrap();
    let before = directory.calls();
    commit(&mut wal, 2..50).unwrap();
    let after = directory.calls();
    assert_eq!(after.syncs - before.syncs, 1);
    assert_eq!(after.writes - before.writes, 2, "the batch, and its mark behind the sync");
    wal.sync().unwrap();
    wal.write().unwrap();
    assert_eq!(directory.calls(), after, "nothing to write or sync");
}

#[test]
fn write_amplification_is_small() {
    let directory = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
    let options = WalOptions { segment_bytes_max: 1 << 20, durability: Durability::Fsync };
    let mut wal = Wal::open(Arc::new(directory.clone()), FOLDER, options, matches).unwrap();
    let payload = vec![5; 16 << 10];
    let hash = hash(&payload);
    let frames = 1000;
    for sequence in 1..=frames {
        wal.append(number(sequence), hash, &[&payload]).unwrap();
        wal.write().unwrap();
        wal.sync().unwrap();
    }
    let ratio = directory.calls().bytes_written as f64 / (frames * payload.len() as u64) as f64;
    assert!(ratio <= 1.01, "{ratio} bytes written for a byte of payload");
    assert!(files(&directory).len() > 10);
}
