use super::*;
use lavandin_cluster::{ClusterOptions, GroupSeed, LayoutSeed, NodeRegistration};
use lavandin_types::{ClusterId, StoreId};

const GROUP: GroupId = GroupId::new(1);

/// A group of two nodes that have not started.
fn formed(mirror: bool) -> Catalogue {
    let members = vec![NodeId::new(1), NodeId::new(2)];
    let mut catalogue = Catalogue::default();
    let seed = LayoutSeed {
        cluster: ClusterId::new(1),
        nodes: vec![address(1), address(2)],
        groups: vec![GroupSeed { name: "sg0".to_owned(), primary: members[0], members }],
        options: ClusterOptions { mirror, min_in_sync: 2, ..ClusterOptions::default() },
    };
    catalogue.apply(Command::FormLayout(seed)).expect("the layout is right");
    catalogue
}

fn address(node: u128) -> String {
    format!("http://node{node}:7638")
}

fn start(catalogue: &mut Catalogue, node: u128, intact: Option<Vec<GroupId>>) {
    let registration = NodeRegistration {
        store: StoreId::new(node),
        address: address(node),
        intact,
        ..NodeRegistration::default()
    };
    catalogue.apply(Command::RegisterNode(registration)).expect("the node registers");
}

#[test]
fn a_group_without_its_first_primary_has_no_view() {
    let mut catalogue = formed(true);
    start(&mut catalogue, 2, None);
    assert_eq!(view_of(&catalogue, GROUP), None);
    start(&mut catalogue, 1, None);
    let view = view_of(&catalogue, GROUP).expect("its primary has started");
    assert_eq!((view.primary, view.epoch, view.min_in_sync), (NodeId::new(1), PrimaryEpoch::new(1), 2));
    assert_eq!(view.in_sync.keys().copied().collect::<Vec<_>>(), [NodeId::new(1)]);
    assert!(view.observers.is_empty());
}

#[test]
fn a_suspect_group_has_no_view() {
    let mut catalogue = formed(true);
    start(&mut catalogue, 1, None);
    start(&mut catalogue, 2, None);
    start(&mut catalogue, 1, Some(Vec::new()));
    assert!(catalogue.group(GROUP).expect("it is there").suspect);
    assert_eq!(view_of(&catalogue, GROUP), None);
}

#[test]
fn replicas_that_take_no_part_in_writes_observe_once_they_have_started() {
    let mut catalogue = formed(false);
    start(&mut catalogue, 1, None);
    assert!(view_of(&catalogue, GROUP).expect("a view").observers.is_empty());
    start(&mut catalogue, 2, None);
    let view = view_of(&catalogue, GROUP).expect("a view");
    assert_eq!(view.observers.into_iter().collect::<Vec<_>>(), [(NodeId::new(2), 1)]);
}

#[test]
fn proposals_expect_the_revision_that_they_were_made_at() {
    let expected = replication::Revision { epoch: PrimaryEpoch::new(3), version: 9 };
    let node = NodeId::new(2);
    let shrink = command_of(GROUP, Proposal::Shrink { expected, remove: node });
    let Command::ShrinkGroup { group, expected: at, remove, reason } = shrink else {
        panic!("another command")
    };
    assert_eq!((group, at.epoch, at.version, remove), (GROUP, expected.epoch, expected.version, node));
    assert_eq!(reason, StaleReason::MissedWrite);
}
