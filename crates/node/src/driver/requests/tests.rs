use crate::driver::Reserved;
use crate::groups::two_nodes::{HERE, THERE, TwoNodes, add, alone, context, int_ids};
use crate::options::CallContext;
use crate::reservations::ReservationId;
use lavandin_group::replication::View;
use lavandin_shard::Outcome;
use lavandin_types::{ErrorCode, RequestId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Else its ids would stay taken, and nobody could write them.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_logged_now_stays_reserved() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let (place, reservation) = ((&*catalogue, nodes.collection), ReservationId::new(1));
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    let reserved = copy.reserve(&context(), place, add(&[2]), reservation).await;
    assert_eq!(reserved.expect("it is held"), Reserved::Held);
    nodes.here.host.lease.set_alone(false);
    while copy.check_primary().is_ok() {
        tokio::task::yield_now().await;
    }
    let refused = copy.log_reserved(&context(), reservation).await.expect_err("its lease is over");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    nodes.here.host.lease.set_alone(true);
    let logged = copy.log_reserved(&context(), reservation).await;
    assert_eq!(logged.expect("it serves again"), Outcome::Count(1));
    assert_eq!(nodes.ids(HERE, group).await, int_ids(&[1, 2]));
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
