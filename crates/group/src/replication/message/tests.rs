use super::*;
use lavandin_types::RecordHash;

/// One message a line, of version 1; never edited.
const FIXTURE: &str = include_str!("../../../fixtures/replication-1.hex");

fn messages() -> Vec<Message> {
    let previous = Position {
        sequence: SequenceNumber::new(41),
        epoch: PrimaryEpoch::new(3),
        hash: RecordHash::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
    };
    let committed = SequenceNumber::new(40);
    let mut epochs = EpochTable::default();
    epochs.push(PrimaryEpoch::new(1), SequenceNumber::new(1));
    epochs.push(PrimaryEpoch::new(3), SequenceNumber::new(39));
    let contents = [
        Content::Append(Append { previous, committed }),
        Content::Heartbeat(Heartbeat { committed, round: 7 }),
        Content::Acknowledge { durable: SequenceNumber::new(42), round: 6 },
        Content::Status(Status { last: SequenceNumber::new(43), epochs }),
        Content::SnapshotNeeded { from: SequenceNumber::new(44) },
    ];
    let message =
        |content| Message { group: GroupId::new(2), epoch: PrimaryEpoch::new(5), incarnation: 9, content };
    contents.into_iter().map(message).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

#[test]
fn the_bytes_are_those_of_version_1() {
    let lines: Vec<_> = messages().iter().map(|message| hex(&encoded(message))).collect();
    assert_eq!(lines, FIXTURE.lines().collect::<Vec<_>>());
    for message in messages() {
        assert_eq!(Message::decode(&mut &encoded(&message)[..]), Some(message));
    }
}

#[test]
fn records_stay_behind_an_append_and_nothing_may_behind_another() {
    for message in messages() {
        let mut bytes = encoded(&message);
        bytes.extend_from_slice(b"records");
        let mut rest = &bytes[..];
        let is_append = matches!(message.content, Content::Append(_));
        assert_eq!(Message::decode(&mut rest), is_append.then_some(message));
        assert!(!is_append || rest == b"records");
    }
}

#[test]
fn what_is_cut_changed_or_invented_is_refused_or_read_without_panic() {
    for message in messages() {
        let bytes = encoded(&message);
        for cut in 0..bytes.len() {
            assert_eq!(Message::decode(&mut &bytes[..cut]), None);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 6, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                drop(Message::decode(&mut &bytes[..]));
            }
        }
        let mut later = bytes.clone();
        later[0] = 2;
        assert_eq!(Message::decode(&mut &later[..]), None, "another version is not guessed at");
    }
}
