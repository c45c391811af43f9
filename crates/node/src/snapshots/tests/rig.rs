//! Copies of a group, driven as the node drives them, and the call between two of them.

use super::super::*;
use crate::group_state::{GroupOutcome, GroupReaders, GroupRequest, GroupState, checkpoint_payload};
use bytes::Bytes;
use lavandin_group::{GroupCopy, GroupError, GroupOptions, Staged};
use lavandin_shard::{
    BatchIds, Change, Digest, IndexSpec, Job, JobContext, JobResult, RecordBatch, Request as ShardRequest,
    Schema, VectorBatch,
};
use lavandin_storage::{Directory, Durability};
use lavandin_types::{
    BuildParameters, CollectionId, ElementType, FieldsBuilder, GroupId, IndexMode, NodeId, RecordId,
    RequestId, SchemaVersion, SequenceNumber, ValueRef,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(super) const GROUP: GroupId = GroupId::new(4);
pub(super) const NODE: NodeId = NodeId::new(2);
pub(super) const INDEXED: CollectionId = CollectionId::new(1);
pub(super) const PLAIN: CollectionId = CollectionId::new(2);
const DIM: u32 = 8;
/// Enough for a graph.
const ROWS: u32 = 1100;

pub(super) struct Copy {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) group: GroupCopy<GroupState>,
    pub(super) readers: GroupReaders,
}

impl Copy {
    pub(super) fn open(directory: Arc<dyn Directory>) -> Result<Self, GroupError> {
        let limits = crate::options::Limits::default().of_collection();
        let make = |payload: Option<&[u8]>| GroupState::open(Arc::clone(&directory), limits, payload);
        let options = GroupOptions { log_segment_bytes: 4096, ..GroupOptions::new(GROUP, Durability::Fsync) };
        let mut group = GroupCopy::open(Arc::clone(&directory), options, make)?;
        group.consumer_mut().shard.publish();
        let readers = group.consumer().readers();
        Ok(Self { directory, group, readers })
    }

    pub(super) fn request(&mut self, request: ShardRequest) {
        let staged = self.group.stage(RequestId::NONE, GroupRequest::Collections(request)).unwrap();
        let Staged::Pending(ticket) = staged else { panic!("the request was refused") };
        let outcomes = self.group.commit().unwrap();
        assert!(matches!(outcomes.get(ticket), Some(GroupOutcome::Collections(_))));
        self.group.consumer_mut().shard.publish();
    }

    pub(super) fn open_collection(&mut self, collection: CollectionId, element: ElementType) {
        let index = (collection == INDEXED).then(|| IndexSpec {
            mode: IndexMode::parse("HNSW-L2").unwrap(),
            parameters: BuildParameters::default(),
        });
        let schema = Schema { version: SchemaVersion::new(1), element, dim: DIM, index };
        self.request(ShardRequest::Open { collection, schema });
    }

    pub(super) fn change(&mut self, collection: CollectionId, change: Change) {
        self.request(ShardRequest::Change { collection, change });
    }

    pub(super) fn checkpoint(&mut self) {
        let (header, part) = (self.group.checkpoint_header(), self.group.consumer().iterations_part());
        let job = self.group.consumer_mut().shard.take_checkpoint().unwrap();
        let JobResult::Checkpoint(result) = run(&job) else { panic!("a checkpoint makes a checkpoint") };
        self.group.install_checkpoint(&header, &checkpoint_payload(&part, &result.payload)).unwrap();
        self.group.consumer_mut().shard.install(JobResult::Checkpoint(result));
    }

    /// Merges and builds what is due.
    pub(super) fn run_jobs(&mut self) {
        for job in self.group.consumer_mut().shard.take_jobs() {
            let result = run(&job);
            self.group.consumer_mut().shard.install(result);
        }
    }

    pub(super) fn merge_all(&mut self) {
        for collection in [INDEXED, PLAIN] {
            self.group.consumer_mut().shard.want_merge(collection);
        }
        self.run_jobs();
    }

    pub(super) fn standing(&self) -> Standing {
        Standing { applied: self.group.applied().sequence, folder: self.group.consumer().shard.folder() }
    }

    /// As the group's thread does it.
    pub(super) fn install(&mut self, fetched: &Fetched) -> Result<(), GroupError> {
        let limits = crate::options::Limits::default().of_collection();
        let directory = Arc::clone(&self.directory);
        let make = |payload: &[u8]| GroupState::open_beside(directory, limits, payload);
        self.group.install_snapshot(&fetched.snapshot, make)?;
        self.group.consumer_mut().take_over(&self.readers);
        Ok(())
    }

    /// What readers see.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let views = self.readers.shard.views();
        views.iter().map(|(collection, view)| Digest::of(*collection, view).unwrap()).collect()
    }

    /// The names of the segment files of all folders.
    pub(super) fn files(&self) -> Vec<String> {
        let folders = lavandin_shard::segment_folders(&*self.directory).unwrap();
        let names = folders.into_iter().flat_map(|number| {
            let folder = lavandin_shard::segment_folder(number);
            let names = self.directory.list(&folder).unwrap();
            names.into_iter().map(move |name| format!("{folder}/{name}"))
        });
        names.collect()
    }
}

fn run(job: &Job) -> JobResult {
    let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    job.run(&JobContext { threads: 1, cancel: &cancel, progress: &progress }).unwrap()
}

pub(super) fn add(start: u64, count: u32) -> Change {
    let numbers = (0..u64::from(count)).flat_map(|row| {
        (0..u64::from(DIM)).map(move |place| (((start + row) * 7 + place * place) % 101) as f32)
    });
    let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    let mut fields = Vec::new();
    for row in 0..u64::from(count) {
        fields.push(1);
        fields.extend_from_slice(&FieldsBuilder::new().with("n", ValueRef::U64(start + row)).build());
    }
    Change::Upsert(RecordBatch {
        ids: BatchIds::Range { start, count },
        vectors: VectorBatch { element: ElementType::F32, dim: DIM, bytes: bytes.into() },
        fields: Some(fields.into()),
        places: None,
    })
}

/// A copy with a graph, tombstones in sealed and growing segments, a dropped collection, and records behind its
/// checkpoint; and its state as of that.
pub(super) fn source(directory: Arc<dyn Directory>) -> (Copy, Vec<Digest>) {
    let mut copy = Copy::open(directory).unwrap();
    let other = CollectionId::new(3);
    copy.open_collection(INDEXED, ElementType::F32);
    copy.open_collection(PLAIN, ElementType::F16);
    copy.open_collection(other, ElementType::F32);
    copy.change(INDEXED, add(0, ROWS));
    copy.change(PLAIN, add(0, 50));
    copy.checkpoint();
    copy.run_jobs();
    copy.change(INDEXED, Change::Delete((0..40).map(RecordId::Int).collect()));
    copy.change(PLAIN, add(40, 30));
    copy.change(PLAIN, Change::Delete(vec![RecordId::Int(69)]));
    copy.request(ShardRequest::Drop { collection: other });
    copy.checkpoint();
    let digests = copy.digests();
    copy.change(PLAIN, add(100, 20));
    (copy, digests)
}

/// A copy with other records in files of the same names.
pub(super) fn stale(directory: Arc<dyn Directory>) -> Copy {
    let mut copy = Copy::open(directory).unwrap();
    copy.open_collection(PLAIN, ElementType::F32);
    copy.change(PLAIN, add(500, 30));
    copy.checkpoint();
    copy.change(PLAIN, add(600, 5));
    copy
}

type Call<C> = Box<dyn Fn(Bytes) -> C + Send + Sync>;

/// The way from a receiver to a source, which counts and may break or spoil what it carries.
#[derive(Clone, Default)]
pub(super) struct Wire {
    pub(super) source: Arc<SnapshotSource>,
    pub(super) directory: Option<Arc<dyn Directory>>,
    /// Pieces that are answered; later ones are lost.
    pub(super) pieces_max: Option<u64>,
    /// Spoils every n-th piece.
    pub(super) spoil: Option<u64>,
    pub(super) pieces: Arc<AtomicU64>,
    pub(super) bytes: Arc<AtomicU64>,
    pub(super) session: Arc<Mutex<u64>>,
}

impl Wire {
    pub(super) fn to(copy: &Copy) -> Self {
        Self { directory: Some(Arc::clone(&copy.directory)), ..Self::default() }
    }

    pub(super) async fn call(self, request: Bytes) -> Result<Bytes, SnapshotError> {
        match Request::decode(&request).ok_or(SnapshotError::BadRequest("it cannot be read"))? {
            Request::Begin { group, node } => {
                let directory = self.directory.clone().unwrap();
                let offer = self.source.begin(directory, group, node).await?;
                *self.session.lock().unwrap() = offer.session;
                Ok(offer.encode())
            }
            Request::Piece(piece) => {
                let number = self.pieces.fetch_add(1, Ordering::Relaxed) + 1;
                if self.pieces_max.is_some_and(|max| number > max) {
                    let code = lavandin_types::ErrorCode::Unavailable;
                    return Err(SnapshotError::Call { code, message: "the connection is lost".to_owned() });
                }
                let mut answer = self.source.piece(piece).await?.to_vec();
                self.bytes.fetch_add(u64::from(piece.length), Ordering::Relaxed);
                if self.spoil.is_some_and(|every| number.is_multiple_of(every)) {
                    *answer.last_mut().unwrap() ^= 1;
                }
                Ok(answer.into())
            }
            Request::End { session } => {
                self.source.end(session);
                Ok(Bytes::new())
            }
        }
    }

    /// One attempt to rebuild a copy.
    pub(super) async fn fetch(&self, copy: &Copy) -> Result<Fetched, SnapshotError> {
        self.receiver(copy, |wire, request| wire.call(request)).fetch(copy.standing()).await
    }

    pub(super) fn receiver<C: 'static>(
        &self,
        copy: &Copy,
        call: impl Fn(Self, Bytes) -> C + Send + Sync + 'static,
    ) -> Receiver<Call<C>> {
        let wire = self.clone();
        Receiver {
            call: Box::new(move |request| call(wire.clone(), request)),
            directory: Arc::clone(&copy.directory),
            group: GROUP,
            node: NODE,
            throttle: Arc::new(Throttle::new(0)),
            progress: Arc::default(),
        }
    }
}

pub(super) fn sequence(copy: &Copy) -> SequenceNumber {
    copy.group.applied().sequence
}
