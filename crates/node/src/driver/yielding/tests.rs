use crate::driver::Reserved;
use crate::groups::LocalGroup;
use crate::groups::two_nodes::{HERE, THERE, TwoNodes, add, alone, context, int_ids};
use crate::reservations::ReservationId;
use lavandin_group::replication::View;
use lavandin_types::{ErrorCode, RequestId};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

async fn yielded(copy: &LocalGroup, wanted: bool) {
    let mut yields = copy.serving.yields();
    let waited = timeout(Duration::from_secs(30), yields.wait_for(|yields| *yields == wanted));
    drop(waited.await.expect("it is in time").expect("the copy runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_yields_serves_nothing_until_it_is_told_otherwise() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    assert!(copy.check_primary().is_ok());
    copy.ask_to_yield(true);
    yielded(&copy, true).await;
    assert!(copy.check_primary().is_err(), "another copy may have acknowledged more by now");
    let refused = copy.change(&context(), place, add(&[2])).await.expect_err("nothing is logged any more");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(copy.align(&context()).await.is_err());
    copy.ask_to_yield(false);
    yielded(&copy, false).await;
    copy.change(&context(), place, add(&[3])).await.expect("it serves again");
    assert!(copy.check_primary().is_ok());
    assert_eq!(nodes.ids(HERE, group).await, int_ids(&[1, 3]));
    nodes.stop().await;
}

/// A primary that goes down just after another copy has died would leave the group to the dead one.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_answer_is_not_handed_the_group() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let in_sync = BTreeMap::from([(HERE, 1), (THERE, 1)]);
    copy.tell(View { version: 2, in_sync, ..alone(group, HERE) });
    copy.ask_to_yield(true);
    for id in 1..4 {
        let change = copy.change(&context(), (&*catalogue, nodes.collection), add(&[id])).await;
        assert_eq!(change.expect_err("nothing new is taken").code(), ErrorCode::Unavailable);
        assert!(!*copy.serving.yields().borrow(), "nobody could take over");
    }
    copy.tell(View { version: 3, ..alone(group, HERE) });
    yielded(&copy, true).await;
    nodes.stop().await;
}

/// Else a batch over several groups would be cut in two by a planned stop.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_reserved_may_still_be_logged() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    let (kept, late) = (ReservationId::new(1), ReservationId::new(2));
    for (id, reservation) in [(2, kept), (3, late)] {
        let reserved = copy.reserve(&context(), place, add(&[id]), reservation).await;
        assert_eq!(reserved.expect("it is held"), Reserved::Held);
    }
    copy.ask_to_yield(true);
    copy.log_reserved(&context(), kept).await.expect("it was taken before");
    let refused = copy.reserve(&context(), place, add(&[4]), ReservationId::new(3)).await;
    assert_eq!(refused.expect_err("nothing new is taken").code(), ErrorCode::Unavailable);
    // Nobody comes back for the other one, which does not hold it up for long.
    yielded(&copy, true).await;
    let refused = copy.log_reserved(&context(), late).await.expect_err("it has told that it stopped");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert_eq!(nodes.ids(HERE, group).await, int_ids(&[1, 2]));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_copy_ends_and_leaves_nothing() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    let host = &nodes.here.host;
    assert!(host.on_disk().expect("it is listed").contains(&group));
    host.remove(group).expect("it is removed");
    assert!(!host.on_disk().expect("it is listed").contains(&group));
    assert!(host.get(group).is_none());
    let refused = copy.change(&context(), place, add(&[2])).await.expect_err("it has ended");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    host.remove(group).expect("again it does nothing");
    nodes.stop().await;
}

/// A batch that was done under another router's reservation of the same name takes no ids with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_logged_is_released() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    let named = context().with_request_id(RequestId::new(7));
    copy.change(&named, place, add(&[1])).await.expect("it is written");
    // Of another name when it is made, so that it is not answered; logged under the name of what is done.
    let reservation = ReservationId::new(1);
    let reserved = copy.reserve(&context(), place, add(&[2]), reservation).await;
    assert_eq!(reserved.expect("it is held"), Reserved::Held);
    copy.log_reserved(&named, reservation).await.expect("it was done before");
    copy.change(&context(), place, add(&[2])).await.expect("nobody holds the id");
    assert_eq!(nodes.ids(HERE, group).await, int_ids(&[1, 2]));
    nodes.stop().await;
}
