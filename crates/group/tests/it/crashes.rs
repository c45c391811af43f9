//! One failure at every mutating call of a life with rotations and checkpoints: crashes, failed writes and syncs, a
//! full disk. Then the power goes, and the copy is opened again.

use crate::ledger::{Ledger, Request};
use crate::life::{Life, checkpoint, claims, files, open, options, slow, take_checkpoint};
use lavandin_group::{GroupCopy, GroupError, GroupOptions};
use lavandin_storage::{Durability, Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::ErrorCode;
use std::sync::Arc;

/// One part of a life; `Err` where the copy takes no more writes.
fn part(life: &mut Life, copy: &mut GroupCopy<Ledger>, number: u64) -> Result<(), GroupError> {
    let first = number * 10;
    life.write(copy, &claims(first..first + 3))?;
    let release = Request::Release { name: first + 1 };
    let again = Request::Claim { name: first, value: 9 };
    life.write(copy, &[release, again, Request::Claim { name: first + 5, value: 1 }])?;
    life.write(copy, &claims(first + 6..first + 7))
}

/// A life of four parts in two sessions, with checkpoints, one of which overlaps with writes.
fn live(life: &mut Life, directory: &FaultyDirectory, durability: Durability) -> Result<(), GroupError> {
    let mut copy = open(Arc::new(directory.clone()), durability)?;
    life.check(&mut copy);
    part(life, &mut copy, 0)?;
    keep(&mut copy, checkpoint)?;
    let (header, payload) = take_checkpoint(&copy);
    part(life, &mut copy, 1)?;
    keep(&mut copy, |copy| copy.install_checkpoint(&header, &payload))?;
    part(life, &mut copy, 2)?;
    drop(copy);
    let mut copy = open(Arc::new(directory.clone()), durability)?;
    life.check(&mut copy);
    part(life, &mut copy, 3)?;
    keep(&mut copy, checkpoint)
}

/// A failed checkpoint does not end a life, unless it poisons the log.
fn keep(
    copy: &mut GroupCopy<Ledger>,
    install: impl FnOnce(&mut GroupCopy<Ledger>) -> Result<(), GroupError>,
) -> Result<(), GroupError> {
    match install(copy) {
        Err(error @ GroupError::Poisoned { .. }) => Err(error),
        _ => Ok(()),
    }
}

fn calls(durability: Durability) -> u64 {
    let directory = FaultyDirectory::new(Arc::new(MemoryDirectory::new()));
    let mut life = Life::default();
    live(&mut life, &directory, durability).unwrap();
    assert_eq!(life.acknowledged(), 24, "the life is lived to its end");
    directory.calls().mutating
}

/// Opens what is left, checks it, and lives on from there.
fn reopen(life: &mut Life, disk: &MemoryDirectory, durability: Durability) {
    let mut copy = open(Arc::new(disk.clone()), durability).unwrap();
    life.check(&mut copy);
    part(life, &mut copy, 100).unwrap();
    checkpoint(&mut copy).unwrap();
    part(life, &mut copy, 101).unwrap();
    drop(copy);
    life.check(&mut open(Arc::new(disk.clone()), durability).unwrap());
    assert!(files(disk).iter().all(|name| !name.ends_with(".tmp")), "a left-over: {:?}", files(disk));
}

#[test]
fn a_failure_at_any_call_loses_nothing_that_was_acknowledged() {
    let seeds = if slow() { 200 } else { 8 };
    for call in 0..calls(Durability::Fsync) {
        for fault in Fault::ALL {
            for seed in 0..seeds {
                let disk = MemoryDirectory::new();
                let directory = FaultyDirectory::new(Arc::new(disk.clone()));
                directory.fail_at(call, fault);
                let mut life = Life::default();
                let lived = live(&mut life, &directory, Durability::Fsync);
                assert!(directory.has_struck() || fault == Fault::NoSpace, "call {call} was not made");
                if lived.is_err() && seed % 2 == 1 {
                    // What a failed sync does to pages that the operating system still shows.
                    files(&disk).iter().for_each(|name| disk.lose_unsynced(name));
                }
                let context = format!("{fault:?} at call {call}, seed {seed}, after {lived:?}");
                let check = || reopen(&mut life, &disk.crash(seed), Durability::Fsync);
                if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)) {
                    eprintln!("{context}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

#[test]
fn without_syncs_the_end_of_the_process_loses_nothing() {
    for call in 0..calls(Durability::Os) {
        for fault in Fault::ALL {
            let disk = MemoryDirectory::new();
            let directory = FaultyDirectory::new(Arc::new(disk.clone()));
            directory.fail_at(call, fault);
            let mut life = Life::default();
            // The process ends, the machine goes on.
            drop(live(&mut life, &directory, Durability::Os));
            reopen(&mut life, &disk, Durability::Os);
        }
    }
}

#[test]
fn without_syncs_loss_of_power_loses_the_end_and_never_the_checkpoint() {
    for seed in 0..if slow() { 5000 } else { 300 } {
        let disk = MemoryDirectory::new();
        let mut life = Life::default();
        // One log file, so that no rotation makes anything durable.
        let options = GroupOptions { log_segment_bytes: 1 << 20, ..options(Durability::Os) };
        let open = |disk: MemoryDirectory| GroupCopy::open(Arc::new(disk), options, Ledger::from_payload);
        let mut copy = open(disk.clone()).unwrap();
        part(&mut life, &mut copy, 0).unwrap();
        checkpoint(&mut copy).unwrap();
        let certain = life.acknowledged();
        part(&mut life, &mut copy, 1).unwrap();
        let copy = open(disk.crash(seed)).unwrap();
        let found = copy.consumer().applied as usize;
        assert!(found >= certain, "seed {seed}: {found} operations of {certain}");
        assert_eq!(*copy.consumer(), life.ledger(found));
    }
}

#[test]
fn after_a_failed_sync_nothing_more_is_accepted_until_a_restart() {
    let disk = MemoryDirectory::new();
    let directory = FaultyDirectory::new(Arc::new(disk.clone()));
    let mut life = Life::default();
    let mut copy = open(Arc::new(directory.clone()), Durability::Fsync).unwrap();
    life.write(&mut copy, &claims(0..2)).unwrap();
    let before = copy.applied();
    // The write succeeds, the sync does not.
    directory.fail_at(directory.calls().mutating + 1, Fault::Failed);
    let error = life.write(&mut copy, &claims(2..4)).unwrap_err();
    assert!(matches!(error, GroupError::Poisoned { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert_eq!((copy.applied(), copy.consumer().applied), (before, 2), "nothing was applied");
    assert!(copy.consumer().pending.is_empty(), "nothing is reserved");
    assert_eq!(copy.staged_bytes(), 0);
    for _ in 0..3 {
        assert!(matches!(life.write(&mut copy, &claims(4..5)), Err(GroupError::Poisoned { .. })));
        assert!(matches!(copy.flush(), Err(GroupError::Poisoned { .. })));
        assert!(matches!(checkpoint(&mut copy), Err(GroupError::Poisoned { .. })));
        assert!(matches!(copy.commit(), Err(GroupError::Poisoned { .. })));
    }
    drop(copy);
    reopen(&mut life, &disk.crash(3), Durability::Fsync);
}

#[test]
fn a_failed_checkpoint_is_made_up_for_by_the_next() {
    let mut struck = 0;
    for offset in 0..20 {
        for fault in [Fault::Failed, Fault::Torn, Fault::NoSpace] {
            let disk = MemoryDirectory::new();
            let directory = FaultyDirectory::new(Arc::new(disk.clone()));
            let mut life = Life::default();
            let mut copy = open(Arc::new(directory.clone()), Durability::Fsync).unwrap();
            part(&mut life, &mut copy, 0).unwrap();
            checkpoint(&mut copy).unwrap();
            part(&mut life, &mut copy, 1).unwrap();
            directory.fail_at(directory.calls().mutating + offset, fault);
            let failed = checkpoint(&mut copy).is_err();
            struck += u32::from(directory.has_struck());
            directory.heal();
            match part(&mut life, &mut copy, 2) {
                Ok(()) => {
                    checkpoint(&mut copy).unwrap();
                    let checkpoints = files(&disk).into_iter().filter(|name| name.starts_with("checkpoint"));
                    assert_eq!(checkpoints.count(), 1, "older and unfinished ones are removed");
                }
                // The log's folder could not be synced.
                Err(error) => assert!(failed && matches!(error, GroupError::Poisoned { .. }), "{error}"),
            }
            drop(copy);
            reopen(&mut life, &disk.crash(offset), Durability::Fsync);
        }
    }
    assert!(struck >= 20, "{struck} checkpoints were hit");
}
