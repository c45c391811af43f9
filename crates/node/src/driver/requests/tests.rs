use crate::driver::Reserved;
use crate::error::NodeError;
use crate::groups::LocalGroup;
use crate::groups::two_nodes::{HERE, THERE, TwoNodes, add, alone, context, int_ids};
use crate::options::CallContext;
use crate::reservations::ReservationId;
use lavandin_group::replication::View;
use lavandin_shard::{Change, Outcome};
use lavandin_types::{ErrorCode, RequestId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// Ends the lease of the group's only copy.
async fn end_lease(nodes: &TwoNodes, copy: &LocalGroup) {
    nodes.here.host.lease.set_alone(false);
    // It looks at its lease when it hears of something.
    copy.tell(View { version: 2, ..alone(copy.id, HERE) });
    let ended = async {
        while copy.check_primary().is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), ended).await.expect("the lease ends");
}

/// Else its ids would stay taken: the batch, sent again, would find them there and be cut in two.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_logged_now_stays_reserved() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let (place, reservation) = ((&*catalogue, nodes.collection), ReservationId::new(1));
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    let reserved = copy.reserve(&context(), place, add(&[2]), reservation).await;
    assert_eq!(reserved.expect("it is held"), Reserved::Held);
    end_lease(&nodes, &copy).await;
    let refused = copy.log_reserved(&context(), reservation).await.expect_err("its lease is over");
    assert!(matches!(refused, NodeError::NotServing { .. }), "{refused:?}");
    nodes.here.host.lease.set_alone(true);
    let logged = copy.log_reserved(&context(), reservation).await;
    assert_eq!(logged.expect("it serves again"), Outcome::Count(1));
    assert_eq!(nodes.ids(HERE, group).await, int_ids(&[1, 2]));
    nodes.stop().await;
}

/// Nothing else wakes it while nobody writes, and readers would be refused until somebody does.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_copy_sees_that_its_lease_is_renewed() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let copy = nodes.copy(HERE, group);
    end_lease(&nodes, &copy).await;
    let host = &nodes.here.host;
    let renewed = (0..3).any(|_| {
        host.lease.renew(host.clock.now_ms());
        let until = Instant::now() + Duration::from_secs(1);
        while copy.check_primary().is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        copy.check_primary().is_ok()
    });
    assert!(renewed, "it does not look at its lease");
    nodes.stop().await;
}

/// It is no duplicate of itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_before_it_is_committed_is_told_to_wait() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE, THERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    // From now on the other copy is waited for, which says nothing.
    let in_sync = BTreeMap::from([(HERE, 1), (THERE, 1)]);
    copy.tell(View { version: 2, in_sync, ..alone(group, HERE) });
    let named = |id| CallContext::new(Duration::from_millis(300)).with_request_id(RequestId::new(id));
    let mut id = 2;
    while copy.change(&named(u128::from(id)), place, add(&[id])).await.is_ok() {
        id += 1;
    }
    let again = copy.reserve(&named(u128::from(id)), place, add(&[id]), ReservationId::new(1)).await;
    assert_eq!(again.expect_err("nobody knows yet what becomes of it").code(), ErrorCode::Unavailable);
    nodes.stop().await;
}

/// Else the add, which was judged before, would make a second record of an id.
#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_waits_for_the_add_that_is_reserved() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let (place, reservation) = ((&*catalogue, nodes.collection), ReservationId::new(1));
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    copy.reserve(&context(), place, add(&[2, 3]), reservation).await.expect("it is held");
    let upsert = |ids: &[u64]| match add(ids) {
        Change::Add(batch) => Change::Upsert(batch),
        other => other,
    };
    let refused = copy.change(&context(), place, upsert(&[1, 2])).await.expect_err("the add comes first");
    assert!(matches!(refused, NodeError::NotServing { .. }), "{refused:?}");
    let refused = copy.reserve(&context(), place, upsert(&[3]), ReservationId::new(2)).await;
    assert!(matches!(refused, Err(NodeError::NotServing { .. })), "{refused:?}");
    copy.log_reserved(&context(), reservation).await.expect("it is logged");
    copy.change(&context(), place, upsert(&[1, 2, 4])).await.expect("its turn has come");
    assert_eq!(nodes.ids(HERE, group).await, int_ids(&[1, 2, 3, 4]));
    nodes.stop().await;
}
