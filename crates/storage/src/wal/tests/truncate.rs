use super::*;
use crate::{Fault, FaultyDirectory};

/// A log of frames 1 to 40 in batches of 4, in several segment files.
fn filled(directory: Arc<dyn Directory>) -> Wal {
    let mut wal = Wal::open(directory, FOLDER, small_segments(), matches).unwrap();
    for batch in 0..10 {
        commit(&mut wal, batch * 4 + 1..batch * 4 + 5).unwrap();
    }
    wal
}

#[test]
fn what_is_behind_is_gone_and_the_log_goes_on_from_there() {
    for last in 0..=41 {
        let disk = MemoryDirectory::new();
        let mut wal = filled(Arc::new(disk.clone()));
        append(&mut wal, 41).unwrap();
        wal.truncate_back(number(last)).unwrap();
        let kept = last.min(40);
        assert_eq!(wal.next(), (kept > 0).then(|| number(kept + 1)));
        let mut reader = wal.read_from(number(1)).unwrap();
        for sequence in 1..=kept {
            assert_eq!(reader.next_frame().unwrap().unwrap().head.sequence, number(sequence));
        }
        assert!(reader.next_frame().unwrap().is_none());
        commit(&mut wal, kept + 1..kept + 9).unwrap();
        drop(wal);
        let (_, found) = open(disk.crash(last), small_segments()).unwrap();
        assert_eq!(found, (1..kept + 9).collect::<Vec<_>>());
    }
}

#[test]
fn a_crash_at_any_call_leaves_a_log_without_holes() {
    for last in [0, 1, 17, 20, 39] {
        for call in 0.. {
            let mut made = false;
            for (fault, seed) in [(Fault::Crash, 1), (Fault::TornCrash, 2), (Fault::Crash, 3)] {
                let disk = MemoryDirectory::new();
                let directory = FaultyDirectory::new(Arc::new(disk.clone()));
                let mut wal = filled(Arc::new(directory.clone()));
                directory.fail_at(directory.calls().mutating + call, fault);
                let truncated = wal.truncate_back(number(last));
                made |= directory.has_struck();
                assert_eq!(truncated.is_err(), directory.has_struck());
                if truncated.is_err() {
                    assert!(matches!(commit(&mut wal, 1..2), Err(StorageError::Poisoned { .. })));
                }
                drop(wal);
                let (_, found) = open(disk.crash(seed * 100 + call), small_segments()).unwrap();
                let end = found.len() as u64;
                assert!((last..=40).contains(&end), "{end} frames, {last} were to stay");
                assert_eq!(found, (1..=end).collect::<Vec<_>>());
            }
            if !made {
                break;
            }
        }
    }
}

/// Else the next opening would find a hole behind them.
#[test]
fn files_that_could_not_be_removed_go_with_the_rest_of_the_log() {
    let disk = MemoryDirectory::new();
    let directory = FaultyDirectory::new(Arc::new(disk.clone()));
    let mut wal = filled(Arc::new(directory.clone()));
    directory.fail_at(directory.calls().mutating, Fault::Failed);
    wal.truncate_front(number(20)).unwrap_err();
    wal.truncate_back(SequenceNumber::ZERO).unwrap();
    assert_eq!((files(&disk).len(), wal.bytes()), (0, 0));
    commit(&mut wal, 100..104).unwrap();
    drop(wal);
    assert_eq!(open(disk, small_segments()).unwrap().1, [100, 101, 102, 103]);
}
