use super::*;
use crate::MemoryDirectory;
use crate::faulty::{Fault, FaultyDirectory};
use std::sync::Arc;

const NAME: &str = "state";
const VERSION_1: &str = concat!(
    "4c564e4443484b31010000000000000002000000000000005c73d5249c7173a8aceb8e82bc5ec689",
    "000000000000000000000000000000006b8a8b49586233666162",
);

fn written(payload: &[u8]) -> MemoryDirectory {
    let directory = MemoryDirectory::new();
    atomic_write(&directory, NAME, payload).unwrap();
    directory
}

#[test]
fn every_flipped_bit_is_reported() {
    let directory = written(b"some payload");
    let bytes = directory.map(NAME).unwrap().to_vec();
    let mut file = directory.open(NAME).unwrap();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            file.write_at(position as u64, &[bytes[position] ^ (1 << bit)]).unwrap();
            let error = read_checked(&directory, NAME).unwrap_err();
            assert!(matches!(&error, StorageError::Damaged { file, .. } if file == NAME), "{error}");
        }
        file.write_at(position as u64, &bytes[position..=position]).unwrap();
    }
    assert_eq!(&read_checked(&directory, NAME).unwrap()[..], b"some payload");
}

#[test]
fn every_other_length_is_reported() {
    let directory = written(b"some payload");
    let length = directory.len(NAME).unwrap();
    for shorter in 0..length {
        let directory = written(b"some payload");
        directory.open(NAME).unwrap().truncate(shorter).unwrap();
        assert!(matches!(read_checked(&directory, NAME), Err(StorageError::Damaged { .. })));
    }
    directory.open(NAME).unwrap().truncate(length + 1).unwrap();
    assert!(matches!(read_checked(&directory, NAME), Err(StorageError::Damaged { .. })));
}

#[test]
fn another_version_is_named() {
    let directory = written(b"payload");
    let mut bytes = directory.map(NAME).unwrap().to_vec();
    bytes[8] = 2;
    let hash = xxh3_64(&bytes[..HASHED_BYTES]);
    bytes[HASHED_BYTES..CHECKED_HEADER_BYTES].copy_from_slice(&hash.to_le_bytes());
    directory.open(NAME).unwrap().write_at(0, &bytes).unwrap();
    let error = read_checked(&directory, NAME).unwrap_err();
    assert_eq!(error.to_string(), "state has format version 2, this program reads up to 1");
}

/// Version 1, as it is written for ever; see docs/formats/README.md.
#[test]
fn version_1_is_written_as_ever() {
    let bytes = written(b"ab").map(NAME).unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, VERSION_1);
}

#[test]
fn payloads_keep_the_alignment() {
    let payload = read_checked(&written(b"payload"), NAME).unwrap();
    assert!((payload.as_ptr() as usize).is_multiple_of(64));
}

/// Whatever call fails and however, the old content or the new is there; the new one if the write said so.
#[test]
fn a_failure_anywhere_leaves_old_or_new() {
    let calls = {
        let counting = FaultyDirectory::new(Arc::new(written(b"old")));
        atomic_write(&counting, NAME, b"new content").unwrap();
        counting.calls().mutating
    };
    for fault in Fault::ALL {
        for call in 0..=calls {
            let memory = written(b"old");
            let faulty = FaultyDirectory::new(Arc::new(memory.clone()));
            faulty.fail_at(call, fault);
            let result = atomic_write(&faulty, NAME, b"new content");
            assert_eq!(result.is_ok(), !faulty.has_struck(), "{fault:?} at {call}");
            for seed in 0..50 {
                let crashed = memory.crash(seed);
                let found = read_checked(&crashed, NAME).unwrap();
                let is_new = &found[..] == b"new content";
                assert!(
                    is_new || (result.is_err() && &found[..] == b"old"),
                    "{fault:?} at {call}, seed {seed}"
                );
                atomic_write(&crashed, NAME, b"next").unwrap();
                assert_eq!(&read_checked(&crashed.crash(seed), NAME).unwrap()[..], b"next");
            }
        }
    }
}
