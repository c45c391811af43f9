//! Each command on a group: what it does, how it misses, what it refuses.

use crate::*;
use lavandin_types::{ClusterId, CollectionId, ErrorCode, GroupId, NodeId, PrimaryEpoch, StoreId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const GROUP: GroupId = GroupId::new(1);

pub(super) fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

pub(super) fn registration(store: u128, address: &str) -> NodeRegistration {
    let (store, address) = (StoreId::new(store), address.to_owned());
    NodeRegistration { store, address, ..NodeRegistration::default() }
}

/// One group on nodes 1 to 3, led by node 1; nodes 4 and 5 hold nothing. All are registered, node N with store N.
pub(super) fn three() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let members: Vec<NodeId> = (1..=3).map(node).collect();
    let seed = LayoutSeed {
        cluster: ClusterId::new(1),
        nodes: members.iter().map(|member| format!("n{}", member.get())).collect(),
        groups: vec![GroupSeed { name: "sg0".to_owned(), members, primary: node(1) }],
        options: ClusterOptions::default(),
    };
    catalogue.apply(Command::FormLayout(seed)).unwrap();
    for id in 1..=5 {
        catalogue.apply(Command::RegisterNode(registration(id, &format!("n{id}")))).unwrap();
    }
    catalogue
}

/// `three` with all copies in sync.
pub(super) fn in_sync() -> Catalogue {
    let mut catalogue = three();
    for id in 2..=3 {
        apply(&mut catalogue, |group, expected| join(group, expected, id, 1)).unwrap();
        apply(&mut catalogue, |group, expected| grow(group, expected, id, 1)).unwrap();
    }
    catalogue
}

pub(super) fn group(catalogue: &Catalogue) -> GroupInfo {
    GroupInfo::clone(catalogue.group(GROUP).unwrap())
}

/// Proposes a command at the group's present revision, and once at another: that must miss.
pub(super) fn apply(
    catalogue: &mut Catalogue,
    command: impl Fn(GroupId, Revision) -> Command,
) -> Result<GroupInfo, GroupRefusal> {
    let (before, bytes) = (group(catalogue), catalogue.encode());
    let present = before.revision();
    let stale = [
        Revision { version: present.version - 1, ..present },
        Revision { epoch: present.epoch.next(), ..present },
    ];
    for expected in stale {
        let miss = catalogue.apply(command(GROUP, expected)).unwrap_err();
        assert_eq!(miss, CatalogueError::GroupMoved { expected, group: Box::new(before.clone()) });
        assert_eq!(miss.code(), ErrorCode::AlreadyExists);
    }
    let outcome = catalogue.apply(command(GROUP, present));
    match outcome {
        Ok(Reply::Group { info, changed: true }) => {
            assert_eq!(info.version, present.version + 1);
            assert_eq!(*info, group(catalogue));
            Ok(GroupInfo::clone(&info))
        }
        Err(CatalogueError::NotPossible { group: GROUP, reason }) => {
            assert_eq!(catalogue.encode(), bytes);
            Err(reason)
        }
        other => panic!("{other:?}"),
    }
}

fn shrink(group: GroupId, expected: Revision, remove: u64) -> Command {
    Command::ShrinkGroup { group, expected, remove: node(remove), reason: StaleReason::MissedWrite }
}

fn join(group: GroupId, expected: Revision, id: u64, incarnation: u64) -> Command {
    Command::AddJoiner { group, expected, node: node(id), incarnation }
}

fn grow(group: GroupId, expected: Revision, id: u64, incarnation: u64) -> Command {
    Command::GrowGroup { group, expected, node: node(id), incarnation }
}

fn promote(group: GroupId, expected: Revision, id: u64) -> Command {
    Command::Promote { group, expected, primary: node(id) }
}

fn force(group: GroupId, expected: Revision, id: u64) -> Command {
    Command::ForcePromote { group, expected, primary: node(id) }
}

#[test]
fn a_copy_joins_grows_and_is_shrunk() {
    let mut catalogue = three();
    let start = group(&catalogue);
    assert_eq!((start.epoch, start.version), (PrimaryEpoch::new(1), 2));
    assert_eq!(start.in_sync, BTreeMap::from([(node(1), 1)]));
    assert_eq!(start.stale, BTreeMap::from([(node(2), StaleReason::Added), (node(3), StaleReason::Added)]));

    let wrong = apply(&mut catalogue, |group, expected| join(group, expected, 2, 9));
    assert_eq!(wrong, Err(GroupRefusal::OtherIncarnation { node: node(2), expected: 9, found: 1 }));
    let not_a_member = apply(&mut catalogue, |group, expected| join(group, expected, 4, 1));
    assert_eq!(not_a_member, Err(GroupRefusal::NotStale { node: node(4) }));
    assert_eq!(
        apply(&mut catalogue, |group, expected| grow(group, expected, 2, 1)),
        Err(GroupRefusal::NotJoining { node: node(2) })
    );

    let joining = apply(&mut catalogue, |group, expected| join(group, expected, 2, 1)).unwrap();
    assert_eq!(joining.state_of(node(2)), Some(CopyState::Joining));
    assert_eq!(
        apply(&mut catalogue, |group, expected| join(group, expected, 3, 1)),
        Err(GroupRefusal::JoinerPresent { node: node(2) })
    );
    let dropped = apply(&mut catalogue, |group, expected| Command::DropJoiner { group, expected }).unwrap();
    assert_eq!(dropped.state_of(node(2)), Some(CopyState::Stale(StaleReason::MissedWrite)));
    assert_eq!(
        apply(&mut catalogue, |group, expected| Command::DropJoiner { group, expected }),
        Err(GroupRefusal::NoJoiner)
    );

    apply(&mut catalogue, |group, expected| join(group, expected, 2, 1)).unwrap();
    assert_eq!(
        apply(&mut catalogue, |group, expected| grow(group, expected, 2, 2)),
        Err(GroupRefusal::NotJoining { node: node(2) })
    );
    let grown = apply(&mut catalogue, |group, expected| grow(group, expected, 2, 1)).unwrap();
    assert_eq!(grown.in_sync, BTreeMap::from([(node(1), 1), (node(2), 1)]));
    assert_eq!(
        apply(&mut catalogue, |group, expected| shrink(group, expected, 1)),
        Err(GroupRefusal::IsPrimary { node: node(1) })
    );
    assert_eq!(
        apply(&mut catalogue, |group, expected| shrink(group, expected, 3)),
        Err(GroupRefusal::NotInSync { node: node(3) })
    );
    let shrunk = apply(&mut catalogue, |group, expected| shrink(group, expected, 2)).unwrap();
    assert_eq!(shrunk.state_of(node(2)), Some(CopyState::Stale(StaleReason::MissedWrite)));
    assert_eq!(shrunk.epoch, PrimaryEpoch::new(1), "only a primary's session has an epoch");
}

/// Its node may have thrown it away, and what it acknowledged before is still on its way.
#[test]
fn a_copy_that_was_damaged_joins_in_an_epoch_of_its_own() {
    let mut catalogue = three();
    let damaged = |group, expected| Command::ShrinkGroup {
        group,
        expected,
        remove: node(2),
        reason: StaleReason::Damaged,
    };
    let before = group(&catalogue);
    let marked = apply(&mut catalogue, damaged).unwrap();
    assert_eq!(marked.state_of(node(2)), Some(CopyState::Stale(StaleReason::Damaged)));
    assert_eq!((marked.epoch, marked.version), (before.epoch, before.version + 1));
    let again = catalogue.apply(damaged(GROUP, marked.revision()));
    assert!(matches!(again, Ok(Reply::Group { changed: false, .. })), "{again:?}");
    let joining = apply(&mut catalogue, |group, expected| join(group, expected, 2, 1)).unwrap();
    assert_eq!((joining.primary, joining.epoch), (node(1), before.epoch.next()));
    // What is not stale is not marked.
    assert_eq!(apply(&mut catalogue, damaged), Err(GroupRefusal::NotInSync { node: node(2) }));
    let primary = |group, expected| Command::ShrinkGroup {
        group,
        expected,
        remove: node(1),
        reason: StaleReason::Damaged,
    };
    assert_eq!(apply(&mut catalogue, primary), Err(GroupRefusal::IsPrimary { node: node(1) }));
}

/// A copy that restarts while it joins starts over: the proposal of its former incarnation cannot commit any more.
#[test]
fn a_joiner_of_another_incarnation_does_not_grow() {
    let mut catalogue = three();
    apply(&mut catalogue, |group, expected| join(group, expected, 2, 1)).unwrap();
    let proposed = grow(GROUP, group(&catalogue).revision(), 2, 1);
    catalogue.apply(Command::RegisterNode(registration(2, "n2"))).unwrap();
    assert_eq!(group(&catalogue).state_of(node(2)), Some(CopyState::Stale(StaleReason::Restarted)));
    assert!(matches!(catalogue.apply(proposed), Err(CatalogueError::GroupMoved { .. })));
    let old = apply(&mut catalogue, |group, expected| join(group, expected, 2, 1));
    assert_eq!(old, Err(GroupRefusal::OtherIncarnation { node: node(2), expected: 1, found: 2 }));
}

#[test]
fn only_in_sync_copies_are_promoted() {
    let mut catalogue = in_sync();
    let before = group(&catalogue);
    let promoted = apply(&mut catalogue, |group, expected| promote(group, expected, 2)).unwrap();
    assert_eq!((promoted.primary, promoted.epoch), (node(2), before.epoch.next()));
    assert_eq!(promoted.in_sync, BTreeMap::from([(node(2), 1), (node(3), 1)]));
    assert_eq!(promoted.state_of(node(1)), Some(CopyState::Stale(StaleReason::FormerPrimary)));
    let refused = [
        (1, GroupRefusal::NotInSync { node: node(1) }),
        (2, GroupRefusal::IsPrimary { node: node(2) }),
        (4, GroupRefusal::NotInSync { node: node(4) }),
    ];
    for (id, reason) in refused {
        assert_eq!(apply(&mut catalogue, |group, expected| promote(group, expected, id)), Err(reason));
    }
    apply(&mut catalogue, |group, expected| join(group, expected, 1, 1)).unwrap();
    let joining = apply(&mut catalogue, |group, expected| promote(group, expected, 1));
    assert_eq!(joining, Err(GroupRefusal::NotInSync { node: node(1) }));
    let unknown = Command::Promote { group: GROUP, expected: before.revision(), primary: node(9) };
    assert_eq!(catalogue.apply(unknown), Err(CatalogueError::NodeNotFound { node: node(9) }));
    let nowhere = Command::Promote { group: GroupId::new(9), expected: before.revision(), primary: node(2) };
    assert_eq!(catalogue.apply(nowhere), Err(CatalogueError::GroupNotFound { group: GroupId::new(9) }));
}

#[test]
fn force_is_for_copies_that_are_not_in_sync_and_is_remembered() {
    let mut catalogue = in_sync();
    apply(&mut catalogue, |group, expected| shrink(group, expected, 3)).unwrap();
    assert_eq!(
        apply(&mut catalogue, |group, expected| force(group, expected, 2)),
        Err(GroupRefusal::NeedsNoForce { node: node(2) })
    );
    assert_eq!(
        apply(&mut catalogue, |group, expected| force(group, expected, 4)),
        Err(GroupRefusal::NotAMember { node: node(4) })
    );
    let forced = apply(&mut catalogue, |group, expected| force(group, expected, 3)).unwrap();
    assert_eq!((forced.primary, forced.epoch), (node(3), PrimaryEpoch::new(2)));
    assert_eq!(forced.in_sync, BTreeMap::from([(node(3), 1)]));
    assert_eq!(forced.state_of(node(1)), Some(CopyState::Stale(StaleReason::FormerPrimary)));
    assert_eq!(forced.state_of(node(2)), Some(CopyState::Stale(StaleReason::MissedWrite)));
    assert_eq!(forced.unclean, [UncleanPromotion { epoch: PrimaryEpoch::new(2), primary: node(3) }]);
    for round in 0..limit::UNCLEAN_MAX as u64 {
        let id = 1 + round % 2;
        apply(&mut catalogue, |group, expected| force(group, expected, id)).unwrap();
    }
    let unclean = group(&catalogue).unclean;
    assert_eq!((unclean.len(), unclean[0].epoch), (limit::UNCLEAN_MAX, PrimaryEpoch::new(3)));
}

#[test]
fn a_copy_is_replaced_by_another() {
    let mut catalogue = in_sync();
    let add = |id, replaces: Option<u64>| Command::AddReplica {
        group: GROUP,
        node: node(id),
        replaces: replaces.map(node),
    };
    let remove = |id| Command::RemoveReplica { group: GROUP, node: node(id) };
    let changed = |reply: Result<Reply, CatalogueError>| match reply.unwrap() {
        Reply::Group { changed, .. } => changed,
        other => panic!("{other:?}"),
    };
    assert!(changed(catalogue.apply(add(4, Some(1)))));
    assert!(!changed(catalogue.apply(add(4, Some(1)))), "proposed again");
    let with_four = group(&catalogue);
    assert_eq!((with_four.rf, with_four.leaving.clone()), (3, BTreeSet::from([node(1)])));
    assert!(!with_four.should_yield(), "two in-sync copies stay, three are wanted");
    // Not before others are in sync.
    assert!(!changed(catalogue.apply(remove(1))));
    apply(&mut catalogue, |group, expected| join(group, expected, 4, 1)).unwrap();
    let grown = apply(&mut catalogue, |group, expected| grow(group, expected, 4, 1)).unwrap();
    assert!(grown.should_yield());
    assert!(!changed(catalogue.apply(remove(1))), "a primary hands over first");
    apply(&mut catalogue, |group, expected| promote(group, expected, 4)).unwrap();
    assert!(changed(catalogue.apply(remove(1))));
    let replaced = group(&catalogue);
    assert_eq!(replaced.members, [2, 3, 4].map(node));
    assert_eq!((replaced.rf, replaced.leaving.len(), replaced.stale.len()), (3, 0, 0));
    assert!(!changed(catalogue.apply(remove(1))), "proposed again");

    let unknown = catalogue.apply(add(9, None)).unwrap_err();
    assert_eq!(unknown, CatalogueError::NodeNotFound { node: node(9) });
    let reason = GroupRefusal::NotAMember { node: node(5) };
    assert_eq!(catalogue.apply(add(1, Some(5))), Err(CatalogueError::NotPossible { group: GROUP, reason }));
}

/// It begins with nothing as the same incarnation: acknowledgements of its former life are of a former epoch.
#[test]
fn a_copy_that_is_removed_takes_its_epoch_with_it() {
    let mut catalogue = in_sync();
    let before = group(&catalogue).epoch;
    catalogue.apply(Command::RemoveReplica { group: GROUP, node: node(3) }).unwrap();
    catalogue.apply(Command::AddReplica { group: GROUP, node: node(3), replaces: None }).unwrap();
    apply(&mut catalogue, |group, expected| join(group, expected, 3, 1)).unwrap();
    assert_eq!(group(&catalogue).epoch, before.next());
}

#[test]
fn fewer_and_more_copies() {
    let mut catalogue = in_sync();
    let remove = |id| Command::RemoveReplica { group: GROUP, node: node(id) };
    catalogue.apply(Command::AddReplica { group: GROUP, node: node(4), replaces: None }).unwrap();
    assert_eq!(group(&catalogue).rf, 4);
    for id in [4, 3] {
        catalogue.apply(remove(id)).unwrap();
    }
    assert_eq!((group(&catalogue).rf, group(&catalogue).members), (2, vec![node(1), node(2)]));
    // The primary goes by handing over.
    catalogue.apply(remove(1)).unwrap();
    let handing_over = group(&catalogue);
    assert_eq!((handing_over.rf, handing_over.primary), (1, node(1)));
    assert!(handing_over.should_yield());
    // Changed one's mind.
    catalogue.apply(Command::AddReplica { group: GROUP, node: node(1), replaces: None }).unwrap();
    assert_eq!((group(&catalogue).rf, group(&catalogue).should_yield()), (2, false));
    catalogue.apply(remove(2)).unwrap();
    let reason = GroupRefusal::LastCopy { node: node(1) };
    assert_eq!(catalogue.apply(remove(1)), Err(CatalogueError::NotPossible { group: GROUP, reason }));
}

#[test]
fn groups_are_added_for_collections_to_come() {
    let mut catalogue = three();
    catalogue.apply(super::create_database("db")).unwrap();
    let first = super::created(&mut catalogue, super::create("db", "a", 4));
    let seed = |name: &str, members: &[u64], primary| {
        let members = members.iter().copied().map(node).collect();
        Command::AddGroup(GroupSeed { name: name.to_owned(), members, primary: node(primary) })
    };
    let Ok(Reply::Group { info, changed: true }) = catalogue.apply(seed("sg1", &[4, 5], 4)) else { panic!() };
    assert_eq!((info.id, info.epoch, info.rf), (GroupId::new(2), PrimaryEpoch::new(1), 2));
    assert_eq!(info.in_sync, BTreeMap::from([(node(4), 1)]));
    assert!(matches!(catalogue.apply(seed("sg1", &[5, 4], 5)), Ok(Reply::Group { changed: false, .. })));
    let refusals = [
        (seed("sg1", &[1], 1), CatalogueError::GroupExists { name: "sg1".to_owned() }),
        (seed("sg2", &[9], 9), CatalogueError::NodeNotFound { node: node(9) }),
        (seed("sg2", &[1, 1], 1), CatalogueError::NodeGivenTwice { node: node(1) }),
        (
            seed("sg2", &[1, 2], 3),
            CatalogueError::PrimaryIsNoMember { name: "sg2".to_owned(), primary: node(3) },
        ),
    ];
    for (command, refusal) in refusals {
        assert_eq!(catalogue.apply(command), Err(refusal));
    }
    assert!(catalogue.apply(seed("bad name", &[1], 1)).is_err());
    let many: Vec<u64> = (1..=17).collect();
    assert_eq!(catalogue.apply(seed("sg2", &many, 1)).unwrap_err().code(), ErrorCode::InvalidArgument);
    let second = super::created(&mut catalogue, super::create("db", "b", 4));
    let groups = |info: &CollectionInfo| catalogue.bucket_table(info.buckets).unwrap().groups().to_vec();
    assert_eq!((groups(&first), groups(&second)), (vec![GROUP], vec![GROUP, GroupId::new(2)]));
}

#[test]
fn unmirrored_groups_have_no_joiners() {
    let mut catalogue = three();
    let group = std::sync::Arc::make_mut(catalogue.groups.get_mut(&GROUP).unwrap());
    group.mirror = false;
    let refused = apply(&mut catalogue, |group, expected| join(group, expected, 2, 1));
    assert_eq!(refused, Err(GroupRefusal::NotMirrored));
}

#[test]
fn leased_ids_never_meet() {
    let mut catalogue = three();
    catalogue.apply(super::create_database("db")).unwrap();
    let collection = super::created(&mut catalogue, super::create("db", "a", 4)).id;
    let bytes = catalogue.bytes();
    let lease = |collection, id, count, largest_known| Command::LeaseIds {
        collection,
        node: node(id),
        count,
        largest_known,
    };
    let ids = |first, count| Ok(Reply::Ids { first, count });
    assert_eq!(catalogue.apply(lease(collection, 1, 10, None)), ids(0, 10));
    assert_eq!(catalogue.apply(lease(collection, 2, 10, Some(3))), ids(10, 10));
    assert_eq!(catalogue.apply(lease(collection, 2, 1, Some(99))), ids(100, 1));
    assert_eq!(catalogue.apply(lease(collection, 1, 1, None)), ids(101, 1));
    assert_eq!(catalogue.next_id(collection), 102);
    assert_eq!(
        catalogue.apply(lease(collection, 9, 1, None)),
        Err(CatalogueError::NodeNotFound { node: node(9) })
    );
    let gone = CollectionId::new(9);
    assert_eq!(catalogue.apply(lease(gone, 1, 1, None)), Err(CatalogueError::CollectionDropped { id: gone }));
    for (count, known) in [(0, None), (u64::MAX, None), (1, Some(1 << 63)), (1, Some((1 << 63) - 1))] {
        let error = catalogue.apply(lease(collection, 1, count, known)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    }
    let last = limit::GENERATED_ID_MAX;
    assert_eq!(catalogue.apply(lease(collection, 1, 1, Some(last - 1))), ids(last, 1));
    assert!(catalogue.apply(lease(collection, 1, 1, None)).is_err());
    assert_eq!(catalogue.bytes(), bytes + limit::ID_RANGE_WEIGHT);
    catalogue.apply(Command::DropDatabase { name: "db".to_owned() }).unwrap();
    assert_eq!(catalogue.next_id(collection), 0);
    assert_eq!(catalogue.bytes(), crate::snapshot::weigh(&catalogue));
}

#[test]
fn copies_move_all_or_none() {
    let mut catalogue = in_sync();
    let seed = GroupSeed { name: "sg1".to_owned(), members: vec![node(1)], primary: node(1) };
    catalogue.apply(Command::AddGroup(seed)).unwrap();
    let moved = |to: Option<u64>, retires| Command::MoveCopies { from: node(1), to: to.map(node), retires };
    let before = catalogue.clone();
    // The only copy of sg1 would go, and node 2 has one of sg0.
    for refused in [moved(None, true), moved(Some(2), false), moved(Some(9), false)] {
        assert!(catalogue.apply(refused).is_err());
        assert_eq!(catalogue, before);
    }
    let Ok(Reply::Node(info)) = catalogue.apply(moved(Some(4), true)) else { panic!() };
    assert!(info.retiring);
    for group in catalogue.groups() {
        assert!(group.members.contains(&node(4)) && group.leaving.contains(&node(1)), "{group:?}");
    }
    let once = catalogue.clone();
    catalogue.apply(moved(Some(4), true)).unwrap();
    assert_eq!(catalogue, once, "again it does nothing");
    // A node that is given a copy stays.
    catalogue.apply(Command::AddReplica { group: GROUP, node: node(1), replaces: None }).unwrap();
    assert!(!catalogue.node(node(1)).unwrap().retiring);
}

#[test]
fn a_node_leaves_with_fewer_copies_wanted() {
    let mut catalogue = in_sync();
    catalogue.apply(Command::MoveCopies { from: node(2), to: None, retires: true }).unwrap();
    assert_eq!((group(&catalogue).members, group(&catalogue).rf), ([1, 3].map(node).to_vec(), 2));
    catalogue.apply(Command::MoveCopies { from: node(1), to: None, retires: false }).unwrap();
    let left = group(&catalogue);
    assert_eq!((left.rf, left.leaving.contains(&node(1)), left.should_yield()), (1, true, true));
}
