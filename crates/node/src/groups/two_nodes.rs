//! Two nodes in one process, for tests: each has a router and copies of its own; they share one catalogue, and what
//! they say to each other goes through a wire that loses what it is told to lose. The copies do not replicate.

use crate::clock::Clock;
use crate::driver::{Links, Outside};
use crate::error::NodeError;
use crate::groups::call_codec::{Answered, decode_call, encode_answer};
pub(crate) use crate::groups::group_call::GroupCall;
use crate::groups::remote_calls::RemoteCalls;
use crate::groups::{Applied, Group, GroupHost, LocalGroup, Part, Router};
use crate::options::{CallContext, NodeOptions};
use crate::snapshots::Standing;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_cluster::{Command, GroupInfo, GroupSeed, NodeRegistration, NodeSeed, Reply};
use lavandin_consensus::{Metadata, MetadataOptions};
use lavandin_group::replication::{Proposal, View};
use lavandin_peer::{CallError, Reason};
use lavandin_shard::{BatchIds, Change, RecordBatch, VectorBatch, Which};
use lavandin_storage::{DataDirLock, Durability};
use lavandin_types::{
    ClusterId, CollectionId, ElementType, GroupId, NodeId, PrimaryEpoch, RecordId, StoreId,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const HERE: NodeId = NodeId::new(1);
pub(crate) const THERE: NodeId = NodeId::new(2);

/// What happens to one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    NotSent,
    LostRequest,
    LostAnswer,
    /// It is lost, and nobody says so before the deadline.
    Silence,
    /// The group says that it holds no such reservation any more, and in fact holds none.
    Gone,
}

type Matches = fn(&GroupCall) -> bool;

#[derive(Default)]
pub(crate) struct Wire {
    there: OnceLock<Arc<Router>>,
    faults: Mutex<Vec<(Matches, Fault)>>,
    asked: Mutex<Vec<GroupCall>>,
}

impl Wire {
    /// The next question that matches meets the fault.
    pub(crate) fn add(&self, matches: Matches, fault: Fault) {
        lock(&self.faults).push((matches, fault));
    }

    /// Takes a fault back that has not been met; whether there was one.
    pub(crate) fn forget(&self, matches: Matches) -> bool {
        let mut faults = lock(&self.faults);
        let at = faults.iter().position(|(known, _)| std::ptr::fn_addr_eq(*known, matches));
        at.map(|at| faults.remove(at)).is_some()
    }

    /// How many questions that match were asked so far.
    pub(crate) fn count(&self, matches: Matches) -> usize {
        lock(&self.asked).iter().filter(|call| matches(call)).count()
    }

    fn fault_of(&self, call: &GroupCall) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let at = faults.iter().position(|(matches, _)| matches(call))?;
        Some(faults.remove(at).1)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RemoteCalls for Wire {
    fn call(
        &self,
        node: NodeId,
        payload: Bytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Bytes, CallError>> {
        Box::pin(async move {
            assert_eq!(node, THERE);
            let there = self.there.get().expect("there is another node");
            let (header, call) = decode_call(&payload).expect("a router's own bytes");
            let fault = self.fault_of(&call);
            lock(&self.asked).push(call.clone());
            let lost = Err(CallError::Unknown(Reason::ShutDown));
            match fault {
                Some(Fault::NotSent) => Err(CallError::NotSent(Reason::Full)),
                Some(Fault::LostRequest) => lost,
                Some(Fault::Silence) => {
                    tokio::time::sleep_until(deadline.into()).await;
                    Err(CallError::Unknown(Reason::Deadline))
                }
                Some(Fault::Gone) => {
                    if let GroupCall::LogReserved(reservation) = call {
                        there.host.get(header.group).expect("it is open").release(reservation);
                    }
                    let answer = Err(NodeError::ReservationGone);
                    Ok(encode_answer(&Answered { applied: Applied::default(), answer }))
                }
                Some(Fault::LostAnswer) => {
                    there.answer(HERE, &payload, deadline).await.expect("it answers");
                    lost
                }
                None => there.answer(HERE, &payload, deadline).await.map_err(CallError::Status),
            }
        })
    }
}

pub(crate) struct TwoNodes {
    pub(crate) metadata: Metadata,
    pub(crate) here: Arc<Router>,
    pub(crate) there: Arc<Router>,
    pub(crate) wire: Arc<Wire>,
    /// A collection of dimension 2.
    pub(crate) collection: CollectionId,
    folders: [TempDir; 3],
}

impl TwoNodes {
    pub(crate) async fn start() -> Self {
        let folders = [(); 3].map(|()| tempfile::tempdir().expect("a temporary directory"));
        let options = MetadataOptions::new(folders[0].path(), HERE);
        let metadata = Metadata::open(options).await.expect("the metadata opens");
        let node = NodeSeed { id: HERE, store: StoreId::new(1), address: "http://here".to_owned() };
        let form = Command::FormCluster { cluster: ClusterId::new(9), node };
        metadata.propose(form).await.expect("the cluster is formed");
        let other = NodeRegistration {
            store: StoreId::new(2),
            address: "http://there".to_owned(),
            ..NodeRegistration::default()
        };
        let joined = metadata.propose(Command::RegisterNode(other)).await;
        assert!(matches!(joined, Ok(Reply::Node(node)) if node.id == THERE));
        let database = Command::CreateDatabase { name: "db".to_owned(), drop_if_exists: false };
        metadata.propose(database).await.expect("the database is created");
        let create = Command::CreateCollection {
            database: "db".to_owned(),
            name: "c".to_owned(),
            dim: 2,
            element: ElementType::F32,
            description: None,
            drop_if_exists: false,
        };
        let Ok(Reply::Collection { info, .. }) = metadata.propose(create).await else {
            panic!("no collection")
        };
        let wire = Arc::new(Wire::default());
        let router = |node, folder: &TempDir| {
            let options =
                NodeOptions { durability: Durability::Os, threads: 2, ..NodeOptions::new(folder.path()) };
            let lock = DataDirLock::acquire(folder.path()).expect("nobody else has it");
            let links = (Arc::new(Nobody) as Links, Clock::started(Duration::from_secs(60)));
            let host = GroupHost::new(&options, &metadata, links, Arc::new(lock)).expect("threads start");
            let remote = Arc::clone(&wire) as Arc<dyn RemoteCalls>;
            Arc::new(Router::new(node, metadata.clone(), Arc::new(host), remote))
        };
        let (here, there) = (router(HERE, &folders[1]), router(THERE, &folders[2]));
        assert!(wire.there.set(Arc::clone(&there)).is_ok());
        Self { collection: info.id, metadata, here, there, wire, folders }
    }

    /// A new group with a copy on each of `members`, all in sync, of which the first leads.
    pub(crate) async fn add_group(&self, name: &str, members: &[NodeId]) -> GroupId {
        let seed = GroupSeed { name: name.to_owned(), members: members.to_vec(), primary: members[0] };
        let Ok(Reply::Group { info, .. }) = self.metadata.propose(Command::AddGroup(seed)).await else {
            panic!("no group")
        };
        let group = info.id;
        for node in &members[1..] {
            self.admit(group, *node).await;
        }
        for node in members {
            let part = Part { node: *node, incarnation: 1 };
            let copy = self.router(*node).host.start(group, part).expect("a copy");
            copy.tell(alone(group, *node));
            copy.wait_until_primary(&context()).await.expect("it leads");
        }
        group
    }

    /// The node's copy is in sync from now on.
    pub(crate) async fn admit(&self, group: GroupId, node: NodeId) {
        let catalogue = self.metadata.catalogue();
        let incarnation = catalogue.node(node).expect("it is registered").incarnation;
        let expected = self.info(group).revision();
        let join = Command::AddJoiner { group, expected, node, incarnation };
        self.metadata.propose(join).await.expect("it may join");
        let expected = self.info(group).revision();
        let grow = Command::GrowGroup { group, expected, node, incarnation };
        self.metadata.propose(grow).await.expect("it is in sync");
    }

    pub(crate) async fn promote(&self, group: GroupId, primary: NodeId) {
        let expected = self.info(group).revision();
        let promote = Command::Promote { group, expected, primary };
        self.metadata.propose(promote).await.expect("it is promoted");
    }

    pub(crate) fn info(&self, group: GroupId) -> Arc<GroupInfo> {
        Arc::clone(self.metadata.catalogue().group(group).expect("there is the group"))
    }

    pub(crate) fn router(&self, node: NodeId) -> &Arc<Router> {
        if node == HERE { &self.here } else { &self.there }
    }

    pub(crate) fn group(&self, group: GroupId) -> Group {
        Group::new(group, Arc::clone(&self.here))
    }

    pub(crate) fn copy(&self, node: NodeId, group: GroupId) -> Arc<LocalGroup> {
        self.router(node).host.get(group).expect("it has a copy")
    }

    /// A node's data directory.
    pub(crate) fn folder(&self, node: NodeId) -> &std::path::Path {
        self.folders[if node == HERE { 1 } else { 2 }].path()
    }

    /// The ids that a node's copy has.
    pub(crate) async fn ids(&self, node: NodeId, group: GroupId) -> Vec<RecordId> {
        let copy = self.copy(node, group);
        let records = copy.records(&context(), self.collection, (Which::All, None), false).await;
        let mut ids: Vec<RecordId> =
            records.expect("they are read").unwrap_or_default().into_iter().map(|record| record.id).collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) async fn stop(self) {
        for router in [self.here, self.there] {
            router.host.shut_down().await.expect("it stops");
        }
        self.metadata.shutdown().await;
    }
}

/// Each copy believes to be the only one: what copies tell each other is not what is looked at here.
pub(crate) fn alone(group: GroupId, node: NodeId) -> View {
    View {
        group,
        epoch: PrimaryEpoch::new(1),
        version: 1,
        primary: node,
        in_sync: BTreeMap::from([(node, 1)]),
        joiner: None,
        observers: BTreeMap::new(),
        min_in_sync: 1,
        mirror: true,
    }
}

struct Nobody;

impl Outside for Nobody {
    fn send(&self, _: NodeId, _: GroupId, _: Vec<u8>) {}
    fn propose(&self, _: GroupId, _: Proposal) {}
    fn fetch_snapshot(&self, _: GroupId, _: NodeId, _: Standing) {}
}

/// Far beyond what any wait of these tests takes.
pub(crate) fn context() -> CallContext {
    CallContext::new(Duration::from_secs(60))
}

/// Records of dimension 2.
pub(crate) fn add(ids: &[u64]) -> Change {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| [*id as f32, 1.0]).flat_map(f32::to_le_bytes).collect();
    let vectors = VectorBatch { element: ElementType::F32, dim: 2, bytes: bytes.into() };
    Change::Add(RecordBatch { ids: BatchIds::Ints(ids.to_vec()), vectors, fields: None, places: None })
}

pub(crate) fn int_ids(ids: &[u64]) -> Vec<RecordId> {
    ids.iter().copied().map(RecordId::Int).collect()
}
