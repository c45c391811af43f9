use crate::driver::News;
use crate::groups::two_nodes::{HERE, THERE, TwoNodes, add, context, int_ids};
use crate::groups::{Ailment, LocalGroup};
use lavandin_group::replication::{Content, Message, View};
use lavandin_types::{ErrorCode, GroupId, PrimaryEpoch, SequenceNumber};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// The group as of a version, with both copies in sync or the one here alone.
fn view(group: GroupId, version: u64, both: bool) -> View {
    let in_sync = if both { BTreeMap::from([(HERE, 1), (THERE, 1)]) } else { BTreeMap::from([(HERE, 1)]) };
    View {
        group,
        epoch: PrimaryEpoch::new(1),
        version,
        primary: HERE,
        in_sync,
        joiner: None,
        observers: BTreeMap::new(),
        min_in_sync: 1,
        mirror: true,
    }
}

/// The other copy says that it has everything, and whom it obeys.
fn acknowledge(copy: &LocalGroup) {
    let content = Content::Acknowledge { durable: SequenceNumber::new(1000), round: 1000 };
    let message = Message { group: copy.id, epoch: PrimaryEpoch::new(1), incarnation: 1, content };
    copy.take_message(News::Message {
        from: THERE,
        message: Box::new(message),
        records: bytes::Bytes::new(),
    });
}

async fn until(copy: &LocalGroup, acknowledges: bool, done: impl Fn(&LocalGroup) -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done(copy) {
        assert!(Instant::now() < end, "it did not happen");
        if acknowledges {
            acknowledge(copy);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_primary_ends_its_reign_once_the_others_have_answered() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    copy.change(&context(), place, add(&[1])).await.expect("it is written");
    copy.tell(view(group, 2, true));
    copy.resign("a file of it is damaged");
    until(&copy, false, |copy| !copy.serving.is_writable()).await;
    assert_eq!(copy.ailment(), None, "nobody has answered yet");
    assert!(copy.check_primary().is_ok(), "what was acknowledged is read from it");
    until(&copy, true, |copy| copy.ailment().is_some()).await;
    assert!(copy.is_out_of_order());
    let Some(Ailment::Damaged(reason)) = copy.ailment() else { panic!("{:?}", copy.ailment()) };
    assert!(reason.contains("a file of it is damaged"), "{reason}");
    // Another copy may have been promoted already: the request is for that one.
    let refused = copy.change(&context(), place, add(&[2])).await.expect_err("it serves nothing any more");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.to_string().contains("nothing was done"), "{refused}");
    copy.tell(view(group, 3, false));
    copy.ask_to_yield(true);
    copy.ask_to_yield(false);
    assert!(copy.change(&context(), place, add(&[2])).await.is_err(), "not before it is opened again");
    assert!(copy.check_primary().is_err());
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_copy_does_not_resign_nor_one_whose_others_are_silent() {
    let nodes = TwoNodes::start().await;
    let group = nodes.add_group("g", &[HERE]).await;
    let (copy, catalogue) = (nodes.copy(HERE, group), nodes.metadata.catalogue());
    let place = (&*catalogue, nodes.collection);
    copy.resign("it is damaged");
    copy.change(&context(), place, add(&[1])).await.expect("it is the only one");
    copy.tell(view(group, 2, true));
    copy.resign("it is damaged");
    until(&copy, false, |copy| !copy.serving.is_writable()).await;
    // The silent one is taken out of the set.
    copy.tell(view(group, 3, false));
    until(&copy, false, |copy| copy.serving.is_writable()).await;
    assert!(copy.check_primary().is_ok());
    copy.change(&context(), place, add(&[2])).await.expect("it goes on");
    assert_eq!((copy.ailment(), nodes.ids(HERE, group).await), (None, int_ids(&[1, 2])));
    nodes.stop().await;
}
