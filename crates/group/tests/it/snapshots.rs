//! Replacing a copy by a snapshot of another one, with a failure at every call.

use crate::followers::{Copy, epoch, follow, lead, open, primary, stage};
use crate::ledger::Ledger;
use crate::life::{GROUP, claims, files, options};
use lavandin_group::replication::{ReplicationOptions, View};
use lavandin_group::{GroupCopy, GroupError, Replica, Snapshot};
use lavandin_storage::{Durability, Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::{GroupId, NodeId};
use std::collections::BTreeMap;
use std::sync::Arc;

fn snapshot(copy: &Copy) -> Vec<u8> {
    copy.checkpoint_header().encode_with(GroupId::new(1), &copy.consumer().payload())
}

fn install(copy: &mut Copy, snapshot: &[u8]) -> Result<(), GroupError> {
    copy.install_snapshot(snapshot, |payload| Ledger::from_payload(Some(payload)))
}

/// A primary of epoch 2 whose log begins behind its checkpoint, and a disk with a log that parts from its early on.
fn apart() -> (Copy, MemoryDirectory) {
    let (disk, mut old) = primary(0..5);
    let mut new = open(&MemoryDirectory::new());
    follow(&mut new, &mut old);
    old.advance(old.last().sequence).unwrap();
    for (id, request) in (2000..).zip(claims(30..60)) {
        stage(&mut old, id, request);
        old.write_and_sync().unwrap();
    }
    lead(&mut new, 2);
    for (id, request) in (3000..).zip(claims(100..140)) {
        stage(&mut new, id, request);
        new.commit().unwrap();
    }
    let (header, payload) = (new.checkpoint_header(), new.consumer().payload());
    new.install_checkpoint(&header, &payload).unwrap();
    (new, disk)
}

#[test]
fn a_copy_becomes_the_one_that_the_snapshot_was_taken_of_and_goes_on_from_there() {
    let (mut new, disk) = apart();
    let bytes = snapshot(&new);
    let mut copy = open(&disk);
    copy.promise(epoch(2)).unwrap();
    install(&mut copy, &bytes).unwrap();
    assert_eq!((copy.applied(), copy.last(), copy.epoch()), (new.applied(), new.applied(), epoch(2)));
    assert_eq!(copy.consumer(), new.consumer());
    assert!(files(&disk).iter().all(|name| !name.starts_with("log/")), "{:?}", files(&disk));
    // Opened again with no log at all, with a checkpoint of its own at the same place, and with a log behind it.
    let mut copy = open(&disk.crash(1));
    assert_eq!(copy.applied(), new.applied());
    let (header, payload) = (copy.checkpoint_header(), copy.consumer().payload());
    copy.install_checkpoint(&header, &payload).unwrap();
    drop(copy);
    let disk = disk.crash(2);
    let mut copy = open(&disk);
    stage(&mut new, 1, claims(300..301)[0]);
    new.commit().unwrap();
    follow(&mut copy, &mut new);
    copy.advance(new.applied().sequence).unwrap();
    let mut copy = open(&disk.crash(3));
    assert_eq!(copy.last(), new.last());
    copy.advance(new.applied().sequence).unwrap();
    assert_eq!(copy.consumer(), new.consumer());
}

#[test]
fn what_is_no_snapshot_or_not_ahead_changes_nothing() {
    let (mut new, disk) = apart();
    let bytes = snapshot(&new);
    let mut copy = open(&disk);
    let before = copy.last();
    for cut in [0, 3, 40, 70] {
        assert!(matches!(install(&mut copy, &bytes[..cut]), Err(GroupError::MalformedCheckpoint { .. })));
    }
    assert_eq!(copy.last(), before);
    let error = install(&mut new, &bytes).unwrap_err();
    assert!(matches!(error, GroupError::BrokenShipment { .. }), "{error}");
    stage(&mut new, 1, claims(300..301)[0]);
}

/// Somebody decided for it while it was fetching: what it acknowledges since must not go.
#[test]
fn a_copy_that_leads_takes_no_snapshot() {
    let (new, disk) = apart();
    let bytes = snapshot(&new);
    let me = NodeId::new(1);
    let mut replica = Replica::new(open(&disk), ReplicationOptions::new(GROUP, me, 1, 3000));
    let view = View {
        group: GROUP,
        epoch: epoch(3),
        version: 1,
        primary: me,
        in_sync: BTreeMap::from([(me, 1)]),
        joiner: None,
        observers: BTreeMap::new(),
        min_in_sync: 1,
        mirror: true,
    };
    replica.learn(view, 1).unwrap();
    let before = replica.copy().last();
    let make = |payload: &[u8]| Ledger::from_payload(Some(payload));
    let error = replica.install_snapshot(&bytes, make, 2).unwrap_err();
    assert!(matches!(error, GroupError::BrokenShipment { .. }), "{error}");
    assert_eq!((replica.copy().last(), replica.replicator().reign()), (before, Some(epoch(3))));
}

#[test]
fn a_crash_at_any_call_leaves_the_old_copy_or_the_new_one() {
    let (new, disk) = apart();
    let bytes = snapshot(&new);
    let (mut old_ones, mut new_ones) = (0, 0);
    for fault in [Fault::Failed, Fault::Torn, Fault::NoSpace, Fault::Crash, Fault::TornCrash] {
        for call in 0.. {
            let disk = disk.crash(call);
            let directory = FaultyDirectory::new(Arc::new(disk.clone()));
            let options = options(Durability::Fsync);
            let mut copy =
                GroupCopy::open_replica(Arc::new(directory.clone()), options, Ledger::from_payload).unwrap();
            let before = copy.last();
            directory.fail_at(directory.calls().mutating + call, fault);
            let installed = install(&mut copy, &bytes);
            if installed.is_err() {
                assert!(copy.write_and_sync().is_err(), "it must be opened again");
            }
            drop(copy);
            for seed in 0..8 {
                if seed == 4 {
                    // What the next process finds and goes on from may not be durable yet: the power goes after it.
                    drop(open(&disk));
                }
                let mut copy = open(&disk.crash(seed));
                let is_old = copy.last() == before;
                match is_old {
                    true => old_ones += 1,
                    false => {
                        assert_eq!((copy.last(), copy.consumer()), (new.applied(), new.consumer()));
                        new_ones += 1;
                    }
                }
                assert!(installed.is_err() || copy.last() == new.applied());
                assert_eq!(install(&mut copy, &bytes).is_ok(), is_old, "either one can take it, or has it");
            }
            if !directory.has_struck() {
                break;
            }
        }
    }
    assert!(old_ones > 20 && new_ones > 20, "{old_ones} and {new_ones}");
}

#[test]
fn the_newest_checkpoint_is_a_snapshot_and_its_payload_can_be_exchanged() {
    let (disk, mut from) = primary(0..5);
    assert!(Snapshot::newest(&disk, GROUP).unwrap().is_none());
    for names in [5..6, 6..8] {
        for (id, request) in (2000 + u128::from(names.start)..).zip(claims(names)) {
            stage(&mut from, id, request);
        }
        from.commit().unwrap();
        let (header, payload) = (from.checkpoint_header(), from.consumer().payload());
        from.install_checkpoint(&header, &payload).unwrap();
        let snapshot = Snapshot::newest(&disk, GROUP).unwrap().unwrap();
        assert_eq!((snapshot.position(), &snapshot.payload), (from.applied(), &payload));
    }
    let bytes = Snapshot::newest(&disk, GROUP).unwrap().unwrap().encode(GROUP);
    let disk = MemoryDirectory::new();
    let mut copy = open(&disk);
    install(&mut copy, &bytes).unwrap();
    assert_eq!((copy.applied(), copy.consumer()), (from.applied(), from.consumer()));
    let mut other = Snapshot::decode(&bytes, GROUP).unwrap();
    other.payload.push(1);
    assert_eq!(other.encode(GROUP), [&bytes[..], &[1]].concat());
    assert!(Snapshot::decode(&bytes, GroupId::new(9)).is_err());
    assert!((0..60).all(|length| Snapshot::decode(&bytes[..length], GROUP).is_err()));
}
