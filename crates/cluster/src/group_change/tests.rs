//! Checks that no sequence of commands reaches, because a registration changes the group as well. They stay: whoever
//! changes what a registration does should not have to know that they depend on it.

use super::*;

fn node(id: u64, incarnation: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId::new(id),
        store: None,
        incarnation,
        address: String::new(),
        role: Default::default(),
        boot_id: Default::default(),
        start_id: Default::default(),
        protocol: 0,
        lost: false,
        retiring: false,
    }
}

fn group() -> GroupInfo {
    let members = [1, 2, 3].map(NodeId::new).to_vec();
    GroupInfo::new(GroupId::new(1), "sg0".to_owned(), members, &node(1, 1))
}

#[test]
fn an_earlier_incarnation_neither_grows_nor_leads() {
    let mut group = group();
    let second = NodeId::new(2);
    let joiner = Joiner { node: second, incarnation: 1 };
    group.add_joiner(joiner, 1).unwrap();
    let refused = Err(GroupRefusal::OtherIncarnation { node: second, expected: 1, found: 2 });
    let before = group.clone();
    assert_eq!(group.grow(joiner, 2), refused);
    assert_eq!(group, before);
    group.grow(joiner, 1).unwrap();
    let before = group.clone();
    assert_eq!(group.promote(second, 2), refused);
    assert_eq!(group, before);
}

#[test]
fn contradictions_are_found() {
    let sound = group();
    assert_eq!(sound.contradiction(), None);
    let spoil: [fn(&mut GroupInfo); 8] = [
        |group| group.members.push(NodeId::new(1)),
        |group| group.members.push(NodeId::new(4)),
        |group| group.stale.retain(|node, _| *node != NodeId::new(2)),
        |group| group.joiner = Some(Joiner { node: NodeId::new(1), incarnation: 1 }),
        |group| group.primary = NodeId::new(2),
        |group| group.leaving.extend([NodeId::new(4)]),
        |group| group.rf = 0,
        |group| {
            group.suspect = true;
            group.stale.remove(&NodeId::new(2));
            group.joiner = Some(Joiner { node: NodeId::new(2), incarnation: 1 });
        },
    ];
    for (index, spoil) in spoil.into_iter().enumerate() {
        let mut group = sound.clone();
        spoil(&mut group);
        assert!(group.contradiction().is_some(), "case {index}");
    }
}
