use super::*;
use crate::iterations::places::Place;
use crate::iterations::tests::fixture;
use lavandin_types::NodeId;

fn places(block: u32, offsets: &[u32]) -> Places {
    offsets.iter().map(|offset| Place { block, offset: *offset }).collect()
}

/// One of each kind.
fn ops() -> Vec<Op> {
    let id = fixture::iteration_id(1);
    let dataset = fixture::dataset_id(2);
    vec![
        Op::Create(Box::new(Created {
            id,
            dataset,
            now_ms: 1_000,
            rank: 3,
            given_up: vec![fixture::iteration_id(9)],
            rows: ShardRows::new(vec![10, 0, 300]),
            definition: fixture::definition(fixture::shuffled(7, 2), Some(vec![vec![3, 4], vec![5]])),
        })),
        Op::Join { id, rank: 4 },
        Op::TakeBlock { id, group: 1, block: 200 },
        Op::Grant(Box::new(Granted {
            id,
            rank: 3,
            number: 130,
            now_ms: 1_001,
            owner: Owner { node: NodeId::new(300), incarnation: 2, ticket: 129 },
            samples: places(2, &[0, 1, 2, 9, 8]),
            filtered: places(1, &[5]),
            failed: Places::new(),
            delivered: vec![(3, 129), (4, 0)],
        })),
        Op::Delivered { id, grants: vec![(3, 130)] },
        Op::Return { id, rank: 3, number: 130 },
        Op::Complete { id, indices: vec![0, 5, 300] },
        Op::Pushback { id },
        Op::DropDataset { dataset },
    ]
}

/// What is written for them, one a line; never edited.
const WRITTEN: &str = include_str!("../../../fixtures/iteration-operations-2.hex");
/// The same before grants had owners; never edited.
const VERSION_1: &str = include_str!("../../../fixtures/iteration-operations-1.hex");

#[test]
fn operations_of_version_1_are_read() {
    for (op, line) in ops().into_iter().zip(VERSION_1.lines()) {
        let bytes: Vec<u8> =
            (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
        let expected = match op {
            Op::Grant(granted) => Op::Grant(Box::new(Granted { owner: Owner::NOBODY, ..*granted })),
            other => other,
        };
        assert_eq!(Op::decode(&bytes), Some(expected));
    }
}

#[test]
fn the_bytes_stay_as_they_are() {
    assert_eq!(WRITTEN.lines().count(), ops().len());
    for (op, expected) in ops().into_iter().zip(WRITTEN.lines()) {
        let mut bytes = Vec::new();
        op.encode(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{op:?}");
        assert_eq!(Op::decode(&bytes), Some(op));
    }
}

#[test]
fn nothing_follows_a_body() {
    for op in ops() {
        let mut bytes = Vec::new();
        op.encode(&mut bytes);
        bytes.push(0);
        assert_eq!(Op::decode(&bytes), None, "{op:?}");
    }
}

#[test]
fn rows_that_no_dataset_has_are_none() {
    // The first sample's number would not fit.
    let mut bytes = vec![0xFF, 0xFF, 0x07];
    bytes.extend([0xFF, 0xFF, 0xFF, 0xFF, 0x0F].repeat((1 << 17) - 1));
    assert_eq!(decode_rows(&mut &bytes[..]), None);
    assert_eq!(decode_rows(&mut &[5, 1][..]), None, "more shard files than bytes");
}
