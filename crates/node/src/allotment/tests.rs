use super::*;

const COLLECTION: CollectionId = CollectionId::new(3);

#[test]
fn a_lease_is_used_up_in_order_and_never_passed() {
    let leases = IdLeases::default();
    assert_eq!(leases.take(COLLECTION, 1), None);
    leases.renew(COLLECTION, 10..20);
    assert_eq!(leases.take(COLLECTION, 4), Some(10));
    assert_eq!(leases.take(COLLECTION, 7), None, "six are left");
    assert_eq!(leases.take(COLLECTION, 6), Some(14));
    assert_eq!(leases.take(COLLECTION, 1), None);
    assert_eq!(leases.take(COLLECTION, u64::MAX), None);
    leases.renew(COLLECTION, 50..60);
    leases.forget(COLLECTION);
    assert_eq!(leases.take(COLLECTION, 1), None);
}

#[test]
fn a_lease_goes_on_where_the_last_one_ended() {
    let leases = IdLeases::default();
    leases.renew(COLLECTION, 0..10);
    assert_eq!(leases.take(COLLECTION, 7), Some(0));
    assert_eq!(leases.take(COLLECTION, 7), None, "three are left");
    leases.renew(COLLECTION, 10..20);
    assert_eq!(leases.take(COLLECTION, 7), Some(7));
    leases.renew(COLLECTION, 30..40);
    assert_eq!(leases.take(COLLECTION, 7), Some(30), "another node has 20 to 29");
}

#[test]
fn many_collections_do_not_pile_up() {
    let leases = IdLeases::default();
    for collection in 0..=LEASES_MAX as u64 {
        leases.renew(CollectionId::new(collection), 0..10);
    }
    assert_eq!(leases.take(CollectionId::new(0), 1), None);
    assert_eq!(leases.take(CollectionId::new(LEASES_MAX as u64), 1), Some(0));
}

#[test]
fn places_never_overlap_whatever_the_clock_does() {
    let places = PlaceClock::default();
    assert_eq!(places.take_at(1_000, 10), 1_000);
    assert_eq!(places.take_at(1_000, 5), 1_010);
    assert_eq!(places.take_at(500, 5), 1_015, "the clock went back");
    assert_eq!(places.take_at(9_000, 1), 9_000);
    assert!(places.take(1) > 1_700_000_000_000_000, "microseconds since 1970");
}
