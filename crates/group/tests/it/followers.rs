//! A primary's copy and a follower's: shipping, forks, what is committed, what a restart knows.

use crate::ledger::{Ledger, Request};
use crate::life::{claims, options};
use lavandin_group::{Accepted, GroupCopy, GroupError, GroupOptions, Position, Shipment, Staged};
use lavandin_storage::{Durability, Fault, FaultyDirectory, MemoryDirectory};
use lavandin_types::{ErrorCode, PrimaryEpoch, RequestId, SequenceNumber};
use std::sync::Arc;

pub(crate) type Copy = GroupCopy<Ledger>;

pub(crate) fn epoch(value: u64) -> PrimaryEpoch {
    PrimaryEpoch::new(value)
}

fn number(value: u64) -> SequenceNumber {
    SequenceNumber::new(value)
}

pub(crate) fn open(disk: &MemoryDirectory) -> Copy {
    let options = GroupOptions { recent_bytes_max: 500, ..options(Durability::Fsync) };
    GroupCopy::open_replica(Arc::new(disk.clone()), options, Ledger::from_payload).unwrap()
}

/// Begins a reign and commits its barrier.
pub(crate) fn lead(copy: &mut Copy, reign: u64) {
    copy.lead(epoch(reign)).unwrap();
    copy.stage_barrier().unwrap();
    copy.commit().unwrap();
}

pub(crate) fn stage(copy: &mut Copy, id: u128, request: Request) -> SequenceNumber {
    match copy.stage(RequestId::new(id), request).unwrap() {
        Staged::Pending(sequence) => sequence,
        other => panic!("{other:?}"),
    }
}

/// A primary in epoch 1 with claims of `names`, all durable, committed up to `committed`.
pub(crate) fn primary(names: std::ops::Range<u64>) -> (MemoryDirectory, Copy) {
    let disk = MemoryDirectory::new();
    let mut copy = open(&disk);
    lead(&mut copy, 1);
    for (id, request) in (1000..).zip(claims(names)) {
        stage(&mut copy, id, request);
        copy.write_and_sync().unwrap();
    }
    (disk, copy)
}

fn ship(from: &mut Copy, first: u64) -> Shipment {
    from.read(number(first), usize::MAX).unwrap().unwrap()
}

fn accept(copy: &mut Copy, reign: u64, shipment: &Shipment) -> Result<Accepted, GroupError> {
    copy.promise(epoch(reign))?;
    copy.accept(epoch(reign), shipment.previous, &shipment.records)
}

/// Takes all that `from` has and the follower lacks.
pub(crate) fn follow(copy: &mut Copy, from: &mut Copy) {
    let fork = from.epochs().fork(from.last().sequence, copy.epochs(), copy.last().sequence);
    let shipment = ship(from, fork.next().get());
    let reign = from.epoch().get();
    assert_eq!(accept(copy, reign, &shipment).unwrap(), Accepted::Matched(from.last()));
    copy.write_and_sync().unwrap();
}

#[test]
fn the_same_bytes_make_the_same_copy() {
    let (_, mut one) = primary(0..20);
    one.commit().unwrap();
    let disk = MemoryDirectory::new();
    let mut other = open(&disk);
    follow(&mut other, &mut one);
    assert_eq!(
        (other.last(), other.applied()),
        (one.last(), Position::default()),
        "nothing is applied unasked"
    );
    assert!(other.advance(number(7)).unwrap().is_empty(), "a follower answers nobody");
    assert_eq!(other.applied().sequence, number(7));
    other.advance(one.applied().sequence).unwrap();
    assert_eq!(other.consumer(), one.consumer());
    assert_eq!(ship(&mut other, 1).records, ship(&mut one, 1).records);
    // The follower answers a retry as the primary did, once it leads.
    lead(&mut other, 2);
    assert!(matches!(other.stage(RequestId::new(1003), claims(3..4)[0]), Ok(Staged::Answered(4))));
}

#[test]
fn several_batches_are_durable_before_one_is_committed() {
    let (_, mut copy) = primary(0..0);
    let first = stage(&mut copy, 1, Request::Claim { name: 1, value: 1 });
    copy.write_and_sync().unwrap();
    let second = stage(&mut copy, 2, Request::Claim { name: 2, value: 2 });
    assert!(matches!(
        copy.stage(RequestId::new(3), Request::Claim { name: 1, value: 9 }),
        Ok(Staged::Rejected(_))
    ));
    assert!(
        matches!(copy.stage(RequestId::new(1), Request::Release { name: 1 }), Ok(Staged::Pending(same)) if same == first)
    );
    assert!(copy.advance(second).unwrap().get(second).is_none(), "it is not durable");
    copy.write_and_sync().unwrap();
    let outcomes = copy.advance(second).unwrap();
    assert_eq!((outcomes.len(), outcomes.get(second)), (1, Some(&2)), "the first was answered before");
}

#[test]
fn what_waits_is_bounded() {
    let disk = MemoryDirectory::new();
    let options = GroupOptions { pending_bytes_max: 300, ..options(Durability::Fsync) };
    let mut copy = GroupCopy::open_replica(Arc::new(disk), options, Ledger::from_payload).unwrap();
    lead(&mut copy, 1);
    let mut last = SequenceNumber::ZERO;
    let full = (1..100).find_map(|id| match copy.stage(RequestId::new(id), Request::Release { name: 1 }) {
        Ok(Staged::Pending(sequence)) => {
            last = sequence;
            copy.write_and_sync().unwrap();
            None
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Some(error),
    });
    let error = full.unwrap();
    assert!(matches!(error, GroupError::PipelineFull { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Overloaded);
    assert!(last < number(10));
    copy.advance(last).unwrap();
    stage(&mut copy, 1000, Request::Release { name: 1 });
}

#[test]
fn a_restart_applies_its_checkpoint_and_no_more_until_it_is_told() {
    let (disk, mut copy) = primary(0..10);
    copy.advance(number(6)).unwrap();
    drop(copy);
    let disk = disk.crash(1);
    let mut copy = open(&disk);
    assert_eq!((copy.applied().sequence, copy.last().sequence), (number(0), number(11)));
    copy.advance(number(6)).unwrap();
    let (header, payload) = (copy.checkpoint_header(), copy.consumer().payload());
    copy.install_checkpoint(&header, &payload).unwrap();
    let mut copy = open(&disk.crash(2));
    assert_eq!((copy.applied().sequence, copy.last().sequence), (number(6), number(11)));
    // A new primary keeps its log, and takes requests only when all of it is applied.
    copy.lead(epoch(2)).unwrap();
    copy.stage_barrier().unwrap();
    assert!(matches!(copy.stage(RequestId::new(1), claims(50..51)[0]), Err(GroupError::NotPrimary { .. })));
    copy.commit().unwrap();
    assert_eq!(copy.consumer().applied, 10);
    stage(&mut copy, 1, claims(50..51)[0]);
}

#[test]
fn a_fork_is_cut_and_never_below_what_is_committed() {
    let (_, mut old) = primary(0..10);
    let disk = MemoryDirectory::new();
    let mut new = open(&disk);
    follow(&mut new, &mut old);
    // The old primary logs more, alone; the other one is promoted and goes on elsewhere.
    for (id, request) in (2000..).zip(claims(30..40)) {
        stage(&mut old, id, request);
        old.write_and_sync().unwrap();
    }
    old.advance(number(11)).unwrap();
    new.advance(number(11)).unwrap();
    lead(&mut new, 2);
    stage(&mut new, 1, claims(70..71)[0]);
    new.commit().unwrap();
    assert!(!old.consumer().pending.is_empty());
    follow(&mut old, &mut new);
    assert!(old.consumer().pending.is_empty(), "its reign is over");
    old.advance(new.applied().sequence).unwrap();
    assert_eq!(old.consumer(), new.consumer());
    assert!(matches!(old.stage(RequestId::new(5), claims(1..2)[0]), Err(GroupError::NotPrimary { .. })));
    // Another history, from before what is committed here: nothing of it is taken.
    let (_, mut other) = primary(80..100);
    let before = old.last();
    let error = accept(&mut old, 3, &other.read(number(1), 300).unwrap().unwrap()).unwrap_err();
    assert!(matches!(error, GroupError::BrokenShipment { .. }), "one epoch has one primary: {error}");
    let disk = MemoryDirectory::new();
    let mut forced = open(&disk);
    lead(&mut forced, 4);
    let error = accept(&mut old, 4, &ship(&mut forced, 1)).unwrap_err();
    assert!(matches!(error, GroupError::CommittedConflict { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::DataCorrupt);
    assert_eq!(old.last(), before);
}

#[test]
fn records_that_do_not_follow_are_refused_and_change_nothing() {
    let (_, mut one) = primary(0..10);
    let mut copy = open(&MemoryDirectory::new());
    let later = ship(&mut one, 5);
    assert_eq!(accept(&mut copy, 1, &later).unwrap(), Accepted::Mismatch);
    let all = ship(&mut one, 1);
    for cut in 0..all.records.len() {
        let records = all.records[..cut].to_vec();
        match accept(&mut copy, 1, &Shipment { records, ..all.clone() }) {
            Ok(Accepted::Matched(_)) => {}
            Err(GroupError::BrokenShipment { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let held = copy.last();
    let mut flipped = all.clone();
    flipped.records[40] ^= 1;
    assert!(accept(&mut copy, 1, &flipped).is_err());
    assert_eq!(copy.last(), held);
    // Twice, overlapping, and in pieces: the same log.
    for first in [1, 3, 1, 7, 11] {
        let piece = one.read(number(first), 200).unwrap().unwrap();
        accept(&mut copy, 1, &piece).unwrap();
    }
    accept(&mut copy, 1, &all).unwrap();
    assert_eq!(copy.last(), one.last());
}

#[test]
fn a_promise_is_kept_over_a_restart() {
    let (_, mut one) = primary(0..3);
    let disk = MemoryDirectory::new();
    let mut copy = open(&disk);
    copy.promise(epoch(5)).unwrap();
    let shipment = ship(&mut one, 1);
    let refused = |copy: &mut Copy| {
        let error = copy.accept(epoch(1), shipment.previous, &shipment.records).unwrap_err();
        assert!(matches!(error, GroupError::Fenced { .. }), "{error}");
        assert!(matches!(copy.lead(epoch(4)), Err(GroupError::Fenced { .. })));
    };
    refused(&mut copy);
    refused(&mut open(&disk.crash(3)));
    // An epoch that wrote records here cannot be led again: its primary has forgotten whom it waited for.
    let (disk, copy) = primary(0..3);
    drop(copy);
    assert!(matches!(open(&disk).lead(epoch(1)), Err(GroupError::Fenced { .. })));
}

#[test]
fn records_are_read_back_from_memory_and_from_the_log() {
    let (disk, mut copy) = primary(0..60);
    copy.commit().unwrap();
    let all = ship(&mut copy, 1);
    for bytes_max in [1, 100, 1000] {
        let mut parts = Vec::new();
        let mut next = 1;
        while next <= copy.last().sequence.get() {
            let part = copy.read(number(next), bytes_max).unwrap().unwrap();
            assert_eq!(part.previous.sequence, number(next - 1));
            assert!(part.records.len() < bytes_max + 200);
            parts.extend_from_slice(&part.records);
            next = part.last.sequence.get() + 1;
        }
        assert_eq!(parts, all.records);
    }
    let end = copy.last();
    let nothing = copy.read(end.sequence.next(), 100).unwrap().unwrap();
    assert_eq!((nothing.previous, nothing.records.len()), (end, 0));
    // A pin keeps what a checkpoint would let go, up to a bound.
    copy.set_pin(Some(number(5)));
    let (header, payload) = (copy.checkpoint_header(), copy.consumer().payload());
    copy.install_checkpoint(&header, &payload).unwrap();
    assert_eq!(ship(&mut copy, 5).last, end);
    copy.set_pin(None);
    copy.install_checkpoint(&header, &payload).unwrap();
    assert!(copy.read(number(5), 100).unwrap().is_none(), "the log does not reach back");
    assert!(open(&disk).read(number(5), 100).unwrap().is_none());
    let beyond = GroupOptions { pinned_bytes_max: 100, ..options(Durability::Fsync) };
    let (disk, copy) = primary(0..60);
    drop(copy);
    let mut copy = GroupCopy::open_replica(Arc::new(disk), beyond, Ledger::from_payload).unwrap();
    copy.advance(copy.last().sequence).unwrap();
    copy.set_pin(Some(number(5)));
    let (header, payload) = (copy.checkpoint_header(), copy.consumer().payload());
    copy.install_checkpoint(&header, &payload).unwrap();
    assert!(copy.read(number(5), 100).unwrap().is_none());
}

/// One failure at every call of a follower's life with a fork, then loss of power: what was acknowledged is there.
#[test]
fn a_crash_at_any_call_of_a_follower_keeps_what_it_acknowledged() {
    for fault in [Fault::Failed, Fault::Torn, Fault::Crash, Fault::TornCrash] {
        for call in 0.. {
            let (_, mut old) = primary(0..12);
            let mut new = open(&MemoryDirectory::new());
            let shipment = ship(&mut old, 1);
            accept(&mut new, 1, &old.read(number(1), 700).unwrap().unwrap()).unwrap();
            new.write_and_sync().unwrap();
            lead(&mut new, 2);
            let disk = MemoryDirectory::new();
            let directory = FaultyDirectory::new(Arc::new(disk.clone()));
            directory.fail_at(call, fault);
            let mut acknowledged = Position::default();
            let mut promised = epoch(0);
            let mut live = || -> Result<(), GroupError> {
                let options = options(Durability::Fsync);
                let mut copy =
                    GroupCopy::open_replica(Arc::new(directory.clone()), options, Ledger::from_payload)?;
                accept(&mut copy, 1, &shipment)?;
                promised = epoch(1);
                copy.write_and_sync()?;
                acknowledged = copy.durable();
                copy.advance(number(4))?;
                let fork = new.epochs().fork(new.last().sequence, copy.epochs(), copy.last().sequence);
                let second = ship(&mut new, fork.next().get());
                copy.promise(epoch(2))?;
                promised = epoch(2);
                // From here on the old primary's records may go.
                acknowledged = second.previous;
                copy.accept(epoch(2), second.previous, &second.records)?;
                copy.write_and_sync()?;
                acknowledged = copy.durable();
                Ok(())
            };
            let lived = live();
            assert_eq!(lived.is_err(), directory.has_struck(), "{lived:?}");
            for seed in 0..4 {
                let mut copy = open(&disk.crash(seed));
                assert!(copy.epoch() >= promised, "call {call}: {} of {promised}", copy.epoch());
                let held = copy.read(acknowledged.sequence.next(), 1).unwrap();
                let held = held.map(|shipment| shipment.previous);
                assert_eq!(held, Some(acknowledged), "{fault:?} at {call}, seed {seed}, {lived:?}");
            }
            if lived.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn records_that_are_not_written_yet_are_cut_where_the_next_primary_differs() {
    let (_, mut old) = primary(0..8);
    let mut new = open(&MemoryDirectory::new());
    accept(&mut new, 1, &old.read(number(1), 300).unwrap().unwrap()).unwrap();
    new.write_and_sync().unwrap();
    let shared = new.last();
    lead(&mut new, 2);
    for written in [false, true] {
        let disk = MemoryDirectory::new();
        let mut copy = open(&disk);
        accept(&mut copy, 1, &ship(&mut old, 1)).unwrap();
        if written {
            copy.write_and_sync().unwrap();
        }
        assert!(copy.last().sequence > shared.sequence.next());
        accept(&mut copy, 2, &ship(&mut new, shared.sequence.next().get())).unwrap();
        copy.write_and_sync().unwrap();
        assert_eq!((copy.last(), copy.durable()), (new.last(), new.last()));
        assert_eq!(open(&disk.crash(1)).last(), new.last());
    }
}
