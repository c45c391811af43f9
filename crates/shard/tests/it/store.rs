//! A group with a shard on some directory, driven as the node drives it, without threads.

use bytes::Bytes;
use lavandin_group::{CheckpointHeader, GroupCopy, GroupError, GroupOptions, Staged};
use lavandin_shard::{
    BatchIds, Change, Job, JobContext, JobResult, Outcome, RecordBatch, Rejection, Request, Schema, Shard,
    ShardLimits, VectorBatch, View,
};
use lavandin_storage::{Directory, Durability};
use lavandin_types::{
    CollectionId, ElementType, FieldsBuilder, GroupId, RecordId, RequestId, SchemaVersion, ValueRef,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub const DIM: u32 = 4;
pub const COLLECTION: CollectionId = CollectionId::new(7);

pub struct Store {
    pub copy: GroupCopy<Shard>,
}

impl Store {
    pub fn open(directory: Arc<dyn Directory>) -> Result<Self, GroupError> {
        Self::open_limited(directory, ShardLimits::default())
    }

    pub fn open_limited(directory: Arc<dyn Directory>, limits: ShardLimits) -> Result<Self, GroupError> {
        let options =
            GroupOptions { log_segment_bytes: 4096, ..GroupOptions::new(GroupId::new(1), Durability::Fsync) };
        let make = |payload: Option<&[u8]>| Shard::open(Arc::clone(&directory), limits, payload);
        let mut copy = GroupCopy::open(Arc::clone(&directory), options, make)?;
        copy.consumer_mut().publish();
        Ok(Self { copy })
    }

    pub fn open_collection(&mut self, schema: Schema) -> Result<(), GroupError> {
        self.request(Request::Open { collection: COLLECTION, schema }).map(|outcome| {
            outcome.expect("opening is never refused");
        })
    }

    pub fn change(&mut self, change: Change) -> Result<Result<Outcome, Rejection>, GroupError> {
        self.request(Request::Change { collection: COLLECTION, change })
    }

    pub fn request(&mut self, request: Request) -> Result<Result<Outcome, Rejection>, GroupError> {
        match self.copy.stage(RequestId::NONE, request)? {
            Staged::Rejected(rejection) => Ok(Err(rejection)),
            Staged::Answered(outcome) => Ok(Ok(outcome)),
            Staged::Pending(ticket) => {
                let outcomes = self.copy.commit()?;
                self.copy.consumer_mut().publish();
                Ok(Ok(outcomes.get(ticket).expect("it was staged").clone()))
            }
        }
    }

    /// A whole checkpoint. A failed job is a failed disk, which the caller's test is about.
    pub fn checkpoint(&mut self) -> Result<(), String> {
        let taken = self.take_checkpoint();
        self.finish_checkpoint(taken)
    }

    /// The first half of a checkpoint; more may happen before the second.
    pub fn take_checkpoint(&mut self) -> (CheckpointHeader, Job) {
        let header = self.copy.checkpoint_header();
        (header, self.copy.consumer_mut().take_checkpoint().expect("no other checkpoint runs"))
    }

    pub fn finish_checkpoint(&mut self, (header, job): (CheckpointHeader, Job)) -> Result<(), String> {
        match run(&job) {
            Ok(JobResult::Checkpoint(result)) => {
                if let Err(error) = self.copy.install_checkpoint(&header, &result.payload) {
                    self.copy.consumer_mut().abandon(&job);
                    return Err(error.to_string());
                }
                self.copy.consumer_mut().install(JobResult::Checkpoint(result));
                Ok(())
            }
            Ok(_) => panic!("a checkpoint job made something else"),
            Err(error) => {
                self.copy.consumer_mut().abandon(&job);
                Err(error)
            }
        }
    }

    /// Takes the merges and builds that are due; `all` asks for as few segments as possible.
    pub fn take_jobs(&mut self, all: bool) -> Vec<Job> {
        if all {
            self.copy.consumer_mut().want_merge(COLLECTION);
        }
        self.copy.consumer_mut().take_jobs()
    }

    pub fn finish(&mut self, job: &Job) -> Result<(), String> {
        match run(job) {
            Ok(result) => {
                self.copy.consumer_mut().install(result);
                Ok(())
            }
            Err(error) => {
                self.copy.consumer_mut().abandon(job);
                Err(error)
            }
        }
    }

    pub fn view(&self) -> Option<Arc<View>> {
        self.copy.consumer().reader().view(COLLECTION)
    }

    pub fn digest(&self) -> Option<u128> {
        self.copy.consumer().digest(COLLECTION)
    }
}

fn run(job: &Job) -> Result<JobResult, String> {
    let (cancel, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    job.run(&JobContext { threads: 2, cancel: &cancel, progress: &progress })
        .map_err(|error| error.to_string())
}

pub fn schema(element: ElementType) -> Schema {
    Schema { version: SchemaVersion::new(1), element, dim: DIM, index: None }
}

/// Records whose vectors and fields follow from `value`.
pub fn batch(ids: BatchIds, values: &[i32], with_fields: bool) -> RecordBatch {
    let mut vectors = Vec::new();
    let mut fields = Vec::new();
    for value in values {
        vector_of(*value).iter().for_each(|number| vectors.extend_from_slice(&number.to_le_bytes()));
        fields.push(1);
        fields.extend_from_slice(&fields_of(*value));
    }
    RecordBatch {
        ids,
        vectors: VectorBatch { element: ElementType::F32, dim: DIM, bytes: Bytes::from(vectors) },
        fields: with_fields.then(|| Bytes::from(fields)),
        places: None,
    }
}

pub fn vector_of(value: i32) -> [f32; DIM as usize] {
    let value = value as f32;
    [value, value * 0.5, 1.0, -value]
}

pub fn fields_of(value: i32) -> Vec<u8> {
    let text = format!("text {value}");
    FieldsBuilder::new().with("n", ValueRef::I64(i64::from(value))).with("text", ValueRef::Str(&text)).build()
}

pub fn ids(ids: &[RecordId]) -> BatchIds {
    BatchIds::Mixed(ids.to_vec())
}
