use super::*;
use bytes::Bytes;
use lavandin_group::Consumer;
use lavandin_shard::{BatchIds, RecordBatch, Request, Schema, Shard, ShardLimits, VectorBatch};
use lavandin_storage::MemoryDirectory;
use lavandin_types::{CollectionId, ElementType, ErrorCode, SchemaVersion};
use std::sync::Arc;

fn reservation() -> Reservation {
    let mut shard =
        Shard::open(Arc::new(MemoryDirectory::new()), ShardLimits::default(), None).expect("a new shard");
    let collection = CollectionId::new(1);
    let schema = Schema { version: SchemaVersion::new(1), element: ElementType::F32, dim: 1, index: None };
    shard.prepare(Request::Open { collection, schema }, &mut Vec::new()).expect("it is new");
    let vectors = VectorBatch { element: ElementType::F32, dim: 1, bytes: Bytes::from_static(&[0; 4]) };
    let batch = RecordBatch { ids: BatchIds::Ints(vec![1]), vectors, fields: None, places: None };
    shard.reserve(collection, batch, false).expect("the id is free")
}

#[test]
fn a_reservation_is_taken_once() {
    let mut reservations = Reservations::default();
    let now = Instant::now();
    let id = ReservationId::new(7);
    reservations.hold((RequestId::NONE, id), reservation(), now);
    assert!(reservations.holds(id));
    assert!(reservations.take(id).is_ok());
    assert!(!reservations.holds(id));
    assert_eq!(reservations.take(id).map_err(|error| error.code()), Err(ErrorCode::Unavailable));
}

#[test]
fn what_nobody_comes_back_for_expires() {
    let mut reservations = Reservations::default();
    let now = Instant::now();
    let (first, second) = (ReservationId::new(1), ReservationId::new(2));
    reservations.hold((RequestId::NONE, first), reservation(), now);
    reservations.hold((RequestId::NONE, second), reservation(), now + HOLD / 2);
    assert!(reservations.take_expired(now + HOLD / 2).is_empty());
    assert_eq!(reservations.take_expired(now + HOLD).len(), 1);
    assert!(reservations.take(first).is_err());
    assert!(reservations.take(second).is_ok());
}

#[test]
fn their_number_is_bounded() {
    let mut reservations = Reservations::default();
    let (reservation, now) = (reservation(), Instant::now());
    for number in 0..RESERVATIONS_MAX {
        reservations.check_room().expect("there is room");
        let id = ReservationId::new(number as u128);
        reservations.hold((RequestId::NONE, id), reservation.clone(), now);
    }
    assert!(matches!(reservations.check_room(), Err(NodeError::Overloaded)));
    reservations.take_expired(now + HOLD);
    reservations.check_room().expect("there is room again");
}

#[test]
fn a_batch_that_comes_again_takes_the_place_of_its_former_self() {
    let mut reservations = Reservations::default();
    let now = Instant::now();
    let names = [RequestId::new(5), RequestId::NONE, RequestId::new(6)];
    for (number, name) in names.into_iter().enumerate() {
        reservations.hold((name, ReservationId::new(number as u128)), reservation(), now);
    }
    assert!(reservations.take_of(RequestId::NONE).is_empty());
    assert_eq!(reservations.take_of(RequestId::new(5)).len(), 1);
    assert!(reservations.take_of(RequestId::new(5)).is_empty());
    assert!(!reservations.holds(ReservationId::new(0)) && reservations.holds(ReservationId::new(1)));
}
