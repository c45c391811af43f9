use super::*;
use crate::order::LavenderShuffle;

fn definition() -> Definition {
    let shardset = |number| ShardsetVersion {
        shardset: ShardsetId::new(1_760_000_000_000, [number; 20]),
        manifest_version: 200,
        manifest_hash: u128::MAX - u128::from(number),
    };
    Definition {
        config_hash: [5; 32],
        shardsets: vec![shardset(1), shardset(2)],
        batch_size: 300,
        drop_last: true,
        order: Order::Lavender { shuffle: Some(LavenderShuffle { seed: 7, block_shards: 2 }) },
        replication_groups: Some(vec![vec![0, 200], vec![], vec![3]]),
        filters: Some("[]".to_owned()),
        categorizer: Some("größe".to_owned()),
        collater: None,
        preprocessors: Some(String::new()),
        settings: None,
    }
}

fn encoded(definition: &Definition) -> Vec<u8> {
    let mut bytes = Vec::new();
    definition.encode(&mut bytes);
    bytes
}

#[test]
fn definitions_come_back() {
    let alone = Definition { replication_groups: None, shardsets: Vec::new(), ..definition() };
    for definition in [definition(), alone] {
        let mut bytes = encoded(&definition);
        bytes.push(77);
        let mut rest = &bytes[..];
        assert_eq!(Definition::decode(&mut rest), Some(definition));
        assert_eq!(rest, [77], "what follows is left");
    }
}

#[test]
fn cut_definitions_and_those_of_other_versions_are_none() {
    let mut bytes = encoded(&definition());
    for length in 0..bytes.len() {
        assert_eq!(Definition::decode(&mut &bytes[..length]), None, "cut to {length}");
    }
    bytes[0] = 2;
    assert_eq!(Definition::decode(&mut &bytes[..]), None);
}

#[test]
fn ranks_and_their_groups() {
    let definition = definition();
    assert_eq!([0, 200, 3, 1].map(|rank| definition.group_of(rank)), [Some(0), Some(0), Some(2), None]);
    assert_eq!(definition.ranks_of(0), [0, 200]);
    assert!(definition.ranks_of(1).is_empty() && definition.ranks_of(9).is_empty());
    assert!(definition.has_group(2) && !definition.has_group(3));
    let alone = Definition { replication_groups: None, ..definition };
    assert_eq!((alone.group_of(9), alone.ranks_of(9), alone.has_group(9)), (Some(9), vec![9], true));
}
