use super::*;
use crate::command::{Command, GroupSeed, LayoutSeed};
use crate::liveness::Heard;
use crate::node_info::NodeRegistration;
use crate::options::OptionsChange;
use lavandin_types::{ClusterId, StoreId};

fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

fn nodes(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(node).collect()
}

fn set(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(node).collect()
}

/// Groups of two on `data` nodes, all registered, and as many coordinators as said after them.
fn cluster(data: u64, coordinators: u64) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let group = |first: u64| GroupSeed {
        name: format!("g{first}"),
        members: (first..=(first + 1).min(data)).map(node).collect(),
        primary: node(first),
    };
    let seed = LayoutSeed {
        cluster: ClusterId::new(1),
        nodes: (1..=data).map(|id| format!("n{id}")).collect(),
        groups: (1..=data).step_by(2).map(group).collect(),
        options: ClusterOptions::default(),
    };
    catalogue.apply(Command::FormLayout(seed)).unwrap();
    for id in 1..=data + coordinators {
        let role = if id > data { NodeRole::Coordinator } else { NodeRole::Data };
        let (store, address) = (StoreId::new(id.into()), format!("n{id}"));
        let registration = NodeRegistration { store, address, role, ..NodeRegistration::default() };
        catalogue.apply(Command::RegisterNode(registration)).unwrap();
    }
    catalogue
}

/// All nodes up but some, which are silent for so long.
fn liveness(catalogue: &Catalogue, down: &[u64], silent_ms: u64) -> Liveness {
    let heard = |id: NodeId| Heard {
        incarnation: catalogue.node(id).unwrap().incarnation,
        silent_ms: if down.contains(&id.get()) { silent_ms } else { 100 },
    };
    let heard = catalogue.nodes().map(|node| (node.id, heard(node.id))).collect();
    Liveness { observed_ms: 10_000_000, heard }
}

/// Where the voters end up from some, one change after the other; every step stays odd.
fn settle(catalogue: &Catalogue, voters: &[u64], down: &[u64], silent_ms: u64) -> BTreeSet<NodeId> {
    let mut voters = set(voters);
    for _ in 0..10 {
        let liveness = liveness(catalogue, down, silent_ms);
        let Some(change) = desired_voters(catalogue, &voters, &liveness) else {
            return voters;
        };
        voters.retain(|node| !change.remove.contains(node));
        voters.extend(change.add);
        assert_eq!(voters.len() % 2, 1, "{voters:?}");
    }
    panic!("the voters never settle: {voters:?}");
}

#[test]
fn as_many_voters_as_help() {
    let cases: [(u64, u64, &[u64]); 9] = [
        (1, 0, &[1]),
        (1, 1, &[1]),
        (2, 0, &[1]),
        (2, 1, &[1, 2, 3]),
        (1, 4, &[1, 2, 3]),
        (3, 5, &[1, 2, 3]),
        (4, 1, &[1, 2, 3]),
        (5, 0, &[1, 2, 3, 4, 5]),
        (9, 3, &[1, 3, 5, 7, 9]),
    ];
    for (data, coordinators, expected) in cases {
        let catalogue = cluster(data, coordinators);
        assert_eq!(settle(&catalogue, &[1], &[], 0), set(expected), "{data} and {coordinators}");
    }
}

#[test]
fn voters_are_spread_over_groups() {
    let three = cluster(4, 0);
    // First members of both groups, then a second one.
    let change = desired_voters(&three, &set(&[1]), &liveness(&three, &[], 0)).unwrap();
    assert_eq!(change, VoterChange { add: nodes(&[3, 2]), remove: Vec::new() });
}

#[test]
fn a_dead_voter_is_replaced_after_a_while() {
    let catalogue = cluster(4, 0);
    let current = set(&[1, 2, 3]);
    let change = |silent_ms| desired_voters(&catalogue, &current, &liveness(&catalogue, &[2], silent_ms));
    assert_eq!(change(599_999), None);
    assert_eq!(change(600_000), Some(VoterChange { add: nodes(&[4]), remove: nodes(&[2]) }));
    // Nobody could take its place.
    let small = cluster(3, 0);
    assert_eq!(desired_voters(&small, &current, &liveness(&small, &[2], 600_000)), None);
    // Two of three are dead: no change could be agreed on.
    assert_eq!(desired_voters(&catalogue, &current, &liveness(&catalogue, &[2, 3], 600_000)), None);
}

#[test]
fn a_removed_voter_is_replaced_at_once() {
    let catalogue = cluster(4, 0);
    let change = desired_voters(&catalogue, &set(&[1, 3, 77]), &liveness(&catalogue, &[], 0));
    assert_eq!(change, Some(VoterChange { add: nodes(&[2]), remove: nodes(&[77]) }));
}

/// Five are wanted and only one more is there: a dead voter is replaced all the same.
#[test]
fn replacement_does_not_wait_for_growth() {
    let catalogue = cluster(5, 0);
    let change = desired_voters(&catalogue, &set(&[1, 2, 3]), &liveness(&catalogue, &[3, 5], 600_000));
    assert_eq!(change, Some(VoterChange { add: nodes(&[4]), remove: nodes(&[3]) }));
}

#[test]
fn a_coordinator_gives_its_vote_to_a_data_node() {
    let catalogue = cluster(4, 1);
    assert_eq!(settle(&catalogue, &[1, 2, 5], &[], 0), set(&[1, 2, 3]));
}

#[test]
fn fewer_voters_where_five_are_too_many() {
    let mut catalogue = cluster(6, 0);
    let change = OptionsChange { voters_max: Some(3), ..OptionsChange::default() };
    catalogue.apply(Command::SetClusterOptions(change)).unwrap();
    assert_eq!(settle(&catalogue, &[1, 2, 3, 4, 5], &[], 0), set(&[1, 3, 5]));
    // The dead go first.
    assert_eq!(settle(&catalogue, &[1, 2, 3, 4, 5], &[1], 700_000), set(&[3, 5, 2]));
    assert_eq!(settle(&catalogue, &[1, 2, 3, 4], &[], 0), set(&[1, 2, 3]));
}

#[test]
fn owners_are_the_voters() {
    let mut catalogue = cluster(5, 0);
    let change = OptionsChange { owners: Some(nodes(&[2, 4, 5])), ..OptionsChange::default() };
    catalogue.apply(Command::SetClusterOptions(change)).unwrap();
    assert_eq!(settle(&catalogue, &[1], &[], 0), set(&[2, 4, 5]));
    // Not before all of them are there; and a dead one is not replaced.
    assert_eq!(settle(&catalogue, &[1], &[4], 5_000), set(&[1]));
    assert_eq!(settle(&catalogue, &[2, 4, 5], &[4], 700_000), set(&[2, 4, 5]));
}

fn layout(groups: &[&[&str]]) -> StaticLayout {
    let group = |uris: &&[&str]| {
        let uris: Vec<String> = uris.iter().map(|uri| format!("\"http://{uri}:1\"")).collect();
        format!("{{\"primary\": {}, \"replicas\": [{}]}}", uris[0], uris[1..].join(","))
    };
    let groups: Vec<String> = groups.iter().map(group).collect();
    let json = format!("{{\"shard_groups\": [{}]}}", groups.join(","));
    StaticLayout::parse(&json).unwrap().0
}

#[test]
fn the_first_voters_follow_from_the_layout() {
    let cases: [(&[&[&str]], &[u64]); 5] = [
        (&[&["a"]], &[1]),
        (&[&["a"], &["b"]], &[1]),
        (&[&["a", "b"], &["c", "d"]], &[1, 2, 3]),
        (&[&["a", "b"], &["c", "d"], &["e", "f"]], &[1, 2, 3, 4, 5]),
        (&[&["a"], &["b"], &["c"], &["d"], &["e"], &["f"]], &[1, 2, 3, 4, 5]),
    ];
    for (groups, expected) in cases {
        assert_eq!(voters_of(&layout(groups), &[]), Ok(nodes(expected)), "{groups:?}");
    }
    let layout = layout(&[&["a", "b"], &["c", "d"]]);
    let owners =
        |uris: &[&str]| -> Vec<String> { uris.iter().map(|uri| format!("http://{uri}:1/")).collect() };
    assert_eq!(voters_of(&layout, &owners(&["d"])), Ok(nodes(&[4])));
    assert_eq!(voters_of(&layout, &owners(&["d", "a", "c"])), Ok(nodes(&[1, 3, 4])));
    assert_eq!(voters_of(&layout, &owners(&["d", "a"])), Err(LayoutError::TwoOwners));
    let twice = voters_of(&layout, &owners(&["d", "a", "d"]));
    assert_eq!(twice, Err(LayoutError::OwnerTwice { uri: "http://d:1/".to_owned() }));
    let unknown = voters_of(&layout, &owners(&["x"])).unwrap_err().to_string();
    assert!(unknown.contains("the metadata owner http://x:1/ is not a node of any shard group"), "{unknown}");
}
