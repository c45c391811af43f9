//! Nodes: seats, restarts, lost tails, new disks; and what concerns the whole cluster.

use super::groups::{GROUP, apply, group, in_sync, node, registration, three};
use crate::*;
use lavandin_types::{ClusterId, ErrorCode, GroupId, NodeId, PrimaryEpoch, StoreId};

fn register(catalogue: &mut Catalogue, registration: NodeRegistration) -> NodeInfo {
    match catalogue.apply(Command::RegisterNode(registration)).unwrap() {
        Reply::Node(node) => node,
        other => panic!("{other:?}"),
    }
}

/// A registration of a node whose copy of the group is not surely whole.
fn doubtful(id: u128) -> NodeRegistration {
    NodeRegistration { intact: Some(Vec::new()), ..registration(id, &format!("n{id}")) }
}

fn layout(cluster: u128) -> LayoutSeed {
    let members = vec![node(1), node(2)];
    LayoutSeed {
        cluster: ClusterId::new(cluster),
        nodes: vec!["a:1".to_owned(), "b:1".to_owned()],
        groups: vec![GroupSeed { name: "sg0".to_owned(), members, primary: node(1) }],
        options: ClusterOptions::default(),
    }
}

#[test]
fn a_layout_forms_once_and_its_nodes_take_their_seats() {
    let mut catalogue = Catalogue::default();
    let formed = Reply::Formed { cluster: ClusterId::new(1), group: GROUP };
    for _ in 0..2 {
        assert_eq!(catalogue.apply(Command::FormLayout(layout(1))), Ok(formed.clone()));
    }
    let other = catalogue.apply(Command::FormLayout(layout(2)));
    assert_eq!(other, Err(CatalogueError::AlreadyFormed { cluster: ClusterId::new(1) }));
    assert_eq!((group(&catalogue).epoch, group(&catalogue).rf), (PrimaryEpoch::ZERO, 2));
    assert_eq!(catalogue.node(node(2)).unwrap().store, None);

    // A new disk has nothing to lose, whatever it says of its logs.
    let first =
        register(&mut catalogue, NodeRegistration { intact: Some(Vec::new()), ..registration(7, "a:1") });
    assert_eq!((first.id, first.incarnation, first.store), (node(1), 1, Some(StoreId::new(7))));
    let led = group(&catalogue);
    assert_eq!((led.epoch, led.in_sync[&node(1)], led.suspect), (PrimaryEpoch::new(1), 1, false));
    let second = register(&mut catalogue, registration(8, "b:1"));
    assert_eq!((second.id, catalogue.nodes().len()), (node(2), 2));
    assert_eq!(group(&catalogue), led);
    let third = register(&mut catalogue, registration(9, "c:1"));
    assert_eq!(third.id, node(3));
}

/// A cluster of one, with a collection, which was told its address.
fn one_at(address: &str) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let node = NodeSeed { id: node(1), store: StoreId::new(7), address: String::new() };
    catalogue.apply(Command::FormCluster { cluster: ClusterId::new(1), node }).unwrap();
    register(&mut catalogue, registration(7, address));
    catalogue.apply(Command::CreateDatabase { name: "db".to_owned(), drop_if_exists: false }).unwrap();
    catalogue
}

#[test]
fn a_cluster_of_one_becomes_the_layout_that_it_is_a_primary_of() {
    let mut catalogue = one_at("c:1");
    register(&mut catalogue, NodeRegistration { role: NodeRole::Coordinator, ..registration(8, "k:1") });
    let group_of = |name: &str, members: [u64; 2]| {
        let (name, primary) = (name.to_owned(), node(members[0]));
        GroupSeed { name, members: members.map(node).to_vec(), primary }
    };
    let options = ClusterOptions { owners: vec![node(3)], bucket_count: 7, ..ClusterOptions::default() };
    let seed = LayoutSeed {
        nodes: ["a:1", "b:1", "c:1", "d:1"].map(str::to_owned).to_vec(),
        groups: vec![group_of("sg0", [1, 2]), group_of("sg1", [3, 4])],
        options,
        ..layout(1)
    };
    let before = group(&catalogue).clone();
    let formed = Reply::Formed { cluster: ClusterId::new(1), group: GROUP };
    for _ in 0..2 {
        assert_eq!(catalogue.apply(Command::ExtendLayout(seed.clone())), Ok(formed.clone()));
    }
    let right = group(&catalogue);
    assert_eq!((right.name.as_str(), right.primary, right.rf), ("sg1", node(1), 2), "it was sg0");
    assert_eq!((right.epoch, &right.in_sync), (before.epoch, &before.in_sync), "it goes on serving");
    let other = right.members[1];
    assert_eq!((right.members[0], right.stale[&other]), (node(1), StaleReason::Added));
    assert_eq!(catalogue.node(other).unwrap().address, "d:1");
    let left = catalogue.group(GroupId::new(2)).unwrap();
    assert_eq!((left.name.as_str(), left.epoch, left.members.len()), ("sg0", PrimaryEpoch::ZERO, 2));
    assert_eq!(catalogue.node(left.primary).unwrap().address, "a:1");
    assert_eq!((&catalogue.options().owners, catalogue.options().bucket_count), (&vec![node(1)], 7));
    assert_eq!(catalogue.nodes().len(), 5);
    assert_eq!(Catalogue::decode(&catalogue.encode()).unwrap(), catalogue, "the weights are right as well");
    let joined = register(&mut catalogue, registration(9, "d:1"));
    assert_eq!(joined.id, other);
}

#[test]
fn a_layout_without_the_one_as_a_primary_is_refused_and_changes_nothing() {
    let refused = |address: &str, seed: LayoutSeed| {
        let mut catalogue = one_at(address);
        let before = catalogue.clone();
        let error = catalogue.apply(Command::ExtendLayout(seed)).unwrap_err();
        assert_eq!(catalogue, before);
        error
    };
    assert!(matches!(refused("elsewhere:1", layout(1)), CatalogueError::OutOfRange { .. }));
    assert!(matches!(refused("b:1", layout(1)), CatalogueError::OutOfRange { .. }), "a replica");
    assert_eq!(refused("a:1", layout(2)), CatalogueError::AlreadyFormed { cluster: ClusterId::new(1) });
    let unknown = LayoutSeed {
        groups: vec![GroupSeed { primary: node(1), members: vec![node(1), node(9)], name: "x".to_owned() }],
        ..layout(1)
    };
    assert_eq!(refused("a:1", unknown), CatalogueError::NodeNotFound { node: node(9) });
    let owners =
        LayoutSeed { options: ClusterOptions { owners: vec![node(9)], ..Default::default() }, ..layout(1) };
    assert_eq!(refused("a:1", owners), CatalogueError::NodeNotFound { node: node(9) });
    let mut taken = one_at("a:1");
    register(&mut taken, NodeRegistration { role: NodeRole::Coordinator, ..registration(8, "b:1") });
    let error = taken.apply(Command::ExtendLayout(layout(1))).unwrap_err();
    assert!(matches!(error, CatalogueError::AddressInUse { .. }));
    assert_eq!(Catalogue::default().apply(Command::ExtendLayout(layout(1))), Err(CatalogueError::NotFormed));
}

#[test]
fn what_a_node_says_of_itself_is_bounded() {
    let mut catalogue = three();
    let intact = Some(vec![GROUP; limit::GROUPS_MAX + 1]);
    let long = "x".repeat(limit::ADDRESS_BYTES_MAX + 1);
    for new in [NodeRegistration { intact, ..registration(1, "n1") }, registration(1, &long)] {
        let error = catalogue.apply(Command::RegisterNode(new)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    }
    for id in 6..=limit::NODES_MAX as u128 {
        register(&mut catalogue, registration(id, &format!("n{id}")));
    }
    let error = catalogue.apply(Command::RegisterNode(registration(1_000, "one more"))).unwrap_err();
    assert!(error.to_string().contains("the limit of 256 nodes is reached"), "{error}");
}

#[test]
fn a_layout_that_does_not_fit_together_forms_nothing() {
    let spoil: [fn(&mut LayoutSeed); 9] = [
        |seed| seed.groups.clear(),
        |seed| seed.nodes[1] = seed.nodes[0].clone(),
        |seed| seed.nodes[1].clear(),
        |seed| seed.groups[0].members.push(node(3)),
        |seed| seed.groups[0].primary = node(2).next(),
        |seed| seed.groups.push(seed.groups[0].clone()),
        |seed| seed.options.detection_ms = 999,
        |seed| seed.options.owners = vec![node(1), node(2)],
        |seed| seed.options.owners = vec![node(5)],
    ];
    for (index, spoil) in spoil.into_iter().enumerate() {
        let (mut catalogue, mut seed) = (Catalogue::default(), layout(1));
        spoil(&mut seed);
        catalogue.apply(Command::FormLayout(seed)).expect_err(&format!("case {index}"));
        assert_eq!(catalogue, Catalogue::default(), "case {index}");
    }
}

#[test]
fn the_same_start_registers_once() {
    let mut catalogue = three();
    let start = NodeRegistration { start_id: StartId::new(5), ..registration(1, "n1") };
    let first = register(&mut catalogue, start.clone());
    let (after, bytes) = (group(&catalogue), catalogue.encode());
    assert_eq!((first.incarnation, after.epoch), (2, PrimaryEpoch::new(2)));
    assert_eq!(register(&mut catalogue, start.clone()), first);
    assert_eq!(catalogue.encode(), bytes);
    let other = NodeRegistration { start_id: StartId::new(6), ..start };
    assert_eq!(register(&mut catalogue, other).incarnation, 3);
    assert_eq!(group(&catalogue).epoch, PrimaryEpoch::new(3));
}

#[test]
fn intact_copies_stay_in_sync_under_the_new_incarnation() {
    let mut catalogue = in_sync();
    let before = group(&catalogue);
    let intact = NodeRegistration { intact: Some(vec![GROUP]), ..registration(2, "n2") };
    register(&mut catalogue, intact);
    let after = group(&catalogue);
    assert_eq!(after.in_sync[&node(2)], 2);
    assert_eq!((after.epoch, after.version), (before.epoch, before.version + 1));
}

#[test]
fn a_copy_without_its_tail_is_stale_unless_it_is_the_last() {
    let mut catalogue = in_sync();
    register(&mut catalogue, doubtful(2));
    let after = group(&catalogue);
    assert_eq!(after.state_of(node(2)), Some(CopyState::Stale(StaleReason::Restarted)));
    // Of two in-sync copies the primary lost its tail: the other one leads.
    let epoch = after.epoch;
    register(&mut catalogue, doubtful(1));
    let after = group(&catalogue);
    assert_eq!((after.primary, after.epoch, after.suspect), (node(3), epoch.next(), false));
    assert_eq!(after.state_of(node(1)), Some(CopyState::Stale(StaleReason::Restarted)));
    // The last one stays, and nobody serves until it is clear whether another one holds more.
    register(&mut catalogue, doubtful(3));
    let after = group(&catalogue);
    assert_eq!((after.primary, after.in_sync.len(), after.suspect), (node(3), 1, true));
    assert_eq!(after.in_sync[&node(3)], 2);
    register(&mut catalogue, registration(3, "n3"));
    assert!(group(&catalogue).suspect, "a later, whole log does not bring the tail back");
    let join = |group, expected| Command::AddJoiner { group, expected, node: node(1), incarnation: 2 };
    assert_eq!(apply(&mut catalogue, join), Err(GroupRefusal::Suspect));
    // Lifted by promoting it again, with an epoch that tells both sessions apart.
    let lift = |group, expected| Command::Promote { group, expected, primary: node(3) };
    let lifted = apply(&mut catalogue, lift).unwrap();
    assert_eq!((lifted.suspect, lifted.epoch), (false, after.epoch.next().next()));
    assert_eq!(apply(&mut catalogue, lift), Err(GroupRefusal::IsPrimary { node: node(3) }));
}

#[test]
fn a_user_decides_a_suspicion() {
    for target in [1, 3] {
        let mut catalogue = in_sync();
        for id in [2, 1, 3] {
            register(&mut catalogue, doubtful(id));
        }
        assert!(group(&catalogue).suspect);
        let force = |group, expected| Command::ForcePromote { group, expected, primary: node(target) };
        let decided = apply(&mut catalogue, force).unwrap();
        assert_eq!((decided.primary, decided.suspect, decided.unclean.len()), (node(target), false, 1));
        assert_eq!(decided.in_sync.keys().collect::<Vec<_>>(), [&node(target)]);
    }
}

/// What a joiner holds beyond the primary's log would be cut off while it catches up.
#[test]
fn nobody_joins_a_suspect_group() {
    let mut catalogue = three();
    let join = |group, expected| Command::AddJoiner { group, expected, node: node(2), incarnation: 1 };
    apply(&mut catalogue, join).unwrap();
    register(&mut catalogue, doubtful(1));
    let suspect = group(&catalogue);
    assert!(suspect.suspect && suspect.joiner.is_none());
    for id in [2, 3] {
        catalogue.apply(Command::RemoveReplica { group: GROUP, node: node(id) }).unwrap();
    }
    assert!(!group(&catalogue).suspect, "nobody is left who could hold more");
}

/// The only copy there is goes on: nobody else could hold more.
#[test]
fn a_copy_alone_is_never_suspect() {
    let mut catalogue = super::formed();
    register(&mut catalogue, NodeRegistration { intact: Some(Vec::new()), ..registration(7, "a:1") });
    assert!(!group(&catalogue).suspect);
}

#[test]
fn a_new_disk_is_another_node_in_the_same_places() {
    let mut catalogue = in_sync();
    let new = register(&mut catalogue, registration(20, "n2"));
    assert_eq!((new.id, new.incarnation), (node(6), 1));
    let after = group(&catalogue);
    assert_eq!(after.members, [1, 6, 3].map(node));
    assert_eq!(after.state_of(node(6)), Some(CopyState::Stale(StaleReason::NewStore)));
    assert_eq!((after.state_of(node(2)), after.rf), (None, 3));
    assert_eq!(catalogue.node(node(2)), None, "it holds nothing any more");

    // The primary's: it stays the primary until another is promoted, and leaves then.
    let new = register(&mut catalogue, registration(10, "n1"));
    let after = group(&catalogue);
    assert_eq!((after.primary, new.id), (node(1), node(7)));
    assert_eq!(after.members, [7, 1, 6, 3].map(node));
    assert!(after.leaving.contains(&node(1)));
    let old = catalogue.node(node(1)).unwrap();
    assert_eq!((old.lost, old.address.as_str()), (true, ""));
    apply(&mut catalogue, |group, expected| Command::Promote { group, expected, primary: node(3) }).unwrap();
    let remove = Command::RemoveReplica { group: GROUP, node: node(1) };
    catalogue.apply(remove).unwrap();
    assert_eq!(group(&catalogue).members, [7, 6, 3].map(node));
    assert_eq!(catalogue.node(node(1)), None);
    assert_eq!(catalogue.bytes(), crate::snapshot::weigh(&catalogue));
}

#[test]
fn an_old_disk_that_comes_back_elsewhere_is_its_node_again() {
    let mut catalogue = three();
    register(&mut catalogue, registration(10, "n1"));
    let back = register(&mut catalogue, registration(1, "elsewhere"));
    assert_eq!((back.id, back.incarnation, back.lost), (node(1), 2, false));
    assert_eq!(group(&catalogue).in_sync[&node(1)], 2);
}

#[test]
fn an_address_belongs_to_the_node_that_registered_it_last() {
    let mut catalogue = three();
    let moved = register(&mut catalogue, registration(4, "n5"));
    assert_eq!((moved.id, catalogue.node_at("n5").unwrap().id), (node(4), node(4)));
    assert_eq!(catalogue.node(node(5)).unwrap().address, "");
    assert!(!catalogue.node(node(5)).unwrap().lost);
    assert_eq!(catalogue.node_at(""), None);
    // A seat of the layout is not for a store that has one.
    let mut catalogue = Catalogue::default();
    catalogue.apply(Command::FormLayout(layout(1))).unwrap();
    register(&mut catalogue, registration(9, "c:1"));
    let refused = catalogue.apply(Command::RegisterNode(registration(9, "a:1"))).unwrap_err();
    assert_eq!(refused, CatalogueError::AddressInUse { address: "a:1".to_owned(), holder: node(1) });
}

#[test]
fn nodes_with_copies_or_a_vote_to_keep_are_not_removed() {
    let mut catalogue = three();
    let remove = |id| Command::RemoveNode { node: node(id) };
    let refused = catalogue.apply(remove(2)).unwrap_err();
    assert_eq!(refused, CatalogueError::NodeHoldsCopies { node: node(2), groups: vec![GROUP] });
    assert!(refused.to_string().contains("still holds copies of 1 groups, of g1 among them"), "{refused}");
    for _ in 0..2 {
        assert_eq!(catalogue.apply(remove(5)), Ok(Reply::Done));
    }
    let pin = OptionsChange { owners: Some(vec![node(4)]), ..OptionsChange::default() };
    catalogue.apply(Command::SetClusterOptions(pin)).unwrap();
    assert_eq!(catalogue.apply(remove(4)), Err(CatalogueError::PinnedOwner { node: node(4) }));
    // A wiped owner is a new node, and the owner.
    let new = register(&mut catalogue, registration(40, "n4"));
    assert_eq!(catalogue.options().owners, [new.id]);
    assert_eq!((new.id, catalogue.node(node(4))), (node(6), None));
}

#[test]
fn options_are_checked_together() {
    let mut catalogue = three();
    let set = |change| Command::SetClusterOptions(change);
    let change = OptionsChange {
        detection_ms: Some(5_000),
        owners: Some([1, 2, 3].map(node).to_vec()),
        ..OptionsChange::default()
    };
    let Ok(Reply::Options(options)) = catalogue.apply(set(change)) else { panic!() };
    assert_eq!((options.detection_ms, options.min_in_sync, options.owners.len()), (5_000, 1, 3));
    assert_eq!(catalogue.options(), &options);
    let nothing = OptionsChange::default;
    let wrong = [
        OptionsChange { detection_ms: Some(999), ..nothing() },
        OptionsChange { min_in_sync: Some(0), ..nothing() },
        OptionsChange { voters_max: Some(4), ..nothing() },
        OptionsChange { owners: Some(vec![node(1), node(2)]), ..nothing() },
        OptionsChange { owners: Some([1, 1, 2].map(node).to_vec()), ..nothing() },
        OptionsChange { owners: Some(vec![node(9)]), ..nothing() },
        OptionsChange { replace_after_ms: Some(1), ..nothing() },
    ];
    for change in wrong {
        catalogue.apply(set(change)).unwrap_err();
        assert_eq!(catalogue.options(), &options);
    }
}

#[test]
fn chores_move_by_a_compare_and_set() {
    let mut catalogue = three();
    let appoint = |id, expected| Command::AppointChores { node: node(id), expected };
    let first = ChoresNode { node: node(2), epoch: 1 };
    assert_eq!(catalogue.apply(appoint(2, 0)), Ok(Reply::Chores(first)));
    let missed = catalogue.apply(appoint(3, 0)).unwrap_err();
    assert_eq!(missed, CatalogueError::ChoresMoved { expected: 0, present: Some(first) });
    assert_eq!(missed.code(), ErrorCode::AlreadyExists);
    catalogue.apply(appoint(3, 1)).unwrap();
    assert_eq!(catalogue.chores(), Some(ChoresNode { node: node(3), epoch: 2 }));
    assert_eq!(catalogue.apply(appoint(9, 2)), Err(CatalogueError::NodeNotFound { node: node(9) }));
}

#[test]
fn coordinators_hold_no_copies() {
    let mut catalogue = three();
    let coordinator = NodeRegistration { role: NodeRole::Coordinator, ..registration(9, "c:1") };
    let id = register(&mut catalogue, coordinator).id;
    let add = Command::AddReplica { group: GROUP, node: id, replaces: None };
    assert_eq!(catalogue.apply(add), Err(CatalogueError::NotADataNode { node: id }));
}

#[test]
fn the_protocol_is_the_lowest_of_all() {
    let mut catalogue = three();
    assert_eq!(catalogue.protocol(), 0);
    for (id, protocol) in [(1, 3), (2, 2), (3, 4), (4, 4), (5, 9)] {
        register(&mut catalogue, NodeRegistration { protocol, ..registration(id, &format!("n{id}")) });
    }
    assert_eq!(catalogue.protocol(), 2);
}

#[test]
fn logs_are_intact_by_a_sync_or_by_the_same_kernel() {
    let log = |verified, synced| LogCondition { verified, synced };
    let (here, there) = (BootId::new(1), BootId::new(2));
    assert!(is_intact(log(true, true), here, there));
    assert!(is_intact(log(true, false), here, here));
    assert!(!is_intact(log(true, false), here, there));
    assert!(!is_intact(log(true, false), BootId::default(), BootId::default()));
    assert!(!is_intact(log(false, true), here, here));
}

/// A cluster of one that an earlier version formed is what this version forms.
#[test]
fn a_cluster_of_one_is_a_layout_of_one() {
    let catalogue = super::formed();
    let one = group(&catalogue);
    assert_eq!((one.epoch, one.version, one.rf, one.mirror), (PrimaryEpoch::new(1), 1, 1, true));
    assert_eq!((one.members.as_slice(), one.stale.len()), ([NodeId::new(1)].as_slice(), 0));
    assert_eq!(catalogue.group(GroupId::new(2)), None);
}
