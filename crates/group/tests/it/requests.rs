//! Tickets, retries, refusals.

use crate::ledger::{Request, Taken};
use crate::life::{ANSWERS, Life, checkpoint, claims, open};
use lavandin_group::Staged;
use lavandin_storage::{Durability, MemoryDirectory};
use lavandin_types::{RequestId, SequenceNumber};
use std::sync::Arc;

const CLAIM: Request = Request::Claim { name: 5, value: 50 };

#[test]
fn a_request_that_is_staged_twice_is_one_record() {
    let mut copy = open(Arc::new(MemoryDirectory::new()), Durability::Fsync).unwrap();
    let id = RequestId::new(9);
    let Ok(Staged::Pending(other)) = copy.stage(RequestId::new(8), Request::Release { name: 1 }) else {
        panic!("refused")
    };
    let Ok(Staged::Pending(first)) = copy.stage(id, CLAIM) else { panic!("refused") };
    let bytes = copy.staged_bytes();
    let Ok(Staged::Pending(again)) = copy.stage(id, CLAIM) else { panic!("the retry was refused") };
    assert_eq!((first, bytes), (again, copy.staged_bytes()));
    assert_ne!(first, other);
    let outcomes = copy.commit().unwrap();
    assert_eq!((outcomes.get(other), outcomes.get(first)), (Some(&1), Some(&2)));
    assert!(matches!(copy.stage(id, CLAIM), Ok(Staged::Answered(2))));
    assert!(copy.commit().unwrap().is_empty(), "an answered request is not logged again");
}

#[test]
fn requests_without_an_id_are_never_taken_for_one_another() {
    let mut copy = open(Arc::new(MemoryDirectory::new()), Durability::Fsync).unwrap();
    for _ in 0..3 {
        let release = Request::Release { name: 1 };
        assert!(matches!(copy.stage(RequestId::NONE, release), Ok(Staged::Pending(_))));
    }
    let outcomes = copy.commit().unwrap();
    assert!(outcomes.iter().map(|(_, outcome)| *outcome).eq([1, 2, 3]));
}

#[test]
fn the_oldest_answers_are_forgotten_and_their_requests_judged_anew() {
    let disk = MemoryDirectory::new();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    let mut life = Life::default();
    life.write(&mut copy, &claims(0..1 + ANSWERS as u64)).unwrap();
    checkpoint(&mut copy).unwrap();
    drop(copy);
    let mut copy = open(Arc::new(disk), Durability::Fsync).unwrap();
    life.check(&mut copy);
    let (evicted, kept) = (life.operation(0), life.operation(1));
    assert!(matches!(copy.stage(evicted.id, evicted.request), Ok(Staged::Rejected(Taken(0)))));
    assert!(matches!(copy.stage(kept.id, kept.request), Ok(Staged::Answered(2))));
}

#[test]
fn a_refusal_leaves_nothing() {
    let disk = MemoryDirectory::new();
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    let mut life = Life::default();
    life.write(&mut copy, &[CLAIM]).unwrap();
    let log = (copy.applied(), copy.log_bytes());
    assert!(matches!(copy.stage(RequestId::new(77), CLAIM), Ok(Staged::Rejected(Taken(5)))));
    assert_eq!(copy.staged_bytes(), 0);
    assert!(copy.commit().unwrap().is_empty());
    assert_eq!((copy.applied(), copy.log_bytes()), log);
    life.write(&mut copy, &claims(6..8)).unwrap();
    drop(copy);
    // A session whose requests are all refused logs nothing either, not even its barrier.
    let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
    life.check(&mut copy);
    let end = copy.applied();
    assert!(matches!(copy.stage(RequestId::new(78), CLAIM), Ok(Staged::Rejected(_))));
    copy.commit().unwrap();
    checkpoint(&mut copy).unwrap();
    drop(copy);
    let mut copy = open(Arc::new(disk), Durability::Fsync).unwrap();
    assert_eq!(copy.applied(), end);
    life.check(&mut copy);
}

#[test]
fn each_session_opens_with_a_barrier_and_a_higher_epoch() {
    let disk = MemoryDirectory::new();
    let mut life = Life::default();
    let mut before = SequenceNumber::ZERO;
    for session in 1..5 {
        let mut copy = open(Arc::new(disk.clone()), Durability::Fsync).unwrap();
        life.check(&mut copy);
        life.write(&mut copy, &claims(session * 10..session * 10 + 1)).unwrap();
        life.write(&mut copy, &claims(session * 10 + 1..session * 10 + 2)).unwrap();
        assert_eq!(copy.applied().epoch, copy.epoch());
        let barrier_and_two = before.next().next().next();
        assert_eq!(copy.applied().sequence, barrier_and_two);
        before = barrier_and_two;
    }
}

#[test]
#[should_panic(expected = "between commits")]
fn no_checkpoint_is_taken_of_reservations() {
    let mut copy = open(Arc::new(MemoryDirectory::new()), Durability::Fsync).unwrap();
    assert!(matches!(copy.stage(RequestId::NONE, CLAIM), Ok(Staged::Pending(_))));
    copy.checkpoint_header();
}
