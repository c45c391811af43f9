use super::*;
use IntegerIdForm::{External, Internal, Unset};
use RecordIdRef::{Int, Str};

/// Values observed on the other implementation of the HTTP API.
#[test]
fn routing_hash_vectors() {
    let cases = [
        ("demo", "docs", Str("doc-1"), Unset, 361484213624838018, 1922),
        ("demo", "docs", Str("doc-2"), External, 13390503435966248754, 1842),
        ("demo", "docs", Int(5), External, 3974778049985002592, 3168),
        ("demo", "docs", Int(5), Internal, 14958152982429101245, 3261),
        ("walk", "auto", Int(0), Internal, 730629937672686481, 2961),
        ("walk", "auto", Int(0), Unset, 730629937672686481, 2961),
    ];
    for (database, collection, id, form, hash, bucket) in cases {
        assert_eq!(bucket_hash(database, collection, id, form), hash, "{id} {form:?}");
        assert_eq!(bucket_of(database, collection, id, form).get(), bucket);
    }
}

#[test]
fn decimals() {
    for number in [0, 9, 10, 4_294_967_296, u64::MAX] {
        assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
    }
}

#[test]
fn tables_spread_buckets_over_groups() {
    let groups = [GroupId::new(1), GroupId::new(2), GroupId::new(3)];
    let table = BucketTable::spread(&groups).unwrap();
    assert_eq!(table.owner(BucketNumber::new(4).unwrap()), groups[1]);
    assert_eq!(table.groups(), groups);
    assert_eq!(BucketTable::spread(&[]), None);
    assert_eq!(BucketNumber::new(BUCKET_COUNT), None);
}
