use super::*;
use crate::record::RECORD_HEADER_BYTES;
use lavandin_storage::wal::WalOptions;
use lavandin_storage::{Durability, MemoryDirectory};
use lavandin_types::{PrimaryEpoch, RecordHash, RequestId};
use std::sync::Arc;

const GROUP: GroupId = GroupId::new(1);

/// What a test gives a record; the rest follows from its place.
#[derive(Clone, Copy)]
struct Made {
    group: GroupId,
    epoch: u64,
    previous: Option<RecordHash>,
    number: Option<u64>,
    collection: u64,
}

const BARRIER: Made = Made { group: GROUP, epoch: 1, previous: None, number: None, collection: 0 };
const RECORD: Made = Made { collection: 1, ..BARRIER };

/// A log of these records, and where each of them stands.
fn log(records: &[Made]) -> (Wal, Vec<Position>) {
    let options = WalOptions { segment_bytes_max: 1 << 20, durability: Durability::Fsync };
    let mut wal = Wal::open(Arc::new(MemoryDirectory::new()), "log", options, |_, _| true).unwrap();
    let mut positions = vec![Position::default()];
    for (number, made) in (1..).zip(records) {
        let before = positions.last().unwrap().hash;
        let record = Record {
            group: made.group,
            epoch: PrimaryEpoch::new(made.epoch),
            sequence: SequenceNumber::new(made.number.unwrap_or(number)),
            previous: made.previous.unwrap_or(before),
            request_id: RequestId::NONE,
            collection: CollectionId::new(made.collection),
            op: &[],
        };
        let mut bytes = vec![0; RECORD_HEADER_BYTES];
        bytes.extend_from_slice(&[number as u8]);
        record.write_header(&mut bytes);
        let position = Position {
            sequence: SequenceNumber::new(number),
            epoch: record.epoch,
            hash: record::hash(&bytes),
        };
        wal.append(position.sequence, position.hash, &[&bytes]).unwrap();
        positions.push(position);
    }
    wal.write().unwrap();
    wal.sync().unwrap();
    (wal, positions)
}

/// What a survey of the whole log finds behind `start`.
fn surveyed(wal: &Wal, start: Position) -> Result<Survey, GroupError> {
    let mut survey = Survey::new(GROUP, start, EpochTable::default());
    let mut reader = wal.read_from(SequenceNumber::ZERO.next()).unwrap();
    while let Some(frame) = reader.next_frame().unwrap() {
        assert!(survey.see(&frame.head, frame.payload));
    }
    survey.finish()
}

/// Why a log is refused, and at which record.
fn broken(records: &[Made]) -> (u64, &'static str) {
    match surveyed(&log(records).0, Position::default()) {
        Err(GroupError::BrokenChain { sequence, what, .. }) => (sequence.get(), what),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[test]
fn it_finds_the_end_the_bytes_and_the_epochs_behind_the_start() {
    let second = Made { epoch: 2, ..BARRIER };
    let (wal, positions) = log(&[BARRIER, RECORD, RECORD, second, Made { epoch: 2, ..RECORD }]);
    for (start, epochs) in positions.iter().zip([2, 2, 2, 1, 1, 0]) {
        let survey = surveyed(&wal, *start).unwrap();
        assert_eq!(survey.end, positions[5]);
        let behind = 5 - start.sequence.get();
        assert_eq!(survey.bytes, behind * (RECORD_HEADER_BYTES as u64 + 1));
        assert_eq!(survey.epochs.entries().len(), epochs, "from {}", start.sequence);
    }
}

#[test]
fn bytes_that_differ_from_their_hash_are_no_break_but_no_record_either() {
    let (_, positions) = log(&[BARRIER]);
    let mut survey = Survey::new(GROUP, Position::default(), EpochTable::default());
    let head = FrameHead { sequence: positions[1].sequence, hash: positions[1].hash, bytes: 3 };
    assert!(!survey.see(&head, b"abc"));
    assert_eq!(survey.finish().unwrap().end, Position::default());
}

#[test]
fn records_that_do_not_continue_each_other_are_refused() {
    let other = Made { group: GroupId::new(2), ..RECORD };
    assert_eq!(broken(&[BARRIER, other]), (2, "the record belongs to another group"));
    let skips = Made { number: Some(4), ..RECORD };
    assert_eq!(broken(&[BARRIER, RECORD, skips]), (3, "the record's number is not the next one"));
    let follows_another = Made { previous: Some(RecordHash::new(1)), ..RECORD };
    let what = "the record follows another one than the one before it";
    assert_eq!(broken(&[BARRIER, RECORD, follows_another]), (3, what));
    assert_eq!(broken(&[follows_another]), (1, what));
    let (earlier, later) = (Made { epoch: 1, ..RECORD }, Made { epoch: 2, ..BARRIER });
    let what = "the record's primary epoch lies before the one before it";
    assert_eq!(broken(&[BARRIER, later, earlier]), (3, what));
    let unannounced = Made { epoch: 2, ..RECORD };
    assert_eq!(
        broken(&[BARRIER, unannounced]),
        (2, "the record's primary epoch does not begin with a barrier")
    );
}

#[test]
fn the_start_must_be_the_record_that_the_log_has_there() {
    let (wal, positions) = log(&[BARRIER, RECORD, RECORD]);
    for start in &positions[1..] {
        let other = Position { hash: RecordHash::new(9), ..*start };
        assert!(matches!(surveyed(&wal, other), Err(GroupError::BrokenChain { .. })));
    }
}

#[test]
fn a_log_reaches_from_the_start_to_the_newest_checkpoint() {
    let number = SequenceNumber::new;
    let reach = |wal: &Wal, start, newest| check_reach(wal, GROUP, number(start), number(newest));
    let (wal, _) = log(&[BARRIER, RECORD, RECORD]);
    for (start, newest) in [(0, 0), (0, 3), (2, 3), (3, 3)] {
        reach(&wal, start, newest).unwrap();
    }
    assert!(matches!(reach(&wal, 0, 4), Err(GroupError::ShortLog { .. })));
    assert!(matches!(reach(&wal, 4, 4), Err(GroupError::ShortLog { .. })));
    let empty = log(&[]).0;
    reach(&empty, 0, 0).unwrap();
    assert!(matches!(reach(&empty, 1, 1), Err(GroupError::ShortLog { .. })));
}
