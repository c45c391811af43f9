use super::*;
use crate::groups::two_nodes::{Fault, GroupCall, HERE, THERE, TwoNodes, add, context, int_ids};
use lavandin_types::{ErrorCode, GroupId, RequestId};
use std::time::Duration;

fn reserves(call: &GroupCall) -> bool {
    matches!(call, GroupCall::Reserve { .. })
}

fn logs(call: &GroupCall) -> bool {
    matches!(call, GroupCall::LogReserved(_))
}

fn changes(call: &GroupCall) -> bool {
    matches!(call, GroupCall::Change { .. })
}

struct World {
    nodes: TwoNodes,
    groups: Vec<GroupId>,
}

impl World {
    /// Two groups on another node and one on this.
    async fn start() -> Self {
        let nodes = TwoNodes::start().await;
        let groups = vec![
            nodes.add_group("far", &[THERE]).await,
            nodes.add_group("farther", &[THERE]).await,
            nodes.add_group("near", &[HERE]).await,
        ];
        Self { nodes, groups }
    }

    /// Parts of one record for the first groups, under consecutive ids.
    fn parts(&self, first: u64, count: usize) -> Vec<Part> {
        let part = |(group, id): (&GroupId, u64)| Part {
            group: self.nodes.group(*group),
            change: add(&[id]),
            reservation: ReservationId::new(u128::from(id)),
        };
        self.groups[..count].iter().zip(first..).map(part).collect()
    }

    async fn write(&self, first: u64, count: usize) -> Result<Outcome, NodeError> {
        let named = context().with_request_id(RequestId::new(u128::from(first)));
        write_batch(&named, self.nodes.collection, &self.parts(first, count)).await
    }

    /// The ids in the first groups.
    async fn ids(&self, count: usize) -> Vec<Vec<lavandin_types::RecordId>> {
        let mut ids = Vec::new();
        for group in &self.groups[..count] {
            ids.push(self.nodes.ids(self.nodes.info(*group).primary, *group).await);
        }
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_reaches_groups_here_and_elsewhere() {
    let world = World::start().await;
    assert_eq!(world.write(1, 3).await.expect("it is written"), Outcome::Count(3));
    assert_eq!(world.ids(3).await, [int_ids(&[1]), int_ids(&[2]), int_ids(&[3])]);
    assert_eq!((world.nodes.wire.count(logs), world.nodes.wire.count(changes)), (2, 0));
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reservation_or_logging_neither_loses_nor_repeats_a_part() {
    let world = World::start().await;
    let faults = [
        (reserves as fn(&GroupCall) -> bool, Fault::LostRequest),
        (reserves, Fault::LostAnswer),
        (reserves, Fault::NotSent),
        (logs, Fault::LostRequest),
        (logs, Fault::LostAnswer),
        (logs, Fault::NotSent),
        (logs, Fault::Gone),
    ];
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for (number, (question, fault)) in faults.into_iter().enumerate() {
        let first = 10 * (number as u64 + 1);
        world.nodes.wire.add(question, fault);
        let written = world.write(first, 3).await;
        assert_eq!(written.expect("it is written"), Outcome::Count(3), "{fault:?}");
        expected.iter_mut().zip(first..).for_each(|(ids, id)| ids.push(id));
    }
    assert_eq!(world.ids(3).await, expected.map(|ids| int_ids(&ids)));
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_any_reservation_starts_over() {
    let world = World::start().await;
    (0..2).for_each(|_| world.nodes.wire.add(logs, Fault::Gone));
    assert_eq!(world.write(1, 2).await.expect("it is written"), Outcome::Count(2));
    assert_eq!(world.ids(2).await, [int_ids(&[1]), int_ids(&[2])]);
    let wire = &world.nodes.wire;
    assert_eq!((wire.count(reserves), wire.count(logs), wire.count(changes)), (4, 4, 0));
    (0..100).for_each(|_| wire.add(logs, Fault::Gone));
    let error = world.write(11, 2).await.expect_err("it never gets through");
    assert!(matches!(error, NodeError::ReservationGone), "{error}");
    assert_eq!(wire.count(reserves), 4 + 2 * STARTS_MAX);
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_lost_in_between_makes_an_answer_of_its_own() {
    let world = World::start().await;
    let brief = CallContext::new(Duration::from_millis(600)).with_request_id(RequestId::new(1));
    world.nodes.wire.add(logs, Fault::LostRequest);
    (0..100).for_each(|_| world.nodes.wire.add(changes, Fault::NotSent));
    let lost = write_batch(&brief, world.nodes.collection, &world.parts(1, 3)).await;
    let error = lost.expect_err("a group was lost");
    assert_eq!((error.code(), error.code().http_status()), (ErrorCode::Partial, 503));
    let done = world.ids(3).await.iter().filter(|ids| !ids.is_empty()).count();
    assert_eq!(done, 2, "{error}");
    assert!(error.to_string().contains("same idempotency key"), "{error}");
    while world.nodes.wire.forget(changes) {}
    assert_eq!(world.write(1, 3).await.expect("it is completed"), Outcome::Count(3));
    assert_eq!(world.ids(3).await, [int_ids(&[1]), int_ids(&[2]), int_ids(&[3])]);
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_refused_gives_the_others_free() {
    let world = World::start().await;
    world.write(1, 3).await.expect("it is written");
    let named = context().with_request_id(RequestId::new(77));
    let mut parts = world.parts(11, 3);
    parts[1].change = add(&[2]);
    let refused = write_batch(&named, world.nodes.collection, &parts).await;
    assert!(matches!(refused, Err(NodeError::Rejected(Rejection::Exists(_)))), "{refused:?}");
    assert_eq!(world.write(11, 3).await.expect("nothing is held"), Outcome::Count(3));
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_is_not_kept_out_by_what_was_held_for_it() {
    let world = World::start().await;
    let named = context().with_request_id(RequestId::new(9));
    // Through a router that is lost before the second step, and through one that is slow.
    let (lost, again) = (world.parts(1, 3), world.parts(1, 3));
    let again: Vec<Part> = again
        .into_iter()
        .map(|part| Part { reservation: ReservationId::new(part.reservation.get() + 500), ..part })
        .collect();
    let collection = world.nodes.collection;
    let held = hold(&named, collection, &lost).await.expect("they are held");
    assert_eq!(write_batch(&named, collection, &again).await.expect("it is written"), Outcome::Count(3));
    let late = log_held(&named, collection, &lost, held).await;
    assert!(matches!(late, Err(NodeError::ReservationGone)), "{late:?}");
    assert_eq!(write_batch(&named, collection, &lost).await.expect("it is known"), Outcome::Count(3));
    assert_eq!(world.ids(3).await, [int_ids(&[1]), int_ids(&[2]), int_ids(&[3])]);
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allotment_whose_answer_is_lost_is_the_one_that_counts() {
    let world = World::start().await;
    let named = context().with_request_id(RequestId::new(5));
    let group = world.nodes.group(world.groups[0]);
    let remember = |start| group.change(&named, world.nodes.collection, Change::Allot { start, count: 3 });
    for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::NotSent] {
        world.nodes.wire.add(changes, fault);
    }
    let first = Outcome::Assigned { start: 40, count: 3 };
    assert_eq!(remember(40).await.expect("it is remembered"), first);
    assert_eq!(remember(70).await.expect("it is remembered"), first);
    world.nodes.stop().await;
}
