use super::*;
use lavandin_storage::MemoryDirectory;
use lavandin_types::{PrimaryEpoch, RecordHash, RequestId};

/// Whole checkpoint files of versions 1 and 2; never edited.
const FIXTURE_1: &str = include_str!("../../fixtures/checkpoint-1.hex");
const FIXTURE_2: &str = include_str!("../../fixtures/checkpoint-2.hex");
const NAME: &str = "checkpoint-000000000000002a";
const GROUP: GroupId = GroupId::new(1);
const PAYLOAD: &[u8] = b"the consumer's state";

fn fixture(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn header() -> CheckpointHeader {
    let position = Position {
        sequence: SequenceNumber::new(42),
        epoch: PrimaryEpoch::new(3),
        hash: RecordHash::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
    };
    let mut table = RequestTable::new(10);
    table.insert(RequestId::new(7), b"first");
    table.insert(RequestId::new(5), b"");
    let mut requests = Vec::new();
    table.encode(&mut requests);
    let mut epochs = EpochTable::default();
    epochs.push(PrimaryEpoch::new(1), SequenceNumber::new(1));
    epochs.push(PrimaryEpoch::new(3), SequenceNumber::new(40));
    CheckpointHeader { position, detached: true, epochs, requests, logged_bytes: 0 }
}

fn found(directory: &dyn Directory) -> Result<Found, GroupError> {
    load(directory, GROUP, 10, |_| true)
}

fn write(directory: &MemoryDirectory, name: &str, bytes: &[u8]) {
    directory.create(name).unwrap().write_at(0, bytes).unwrap();
}

#[test]
fn version_1_is_read() {
    let directory = MemoryDirectory::new();
    write(&directory, NAME, &fixture(FIXTURE_1));
    let loaded = found(&directory).unwrap().loaded.unwrap();
    assert_eq!(loaded.position, header().position);
    assert_eq!(loaded.payload, PAYLOAD);
    assert_eq!(loaded.requests.get(RequestId::new(7)), Some(&b"first"[..]));
    assert_eq!(loaded.requests.get(RequestId::new(5)), Some(&b""[..]));
    assert!(!loaded.detached);
    assert_eq!(loaded.epochs.entries(), [(PrimaryEpoch::new(3), SequenceNumber::new(42))]);
}

#[test]
fn the_bytes_are_those_of_version_2() {
    let directory = MemoryDirectory::new();
    write(&directory, NAME, &fixture(FIXTURE_2));
    let loaded = found(&directory).unwrap().loaded.unwrap();
    assert_eq!((loaded.position, loaded.detached), (header().position, true));
    assert_eq!((loaded.epochs, &loaded.payload[..]), (header().epochs, PAYLOAD));
    assert_eq!(loaded.requests.get(RequestId::new(7)), Some(&b"first"[..]));

    directory.remove(NAME).unwrap();
    store(&directory, GROUP, &header(), PAYLOAD).unwrap();
    assert_eq!(directory.map(NAME).unwrap()[..], fixture(FIXTURE_2));
}

#[test]
fn a_later_version_is_refused_and_not_passed_over() {
    let directory = MemoryDirectory::new();
    let mut bytes = encode(GROUP, &header(), PAYLOAD);
    atomic_write(&directory, "checkpoint-0000000000000001", &bytes).unwrap();
    bytes[0] = 3;
    atomic_write(&directory, NAME, &bytes).unwrap();
    let error = found(&directory).err().unwrap();
    assert!(matches!(error, GroupError::Storage(StorageError::Version { found: 3, .. })), "{error}");
}

#[test]
fn a_checkpoint_under_another_name_or_of_another_group_is_none() {
    for (name, group) in [("checkpoint-000000000000002b", GROUP), (NAME, GroupId::new(2))] {
        let directory = MemoryDirectory::new();
        atomic_write(&directory, name, &encode(group, &header(), PAYLOAD)).unwrap();
        let found = found(&directory).unwrap();
        assert!(found.loaded.is_none());
        assert!(matches!(found.damage, Some(GroupError::MalformedCheckpoint { .. })));
    }
}

#[test]
fn other_files_are_no_checkpoints() {
    let directory = MemoryDirectory::new();
    for name in
        ["checkpoint-2a", "checkpoint-000000000000002A", "checkpoint-000000000000002a.tmp", "checkpoint-"]
    {
        write(&directory, name, &fixture(FIXTURE_2));
    }
    let found = found(&directory).unwrap();
    assert!(found.loaded.is_none() && found.damage.is_none());
    assert_eq!(found.newest, SequenceNumber::ZERO);
}

/// What a checksum would let pass is still read without panic, and without more memory than it is long.
#[test]
fn random_and_damaged_bytes_are_read_without_panic() {
    let slow = std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1");
    let valid = encode(GROUP, &header(), PAYLOAD);
    let mut state = 1u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let (mut read, mut refused) = (0, 0);
    for round in 0..if slow { 1_000_000 } else { 20_000 } {
        let mut bytes = valid.clone();
        if round % 8 == 0 {
            bytes = (0..next(120)).map(|_| next(256) as u8).collect();
        }
        for _ in 0..next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = [0, 1, 0xff, next(256) as u8][next(4)],
                _ => {}
            }
        }
        match decode(&bytes, NAME, GROUP, 10, |_| true) {
            Ok(loaded) => {
                assert!(loaded.payload.len() < valid.len());
                read += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 1000 && refused > 1000, "{read} read, {refused} refused");
}
