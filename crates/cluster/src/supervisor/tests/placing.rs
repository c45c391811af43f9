//! A cluster that places copies and groups by itself.

use super::world::{World, node};
use crate::*;

/// Of each group its name, its primary, and its copies in sync, ascending.
fn groups(world: &World) -> Vec<(String, u64, Vec<u64>)> {
    let numbers = |group: &GroupInfo| group.in_sync.keys().map(|node| node.get()).collect();
    let shown = |group: &GroupInfo| (group.name.clone(), group.primary.get(), numbers(group));
    world.catalogue.groups().map(|group| shown(group)).collect()
}

fn grown(copies: u32, nodes: u64) -> World {
    let mut world = World::placing(copies);
    for number in 2..=nodes {
        world.register_new(&format!("a{number}:1"), NodeRole::Data);
    }
    world.run(30_000);
    world
}

#[test]
fn one_node_has_one_group_that_waits_for_more_copies() {
    let world = grown(2, 1);
    assert_eq!(groups(&world), [("sg0".to_owned(), 1, vec![1])]);
    assert_eq!(world.group().rf, 2);
    assert_eq!(world.proposed, [""; 0]);
}

#[test]
fn a_second_node_gets_copies_and_a_group_of_its_own() {
    let world = grown(2, 2);
    assert_eq!(groups(&world), [("sg0".to_owned(), 1, vec![1, 2]), ("sg1".to_owned(), 2, vec![1, 2])]);
    let sg1 = "add_group sg1 n2";
    let places = ["add_replica g1 n2", "add_joiner g1 n2", sg1, "add_replica g2 n1", "add_joiner g2 n1"];
    assert_eq!(world.proposed, places, "and nothing else");
}

#[test]
fn copies_and_primaries_are_spread() {
    for (copies, nodes) in [(2, 3), (2, 5), (3, 4), (1, 3)] {
        let world = grown(copies, nodes);
        let placed = groups(&world);
        let mut led: Vec<u64> = placed.iter().map(|group| group.1).collect();
        led.sort_unstable();
        assert_eq!(led, Vec::from_iter(1..=nodes), "each leads one");
        for number in 1..=nodes {
            let held = placed.iter().filter(|group| group.2.contains(&number)).count();
            assert!(held.abs_diff(copies as usize) <= 1, "node {number} holds {held} of {placed:?}");
        }
        assert!(placed.iter().all(|group| group.2.len() == copies as usize), "{placed:?}");
    }
}

/// The copies of each node, ascending by node.
fn loads(world: &World, nodes: u64) -> Vec<usize> {
    let held = |number| world.catalogue.groups_of(node(number)).count();
    (1..=nodes).map(held).collect()
}

#[test]
fn nodes_that_come_later_get_their_share() {
    let mut world = grown(2, 2);
    for nodes in 3..=6 {
        world.register_new(&format!("a{nodes}:1"), NodeRole::Data);
        world.run(30_000);
        let loads = loads(&world, nodes);
        assert!(loads.iter().all(|copies| *copies == 2), "{loads:?}");
        assert_eq!(groups(&world).len() as u64, nodes);
    }
    let settled = world.proposed.len();
    world.run(60_000);
    assert_eq!(world.proposed.len(), settled, "nothing moves to and fro");
}

#[test]
fn nothing_is_placed_for_a_node_that_has_not_come_yet() {
    let mut world = grown(2, 2);
    let third = world.register_silent("a3:1");
    world.run(60_000);
    let before = groups(&world);
    assert!(before.len() == 2 && before.iter().all(|group| group.2 == [1, 2]), "{before:?}");
    world.resume(third.get());
    world.run(30_000);
    assert_eq!(loads(&world, 3), [2, 2, 2]);
}

#[test]
fn a_retiring_node_hands_its_copies_to_the_others() {
    let mut world = grown(2, 3);
    let retire = Command::MoveCopies { from: node(3), to: None, retires: true };
    world.catalogue.apply(retire).unwrap();
    world.run(60_000);
    assert_eq!(world.catalogue.node(node(3)), None, "it was removed");
    assert!(groups(&world).iter().all(|group| group.2 == [1, 2]), "{:?}", groups(&world));
    assert_eq!(world.catalogue.groups().len(), 3);
}

#[test]
fn copies_that_were_given_up_for_want_of_nodes_come_back() {
    let mut world = grown(2, 2);
    let retire = Command::MoveCopies { from: node(2), to: None, retires: true };
    world.catalogue.apply(retire).unwrap();
    world.run(60_000);
    assert_eq!(world.catalogue.node(node(2)), None);
    assert!(groups(&world).iter().all(|group| group.2 == [1]), "{:?}", groups(&world));
    let third = world.register_new("a3:1", NodeRole::Data).get();
    world.run(60_000);
    assert!(groups(&world).iter().all(|group| group.2 == [1, third]), "{:?}", groups(&world));
}

#[test]
fn a_copy_that_is_dead_for_long_goes_to_whoever_holds_fewest() {
    let mut world = grown(2, 3);
    world.kill(3);
    world.run(world.catalogue.options().replace_after_ms + 30_000);
    for (name, primary, in_sync) in groups(&world) {
        assert_eq!((in_sync, primary == 3), (vec![1, 2], false), "{name}");
    }
    assert_eq!(world.catalogue.groups().len(), 3, "no group is added for a node that is dead");
}

#[test]
fn coordinators_and_retiring_nodes_get_nothing() {
    let mut world = World::placing(2);
    world.register_new("c:1", NodeRole::Coordinator);
    let leaving = world.register_new("a2:1", NodeRole::Data);
    let retire = Command::MoveCopies { from: leaving, to: None, retires: true };
    world.catalogue.apply(retire).unwrap();
    world.run(30_000);
    assert_eq!(groups(&world), [("sg0".to_owned(), 1, vec![1])]);
    assert_eq!(world.catalogue.node(leaving), None, "it was removed");
    assert!(world.catalogue.node(node(1)).is_some());
}
