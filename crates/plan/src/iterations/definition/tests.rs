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
        shares: None,
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
    let shares =
        Some(FixedShares { lanes: NonZeroU32::new(300).unwrap(), ending: Ending::Drop, first: 1 << 40 });
    let fixed = Definition { replication_groups: None, shares, ..definition() };
    for definition in [definition(), alone, fixed] {
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

#[test]
fn fixed_shares_are_checked() {
    let limits = IterationLimits { ranks_max: 3, request_samples_max: 600, ..IterationLimits::default() };
    let shares =
        |lanes| Some(FixedShares { lanes: NonZeroU32::new(lanes).unwrap(), ending: Ending::Pad, first: 0 });
    let with = |groups: Option<Vec<Vec<u32>>>, lanes| Definition {
        replication_groups: groups,
        shares: shares(lanes),
        ..definition()
    };
    let no_ranks = Err(Rejection::Invalid("a replication group has no ranks"));
    assert_eq!(with(None, 3).check(&limits), Ok(()));
    assert_eq!([2, 3].map(|rank| with(None, 3).group_of(rank)), [Some(2), None]);
    assert_eq!(with(None, 4).check(&limits), Err(Rejection::TooManyRanks { limit: 3 }));
    assert_eq!(with(Some(vec![vec![0, 1], vec![2]]), 2).check(&limits), Ok(()));
    assert_eq!(with(Some(vec![vec![0, 1], vec![2]]), 3).check(&limits), no_ranks);
    assert_eq!(with(Some(vec![vec![0, 1], vec![]]), 2).check(&limits), no_ranks);
    let large = Definition { batch_size: 301, ..with(None, 1) };
    assert_eq!(large.check(&limits), Err(Rejection::TooManySamples { count: 301, limit: 300 }));
}
