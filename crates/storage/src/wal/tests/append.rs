//! Appending, rotating, truncating and reading without failures.

use super::*;

pub(super) fn read(wal: &Wal, from: u64) -> Vec<u64> {
    let mut reader = wal.read_from(number(from)).unwrap();
    let mut found = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        assert!(matches(&frame.head, frame.payload));
        assert_eq!(frame.payload, payload(frame.head.sequence.get()));
        found.push(frame.head.sequence.get());
    }
    found
}

#[test]
fn frames_are_found_again_in_order() {
    let directory = MemoryDirectory::new();
    let (mut wal, found) = open(directory.clone(), small_segments()).unwrap();
    assert_eq!((found, wal.next()), (vec![], None));
    commit(&mut wal, 1..20).unwrap();
    commit(&mut wal, 20..21).unwrap();
    assert!(files(&directory).len() > 1);
    let (wal, found) = open(directory, small_segments()).unwrap();
    assert_eq!(found, (1..21).collect::<Vec<_>>());
    assert_eq!(wal.next(), Some(number(21)));
    assert_eq!(wal.cut(), None);
}

#[test]
fn an_empty_log_begins_where_its_user_says() {
    let directory = MemoryDirectory::new();
    let (mut wal, _) = open(directory.clone(), small_segments()).unwrap();
    assert!(append(&mut wal, 0).is_err());
    commit(&mut wal, 500..503).unwrap();
    assert_eq!(wal.first(), Some(number(500)));
    let (_, found) = open(directory, small_segments()).unwrap();
    assert_eq!(found, [500, 501, 502]);
}

#[test]
fn a_gap_is_refused() {
    let (mut wal, _) = open(MemoryDirectory::new(), small_segments()).unwrap();
    append(&mut wal, 1).unwrap();
    assert!(matches!(append(&mut wal, 3), Err(StorageError::Misuse { value: 3, expected: 2, .. })));
    append(&mut wal, 2).unwrap();
}

#[test]
fn discarded_frames_are_forgotten() {
    let directory = MemoryDirectory::new();
    let (mut wal, _) = open(directory.clone(), small_segments()).unwrap();
    commit(&mut wal, 1..3).unwrap();
    append(&mut wal, 3).unwrap();
    wal.discard();
    assert_eq!(wal.buffered_bytes(), 0);
    commit(&mut wal, 3..4).unwrap();
    assert_eq!(open(directory, small_segments()).unwrap().1, [1, 2, 3]);
}

#[test]
fn segments_hold_at_most_their_size_and_one_batch() {
    let directory = MemoryDirectory::new();
    let (mut wal, _) = open(directory.clone(), small_segments()).unwrap();
    for sequence in 1..200 {
        commit(&mut wal, sequence..sequence + 1).unwrap();
    }
    let lengths: Vec<_> = files(&directory).iter().map(|name| directory.len(name).unwrap()).collect();
    assert!(lengths.iter().all(|length| *length < 1000 + 300 + 100), "{lengths:?}");
    assert_eq!(wal.bytes(), lengths.iter().sum::<u64>());
    assert!(lengths.len() > 20);
}

#[test]
fn reader_starts_anywhere_and_ends_where_the_log_was() {
    let (mut wal, _) = open(MemoryDirectory::new(), small_segments()).unwrap();
    for sequence in 1..60 {
        commit(&mut wal, sequence..sequence + 1).unwrap();
    }
    for from in 1..62 {
        assert_eq!(read(&wal, from), (from..60).collect::<Vec<_>>());
    }
    let mut early = wal.read_from(number(58)).unwrap();
    commit(&mut wal, 60..70).unwrap();
    assert_eq!(early.next_frame().unwrap().unwrap().head.sequence, number(58));
    assert_eq!(early.next_frame().unwrap().unwrap().head.sequence, number(59));
    assert!(early.next_frame().unwrap().is_none());
    assert!(early.next_frame().unwrap().is_none());
}

#[test]
fn truncated_front_is_gone_and_the_rest_is_not() {
    let directory = MemoryDirectory::new();
    let (mut wal, _) = open(directory.clone(), small_segments()).unwrap();
    for sequence in 1..60 {
        commit(&mut wal, sequence..sequence + 1).unwrap();
    }
    let before = wal.bytes();
    wal.truncate_front(number(30)).unwrap();
    let first = wal.first().unwrap();
    assert!(first > number(1) && first <= number(30), "{first}");
    assert!(wal.bytes() < before);
    assert!(matches!(wal.read_from(number(1)), Err(StorageError::Misuse { .. })));
    assert_eq!(read(&wal, 30), (30..60).collect::<Vec<_>>());
    let crashed = directory.crash(0);
    let (mut wal, found) = open(crashed.clone(), small_segments()).unwrap();
    assert_eq!(found, (first.get()..60).collect::<Vec<_>>());
    wal.truncate_front(number(1000)).unwrap();
    assert_eq!(files(&crashed).len(), 1);
    commit(&mut wal, 60..61).unwrap();
}

#[test]
fn a_frame_larger_than_a_window_or_a_segment_is_read() {
    let large: Vec<u8> = (0..3_500_000_u32).map(|index| (index % 251) as u8).collect();
    let directory = MemoryDirectory::new();
    let options = small_segments();
    let mut wal = Wal::open(Arc::new(directory.clone()), FOLDER, options, matches).unwrap();
    for sequence in 1..6 {
        let part = &large[sequence as usize * 100_000..];
        wal.append(number(sequence), hash(part), &[part]).unwrap();
    }
    wal.write().unwrap();
    wal.sync().unwrap();
    let mut lengths = Vec::new();
    Wal::open(Arc::new(directory), FOLDER, options, |head, bytes| {
        lengths.push(bytes.len());
        matches(head, bytes)
    })
    .unwrap();
    assert_eq!(lengths, (1..6).map(|sequence| 3_500_000 - sequence * 100_000).collect::<Vec<_>>());
}

#[test]
fn os_durability_survives_the_end_of_the_process() {
    let directory = MemoryDirectory::new();
    let options = WalOptions { durability: Durability::Os, ..small_segments() };
    let (mut wal, _) = open(directory.clone(), options).unwrap();
    commit(&mut wal, 1..5).unwrap();
    assert_eq!(open(directory.clone(), options).unwrap().1, [1, 2, 3, 4]);
    let (mut wal, _) = open(directory.clone(), options).unwrap();
    commit(&mut wal, 5..8).unwrap();
    wal.sync_always().unwrap();
    for seed in 0..50 {
        assert_eq!(open(directory.crash(seed), options).unwrap().1.len(), 7, "synced on request");
    }
}
