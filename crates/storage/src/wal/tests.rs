//! Tests of the log, by what they show.

mod append;
mod bytes;
mod crash;
mod damage;
mod fixture;
mod speed;
mod truncate;

use super::*;
use crate::MemoryDirectory;
use xxhash_rust::xxh3::xxh3_128;

const FOLDER: &str = "groups/1/log";

fn hash(payload: &[u8]) -> RecordHash {
    RecordHash::new(xxh3_128(payload))
}

fn matches(head: &FrameHead, payload: &[u8]) -> bool {
    head.hash == hash(payload)
}

/// Whether tests that take long, or measure, are wanted.
fn slow_tests() -> bool {
    std::env::var_os("LAVANDIN_SLOW_TESTS").is_some_and(|value| value == "1")
}

fn number(value: u64) -> SequenceNumber {
    SequenceNumber::new(value)
}

/// The payload that tests give to a frame: its length and bytes follow from the sequence number.
fn payload(sequence: u64) -> Vec<u8> {
    let length = (sequence * 37) % 300;
    (0..length).map(|index| (sequence * 31 + index) as u8).collect()
}

fn append(wal: &mut Wal, sequence: u64) -> Result<(), StorageError> {
    let payload = payload(sequence);
    let (front, back) = payload.split_at(payload.len() / 3);
    wal.append(number(sequence), hash(&payload), &[front, back])
}

/// Appends the frames, writes and syncs them as one batch.
fn commit(wal: &mut Wal, sequences: std::ops::Range<u64>) -> Result<(), StorageError> {
    for sequence in sequences {
        append(wal, sequence)?;
    }
    wal.write()?;
    wal.sync()
}

/// Opens the log; also gives the sequence numbers of the frames found, after comparing them with what was appended.
fn open(directory: impl Directory + 'static, options: WalOptions) -> Result<(Wal, Vec<u64>), StorageError> {
    let mut found = Vec::new();
    let wal = Wal::open(Arc::new(directory), FOLDER, options, |head, bytes| {
        let intact = matches(head, bytes);
        if intact {
            assert_eq!(bytes, payload(head.sequence.get()), "frame {} was invented", head.sequence);
            found.push(head.sequence.get());
        }
        intact
    })?;
    Ok((wal, found))
}

fn small_segments() -> WalOptions {
    WalOptions { segment_bytes_max: 1000, durability: Durability::Fsync }
}

/// The log's segment files, oldest first.
fn files(directory: &dyn Directory) -> Vec<String> {
    let names = directory.list(FOLDER).unwrap();
    names.into_iter().map(|name| format!("{FOLDER}/{name}")).collect()
}
