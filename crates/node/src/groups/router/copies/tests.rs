use super::*;
use crate::groups::Group;
use crate::groups::two_nodes::{Fault, HERE, THERE, TwoNodes, add, alone, context};
use crate::reading::{Progress, Reading};
use lavandin_group::replication::View;
use lavandin_types::RecordId;

fn any(_: &GroupCall) -> bool {
    true
}

fn confirms(call: &GroupCall) -> bool {
    matches!(call, GroupCall::Confirm)
}

/// A group whose primary is elsewhere, and that has a copy here.
struct World {
    nodes: TwoNodes,
    id: GroupId,
    group: Group,
}

impl World {
    async fn start() -> Self {
        let nodes = TwoNodes::start().await;
        let id = nodes.add_group("both", &[THERE, HERE]).await;
        let group = nodes.group(id);
        Self { nodes, id, group }
    }

    /// Writes a record, and tells what the writer has seen by then.
    async fn write(&self, id: u64) -> Progress {
        let context = context().with_reading(Reading::new(Consistency::Session(Progress::new())));
        self.group.change(&context, self.nodes.collection, add(&[id])).await.expect("it is written");
        context.reading.progress().expect("it is a session")
    }

    /// Does on the copy here what was done at the primary.
    async fn ship(&self, id: u64) {
        let call =
            GroupCall::Change { collection: self.nodes.collection, change: add(&[id]), reserved: None };
        let copy = self.nodes.copy(HERE, self.id);
        copy.execute(&context(), &self.nodes.metadata.catalogue(), call).await.expect("it is done");
    }

    /// The copy here is known to have been in sync then.
    fn note_in_sync(&self, moment_ms: u64) {
        self.nodes.copy(HERE, self.id).serving.note_in_sync(moment_ms);
    }

    fn now_ms(&self) -> u64 {
        self.nodes.here.host.clock.now_ms()
    }

    /// The group as another process of this node asks it, which was started so long ago.
    fn router_started(&self, before: Duration) -> Group {
        let Router { node, metadata, host, remote, .. } = &*self.nodes.here;
        let router = Router::new(*node, metadata.clone(), Arc::clone(host), Arc::clone(remote));
        let started = router.started.checked_sub(before).expect("the machine runs for longer");
        Group::new(self.id, Arc::new(Router { started, ..router }))
    }

    /// Whether a usual read finds the record 1 while the primary is silent.
    async fn find_without_primary(&self, group: &Group) -> Result<bool, NodeError> {
        self.nodes.wire.add(any, Fault::Silence);
        group.contains(&CallContext::new(PATIENCE * 4), self.nodes.collection, RecordId::Int(1)).await
    }

    /// Whether the record is found, and who answered instead of the primary.
    async fn find(&self, consistency: Consistency, id: u64) -> (bool, Vec<NodeId>) {
        let context = context().with_reading(Reading::new(consistency));
        let found = self.group.contains(&context, self.nodes.collection, RecordId::Int(id)).await;
        (found.expect("it is answered"), context.reading.answered_by_others())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_here_answers_who_takes_any_and_says_so() {
    let world = World::start().await;
    world.write(1).await;
    let asked = world.nodes.wire.count(any);
    assert_eq!(world.find(Consistency::Any, 1).await, (false, vec![HERE]));
    assert_eq!(world.nodes.wire.count(any), asked);
    assert_eq!(world.find(Consistency::Usual, 1).await, (true, vec![]));
    assert_eq!(world.find(Consistency::Primary, 1).await, (true, vec![]));
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_what_it_has_seen() {
    let world = World::start().await;
    let seen = world.write(1).await;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&world.id]);
    assert_eq!(world.find(Consistency::Session(seen.clone()), 1).await, (true, vec![]));
    assert_eq!(world.find(Consistency::Session(Progress::new()), 1).await, (false, vec![HERE]));
    world.ship(1).await;
    assert_eq!(world.find(Consistency::Session(seen), 1).await, (true, vec![HERE]));
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_too_old_does_not_answer() {
    let world = World::start().await;
    world.write(1).await;
    let hour = Consistency::Bounded(Duration::from_secs(3600));
    assert_eq!(world.find(hour.clone(), 1).await, (true, vec![]), "nobody knows how old it is");
    world.note_in_sync(1);
    assert_eq!(world.find(hour, 1).await, (false, vec![HERE]));
    let lately = Consistency::Bounded(Duration::ZERO);
    assert_eq!(world.find(lately, 1).await, (true, vec![]));
    world.nodes.stop().await;
}

/// What an earlier process of this node saw acknowledged, nobody remembers: a copy that may lack it does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_through_an_earlier_process_is_shown() {
    let world = World::start().await;
    world.note_in_sync(world.now_ms());
    world.write(1).await;
    let restarted = world.router_started(Duration::ZERO);
    let error = world.find_without_primary(&restarted).await.expect_err("the copy is older than the process");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    world.ship(1).await;
    let started_ms = world.now_ms();
    while world.now_ms() <= started_ms + 1 {
        tokio::task::yield_now().await;
    }
    world.note_in_sync(world.now_ms());
    assert!(world.find_without_primary(&restarted).await.expect("it is answered"));
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usual_read_is_not_answered_from_long_ago() {
    let world = World::start().await;
    let (router, age_ms) = (world.router_started(AGE_MAX * 2), AGE_MAX.as_millis() as u64);
    world.note_in_sync(world.now_ms() - age_ms);
    let error = world.find_without_primary(&router).await.expect_err("the copy is too old");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    world.note_in_sync(world.now_ms() - age_ms / 2);
    assert!(!world.find_without_primary(&router).await.expect("it is answered"));
    world.nodes.stop().await;
}

/// A group whose primary is here and has written the record 1; its lease is over.
async fn without_lease() -> (TwoNodes, GroupId) {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("both", &[HERE, THERE]).await;
    nodes.group(id).change(&context(), nodes.collection, add(&[1])).await.expect("it is written");
    let copy = nodes.copy(HERE, id);
    copy.tell(View { epoch: PrimaryEpoch::new(2), ..alone(id, THERE) });
    while copy.check_primary().is_ok() {
        tokio::task::yield_now().await;
    }
    (nodes, id)
}

fn note_in_sync_here(nodes: &TwoNodes, id: GroupId) {
    nodes.copy(HERE, id).serving.note_in_sync(nodes.here.host.clock.now_ms());
}

/// Where the metadata has no leader for longer than a lease lasts, and the other copy is the leader that died.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_a_lease_answers_as_a_copy() {
    let (nodes, id) = without_lease().await;
    note_in_sync_here(&nodes, id);
    nodes.wire.add(any, Fault::Silence);
    let usual = context();
    let found = nodes.group(id).contains(&usual, nodes.collection, RecordId::Int(1)).await;
    assert!(found.expect("it is answered"));
    assert_eq!(usual.reading.answered_by_others(), [HERE]);
    let strict = CallContext::new(PATIENCE * 4).with_reading(Reading::new(Consistency::Primary));
    let refused = nodes.group(id).contains(&strict, nodes.collection, RecordId::Int(1)).await;
    assert_eq!(refused.expect_err("it has no lease").code(), ErrorCode::Unavailable);
    nodes.stop().await;
}

/// A node that learns of changes late asks copies that have died; what it learns meanwhile counts at once.
#[tokio::test(flavor = "multi_thread")]
async fn another_set_of_copies_is_asked_at_once() {
    let (nodes, id) = without_lease().await;
    // The other copy, asked first as a copy and then as the primary.
    (0..2).for_each(|_| nodes.wire.add(any, Fault::Silence));
    let (group, context) = (nodes.group(id), context());
    let reading = group.contains(&context, nodes.collection, RecordId::Int(1));
    let promoting = async {
        while nodes.wire.count(any) == 0 {
            tokio::task::yield_now().await;
        }
        nodes.promote(id, THERE).await;
        nodes.admit(id, HERE).await;
        note_in_sync_here(&nodes, id);
    };
    let (found, ()) = tokio::join!(reading, promoting);
    assert!(found.expect("it is answered"));
    assert_eq!(context.reading.answered_by_others(), [HERE]);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_did_not_ask_for_the_primary_is_answered_without_it() {
    let world = World::start().await;
    world.write(1).await;
    world.ship(1).await;
    world.note_in_sync(world.now_ms());
    world.nodes.wire.add(any, Fault::Silence);
    assert_eq!(world.find(Consistency::Usual, 1).await, (true, vec![HERE]));
    for consistency in [Consistency::Primary, Consistency::Linearizable] {
        world.nodes.wire.add(any, Fault::Silence);
        let brief = CallContext::new(PATIENCE * 4).with_reading(Reading::new(consistency));
        let error = world.group.contains(&brief, world.nodes.collection, RecordId::Int(1)).await;
        assert_eq!(error.expect_err("nobody answers").code(), ErrorCode::Unavailable);
    }
    world.nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linearizable_read_asks_the_metadata_where_no_other_copy_is_in_sync() {
    let world = World::start().await;
    world.write(1).await;
    assert_eq!(world.find(Consistency::Linearizable, 1).await, (true, vec![]));
    assert_eq!(world.nodes.wire.count(confirms), 1);
    let near = world.nodes.group(world.nodes.add_group("near", &[HERE]).await);
    let strict = context().with_reading(Reading::new(Consistency::Linearizable));
    near.contains(&strict, world.nodes.collection, RecordId::Int(1)).await.expect("it is answered");
    // A primary that was replaced believes in itself, and is not believed.
    world.nodes.promote(world.id, HERE).await;
    let deposed = world.nodes.copy(THERE, world.id);
    deposed.check_primary().expect("it believes in itself");
    let refused = world.nodes.there.confirm_here(&context(), &deposed).await;
    assert!(matches!(refused, Err(NodeError::NotServing { .. })), "{refused:?}");
    assert_eq!(world.find(Consistency::Linearizable, 1).await, (false, vec![]), "the copy here leads now");
    world.nodes.stop().await;
}
