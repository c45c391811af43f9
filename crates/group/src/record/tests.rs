use super::*;

/// Version 1; never edited. Its operation is the text "seven".
const FIXTURE: &str = include_str!("../../fixtures/record-1.hex");

fn fixture() -> Vec<u8> {
    let digits: Vec<u8> = FIXTURE.bytes().filter(u8::is_ascii_hexdigit).collect();
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn record() -> Record<'static> {
    Record {
        group: GroupId::new(1),
        epoch: PrimaryEpoch::new(0x0102_0304_0506_0708),
        sequence: SequenceNumber::new(3),
        previous: RecordHash::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        request_id: RequestId::new(0xffee_ddcc_bbaa_9988_7766_5544_3322_1100),
        collection: CollectionId::new(6),
        op: b"seven",
    }
}

fn encode(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = vec![0; RECORD_HEADER_BYTES];
    bytes.extend_from_slice(record.op);
    record.write_header(&mut bytes);
    bytes
}

#[test]
fn the_bytes_are_those_of_version_1() {
    assert_eq!(encode(&record()), fixture());
    assert_eq!(Record::decode(&fixture()), Some(record()));
    assert_eq!(hash(&fixture()).to_string(), "6aa8f062d8f249143fa7709a99ca3876");
}

#[test]
fn too_short_a_record_is_none() {
    let bytes = fixture();
    for length in 0..RECORD_HEADER_BYTES {
        assert_eq!(Record::decode(&bytes[..length]), None);
    }
    assert!(Record::decode(&bytes[..RECORD_HEADER_BYTES]).is_some_and(|record| record.op.is_empty()));
}
