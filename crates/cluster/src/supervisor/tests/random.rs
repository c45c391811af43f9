//! Random lives: whatever happened, once all nodes live again everything is in sync and nothing more is proposed.

use super::world::{World, node};
use crate::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Kill(u64),
    Restart(u64),
    Wipe(u64),
    Damage(u64),
    Run(u64),
    NewLeader,
}

fn event() -> impl Strategy<Value = Event> {
    let id = || 1u64..7;
    prop_oneof![
        2 => id().prop_map(Event::Kill),
        2 => id().prop_map(Event::Restart),
        1 => id().prop_map(Event::Wipe),
        1 => id().prop_map(Event::Damage),
        4 => (1u64..60).prop_map(|steps| Event::Run(100 * steps)),
        1 => Just(Event::NewLeader),
    ]
}

/// Whether losing this node's disk or log would lose acknowledged writes: the property is about what can be healed.
fn holds_the_last_copy(world: &World, id: u64) -> bool {
    world.catalogue.groups_of(node(id)).any(|group| {
        let whole =
            |member: &lavandin_types::NodeId| world.nodes.get(member).is_some_and(|process| !process.damaged);
        group.in_sync.contains_key(&node(id))
            && group.in_sync.keys().filter(|member| whole(member)).count() < 2
    })
}

fn carry_out(world: &mut World, event: Event) {
    match event {
        Event::Run(ms) => world.run(ms),
        Event::NewLeader => world.supervisor = Supervisor::new(world.now_ms),
        Event::Kill(id) | Event::Restart(id) | Event::Wipe(id) | Event::Damage(id)
            if !world.nodes.contains_key(&node(id)) || world.catalogue.node(node(id)).is_none() => {}
        Event::Kill(id) => world.kill(id),
        Event::Restart(id) => world.start(id),
        Event::Wipe(id) if !holds_the_last_copy(world, id) => world.wipe(id),
        Event::Damage(id) if !holds_the_last_copy(world, id) => {
            world.nodes.get_mut(&node(id)).unwrap().damaged = true;
        }
        Event::Wipe(_) | Event::Damage(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn everything_is_in_sync_once_all_nodes_live(events in prop::collection::vec(event(), 0..40)) {
        let mut world = World::new(6, &[&[1, 2, 3], &[4, 5], &[2, 4, 1]]);
        world.run(5_000);
        for event in events {
            carry_out(&mut world, event);
        }
        let nodes: Vec<u64> = world.nodes.keys().map(|id| id.get()).collect();
        for id in nodes {
            world.nodes.get_mut(&node(id)).unwrap().damaged = false;
            world.resume(id);
        }
        world.run(40_000);
        for group in world.catalogue.groups() {
            prop_assert!(group.in_sync.len() == group.rf as usize, "{:?} {:?}", group, world.nodes);
            prop_assert_eq!((group.stale.len(), group.leaving.len(), group.joiner), (0, 0, None));
            prop_assert_eq!(&group.unclean, &[]);
            let liveness = world.supervisor.liveness(world.now_ms);
            prop_assert_eq!(world.catalogue.why_not_writable(group.id, &liveness), None);
        }
        world.proposed.clear();
        world.run(30_000);
        prop_assert!(world.proposed.is_empty(), "{:?}", world.proposed);
    }
}
