use super::*;
use lavandin_group::{GroupCopy, GroupOptions, Staged};
use lavandin_plan::iterations::{Create, Definition, Join, ShardsetVersion};
use lavandin_plan::{Order, ShardRows};
use lavandin_shard::Schema;
use lavandin_storage::{Durability, MemoryDirectory};
use lavandin_types::{DatasetId, ElementType, GroupId, IterationId, RequestId, SchemaVersion, ShardsetId};

const COLLECTION: CollectionId = CollectionId::new(3);

fn copy(directory: &Arc<MemoryDirectory>) -> GroupCopy<GroupState> {
    let directory: Arc<dyn Directory> = Arc::<MemoryDirectory>::clone(directory);
    let make = |payload: Option<&[u8]>| state(&directory, payload);
    GroupCopy::open(Arc::clone(&directory), GroupOptions::new(GroupId::new(1), Durability::Os), make)
        .expect("the group opens")
}

fn state(directory: &Arc<dyn Directory>, payload: Option<&[u8]>) -> Result<GroupState, NodeError> {
    let limits = crate::options::Limits::default().of_collection();
    GroupState::open(Arc::clone(directory), limits, payload)
}

fn create(number: u64) -> GroupRequest {
    let shardset = ShardsetId::new(1, [1; 20]);
    let definition = Definition {
        config_hash: [number as u8; 32],
        shardsets: vec![ShardsetVersion { shardset, manifest_version: 1, manifest_hash: 2 }],
        batch_size: 4,
        drop_last: false,
        order: Order::Sequential,
        replication_groups: None,
        shares: None,
        filters: None,
        categorizer: None,
        collater: None,
        preprocessors: None,
        settings: None,
    };
    GroupRequest::Iterations(iterations::Request::Create(Box::new(Create {
        id: IterationId::new(number, [5; 20]),
        dataset: DatasetId::new(1, [1; 20]),
        definition,
        rows: ShardRows::new(vec![10, 10]),
        join: Join { rank: 0, world_size: None, threshold_ms: 0 },
        now_ms: 0,
    })))
}

fn open_collection() -> GroupRequest {
    let schema = Schema { version: SchemaVersion::new(1), element: ElementType::F32, dim: 2, index: None };
    GroupRequest::Collections(Request::Open { collection: COLLECTION, schema })
}

/// A group with a collection and two iterations in its log.
fn group() -> Arc<MemoryDirectory> {
    let directory = Arc::new(MemoryDirectory::new());
    let mut copy = copy(&directory);
    for (id, request) in [(1, create(1)), (2, open_collection()), (3, create(2))] {
        let staged = copy.stage(RequestId::new(id), request).expect("the group takes requests");
        assert!(matches!(staged, Staged::Pending(_)));
    }
    let outcomes = copy.commit().expect("the log takes them");
    let outcomes: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome).collect();
    assert!(matches!(outcomes[0], GroupOutcome::Iterations(iterations::Outcome::Iteration { .. })));
    assert!(matches!(outcomes[1], GroupOutcome::Collections(_)));
    directory
}

#[test]
fn operations_of_both_kinds_share_a_log() {
    let directory = group();
    let copy = copy(&directory);
    let state = copy.consumer();
    assert_eq!(state.shard.collection_ids(), [COLLECTION]);
    let mut ids: Vec<_> = state.readers().iterations.list(None).iter().map(|info| info.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2].map(|number| IterationId::new(number, [5; 20])));
}

#[test]
fn a_request_that_is_sent_again_gets_the_outcome_of_its_kind() {
    let directory = group();
    let mut copy = copy(&directory);
    let again = copy.stage(RequestId::new(1), create(1)).expect("the group takes requests");
    let Staged::Answered(GroupOutcome::Iterations(outcome)) = again else { panic!("it was applied twice") };
    let id = IterationId::new(1, [5; 20]);
    assert_eq!(outcome, iterations::Outcome::Iteration { id, joined: false });
    let again = copy.stage(RequestId::new(2), open_collection()).expect("the group takes requests");
    assert!(matches!(again, Staged::Answered(GroupOutcome::Collections(_))));
    assert_eq!(copy.consumer().readers().iterations.list(None).len(), 2);
}

/// What the collections of a group without any write into a checkpoint: version, next segment, no collection.
fn no_collections() -> Vec<u8> {
    let mut payload = 1_u32.to_le_bytes().to_vec();
    payload.extend_from_slice(&1_u64.to_le_bytes());
    payload.extend_from_slice(&0_u32.to_le_bytes());
    payload
}

#[test]
fn a_checkpoint_holds_both_and_one_of_collections_alone_is_read() {
    let part = copy(&group()).consumer().iterations_part();
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let both = state(&directory, Some(&checkpoint_payload(&part, &no_collections()))).expect("just written");
    assert_eq!(both.iterations_part(), part);
    assert!(both.shard.collection_ids().is_empty());
    let before = state(&directory, Some(&no_collections())).expect("from before there were iterations");
    assert!(before.readers().iterations.list(None).is_empty());
    assert!(state(&directory, None).expect("a new group").readers().iterations.list(None).is_empty());
}

#[test]
fn a_malformed_checkpoint_is_an_error() {
    let part = copy(&group()).consumer().iterations_part();
    let payload = checkpoint_payload(&part, &no_collections());
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    for length in 0..payload.len() {
        assert!(state(&directory, Some(&payload[..length])).is_err(), "cut to {length}");
    }
    let mut long = payload.clone();
    long[MAGIC.len()..MAGIC.len() + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(state(&directory, Some(&long)).is_err());
    let mut later = payload;
    later[MAGIC.len() - 1] = 2;
    assert!(state(&directory, Some(&later)).is_err(), "another version");
}

#[test]
fn outcomes_come_back_as_what_they_were() {
    let id = IterationId::new(1, [5; 20]);
    let outcomes = [
        GroupOutcome::Iterations(iterations::Outcome::Iteration { id, joined: true }),
        GroupOutcome::Iterations(iterations::Outcome::Count(300)),
        GroupOutcome::Collections(Outcome::Count(7)),
    ];
    for outcome in outcomes {
        let mut bytes = Vec::new();
        GroupState::encode_outcome(&outcome, &mut bytes);
        let back = GroupState::decode_outcome(&bytes).expect("just encoded");
        assert_eq!(format!("{back:?}"), format!("{outcome:?}"));
    }
    assert!(GroupState::decode_outcome(&[]).is_none());
}

#[test]
fn readers_of_a_replaced_state_see_the_new_one() {
    let directory: Arc<dyn Directory> = Arc::new(MemoryDirectory::new());
    let mut old = copy(&group());
    old.consumer_mut().shard.publish();
    let readers = old.consumer().readers();
    let payload = checkpoint_payload(&copy(&group()).consumer().iterations_part(), &no_collections());
    let limits = crate::options::Limits::default().of_collection();
    let mut new = GroupState::open_beside(directory, limits, &payload).expect("just written");
    apply(&mut new, iterations::Request::DropDataset { dataset: DatasetId::new(1, [1; 20]) });
    assert_eq!((readers.iterations.list(None).len(), readers.shard.collections().len()), (2, 1));
    new.take_over(&readers);
    assert_eq!((readers.iterations.list(None).len(), readers.shard.collections().len()), (0, 0));
    // What it applies from now on they see, too.
    let GroupRequest::Iterations(request) = create(3) else { panic!("it makes an iteration") };
    apply(&mut new, request);
    assert_eq!(readers.iterations.list(None).len(), 1);
}

fn apply(state: &mut GroupState, request: iterations::Request) {
    let mut op = Vec::new();
    state.prepare(GroupRequest::Iterations(request), &mut op).expect("nothing speaks against it");
    state.apply(SequenceNumber::new(9), ITERATIONS, &op);
}
