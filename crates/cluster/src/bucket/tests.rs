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
    let table = BucketTable::spread(&[GroupId::new(1)], BUCKET_COUNT).unwrap();
    for (database, collection, id, form, hash, bucket) in cases {
        assert_eq!(bucket_hash(database, collection, id, form), hash, "{id} {form:?}");
        assert_eq!(table.bucket_of(hash).get(), bucket);
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
    let table = BucketTable::spread(&groups, BUCKET_COUNT).unwrap();
    assert_eq!(table.owner(BucketNumber::new(4)), Some(groups[1]));
    assert_eq!(table.owner(BucketNumber::new(BUCKET_COUNT)), None);
    assert_eq!(table.groups(), groups);
    assert_eq!(BucketTable::spread(&[], BUCKET_COUNT), None);
    assert_eq!(BucketTable::spread(&groups, 0), None);
    let small = BucketTable::spread(&groups, 5).unwrap();
    assert_eq!((small.count(), small.bucket_of(9).get(), small.owner_of(9)), (5, 4, groups[1]));
}
