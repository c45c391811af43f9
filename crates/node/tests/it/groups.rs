//! Collections that lie over several groups: everything is as over one.

use crate::fixture::*;
use bytes::Bytes;
use lavandin_node::{BatchIds, Change, Node, NodeOptions, Outcome, Record, RecordBatch, Search, Which};
use lavandin_types::{ErrorCode, FieldsBuilder, RecordId, RequestId, ValueRef};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const DIM: usize = 4;

fn over(groups: usize, dir: &Path) -> NodeOptions {
    NodeOptions { groups, ..options(dir) }
}

async fn world_over(groups: usize) -> (tempfile::TempDir, Arc<Node>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let node = open_with(over(groups, dir.path())).await;
    node.create_database(&context(), DB, false).await.expect("the database is created");
    require(&node, "c").await;
    assert_eq!(node.catalogue().groups().len(), groups);
    (dir, node)
}

/// Records with a field `n`, each number once among `numbers`.
fn records(ids: Vec<RecordId>, numbers: std::ops::Range<u64>) -> RecordBatch {
    let mut fields = Vec::new();
    for number in numbers.clone() {
        fields.push(1);
        fields.extend_from_slice(&FieldsBuilder::new().with("n", ValueRef::U64(number)).build());
    }
    let vectors = super::fixture::numbers(numbers.start + 1, ids.len() * DIM);
    RecordBatch { fields: Some(Bytes::from(fields)), ..batch(BatchIds::Mixed(ids), DIM as u32, &vectors) }
}

fn id(number: u64) -> RecordId {
    if number.is_multiple_of(2) {
        RecordId::Int(number)
    } else {
        RecordId::from(format!("s{number}").as_str())
    }
}

async fn listed(node: &Node, which: Which) -> Vec<Record> {
    let mut found = node.records(&context(), DB, "c", which, true).await.expect("records are read");
    // Places differ between layouts; that they order the records is what is compared.
    assert!(found.is_sorted_by_key(|record| record.place));
    found.iter_mut().for_each(|record| record.place = 0);
    found
}

/// A life with every kind of change.
async fn live(node: &Node) {
    for start in [0u64, 300, 100, 200] {
        let ids = (start..start + 100).map(id).collect();
        change(node, "c", Change::Add(records(ids, start..start + 100))).await;
    }
    let again: Vec<RecordId> = (390..410).map(id).collect();
    change(node, "c", Change::Upsert(records(again, 1_390..1_410))).await;
    // A field that the records of one group have only.
    let fields = FieldsBuilder::new().with("rare", ValueRef::U64(5)).build();
    let vectors = numbers(77, DIM);
    let fields = Some(Bytes::from([&[1], &fields[..]].concat()));
    let rare = RecordBatch { fields, ..batch(BatchIds::Ints(vec![9_000]), DIM as u32, &vectors) };
    change(node, "c", Change::Add(rare)).await;
    let all = (0..60).map(id).collect();
    assert_eq!(change(node, "c", Change::Delete(all)).await, Outcome::Count(60));
    assert_eq!(change(node, "c", Change::Restore((0..20).map(id).collect())).await, Outcome::Count(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_groups_answer_as_one_does() {
    let (_one_dir, one) = world_over(1).await;
    let (_three_dir, three) = world_over(3).await;
    live(&one).await;
    live(&three).await;
    let listings = [
        Which::All,
        Which::First(7),
        Which::Last(9),
        Which::Matching("n >= 150 AND n < 1395".to_owned()),
        Which::Matching("rare = 5".to_owned()),
        Which::Matching("rare IS NULL AND n < 120".to_owned()),
    ];
    for which in listings {
        let (found, expected) = (listed(&three, which.clone()).await, listed(&one, which.clone()).await);
        let ids = |records: &[Record]| records.iter().map(|record| record.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(&expected), "{which:?}");
        assert!(found == expected, "{which:?}: vectors or fields differ");
    }
    let by_id = Which::Ids(vec![id(399), id(2), id(301), id(100)]);
    let read = |node: Arc<Node>| {
        let which = by_id.clone();
        async move {
            let found = node.records(&context(), DB, "c", which, true).await.expect("they exist");
            found.into_iter().map(|record| (record.id, record.vector, record.fields)).collect::<Vec<_>>()
        }
    };
    assert_eq!(read(Arc::clone(&three)).await, read(Arc::clone(&one)).await);
    for (k, filter) in [(10, None), (500, None), (5, Some("n > 200".to_owned()))] {
        let search = Search { filter, with_fields: true, ..queries(&numbers(9, 3 * DIM), DIM, k) };
        let hits = async |node: &Node| {
            let reply = node.search(&context(), DB, "c", search.clone()).await.expect("it is answered");
            let plain = |hit: &lavandin_node::Hit| (hit.id.clone(), hit.score, hit.fields.clone());
            let hits = reply.results.iter().map(|hits| hits.iter().map(plain).collect::<Vec<_>>());
            (hits.collect::<Vec<_>>(), reply.profile.total_vectors, reply.profile.filter_matches)
        };
        assert_eq!(hits(&three).await, hits(&one).await);
    }
    let within = async |node: &Node| {
        let query = numbers(9, DIM);
        let hits = node.search_range(&context(), DB, "c", query, 0.5, 50).await.expect("it is answered");
        hits.into_iter().map(|hit| (hit.id, hit.score)).collect::<Vec<_>>()
    };
    assert_eq!(within(&three).await, within(&one).await);
    let deleted: BTreeSet<_> = three.deleted_ids(&context(), DB, "c").await.unwrap().into_iter().collect();
    assert_eq!(deleted, (20..60).map(id).collect());
    let unknown = |node: Arc<Node>| async move {
        let which = Which::Matching("nothing = 5".to_owned());
        code(node.records(&context(), DB, "c", which, false).await)
    };
    assert_eq!(unknown(Arc::clone(&three)).await, unknown(Arc::clone(&one)).await);
    assert_eq!(three.field_names(&context(), DB, "c").await.unwrap(), ["n", "rare"]);
    for (number, expected) in [(19, true), (20, false), (405, true), (999, false)] {
        assert_eq!(three.id_exists(&context(), DB, "c", id(number)).await.unwrap(), expected);
    }
    let (all, single) = (statistics(&three, "c").await, statistics(&one, "c").await);
    let counts = |all: &lavandin_node::CollectionStatistics| {
        (all.rows, all.live, all.deleted, all.ever_written, all.max_int_id, all.dim, all.next_id())
    };
    assert_eq!(counts(&all), counts(&single));
    assert_eq!(change(&three, "c", Change::Compact).await, Outcome::Count(40));
    three.shutdown().await.unwrap();
    one.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_built_over_every_group() {
    let (_dir, node) = world_over(2).await;
    let vectors = numbers(4, 4_000 * DIM);
    let ids = BatchIds::Range { start: 0, count: 4_000 };
    change(&node, "c", Change::Add(batch(ids, DIM as u32, &vectors))).await;
    build(&node, "c", "HNSW-L2").await.unwrap();
    assert_eq!(statistics(&node, "c").await.indexed_rows, 4_000);
    let asked = &vectors[1_234 * DIM..1_235 * DIM];
    assert_eq!(search(&node, "c", queries(asked, DIM, 1)).await, [[1_234]]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_in_any_group() {
    let (_dir, node) = world_over(3).await;
    change(&node, "c", Change::Add(records(vec![id(50)], 50..51))).await;
    let before = listed(&node, Which::All).await;
    let with_taken = Change::Add(records((0..100).map(id).collect(), 0..100));
    assert_eq!(refuse(&node, "c", with_taken).await, ErrorCode::InvalidArgument);
    let mut broken = records((100..200).map(id).collect(), 100..200);
    let mut bytes = broken.vectors.bytes.to_vec();
    bytes[77 * DIM * 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    broken.vectors.bytes = Bytes::from(bytes);
    let refused = node.change(&context(), DB, "c", Change::Upsert(broken)).await.unwrap_err();
    assert!(refused.to_string().contains("vector 77 "), "{refused} does not name the request's row");
    let twice = records((200..210).chain([205]).map(id).collect(), 200..211);
    assert_eq!(refuse(&node, "c", Change::Add(twice)).await, ErrorCode::InvalidArgument);
    assert_eq!(listed(&node, Which::All).await, before);
    // Nothing is held either.
    change(&node, "c", Change::Add(records((0..50).map(id).collect(), 0..50))).await;
    assert_eq!(listed(&node, Which::All).await.len(), 51);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn allotted_ids_are_given_once_and_skip_what_is_there() {
    let (_dir, node) = world_over(3).await;
    let add = |count: u32, seed| {
        let vectors = numbers(seed, count as usize * DIM);
        Change::Add(batch(BatchIds::Assigned { count }, DIM as u32, &vectors))
    };
    assert_eq!(change(&node, "c", add(5, 1)).await, Outcome::Assigned { start: 0, count: 5 });
    // Someone takes ids of the range that comes next.
    change(&node, "c", Change::Add(records(vec![RecordId::Int(7)], 0..1))).await;
    let Outcome::Assigned { start, count: 10 } = change(&node, "c", add(10, 2)).await else {
        panic!("ids were asked for")
    };
    assert!(start > 7, "{start} and on meet id 7");
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (node, changes) = (Arc::clone(&node), (0..25).map(|round| add(8, 10 + writer * 100 + round)));
        let changes: Vec<Change> = changes.collect();
        writers.push(tokio::spawn(async move {
            let mut given = Vec::new();
            for one in changes {
                let Outcome::Assigned { start, count } = change(&node, "c", one).await else {
                    panic!("ids were asked for")
                };
                given.extend(start..start + u64::from(count));
            }
            given
        }));
    }
    let mut given = Vec::new();
    for writer in writers {
        given.extend(writer.await.expect("the writer ends well"));
    }
    assert_eq!(given.len(), 800);
    let distinct: BTreeSet<u64> = given.iter().copied().collect();
    assert_eq!(distinct.len(), 800);
    assert_eq!(int_ids(&node, "c").await.len(), 5 + 1 + 10 + 800);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_ids_is_given_the_same_ones_again() {
    let (dir, node) = world_over(3).await;
    let add = |count: u32, seed| {
        let vectors = numbers(seed, count as usize * DIM);
        Change::Add(batch(BatchIds::Assigned { count }, DIM as u32, &vectors))
    };
    let named = |name: u128| context().with_request_id(RequestId::new(name));
    let send = async |node: &Node, name, change| node.change(&named(name), DB, "c", change).await;
    // Of one record too, whose only part is wherever its id belongs. Names that choose every group.
    let mut given = Vec::new();
    for (name, count) in (70u128..).zip([20, 1, 1, 30, 1, 7]) {
        let first = send(&node, name, add(count, name as u64)).await.unwrap();
        assert!(matches!(first, Outcome::Assigned { count: told, .. } if told == count), "{first:?}");
        assert_eq!(send(&node, name, add(count, name as u64)).await.unwrap(), first);
        given.push((name, count, first));
    }
    let before = listed(&node, Which::All).await;
    assert_eq!(before.len(), 60);
    let other = send(&node, 70, add(21, 70)).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::InvalidArgument);
    assert!(other.to_string().contains("names a batch of 20 records"), "{other}");
    // From the log, then from a checkpoint.
    let mut node = node;
    for _ in 0..2 {
        node.shutdown().await.unwrap();
        drop(node);
        node = open_with(over(3, dir.path())).await;
        for (name, count, first) in &given {
            assert_eq!(send(&node, *name, add(*count, *name as u64)).await.unwrap(), *first);
        }
        assert_eq!(listed(&node, Which::All).await, before);
        node.checkpoint(&context(), DB, "c").await.unwrap();
    }
    // Another batch is another batch, and an upsert without ids is remembered as well.
    let Outcome::Assigned { start, .. } = send(&node, 99, add(3, 5)).await.unwrap() else {
        panic!("ids were asked for")
    };
    assert!(!before.iter().any(|record| record.id == RecordId::Int(start)));
    let Change::Add(records) = add(4, 6) else { panic!("it is an add") };
    let first = send(&node, 100, Change::Upsert(records.clone())).await.unwrap();
    assert_eq!(send(&node, 100, Change::Upsert(records)).await.unwrap(), first);
    assert_eq!(listed(&node, Which::All).await.len(), 60 + 3 + 4);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_batch_is_not_bound_to_ids_that_are_taken() {
    let (_dir, node) = world_over(3).await;
    let vectors = numbers(3, 10 * DIM);
    let add = Change::Add(batch(BatchIds::Assigned { count: 10 }, DIM as u32, &vectors));
    let named = |name: u128| context().with_request_id(RequestId::new(name));
    node.change(&named(1), DB, "c", add.clone()).await.unwrap();
    change(&node, "c", Change::Add(records(vec![RecordId::Int(15)], 0..1))).await;
    let first = node.change(&named(2), DB, "c", add.clone()).await.unwrap();
    assert!(matches!(first, Outcome::Assigned { start, count: 10 } if start > 15), "{first:?}");
    assert_eq!(node.change(&named(2), DB, "c", add).await.unwrap(), first);
    assert_eq!(listed(&node, Which::All).await.len(), 21);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_all_groups_and_retries_are_applied_once() {
    let (dir, node) = world_over(3).await;
    live(&node).await;
    let context = context().with_request_id(RequestId::new(77));
    let more = Change::Add(records((500..600).map(id).collect(), 500..600));
    let first = node.change(&context, DB, "c", more.clone()).await.unwrap();
    let before = listed(&node, Which::All).await;
    node.checkpoint(&context, DB, "c").await.unwrap();
    node.shutdown().await.unwrap();
    drop(node);
    // One group is enough to be asked for: the others are in the catalogue.
    let node = open_with(over(1, dir.path())).await;
    assert_eq!(node.catalogue().groups().len(), 3);
    assert_eq!(listed(&node, Which::All).await, before);
    assert_eq!(node.change(&context, DB, "c", more).await.unwrap(), first);
    assert_eq!(listed(&node, Which::All).await, before);
    node.drop_collection(&context, DB, "c").await.unwrap();
    until("all groups have dropped it", || node.statistics().open_collections == 0).await;
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_serves_collections_that_are_made_after_it() {
    let (dir, node) = world_over(1).await;
    live(&node).await;
    let before = listed(&node, Which::All).await;
    node.shutdown().await.unwrap();
    drop(node);
    let node = open_with(over(2, dir.path())).await;
    require(&node, "later").await;
    let groups = |name: &str| {
        let catalogue = node.catalogue();
        let buckets = catalogue.collection(DB, name).expect("it exists").buckets;
        catalogue.bucket_table(buckets).expect("it has a table").groups().len()
    };
    assert_eq!((groups("c"), groups("later")), (1, 2));
    assert_eq!(listed(&node, Which::All).await, before);
    node.shutdown().await.unwrap();
}
