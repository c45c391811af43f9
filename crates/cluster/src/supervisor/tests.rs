//! Scripted lives of a small cluster: what the supervisor proposes, when, and never twice.

mod placing;
mod random;
mod world;

use super::*;
use crate::group_info::{CopyState, StaleReason};
use crate::node_info::NodeRole;
use crate::options::OptionsChange;
use std::collections::BTreeSet;
use world::{GROUP, World, node};

/// Three copies in sync, and the supervisor of a leader that has been there for a minute.
fn settled() -> World {
    let mut world = World::new(3, &[&[1, 2, 3]]);
    world.run(60_000);
    assert_eq!(world.group().in_sync.len(), 3);
    world.proposed.clear();
    world
}

#[test]
fn a_new_cluster_comes_in_sync_and_rests() {
    let mut world = World::new(5, &[&[1, 2, 3], &[4, 5]]);
    world.run(10_000);
    assert!(world.catalogue.groups().all(|group| group.in_sync.len() == group.rf as usize));
    world.proposed.clear();
    world.run(60_000);
    assert_eq!(world.proposed, [] as [&str; 0]);
}

#[test]
fn the_best_in_sync_copy_takes_over_and_the_old_one_comes_back() {
    let mut world = settled();
    let epoch = world.group().epoch;
    world.nodes.get_mut(&node(3)).unwrap().sequence = 9;
    world.run(500);
    world.kill(1);
    let killed = world.now_ms;
    world.run_until(|world| world.group().primary != node(1));
    let waited = world.now_ms - killed;
    // From the last heartbeat, which may be half a second older than the kill.
    assert!((2_500..=3_200).contains(&waited), "{waited}");
    assert_eq!((world.group().primary, world.group().epoch), (node(3), epoch.next()));
    assert_eq!(world.group().state_of(node(1)), Some(CopyState::Stale(StaleReason::FormerPrimary)));
    assert_eq!(world.proposed, ["promote g1 n3"]);
    world.run(20_000);
    assert_eq!(world.proposed.len(), 1, "nobody else is there: {:?}", world.proposed);
    world.start(1);
    world.run(10_000);
    assert_eq!(world.group().in_sync.len(), 3);
    assert_eq!(world.group().primary, node(3), "nobody moves it back");
}

/// No registration leaves a copy in sync under another incarnation; if one did, its promotion would be refused for ever.
#[test]
fn a_copy_recorded_under_another_incarnation_is_no_heir() {
    let mut world = settled();
    let group = std::sync::Arc::make_mut(world.catalogue.groups.get_mut(&GROUP).unwrap());
    group.in_sync.insert(node(2), 7);
    world.kill(1);
    world.run(5_000);
    assert_eq!(world.group().primary, node(3));
}

#[test]
fn with_no_in_sync_copy_left_nobody_is_promoted() {
    let mut world = settled();
    world.shrink(2);
    world.kill(2);
    world.run(200);
    world.kill(1);
    world.kill(3);
    world.proposed.clear();
    world.start(2);
    world.run(60_000);
    assert_eq!(world.proposed, [] as [&str; 0]);
    assert_eq!(world.group().primary, node(1));
    let why = world.catalogue.why_not_writable(GROUP, &world.supervisor.liveness(world.now_ms)).unwrap();
    assert_eq!(
        why,
        "group sg0 has no live copy that holds every acknowledged write: start n1 at a1:1 or n3 at a3:1"
    );
    world.start(3);
    world.run(10_000);
    assert_eq!(world.group().primary, node(3));
    assert_eq!(world.group().in_sync.len(), 2, "and node 2 has joined it");
}

#[test]
fn a_new_leader_waits_for_the_leases_of_the_last_one() {
    let mut world = settled();
    world.kill(1);
    world.run(1_000);
    world.supervisor = Supervisor::new(world.now_ms);
    let elected = world.now_ms;
    world.run_until(|world| world.group().primary != node(1));
    let waited = world.now_ms - elected;
    assert!((3_000..=3_200).contains(&waited), "{waited}");
}

/// A leader that never heard a node knows nothing of it before its predecessor's leases are over, however short the
/// detection time.
#[test]
fn the_wait_of_a_new_leader_is_a_lease_and_an_election() {
    let mut world = settled();
    let change = OptionsChange { detection_ms: Some(1_000), ..OptionsChange::default() };
    world.catalogue.apply(Command::SetClusterOptions(change)).unwrap();
    world.kill(1);
    world.supervisor = Supervisor::new(world.now_ms);
    let elected = world.now_ms;
    world.run_until(|world| world.group().primary != node(1));
    assert!((1_800..=1_900).contains(&(world.now_ms - elected)), "{}", world.now_ms - elected);
}

#[test]
fn a_node_that_flaps_keeps_its_place() {
    let mut world = settled();
    for _ in 0..10 {
        world.kill(1);
        world.run(2_000);
        world.resume(1);
        world.run(1_000);
    }
    assert_eq!(world.proposed, [] as [&str; 0]);
    assert_eq!(world.group().primary, node(1));
}

#[test]
fn a_restart_before_the_detection_is_another_epoch_and_no_promotion() {
    let mut world = settled();
    let before = world.group();
    world.kill(1);
    world.run(1_500);
    world.start(1);
    world.run(10_000);
    let after = world.group();
    assert_eq!((after.primary, after.epoch), (node(1), before.epoch.next()));
    assert_eq!((after.in_sync.len(), world.proposed.len()), (3, 0));
}

#[test]
fn heartbeats_of_an_earlier_start_are_refused_and_keep_nobody_alive() {
    let mut world = settled();
    let zombie = Heartbeat { node: node(1), incarnation: 1, copies: Vec::new(), stopping: false };
    world.kill(1);
    world.run(500);
    world.start(1);
    world.kill(1);
    for _ in 0..40 {
        world.run(100);
        let answer = world.supervisor.heartbeat(&world.catalogue, zombie.clone(), world.now_ms);
        assert_eq!(answer, HeartbeatAnswer::Superseded { registered: 2 });
    }
    assert_ne!(world.group().primary, node(1));
    let unknown = Heartbeat { node: node(9), ..zombie };
    let answer = world.supervisor.heartbeat(&world.catalogue, unknown, world.now_ms);
    assert_eq!(answer, HeartbeatAnswer::Unknown);
}

#[test]
fn a_wiped_replica_and_a_wiped_primary_are_rebuilt() {
    let mut world = settled();
    world.wipe(2);
    world.run(10_000);
    assert_eq!(world.group().members, [1, 4, 3].map(node));
    assert_eq!(world.group().in_sync.len(), 3);
    world.wipe(1);
    world.run(20_000);
    assert_eq!(world.group().members, [5, 4, 3].map(node));
    assert_eq!((world.group().in_sync.len(), world.group().leaving.len()), (3, 0));
    assert_eq!(world.catalogue.nodes().len(), 3);
}

#[test]
fn a_damaged_replica_leaves_the_in_sync_set_and_joins_when_it_is_whole() {
    let mut world = settled();
    world.nodes.get_mut(&node(2)).unwrap().damaged = true;
    world.run(20_000);
    assert_eq!(world.group().state_of(node(2)), Some(CopyState::Stale(StaleReason::Damaged)));
    assert_eq!(world.proposed, ["shrink_group g1 n2"]);
    let epoch = world.group().epoch;
    world.nodes.get_mut(&node(2)).unwrap().damaged = false;
    world.run(5_000);
    assert_eq!(world.group().in_sync.len(), 3);
    // It may be empty now, as the same incarnation: what it acknowledged before must not count.
    assert_eq!(world.group().epoch, epoch.next());
}

#[test]
fn a_stale_copy_that_is_damaged_is_marked_so_unless_the_primary_is_too() {
    let mut world = settled();
    world.kill(2);
    world.run(20_000);
    world.shrink(2);
    for damaged in [1, 2, 3] {
        world.nodes.get_mut(&node(damaged)).unwrap().damaged = true;
    }
    world.run(1_000);
    world.resume(2);
    world.run(10_000);
    assert_eq!(world.group().in_sync.len(), 1);
    assert_eq!(world.group().state_of(node(2)), Some(CopyState::Stale(StaleReason::MissedWrite)));
    world.nodes.get_mut(&node(1)).unwrap().damaged = false;
    world.run(3_000);
    assert_eq!(world.group().state_of(node(2)), Some(CopyState::Stale(StaleReason::Damaged)));
    let revision = world.group().revision();
    world.run(10_000);
    assert_eq!(world.group().revision(), revision, "it is marked once");
}

#[test]
fn a_damaged_primary_hands_over_at_once_to_a_copy_that_is_whole() {
    let mut world = settled();
    world.nodes.get_mut(&node(1)).unwrap().damaged = true;
    world.nodes.get_mut(&node(2)).unwrap().damaged = true;
    world.run(600);
    assert_eq!(world.group().primary, node(3));
    world.run(5_000);
    assert_eq!(world.group().in_sync.len(), 1);
    // The last copy stays, damaged or not.
    world.nodes.get_mut(&node(3)).unwrap().damaged = true;
    world.proposed.clear();
    world.run(10_000);
    assert_eq!(world.proposed, [] as [&str; 0]);
}

#[test]
fn a_joiner_that_dies_makes_room_for_another() {
    let mut world = settled();
    world.grows = false;
    world.shrink(2);
    world.shrink(3);
    world.nodes.get_mut(&node(2)).unwrap().sequence = 5;
    world.run(1_000);
    assert_eq!(world.group().joiner.map(|joiner| joiner.node), Some(node(2)), "it holds more");
    world.kill(2);
    world.run(5_000);
    assert_eq!(world.group().joiner.map(|joiner| joiner.node), Some(node(3)));
}

#[test]
fn a_copy_is_moved_off_a_live_primary() {
    let mut world = World::new(4, &[&[1, 2]]);
    world.run(10_000);
    world.proposed.clear();
    let replace = Command::AddReplica { group: GROUP, node: node(3), replaces: Some(node(1)) };
    world.catalogue.apply(replace).unwrap();
    world.run(10_000);
    let group = world.group();
    assert_eq!(group.members, [2, 3].map(node));
    assert_eq!((group.in_sync.len(), group.leaving.len(), group.rf), (2, 0, 2));
    assert_eq!(world.proposed, ["add_joiner g1 n3", "promote g1 n2", "remove_replica g1 n1"]);
}

/// A primary that is told to leave is not replaced before it said that it stopped: two would serve reads.
#[test]
fn a_live_primary_is_not_replaced_before_it_yields() {
    let mut world = World::new(4, &[&[1, 2]]);
    world.run(10_000);
    world.yields = false;
    let replace = Command::AddReplica { group: GROUP, node: node(3), replaces: Some(node(1)) };
    world.catalogue.apply(replace).unwrap();
    world.run(20_000);
    assert_eq!(world.group().primary, node(1));
    assert!(world.group().should_yield());
    world.yields = true;
    world.run(1_000);
    assert_eq!(world.group().primary, node(2));
}

/// A planned stop costs no detection time.
#[test]
fn a_primary_that_goes_down_hands_over_once_it_has_stopped() {
    let mut world = settled();
    let process = world.nodes.get_mut(&node(1)).unwrap();
    process.stopping = true;
    world.yields = false;
    world.run(2_000);
    assert_eq!(world.group().primary, node(1), "it still serves");
    world.yields = true;
    world.run(600);
    assert_eq!(world.group().primary, node(2));
    world.kill(1);
    world.run(10_000);
    assert_eq!(world.proposed, ["promote g1 n2"], "it does not join before it is back");
    world.start(1);
    world.run(5_000);
    assert_eq!(world.group().in_sync.len(), 3);
}

#[test]
fn writes_do_not_wait_for_a_replica_that_goes_down() {
    let mut world = settled();
    world.nodes.get_mut(&node(3)).unwrap().stopping = true;
    world.run(600);
    assert_eq!(world.group().state_of(node(3)), Some(CopyState::Stale(StaleReason::Restarted)));
    assert_eq!(world.proposed, ["shrink_group g1 n3"]);
}

/// Where all go down at once, every copy stays in sync.
#[test]
fn nothing_moves_between_nodes_that_all_go_down() {
    let mut world = settled();
    world.nodes.values_mut().for_each(|process| process.stopping = true);
    world.run(5_000);
    assert_eq!(world.proposed, [] as [&str; 0]);
}

#[test]
fn a_retiring_node_is_removed_once_its_copies_have_moved() {
    let mut world = World::new(5, &[&[1, 2], &[2, 1]]);
    world.run(10_000);
    world.proposed.clear();
    let retire = Command::MoveCopies { from: node(1), to: Some(node(3)), retires: true };
    world.catalogue.apply(retire.clone()).unwrap();
    world.catalogue.apply(retire).unwrap();
    world.run(10_000);
    assert_eq!(world.catalogue.node(node(1)), None);
    for group in world.catalogue.groups() {
        assert_eq!(group.members.iter().collect::<BTreeSet<_>>(), [&node(2), &node(3)].into());
        assert_eq!((group.in_sync.len(), group.rf), (2, 2));
    }
    assert_eq!(world.proposed.iter().filter(|text| text.starts_with("remove_node")).count(), 1);
}

/// Nobody is given a copy in order to leave.
#[test]
fn a_retiring_node_is_no_spare() {
    let mut world = World::new(4, &[&[1, 2], &[4]]);
    world.run(10_000);
    // Without another copy its last one cannot go, and it stays.
    let replace = Command::MoveCopies { from: node(4), to: Some(node(3)), retires: true };
    world.grows = false;
    world.catalogue.apply(replace).unwrap();
    world.kill(2);
    world.run(620_000);
    assert_eq!(world.group().members, [1, 2].map(node));
}

#[test]
fn a_copy_that_is_dead_for_long_moves_to_a_spare_node() {
    let mut world = World::new(4, &[&[1, 2]]);
    world.run(10_000);
    world.kill(2);
    world.run(595_000);
    assert_eq!(world.group().members, [1, 2].map(node));
    world.run(20_000);
    assert_eq!(world.group().members, [1, 3].map(node));
    assert_eq!((world.group().in_sync.len(), world.group().rf), (2, 2));
}

#[test]
fn a_suspicion_is_lifted_once_nobody_holds_more() {
    for (others, lifted) in [(5, true), (6, false)] {
        let mut world = settled();
        for id in [2, 3, 1] {
            world.kill(id);
            world.nodes.get_mut(&node(id)).unwrap().sequence = if id == 1 { 5 } else { others };
        }
        for id in [2, 3] {
            world.start_doubtful(id);
        }
        world.kill(3);
        world.run(5_000);
        world.start_doubtful(1);
        world.run(20_000);
        assert!(world.group().suspect, "node 3 may hold more");
        world.start(3);
        world.run(20_000);
        assert_eq!(!world.group().suspect, lifted);
        assert_eq!(world.group().in_sync.len(), if lifted { 3 } else { 1 });
        assert_eq!(world.group().primary, node(1));
        assert_eq!(world.group().unclean, []);
    }
}

#[test]
fn nothing_is_proposed_twice_before_an_answer_or_its_time() {
    let mut world = settled();
    world.answers = false;
    world.kill(1);
    world.run(PROPOSAL_MS + 2_900);
    assert_eq!(world.proposed, ["promote g1 n2"]);
    world.run(1_000);
    assert_eq!(world.proposed.len(), 2);
    // Refused, it waits a moment.
    let expected = world.group().revision();
    let command = Command::Promote { group: GROUP, expected, primary: node(2) };
    world.supervisor.answered(&command, false, world.now_ms);
    assert_eq!(world.supervisor.tick(&world.catalogue, world.now_ms + RETRY_MS - 1), []);
    let later_ms = world.now_ms + RETRY_MS;
    let again = world.supervisor.tick(&world.catalogue, later_ms);
    assert_eq!(again, std::slice::from_ref(&command));
    world.supervisor.answered(&command, true, later_ms);
    assert_eq!(world.supervisor.tick(&world.catalogue, later_ms), [command]);
}

#[test]
fn the_chores_go_to_a_live_coordinator_and_stay_there() {
    let mut world = settled();
    let chores = |world: &World| world.catalogue.chores().map(|chores| (chores.node, chores.epoch));
    assert_eq!(chores(&world), Some((node(1), 1)));
    let first = world.register_new("c1:1", NodeRole::Coordinator);
    world.run(1_000);
    assert_eq!(chores(&world), Some((first, 2)));
    let second = world.register_new("c2:1", NodeRole::Coordinator);
    world.run(1_000);
    world.kill(first.get());
    world.run(4_000);
    assert_eq!(chores(&world), Some((second, 3)));
    world.resume(first.get());
    world.run(10_000);
    assert_eq!(chores(&world), Some((second, 3)));
}

#[test]
fn a_copied_directory_is_told_apart_from_a_node_that_moved() {
    let mut world = settled();
    let store = world.catalogue.node(node(1)).unwrap().store.unwrap();
    let start_id = StartId::new(77);
    let moved =
        NodeRegistration { store, address: "b:1".to_owned(), start_id, ..NodeRegistration::default() };
    let ask =
        |world: &mut World| world.supervisor.may_register(&world.catalogue, &moved.clone(), world.now_ms);
    // It is alive where it was: heard after the other one asked.
    assert_eq!(ask(&mut world), Admission::Wait);
    world.run(1_000);
    let refused = CatalogueError::StoreInUse { node: node(1), address: "a1:1".to_owned() };
    assert_eq!(ask(&mut world), Admission::Refuse(refused));
    // It moved: the last heartbeat is older than the question, however young.
    let mut world = settled();
    world.kill(1);
    assert_eq!(ask(&mut world), Admission::Wait);
    world.run(2_000);
    assert_eq!(ask(&mut world), Admission::Wait);
    world.run(1_200);
    assert_eq!(ask(&mut world), Admission::Admit);
    // Restarted in its place.
    let here = NodeRegistration { address: "a1:1".to_owned(), ..moved.clone() };
    assert_eq!(world.supervisor.may_register(&world.catalogue, &here, world.now_ms), Admission::Admit);
    // Somebody else's address.
    let stranger = NodeRegistration { store: StoreId::new(99), address: "a2:1".to_owned(), ..moved.clone() };
    let ask = |world: &mut World| world.supervisor.may_register(&world.catalogue, &stranger, world.now_ms);
    assert_eq!(ask(&mut world), Admission::Wait);
    world.run(1_000);
    let refused = CatalogueError::AddressInUse { address: "a2:1".to_owned(), holder: node(2) };
    assert_eq!(ask(&mut world), Admission::Refuse(refused));
}

#[test]
fn the_reasons_why_a_group_takes_no_writes() {
    let mut world = World::new(3, &[&[1, 2, 3]]);
    let why = |world: &World| {
        world.catalogue.why_not_writable(GROUP, &world.supervisor.liveness(world.now_ms)).unwrap_or_default()
    };
    world.run(10_000);
    assert_eq!(why(&world), "");
    let change = OptionsChange { min_in_sync: Some(4), ..OptionsChange::default() };
    world.catalogue.apply(Command::SetClusterOptions(change)).unwrap();
    let few = "group sg0 has 3 in-sync copies and min_in_sync asks for 4: start its stale copies";
    assert_eq!(why(&world), few);
    world.kill(1);
    world.answers = false;
    world.run(4_000);
    assert_eq!(why(&world), "group sg0 waits for n2 at a2:1 to take over from n1 at a1:1, which is silent");
    // A new leader has heard nobody yet.
    let unheard = world.catalogue.why_not_writable(GROUP, &Liveness::default());
    assert_eq!(unheard.unwrap(), "group sg0 waits to hear from its primary n1 at a1:1");
    let nowhere = world.catalogue.why_not_writable(GroupId::new(9), &Liveness::default());
    assert_eq!(nowhere.unwrap(), "there is no group g9");
    let mut world = World::unregistered(2, &[&[1, 2]]);
    assert_eq!(why(&world), "group sg0 waits for its primary n1 at a1:1 to start for the first time");
    world.start(1);
    world.run(1_000);
    assert_eq!(why(&world), "");
}
