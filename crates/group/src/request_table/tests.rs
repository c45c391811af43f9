use super::*;

fn id(value: u128) -> RequestId {
    RequestId::new(value)
}

fn table(entries_max: usize, ids: std::ops::RangeInclusive<u128>) -> RequestTable {
    let mut table = RequestTable::new(entries_max);
    ids.for_each(|value| table.insert(id(value), &[value as u8]));
    table
}

fn encoded(table: &RequestTable) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.encode(&mut bytes);
    bytes
}

#[test]
fn the_oldest_answers_go_first_and_the_table_survives_its_encoding() {
    let mut table = table(2, 1..=3);
    table.insert(RequestId::NONE, b"never kept");
    let bytes = encoded(&table);
    let read = RequestTable::decode(&mut bytes.as_slice(), 2, |_| true).unwrap();
    for table in [&table, &read] {
        assert_eq!(table.get(id(1)), None);
        assert_eq!(table.get(id(2)), Some(&[2][..]));
        assert_eq!(table.get(id(3)), Some(&[3][..]));
        assert_eq!(table.get(RequestId::NONE), None);
    }
    for length in 0..bytes.len() {
        assert!(RequestTable::decode(&mut &bytes[..length], 2, |_| true).is_none());
    }
}

#[test]
fn an_id_that_comes_again_keeps_its_place() {
    let mut table = table(3, 1..=3);
    table.insert(id(1), b"again");
    assert_eq!(table.get(id(1)), Some(&b"again"[..]));
    table.insert(id(4), &[4]);
    assert_eq!(table.get(id(1)), None, "it is still the oldest");
    assert_eq!(table.get(id(2)), Some(&[2][..]));
    assert_eq!(table.get(id(4)), Some(&[4][..]));
}

#[test]
fn a_smaller_table_keeps_the_newest_of_a_larger_one() {
    let bytes = encoded(&table(10, 1..=10));
    let read = RequestTable::decode(&mut bytes.as_slice(), 3, |_| true).unwrap();
    let kept: Vec<u128> = (1..=10).filter(|value| read.get(id(*value)).is_some()).collect();
    assert_eq!(kept, [8, 9, 10]);
    assert!(RequestTable::decode(&mut bytes.as_slice(), 0, |_| true).unwrap().get(id(10)).is_none());
}

#[test]
fn what_no_consumer_wrote_is_refused() {
    let bytes = encoded(&table(10, 1..=10));
    assert!(RequestTable::decode(&mut bytes.as_slice(), 10, |outcome| outcome != [7]).is_none());
    let mut nameless = bytes;
    nameless[4..20].fill(0);
    assert!(
        RequestTable::decode(&mut nameless.as_slice(), 10, |_| true).is_none(),
        "an answer to no request"
    );
}
