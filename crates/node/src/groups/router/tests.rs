use super::copies::PATIENCE;
use super::*;
use crate::groups::Group;
use crate::groups::call_codec::decode_answer;
use crate::groups::two_nodes::{Fault, HERE, THERE, TwoNodes, add, context, int_ids};
use crate::reads::Search;
use bytes::Bytes;
use lavandin_cluster::Command;
use lavandin_shard::{Change, Outcome, RecordBatch, Which};
use lavandin_types::{PrimaryEpoch, RecordId, RequestId, ValueRef};

fn any(_: &GroupCall) -> bool {
    true
}

fn brief() -> CallContext {
    CallContext::new(Duration::from_millis(600))
}

async fn contains(group: &Group, nodes: &TwoNodes, id: u64) -> bool {
    group.contains(&context(), nodes.collection, RecordId::Int(id)).await.expect("it is answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_elsewhere_answers_as_one_here() {
    let nodes = TwoNodes::start().await;
    let groups = [nodes.add_group("near", &[HERE]).await, nodes.add_group("far", &[THERE]).await];
    let search = Search { queries: vec![1.0, 0.0], count: 1, k: 3, ..Search::default() };
    let mut answers = Vec::new();
    for id in groups {
        let (group, collection) = (nodes.group(id), nodes.collection);
        let done = group.change(&context(), collection, add(&[1, 2, 3])).await;
        assert_eq!(done.expect("it is written"), Outcome::Count(3));
        let found = group.search(&context(), collection, search.clone(), None).await.expect("it is answered");
        let hits = found.expect("there are records").hits;
        let hits: Vec<_> = hits[0].iter().map(|hit| (hit.id.clone(), hit.score)).collect();
        let statistics = group.collection_statistics(&context(), collection).await.expect("it is answered");
        let unknown = group
            .records(&context(), collection, (Which::Ids(int_ids(&[9])), None), true)
            .await
            .expect_err("there is no such record");
        group.flush(&context()).await.expect("it is flushed");
        group.merge_all(&context(), collection).await.expect("it is merged");
        answers.push((hits, statistics.live, unknown.to_string(), unknown.code()));
        assert_eq!(nodes.ids(nodes.info(id).primary, id).await, int_ids(&[1, 2, 3]));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(nodes.wire.count(any) > 0);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_sent_again() {
    let nodes = TwoNodes::start().await;
    let group = nodes.group(nodes.add_group("far", &[THERE]).await);
    (0..3).for_each(|_| nodes.wire.add(any, Fault::NotSent));
    group.change(&context(), nodes.collection, add(&[1])).await.expect("the fourth try succeeds");
    assert_eq!(nodes.wire.count(any), 4);
    (0..100).for_each(|_| nodes.wire.add(any, Fault::NotSent));
    let error = group.flush(&brief()).await.expect_err("it is never sent");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(error.to_string().contains("far") && error.to_string().contains("not sent"), "{error}");
    assert!(nodes.wire.count(any) < 15, "it was asked without pauses");
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_unknown_outcome_is_done_once() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("far", &[THERE]).await;
    let group = nodes.group(id);
    for (number, fault) in [(1, Fault::LostRequest), (2, Fault::LostAnswer)] {
        nodes.wire.add(any, fault);
        let done = group.change(&context(), nodes.collection, add(&[number])).await;
        assert_eq!(done.expect("it is done"), Outcome::Count(1));
    }
    assert_eq!(nodes.ids(THERE, id).await, int_ids(&[1, 2]));
    (0..100).for_each(|_| nodes.wire.add(any, Fault::LostAnswer));
    let named = brief().with_request_id(RequestId::new(7));
    let error = group.change(&named, nodes.collection, add(&[3])).await.expect_err("nobody answers");
    assert!(matches!(error, NodeError::OutcomeUnknown { request_id } if request_id == named.request_id));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_is_asked_for_again_and_logging_is_not() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("far", &[THERE]).await;
    let (group, reservation) = (nodes.group(id), crate::reservations::ReservationId::new(5));
    let named = context().with_request_id(RequestId::new(7));
    nodes.wire.add(any, Fault::LostAnswer);
    let reserved = group.reserve(&named, nodes.collection, add(&[1]), reservation).await;
    assert!(matches!(reserved, Ok(crate::driver::Reserved::Held)), "{reserved:?}");
    nodes.wire.add(any, Fault::LostRequest);
    let logged = group.log_reserved(&named, reservation).await;
    assert!(matches!(logged, Err(NodeError::OutcomeUnknown { .. })), "{logged:?}");
    assert_eq!(nodes.wire.count(|call| matches!(call, GroupCall::LogReserved(_))), 1);
    // Its ids are held still, by what this takes the place of.
    let done = group.change_reserved(&named, nodes.collection, add(&[1]), Some(reservation)).await;
    assert_eq!(done.expect("it is written"), Outcome::Count(1));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_primary_is_asked_at_once() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("both", &[THERE, HERE]).await;
    let group = nodes.group(id);
    nodes.wire.add(any, Fault::Silence);
    let context = context();
    let writing = group.change(&context, nodes.collection, add(&[1]));
    let promoting = async {
        while nodes.wire.count(any) == 0 {
            tokio::task::yield_now().await;
        }
        nodes.promote(id, HERE).await;
    };
    let started = Instant::now();
    let (written, ()) = tokio::join!(writing, promoting);
    written.expect("the new primary takes it");
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for the old one");
    assert_eq!(nodes.ids(HERE, id).await, int_ids(&[1]));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_sync_answers_reads_that_its_primary_does_not() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("both", &[THERE, HERE]).await;
    let group = nodes.group(id);
    group.change(&context(), nodes.collection, add(&[1])).await.expect("it is written");
    nodes.wire.add(any, Fault::Silence);
    let behind = group.contains(&brief(), nodes.collection, RecordId::Int(1)).await;
    assert_eq!(behind.expect_err("the copy here lacks the write").code(), ErrorCode::Unavailable);

    let written = GroupCall::Change { collection: nodes.collection, change: add(&[1]), reserved: None };
    let copy = nodes.copy(HERE, id);
    copy.execute(&context(), &nodes.metadata.catalogue(), written).await.expect("as if it had been shipped");
    copy.serving.note_in_sync(nodes.here.host.clock.now_ms());
    nodes.wire.add(any, Fault::Silence);
    let started = Instant::now();
    assert!(contains(&group, &nodes, 1).await);
    assert!(started.elapsed() >= PATIENCE && started.elapsed() < Duration::from_secs(20));
    nodes.stop().await;
}

/// The same from the other side: a remote copy that is in sync is asked, and says when it is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_answers_as_far_as_it_knows() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("both", &[HERE, THERE]).await;
    let header = |sequence: Option<u64>| Header {
        group: id,
        epoch: nodes.info(id).epoch,
        catalogue: 0,
        request_id: RequestId::NONE,
        need: sequence.map(|sequence| {
            let applied_min = Applied { sequence, ..Applied::default() };
            Need { applied_min, age_ms_max: None }
        }),
    };
    let call = GroupCall::FieldKinds(nodes.collection);
    let deadline = context().deadline;
    let ask = async |header: Header, call: &GroupCall| {
        let answer = nodes.there.answer(HERE, &encode_call(&header, call), deadline).await;
        decode_answer(&answer.expect("it answers")).expect("its own bytes").answer
    };
    let refused =
        |answer: Result<GroupAnswer, NodeError>| matches!(answer, Err(NodeError::NotServing { .. }));
    assert!(ask(header(Some(0)), &call).await.is_ok());
    assert!(refused(ask(header(Some(1000)), &call).await), "it is behind");
    let young = Header { need: Some(Need { age_ms_max: Some(u64::MAX), ..Need::default() }), ..header(None) };
    assert!(refused(ask(young, &call).await), "nobody knows how old it is");
    assert!(refused(ask(header(None), &call).await), "it is not the primary");
    assert!(refused(ask(header(Some(0)), &GroupCall::Flush).await), "a write goes to the primary");
    nodes.promote(id, THERE).await;
    assert!(ask(header(None), &call).await.is_ok());
    let later = Header { epoch: PrimaryEpoch::new(1_000_000), ..header(None) };
    assert!(refused(ask(later, &call).await), "the caller knows of a later reign");
    let unknown = Header { group: GroupId::new(99), ..header(None) };
    assert!(refused(ask(unknown, &call).await));
    let garbage = nodes.there.answer(HERE, &Bytes::from_static(b"garbage"), deadline).await;
    assert_eq!(garbage.expect_err("it is none of ours").code, ErrorCode::InvalidArgument);
    nodes.stop().await;
}

/// The metadata has chosen another primary, and the copy has a lease still and has not heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_under_a_reign_that_is_over_is_no_answer() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("both", &[HERE, THERE]).await;
    let (copy, epoch) = (nodes.copy(HERE, id), nodes.info(id).epoch);
    nodes.here.check_reign(&copy, epoch).expect("it leads");
    nodes.promote(id, THERE).await;
    copy.check_primary().expect("it believes in itself");
    let refused = nodes.here.check_reign(&copy, epoch);
    assert!(matches!(refused, Err(NodeError::NotServing { .. })), "{refused:?}");
    let other = nodes.copy(THERE, id);
    nodes.there.check_reign(&other, nodes.info(id).epoch).expect("it leads");
    assert!(
        nodes.there.check_reign(&other, epoch).is_err(),
        "what is read in one reign may lack what others wrote in between"
    );
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_the_catalogue_that_its_caller_knows() {
    let nodes = TwoNodes::start().await;
    let id = nodes.add_group("far", &[THERE]).await;
    let known = *nodes.metadata.changed().borrow();
    let info = nodes.info(id);
    let header = Header { catalogue: known + 1, ..nodes.here.header(&context(), &info, None) };
    let call = GroupCall::Change { collection: nodes.collection, change: add(&[1]), reserved: None };
    let question = encode_call(&header, &call);
    let soon = Instant::now() + Duration::from_millis(50);
    let late = nodes.there.answer(HERE, &question, soon).await.expect("it answers");
    let late = decode_answer(&late).expect("its own bytes").answer;
    assert!(matches!(late, Err(NodeError::NotServing { .. })), "{late:?}");
    let answering = nodes.there.answer(HERE, &question, context().deadline);
    let more = Command::CreateDatabase { name: "more".to_owned(), drop_if_exists: false };
    let (answer, proposed) = tokio::join!(answering, nodes.metadata.propose(more));
    proposed.expect("the catalogue changes");
    let answer = decode_answer(&answer.expect("it answers")).expect("its own bytes").answer;
    assert_eq!(answer.expect("it is written"), GroupAnswer::Outcome(Outcome::Count(1)));
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_for_a_message_is_refused_with_what_to_do() {
    let nodes = TwoNodes::start().await;
    let group = nodes.group(nodes.add_group("far", &[THERE]).await);
    let Change::Add(batch) = add(&[1]) else { panic!("no batch") };
    let text = "x".repeat(64 << 10);
    let mut fields = [&[1_u8][..], &1_u32.to_le_bytes()].concat();
    lavandin_types::write_str(&mut fields, "text");
    lavandin_types::write_value(&mut fields, ValueRef::Str(&text));
    let change = Change::Add(RecordBatch { fields: Some(fields.into()), ..batch });
    group.change(&context(), nodes.collection, change).await.expect("it is written");
    let many = (Which::Ids(vec![RecordId::Int(1); 1025]), None);
    let error = group.records(&context(), nodes.collection, many, false).await.expect_err("over 64 MiB");
    assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
    assert!(error.to_string().contains("ask for less"), "{error}");

    let before = nodes.wire.count(any);
    let query = vec![0.0; 16 << 20];
    let error = group.search_range(&context(), nodes.collection, query, (0.0, 1)).await;
    let error = error.expect_err("over 64 MiB");
    assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
    assert!(error.to_string().contains("split it"), "{error}");
    assert_eq!(nodes.wire.count(any), before, "it was sent all the same");
    nodes.stop().await;
}
