//! A bit flipped anywhere in the files of a copy is reported, or the state is right in spite of it.

use crate::checkpoints::checkpoints;
use crate::ledger::Ledger;
use crate::life::{Life, checkpoint, claims, duplicate, files, flip, open, slow};
use lavandin_group::GroupCopy;
use lavandin_storage::{Directory, Durability, MemoryDirectory};
use lavandin_types::ErrorCode;
use std::sync::Arc;

/// Two sessions, a checkpoint within the log, records on both sides of it.
fn lived(life: &mut Life, with_checkpoint: bool) -> MemoryDirectory {
    let disk = MemoryDirectory::new();
    for session in 0..2 {
        let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
        life.check(&mut copy);
        for batch in 0..4 {
            let first = session * 100 + batch * 10;
            life.write(&mut copy, &claims(first..first + 3)).unwrap();
            if with_checkpoint && (session, batch) == (1, 1) {
                checkpoint(&mut copy).unwrap();
            }
        }
    }
    disk
}

/// How the copy opens after a flip: with the whole state, or with an error. True for the former.
fn opens(disk: MemoryDirectory, expected: &Ledger, context: &str) -> bool {
    match open(Arc::new(disk), Durability::Fsync) {
        Ok(copy) => {
            assert_eq!(copy.consumer(), expected, "{context}: a wrong state is served");
            true
        }
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::DataCorrupt, "{context}: {error}");
            false
        }
    }
}

fn flip_everything(disk: &MemoryDirectory, expected: &Ledger) -> (usize, usize) {
    let (mut opened, mut refused) = (0, 0);
    for name in files(disk) {
        let length = disk.len(&name).unwrap() as usize;
        for byte in 0..length {
            let bits = if slow() { 0..8 } else { byte as u32 % 8..byte as u32 % 8 + 1 };
            for bit in bits {
                let damaged = duplicate(disk);
                flip(&damaged, &name, byte, bit);
                match opens(damaged, expected, &format!("bit {bit} of byte {byte} of {name}")) {
                    true => opened += 1,
                    false => refused += 1,
                }
            }
        }
    }
    (opened, refused)
}

#[test]
fn a_flipped_bit_is_reported_or_makes_no_difference() {
    for with_checkpoint in [false, true] {
        let mut life = Life::default();
        let disk = lived(&mut life, with_checkpoint);
        let (_, refused) = flip_everything(&disk, &life.ledger(life.acknowledged()));
        assert!(refused > 1000, "only {refused} flips were noticed");
    }
}

#[test]
fn every_bit_of_a_checkpoint_and_of_the_epoch_counts() {
    let mut life = Life::default();
    let disk = lived(&mut life, true);
    let expected = life.ledger(life.acknowledged());
    let names = [checkpoints(&disk), vec!["epoch".to_owned()]].concat();
    assert_eq!(names.len(), 2);
    for name in names {
        for byte in 0..disk.len(&name).unwrap() as usize {
            let damaged = duplicate(&disk);
            flip(&damaged, &name, byte, (byte % 8) as u32);
            assert!(!opens(damaged, &expected, &name), "byte {byte} of {name} does not count");
        }
    }
}

#[test]
fn a_truncated_checkpoint_or_epoch_is_refused() {
    let mut life = Life::default();
    let disk = lived(&mut life, true);
    let expected = life.ledger(life.acknowledged());
    for name in [checkpoints(&disk)[0].as_str(), "epoch"] {
        for length in 0..disk.len(name).unwrap() {
            let damaged = duplicate(&disk);
            damaged.open(name).unwrap().truncate(length).unwrap();
            assert!(!opens(damaged, &expected, &format!("{name} cut to {length}")));
        }
    }
}

#[test]
fn a_lost_epoch_file_is_made_up_for_by_the_log() {
    let mut life = Life::default();
    let disk = lived(&mut life, true);
    disk.remove("epoch").unwrap();
    life.check(&mut open(Arc::new(disk), Durability::Fsync).unwrap());
}

#[test]
fn a_payload_that_the_consumer_refuses_is_an_error() {
    let disk = lived(&mut Life::default(), true);
    let make =
        |payload: Option<&[u8]>| payload.map(|_| Ledger::default()).filter(|_| false).ok_or("not mine");
    let opened = GroupCopy::<Ledger>::open(Arc::new(disk), crate::life::options(Durability::Fsync), make);
    assert_eq!(opened.err().unwrap().to_string(), "not mine");
}
