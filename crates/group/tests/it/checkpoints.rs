//! Checkpoints beside traffic, and what a start makes of checkpoints and logs that do not fit.

use crate::ledger::{Ledger, Request};
use crate::life::{Life, checkpoint, claims, duplicate, files, flip, open, options, take_checkpoint};
use lavandin_group::{GroupCopy, GroupError, GroupOptions};
use lavandin_storage::{Directory, Durability, Fault, FaultyDirectory, MemoryDirectory, StorageError};
use lavandin_types::{ErrorCode, GroupId};
use std::sync::Arc;

pub(crate) fn checkpoints(disk: &dyn Directory) -> Vec<String> {
    let is_whole = |name: &String| name.starts_with("checkpoint-") && !name.ends_with(".tmp");
    files(disk).into_iter().filter(is_whole).collect()
}

fn logs(disk: &dyn Directory) -> Vec<String> {
    files(disk).into_iter().filter(|name| name.starts_with("log/")).collect()
}

/// A disk with one checkpoint, records behind it, and a log that begins behind its first record.
fn checkpointed(life: &mut Life) -> MemoryDirectory {
    let disk = MemoryDirectory::new();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    life.check(&mut copy);
    for batch in 0..10 {
        life.write(&mut copy, &claims(batch * 5..batch * 5 + 5)).unwrap();
        if batch == 7 {
            checkpoint(&mut copy).unwrap();
        }
    }
    assert!(!logs(&disk)[0].ends_with("001.log"), "the log's front is still there");
    disk
}

/// A disk as a crash leaves it between the writing of a second checkpoint and the removal of the first.
fn two_checkpoints(life: &mut Life) -> MemoryDirectory {
    for call in 0.. {
        *life = Life::default();
        let disk = MemoryDirectory::new();
        let directory = FaultyDirectory::new(Arc::new(disk.clone()));
        let mut copy = open(Arc::new(directory.clone()), Durability::Fsync).unwrap();
        life.check(&mut copy);
        for batch in 0..6 {
            life.write(&mut copy, &claims(batch * 5..batch * 5 + 5)).unwrap();
            if batch == 2 {
                checkpoint(&mut copy).unwrap();
            }
        }
        directory.fail_at(directory.calls().mutating + call, Fault::Crash);
        checkpoint(&mut copy).unwrap_err();
        life.check(&mut open(Arc::new(disk.clone()), Durability::Fsync).unwrap());
        if checkpoints(&disk).len() == 2 {
            return duplicate(&disk);
        }
    }
    unreachable!("some crash leaves both")
}

/// Opening must fail before anything is made of the checkpoint: a consumer tidies up by what it is given.
fn refused(disk: &MemoryDirectory) -> GroupError {
    let opened: Result<GroupCopy<Ledger>, _> =
        GroupCopy::open(Arc::new(disk.clone()), options(Durability::Fsync), |_| -> Result<_, String> {
            panic!("the consumer was made")
        });
    let Err(error) = opened else { panic!("it was opened") };
    assert_eq!(error.code(), ErrorCode::DataCorrupt, "{error}");
    error
}

#[test]
fn a_checkpoint_is_of_the_moment_it_was_taken_at() {
    let disk = MemoryDirectory::new();
    let mut life = Life::default();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    life.write(&mut copy, &claims(0..4)).unwrap();
    let (header, payload) = take_checkpoint(&copy);
    let replayed_before = copy.log_bytes();
    life.write(&mut copy, &[Request::Release { name: 0 }, Request::Release { name: 1 }]).unwrap();
    life.write(&mut copy, &claims(0..1)).unwrap();
    let behind = copy.log_bytes() - replayed_before;
    copy.install_checkpoint(&header, &payload).unwrap();
    assert_eq!(copy.log_bytes(), behind, "what came meanwhile is still to be replayed");
    life.write(&mut copy, &claims(10..11)).unwrap();
    let end = (copy.applied(), copy.log_bytes());
    let mut copy = open(Arc::new(disk.crash(1)), Durability::Fsync).unwrap();
    assert_eq!((copy.applied(), copy.log_bytes()), end);
    life.check(&mut copy);
}

#[test]
fn checkpoints_of_nothing_and_of_nothing_new_are_fine() {
    let disk = MemoryDirectory::new();
    let mut life = Life::default();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    checkpoint(&mut copy).unwrap();
    drop(copy);
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    life.check(&mut copy);
    checkpoint(&mut copy).unwrap();
    life.write(&mut copy, &claims(0..3)).unwrap();
    for _ in 0..3 {
        checkpoint(&mut copy).unwrap();
    }
    assert_eq!(checkpoints(&disk).len(), 1);
    assert_eq!(copy.log_bytes(), 0);
    drop(copy);
    // A session that writes nothing but a checkpoint at the place of the one before.
    let mut copy = open(Arc::new(disk.crash(5)), Durability::Fsync).unwrap();
    life.check(&mut copy);
    checkpoint(&mut copy).unwrap();
    life.write(&mut copy, &claims(3..5)).unwrap();
}

#[test]
fn a_log_that_was_cut_exactly_at_the_checkpoint_goes_on_from_there() {
    let mut life = Life::default();
    let mut disk = MemoryDirectory::new();
    let small = GroupOptions { log_segment_bytes: 1, ..options(Durability::Fsync) };
    let reopen = |disk: &MemoryDirectory| {
        GroupCopy::<Ledger>::open(Arc::new(disk.clone()), small, Ledger::from_payload).unwrap()
    };
    // Each commit has a log file of its own.
    let mut copy = reopen(&disk);
    for batch in 0..5 {
        life.write(&mut copy, &claims(batch * 2..batch * 2 + 2)).unwrap();
        checkpoint(&mut copy).unwrap();
        assert_eq!(logs(&disk).len(), 1);
        drop(copy);
        disk = disk.crash(batch);
        copy = reopen(&disk);
        life.check(&mut copy);
    }
}

#[test]
fn a_missing_checkpoint_is_a_gap_and_touches_nothing() {
    let disk = checkpointed(&mut Life::default());
    disk.remove(&checkpoints(&disk)[0]).unwrap();
    assert!(matches!(refused(&disk), GroupError::Gap { .. }));
}

#[test]
fn a_damaged_checkpoint_without_another_is_named_and_touches_nothing() {
    let disk = checkpointed(&mut Life::default());
    let name = &checkpoints(&disk)[0];
    flip(&disk, name, 100, 3);
    match refused(&disk) {
        GroupError::Storage(StorageError::Damaged { file, .. }) => assert_eq!(file, *name),
        other => panic!("{other}"),
    }
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let mut life = Life::default();
    let disk = two_checkpoints(&mut life);
    let names = checkpoints(&disk);
    flip(&disk, &names[1], 90, 0);
    let both = duplicate(&disk);
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    assert!(copy.recovery().damaged_checkpoint.as_ref().is_some_and(|e| e.to_string().contains(&names[1])));
    life.check(&mut copy);
    checkpoint(&mut copy).unwrap();
    drop(copy);
    let copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    assert!(copy.recovery().damaged_checkpoint.is_none());
    assert_eq!(checkpoints(&disk), [names[1].clone()], "the new one took the damaged one's place");

    // Both of them: the newest one's damage is what is reported.
    flip(&both, &names[0], 90, 0);
    assert!(refused(&both).to_string().contains(&names[1]));
}

#[test]
fn the_whole_log_stands_in_for_a_damaged_checkpoint() {
    let disk = MemoryDirectory::new();
    let mut life = Life::default();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    life.write(&mut copy, &claims(0..3)).unwrap();
    checkpoint(&mut copy).unwrap();
    drop(copy);
    flip(&disk, &checkpoints(&disk)[0], 70, 7);
    let mut copy = open(Arc::new(disk), Durability::Fsync).unwrap();
    assert!(copy.recovery().damaged_checkpoint.is_some());
    life.check(&mut copy);
}

#[test]
fn a_log_that_ends_before_the_checkpoint_is_refused() {
    let disk = checkpointed(&mut Life::default());
    let lost = duplicate(&disk);
    logs(&lost).iter().for_each(|name| lost.remove(name).unwrap());
    assert!(matches!(refused(&lost), GroupError::ShortLog { .. }));

    // An older log under a newer checkpoint.
    let old = MemoryDirectory::new();
    let mut copy = open(Arc::new(old.clone()), Durability::Fsync).unwrap();
    Life::default().write(&mut copy, &claims(0..2)).unwrap();
    drop(copy);
    let name = &checkpoints(&disk)[0];
    let bytes = disk.map(name).unwrap();
    old.create(name).unwrap().write_at(0, &bytes).unwrap();
    match refused(&old) {
        GroupError::ShortLog { last, .. } => assert_eq!(last.get(), 3),
        other => panic!("{other}"),
    }
    // Damaged, it still says by its name how far the log once went.
    flip(&old, name, 80, 1);
    assert!(refused(&old).to_string().contains(name.as_str()));
}

#[test]
fn a_log_with_another_history_than_the_checkpoint_is_refused() {
    let [ours, other] = [1, 2].map(|value| {
        let disk = MemoryDirectory::new();
        let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
        Life::default().write(&mut copy, &[Request::Claim { name: 1, value }]).unwrap();
        checkpoint(&mut copy).unwrap();
        disk
    });
    let name = &checkpoints(&ours)[0];
    assert_eq!(checkpoints(&other)[0], *name, "they stand at one number");
    ours.remove(name).unwrap();
    ours.create(name).unwrap().write_at(0, &other.map(name).unwrap()).unwrap();
    let error = open(Arc::new(ours), Durability::Fsync).err().unwrap();
    assert!(matches!(error, GroupError::BrokenChain { .. }), "{error}");
}

#[test]
fn another_groups_files_are_refused() {
    let disk = MemoryDirectory::new();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    Life::default().write(&mut copy, &claims(0..1)).unwrap();
    drop(copy);
    let options = GroupOptions { group: GroupId::new(2), ..options(Durability::Fsync) };
    let opened = GroupCopy::<Ledger>::open(Arc::new(disk), options, Ledger::from_payload);
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("another group"), "{error}");
}

#[test]
fn left_overs_of_unfinished_checkpoints_are_removed() {
    let mut life = Life::default();
    let disk = checkpointed(&mut life);
    let left_over = "checkpoint-00000000000000ff.tmp";
    disk.create(left_over).unwrap().write_at(0, b"half of it").unwrap();
    life.check(&mut open(Arc::new(disk.clone()), Durability::Fsync).unwrap());
    assert!(!files(&disk).iter().any(|name| name == left_over));
}
