//! Which jobs a shard wants, and how their results come in.

use crate::collection::{Collection, Saved};
use crate::folder::SegmentFolder;
use crate::jobs::{
    Capture, CheckpointJob, CheckpointResult, GraphJob, Job, JobResult, MergeJob, MergeResult, sealed_ids,
};
use crate::merge_policy;
use crate::schema::Schema;
use crate::sealed::Sealed;
use crate::segment::{Rows, Segment};
use crate::segment_write::{self, DROPPED};
use crate::shard::Shard;
use lavandin_types::{CollectionId, SegmentId};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Growing rows of a collection with a graph index, above which they are sealed so that the graph can take them.
const GROWING_INDEXED_ROWS_MAX: u32 = 16_384;
/// Growing bytes of a collection, above which they are sealed.
const GROWING_BYTES_MAX: u64 = 256 << 20;
/// Below this a scan is as fast as a graph, so none is built; above, the planner chooses for each search.
pub(crate) const GRAPH_ROWS_MIN: u32 = 1024;

impl Shard {
    /// Whether some collection has grown enough to be sealed.
    pub fn wants_checkpoint(&self) -> bool {
        !self.checkpointing
            && self.collections.values().any(|collection| {
                let indexed = collection.schema.wants_graph();
                collection.growing_bytes() >= GROWING_BYTES_MAX
                    || (indexed && collection.growing_rows() >= GROWING_INDEXED_ROWS_MAX)
            })
    }

    /// Takes the state for a checkpoint as of now (the caller takes the group's header at the same moment); `None`
    /// while one is under way. Its result goes to `lavandin_group` and then to `install`.
    pub fn take_checkpoint(&mut self) -> Option<Job> {
        if std::mem::replace(&mut self.checkpointing, true) {
            return None;
        }
        let mut captures = Vec::new();
        for collection in self.collections.values_mut() {
            collection.freeze();
            let ids = collection.segments.iter().map(|segment| match &segment.rows {
                Rows::Sealed(rows) => rows.id,
                Rows::Growing(_) => {
                    let id = self.next_segment;
                    self.next_segment = id.next();
                    id
                }
            });
            let ids = ids.collect();
            captures.push(Capture { saved: collection.save(), ids });
        }
        let retired = std::mem::take(&mut self.retired);
        Some(Job::Checkpoint(CheckpointJob {
            folder: self.folder.clone(),
            next_segment: self.next_segment,
            captures,
            retired,
        }))
    }

    /// The merges and graph builds that are due. Each is handed out once.
    pub fn take_jobs(&mut self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for collection in self.collections.values_mut() {
            if collection.damage.is_some() {
                continue;
            }
            if !collection.merging
                && let Some(range) = merge_policy::choose(&collection.segments, collection.merge_wanted)
            {
                collection.merging = true;
                jobs.push(Job::Merge(MergeJob {
                    folder: self.folder.clone(),
                    collection: collection.id,
                    schema: Arc::clone(&collection.schema),
                    inputs: collection.segments[range].to_vec(),
                    id: self.next_segment,
                }));
                self.next_segment = self.next_segment.next();
            }
            if !collection.merging {
                collection.merge_wanted = false;
                jobs.extend(collection.take_graph_jobs(&self.folder));
            }
        }
        jobs
    }

    /// Whether a job is of this state, and not of one that a snapshot has replaced: such a job is forgotten.
    pub fn is_own(&self, job: &Job) -> bool {
        job.folder().number == self.folder.number
    }

    /// Brings the result of a job of its own in. For a checkpoint, only after the group has made it durable. Returns
    /// whether a checkpoint is due so that the new layout survives a restart.
    pub fn install(&mut self, result: JobResult) -> bool {
        match result {
            JobResult::Checkpoint(result) => {
                self.install_checkpoint(result);
                false
            }
            JobResult::Merge(result) => self.install_merge(result),
            JobResult::Graph(result) => {
                let is_same = |sealed: &Arc<Sealed>| Arc::ptr_eq(sealed, &result.sealed);
                if !self.collections.values().any(|collection| collection.sealed().any(is_same)) {
                    // Merged or dropped meanwhile: its other file may be gone by now, and this one came after.
                    self.retired.push(result.sealed.id);
                }
                result.sealed.graph.store(Some(result.graph));
                result.sealed.graph_wanted.store(false, Ordering::Release);
                false
            }
        }
    }

    /// A job failed, or its result could not be stored: a later `take_checkpoint` or `take_jobs` may hand it out again.
    pub fn abandon(&mut self, job: &Job) {
        match job {
            Job::Checkpoint(job) => {
                self.checkpointing = false;
                // Perhaps the checkpoint is durable and names these files; the next one will name others.
                self.retired.extend(job.retired.iter().copied().chain(job.growing_ids()));
            }
            Job::Merge(job) => {
                self.retired.push(job.id);
                if let Some(collection) = self.collections.get_mut(&job.collection) {
                    collection.merging = false;
                    collection.merge_wanted = false;
                }
            }
            Job::Graph(job) => job.sealed.graph_wanted.store(false, Ordering::Release),
        }
    }

    /// Asks for a collection's sealed segments to become as few as possible, before a graph is built over them.
    pub fn want_merge(&mut self, collection: CollectionId) {
        if let Some(collection) = self.collections.get_mut(&collection) {
            collection.merge_wanted = true;
        }
    }

    /// Whether no merge is due or under way, and every sealed row that should be in a graph is.
    pub fn is_index_complete(&self, id: CollectionId) -> bool {
        self.collections.get(&id).is_none_or(Collection::is_index_complete)
    }

    fn install_checkpoint(&mut self, result: CheckpointResult) {
        self.checkpointing = false;
        for (id, growing, sealed) in result.sealed {
            let Some(collection) = self.collections.get_mut(&id) else {
                self.retired.push(sealed.id);
                continue;
            };
            let same = |segment: &&mut Segment| match &segment.rows {
                Rows::Growing(rows) => Arc::ptr_eq(rows, &growing),
                Rows::Sealed(_) => false,
            };
            if let Some(segment) = collection.segments.iter_mut().find(same) {
                segment.rows = Rows::Sealed(sealed);
            }
            collection.publish_layout();
        }
        result.retired.into_iter().for_each(|id| segment_write::remove(&self.folder, id));
    }

    fn install_merge(&mut self, result: MergeResult) -> bool {
        let Some(collection) = self.collections.get_mut(&result.collection) else {
            self.retired.push(result.id);
            return false;
        };
        collection.merging = false;
        let first = collection.segments.iter().position(
            |segment| matches!(&segment.rows, Rows::Sealed(rows) if Some(&rows.id) == result.inputs.first()),
        );
        let Some(first) = first else {
            self.retired.push(result.id);
            return false;
        };
        let range = first..first + result.inputs.len();
        let merged = result
            .merged
            .map(|sealed| carry_over(&collection.segments[range.clone()], &result.new_rows, sealed));
        collection.segments.splice(range, merged);
        collection.publish_layout();
        self.retired.extend(result.inputs);
        true
    }
}

impl Collection {
    pub(crate) fn sealed_ids(&self) -> Vec<SegmentId> {
        sealed_ids(&self.segments)
    }

    fn save(&self) -> Saved {
        Saved {
            id: self.id,
            schema: Schema::clone(&self.schema),
            next_ordinal: self.next_ordinal,
            ever_written: self.ever_written,
            max_int: self.max_int,
            has_strings: self.has_strings,
            digest: self.digest,
            segments: self.segments.clone(),
            incomplete: self.incomplete().cloned(),
            sequence: self.sequence(),
        }
    }

    fn take_graph_jobs(&self, folder: &SegmentFolder) -> Vec<Job> {
        let Some(index) = self.schema.index.as_ref().filter(|index| index.mode.wants_graph()) else {
            return Vec::new();
        };
        let due = self.sealed().filter(|sealed| {
            sealed.rows >= GRAPH_ROWS_MIN && !sealed.has_graph_for(index) && sealed.claim_graph()
        });
        due.map(|sealed| {
            Job::Graph(GraphJob {
                folder: folder.clone(),
                collection: self.id,
                sealed: Arc::clone(sealed),
                index: index.clone(),
            })
        })
        .collect()
    }

    fn sealed(&self) -> impl Iterator<Item = &Arc<Sealed>> {
        self.segments.iter().filter_map(|segment| match &segment.rows {
            Rows::Sealed(rows) => Some(rows),
            Rows::Growing(_) => None,
        })
    }

    fn is_index_complete(&self) -> bool {
        let merges = self.merging || merge_policy::choose(&self.segments, self.merge_wanted).is_some();
        let index = self.schema.index.as_ref().filter(|index| index.mode.wants_graph());
        let lacks_graph = |sealed: &Arc<Sealed>| {
            sealed.rows >= GRAPH_ROWS_MIN && index.is_some_and(|index| !sealed.has_graph_for(index))
        };
        // A damaged collection takes no jobs, so there is nothing to wait for.
        self.damage.is_some() || !(merges || self.sealed().any(lacks_graph))
    }
}

/// The merged segment with the tombstones that its inputs have by now.
fn carry_over(inputs: &[Segment], new_rows: &[Vec<u32>], sealed: Arc<Sealed>) -> Segment {
    let len = sealed.rows;
    let mut merged = Segment::new(Rows::Sealed(sealed), len);
    for (input, map) in inputs.iter().zip(new_rows) {
        for row in input.dead.iter().map(|row| map[row as usize]).filter(|row| *row != DROPPED) {
            Segment::mark(&mut merged.dead, row, len, true);
        }
        for row in input.deleted.iter().map(|row| map[row as usize]).filter(|row| *row != DROPPED) {
            Segment::mark(&mut merged.deleted, row, len, true);
        }
    }
    merged.refresh_live();
    merged
}
