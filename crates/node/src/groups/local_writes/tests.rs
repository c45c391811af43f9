use super::*;
use crate::groups::Part;
use crate::groups::two_nodes::{HERE, THERE, TwoNodes, add, alone, context, int_ids};
use lavandin_cluster::{Command, GroupSeed, Reply};
use lavandin_group::replication::View;

/// A copy that was just opened shows nothing of what its log has until that is known to be committed: it must not say
/// that there is nothing to delete.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_has_not_settled_what_it_found_deletes_nothing_and_says_so() {
    let nodes = TwoNodes::start().await;
    let seed = GroupSeed { name: "near".to_owned(), members: vec![HERE], primary: HERE };
    let Ok(Reply::Group { info, .. }) = nodes.metadata.propose(Command::AddGroup(seed)).await else {
        panic!("no group")
    };
    let copy = nodes.here.host.start(info.id, Part { node: HERE, incarnation: 1 }).expect("a copy");
    let (catalogue, collection) = (nodes.metadata.catalogue(), nodes.collection);
    let delete = || Change::Delete(int_ids(&[1]));
    let deleted = copy.change(&context(), (&catalogue, collection), delete()).await;
    assert!(matches!(deleted, Err(NodeError::NotServing { .. })), "{deleted:?}");
    copy.tell(alone(info.id, HERE));
    copy.wait_until_primary(&context()).await.expect("it leads");
    for (change, count) in [(delete(), 0), (add(&[1]), 1), (delete(), 1)] {
        let done = copy.change(&context(), (&catalogue, collection), change).await;
        assert_eq!(done.expect("it is done"), Outcome::Count(count));
    }
    nodes.stop().await;
}

/// A part of a batch that comes again while it waits for the other copies: its ids are taken by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_before_it_is_settled_is_not_refused() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("near", &[HERE]).await;
    let copy = nodes.copy(HERE, id);
    let (catalogue, collection) = (nodes.metadata.catalogue(), nodes.collection);
    copy.change(&context(), (&catalogue, collection), add(&[1])).await.expect("it is written");
    // From now on a copy is waited for that never answers.
    let in_sync = [(HERE, 1), (THERE, 1)].into();
    copy.tell(View { version: 2, in_sync, ..alone(id, HERE) });
    copy.flush(&context()).await.expect("it has learnt it by then");
    let (before, named) = (copy.serving.log_end(), context().with_request_id(RequestId::new(7)));
    let (waiting, known, again) = (std::sync::Arc::clone(&copy), catalogue.clone(), named.clone());
    let first = tokio::spawn(async move { waiting.change(&again, (&known, collection), add(&[2])).await });
    while copy.serving.log_end() == before {
        tokio::task::yield_now().await;
    }
    let reserved =
        copy.reserve(&named, (&catalogue, collection), add(&[2]), ReservationId::new(1)).await.map(drop);
    assert!(matches!(reserved, Err(NodeError::NotServing { .. })), "{reserved:?}");
    copy.tell(View { version: 3, ..alone(id, HERE) });
    assert_eq!(first.await.expect("it ends").expect("it is done"), Outcome::Count(1));
    let reserved = copy.reserve(&named, (&catalogue, collection), add(&[2]), ReservationId::new(1)).await;
    assert!(matches!(reserved, Ok(Reserved::Answered(Outcome::Count(1)))), "{reserved:?}");
    nodes.stop().await;
}

/// A primary that takes no writes for a while, with a reservation that is to be logged just then.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_reserved_and_could_not_be_logged_is_held_no_longer() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("near", &[HERE]).await;
    let (copy, named) = (nodes.copy(HERE, id), context().with_request_id(RequestId::new(7)));
    let (catalogue, collection) = (nodes.metadata.catalogue(), nodes.collection);
    let reserve = async |number| {
        copy.reserve(&named, (&catalogue, collection), add(&[1]), ReservationId::new(number)).await
    };
    assert!(matches!(reserve(1).await, Ok(Reserved::Held)));
    copy.tell(View { version: 2, min_in_sync: 2, ..alone(id, HERE) });
    copy.flush(&context()).await.expect("it has learnt it by then");
    let logged = copy.log_reserved(&named, ReservationId::new(1)).await;
    assert!(matches!(logged, Err(NodeError::TooFewCopies(_))), "{logged:?}");
    copy.tell(View { version: 3, ..alone(id, HERE) });
    copy.flush(&context()).await.expect("it has learnt it by then");
    let reserved = reserve(2).await;
    assert!(matches!(reserved, Ok(Reserved::Held)), "{reserved:?}");
    let logged = copy.log_reserved(&named, ReservationId::new(2)).await;
    assert_eq!(logged.expect("it is logged"), Outcome::Count(1));
    nodes.stop().await;
}
