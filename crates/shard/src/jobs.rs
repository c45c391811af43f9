//! Long work as values: a job is taken from the shard, run on another thread, and its result installed.
//!
//! - *Checkpoint*: seals every growing segment and names all segments and tombstones as of one sequence number, so
//!   that the log up to it can go.
//! - *Merge*: writes several segments as one, without the dead rows.
//! - *Graph*: builds a segment's graph index and saves it beside the rows.
//!
//! A job reads immutable segments only; what changed meanwhile (tombstones) is carried over when its result is
//! installed. A job that fails leaves no trace, its files removed; what a crash leaves of files the next start removes.

use crate::checkpoint::{self, CollectionPart};
use crate::collection::Saved;
use crate::error::Damage;
use crate::folder::SegmentFolder;
use crate::graph_file::{self, Base, GraphFile};
use crate::growing::Growing;
use crate::maintenance::GRAPH_ROWS_MIN;
use crate::schema::{IndexSpec, Schema};
use crate::sealed::Sealed;
use crate::segment::{Rows, Segment};
use crate::segment_write::{self, Plan};
use lavandin_types::{CollectionId, SegmentId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Work to run elsewhere.
pub enum Job {
    Checkpoint(CheckpointJob),
    Merge(MergeJob),
    Graph(GraphJob),
}

/// What a job may use and whom it tells.
pub struct JobContext<'a> {
    pub threads: usize,
    pub cancel: &'a AtomicBool,
    /// Rows done, for progress displays.
    pub progress: &'a AtomicU64,
}

/// What a job made.
pub enum JobResult {
    Checkpoint(CheckpointResult),
    Merge(MergeResult),
    Graph(GraphResult),
}

/// A collection as it was when a checkpoint was taken.
pub(crate) struct Capture {
    pub(crate) saved: Saved,
    /// For each segment its id; those still growing get the id that they are sealed under.
    pub(crate) ids: Vec<SegmentId>,
}

pub struct CheckpointJob {
    pub(crate) folder: SegmentFolder,
    pub(crate) next_segment: SegmentId,
    pub(crate) captures: Vec<Capture>,
    pub(crate) retired: Vec<SegmentId>,
}

pub struct CheckpointResult {
    /// For `lavandin_group::GroupCopy::install_checkpoint`.
    pub payload: Vec<u8>,
    pub(crate) sealed: Vec<(CollectionId, Arc<Growing>, Arc<Sealed>)>,
    pub(crate) retired: Vec<SegmentId>,
}

pub struct MergeJob {
    pub(crate) folder: SegmentFolder,
    pub(crate) collection: CollectionId,
    pub(crate) schema: Arc<Schema>,
    pub(crate) inputs: Vec<Segment>,
    pub(crate) id: SegmentId,
}

pub struct MergeResult {
    pub(crate) collection: CollectionId,
    pub(crate) inputs: Vec<SegmentId>,
    pub(crate) new_rows: Vec<Vec<u32>>,
    /// `None` when every row was dead.
    pub(crate) merged: Option<Arc<Sealed>>,
    pub(crate) id: SegmentId,
}

pub struct GraphJob {
    pub(crate) folder: SegmentFolder,
    pub(crate) collection: CollectionId,
    pub(crate) sealed: Arc<Sealed>,
    pub(crate) index: IndexSpec,
}

pub struct GraphResult {
    pub(crate) sealed: Arc<Sealed>,
    pub(crate) graph: Arc<GraphFile>,
}

impl Job {
    /// For logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "checkpoint",
            Self::Merge(_) => "merge",
            Self::Graph(_) => "graph",
        }
    }

    /// Rows that the job has to handle.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Checkpoint(job) => job.growing().map(|(_, segment, _)| u64::from(segment.len)).sum(),
            Self::Merge(job) => job.inputs.iter().map(|segment| u64::from(segment.len)).sum(),
            Self::Graph(job) => u64::from(job.sealed.rows),
        }
    }

    /// The collection it works for; a checkpoint is for all.
    pub fn collection(&self) -> Option<CollectionId> {
        match self {
            Self::Checkpoint(_) => None,
            Self::Merge(job) => Some(job.collection),
            Self::Graph(job) => Some(job.collection),
        }
    }

    pub(crate) fn folder(&self) -> &SegmentFolder {
        match self {
            Self::Checkpoint(job) => &job.folder,
            Self::Merge(job) => &job.folder,
            Self::Graph(job) => &job.folder,
        }
    }

    /// Runs to the end on the calling thread (and on the context's threads). The files it made are durable.
    pub fn run(&self, context: &JobContext<'_>) -> Result<JobResult, Damage> {
        match self {
            Self::Checkpoint(job) => job.run().map(JobResult::Checkpoint),
            Self::Merge(job) => job.run(context).map(JobResult::Merge),
            Self::Graph(job) => job.run(context).map(JobResult::Graph),
        }
    }
}

impl CheckpointJob {
    fn run(&self) -> Result<CheckpointResult, Damage> {
        if let Some(damage) = self.captures.iter().find_map(|capture| capture.saved.incomplete.clone()) {
            return Err(damage);
        }
        let mut sealed = Vec::new();
        for (saved, segment, id) in self.growing() {
            let Rows::Growing(growing) = &segment.rows else { continue };
            let inputs = [segment.clone()];
            let plan = Plan::seal(&inputs);
            match segment_write::write(&self.folder, id, saved.id, &saved.schema, &plan) {
                Ok(written) => sealed.push((saved.id, Arc::clone(growing), Arc::new(written))),
                Err(damage) => {
                    // Nothing names them, and a full disk needs the space.
                    sealed.iter().for_each(|(_, _, sealed)| segment_write::remove(&self.folder, sealed.id));
                    return Err(damage);
                }
            }
        }
        let parts: Vec<CollectionPart<'_>> =
            self.captures.iter().map(|Capture { saved, ids }| CollectionPart { saved, ids }).collect();
        let payload = checkpoint::encode(self.folder.number, self.next_segment, &parts);
        Ok(CheckpointResult { payload, sealed, retired: self.retired.clone() })
    }
}

impl CheckpointJob {
    /// The ids under which growing segments are sealed.
    pub(crate) fn growing_ids(&self) -> impl Iterator<Item = SegmentId> {
        self.growing().map(|(_, _, id)| id)
    }

    fn growing(&self) -> impl Iterator<Item = (&Saved, &Segment, SegmentId)> {
        let all = self.captures.iter().flat_map(|Capture { saved, ids }| {
            saved.segments.iter().zip(ids).map(move |(segment, id)| (saved, segment, *id))
        });
        all.filter(|(_, segment, _)| matches!(segment.rows, Rows::Growing(_)))
    }
}

impl MergeJob {
    fn run(&self, context: &JobContext<'_>) -> Result<MergeResult, Damage> {
        self.inputs.iter().try_for_each(|segment| segment.rows.verify())?;
        let plan = Plan::merge(&self.inputs);
        let new_rows = plan.new_rows();
        let merged = if plan.rows.is_empty() {
            None
        } else {
            let written = segment_write::write(&self.folder, self.id, self.collection, &self.schema, &plan)?;
            drop(plan);
            if let Err(damage) = self.build_graph(&written, &new_rows, context) {
                // Nothing names the rows, and a full disk needs the space.
                segment_write::remove(&self.folder, self.id);
                return Err(damage);
            }
            Some(Arc::new(written))
        };
        let inputs = sealed_ids(&self.inputs);
        Ok(MergeResult { collection: self.collection, inputs, new_rows, merged, id: self.id })
    }

    /// Gives the merged segment its graph at once, so that it is never searched without one; the largest input's
    /// graph is taken over and only the other inputs' rows are inserted.
    fn build_graph(
        &self,
        merged: &Sealed,
        new_rows: &[Vec<u32>],
        context: &JobContext<'_>,
    ) -> Result<(), Damage> {
        let Some(index) = self.schema.index.as_ref().filter(|index| index.mode.wants_graph()) else {
            return Ok(());
        };
        if merged.rows < GRAPH_ROWS_MIN {
            return Ok(());
        }
        let graph_of = |segment: &Segment| match &segment.rows {
            Rows::Sealed(rows) => rows.graph.load_full().filter(|graph| graph.fits(index)),
            Rows::Growing(_) => None,
        };
        let largest = self.inputs.iter().zip(new_rows).max_by_key(|(segment, _)| segment.len);
        let base = largest.and_then(|(segment, new_rows)| Some(Base { graph: graph_of(segment)?, new_rows }));
        let graph = graph_file::build(&self.folder, merged, index, base.as_ref(), context)?;
        merged.graph.store(Some(Arc::new(graph)));
        Ok(())
    }
}

impl GraphJob {
    fn run(&self, context: &JobContext<'_>) -> Result<GraphResult, Damage> {
        self.sealed.verify()?;
        let graph = graph_file::build(&self.folder, &self.sealed, &self.index, None, context)?;
        Ok(GraphResult { sealed: Arc::clone(&self.sealed), graph: Arc::new(graph) })
    }
}

pub(crate) fn sealed_ids(segments: &[Segment]) -> Vec<SegmentId> {
    let sealed = segments.iter().filter_map(|segment| match &segment.rows {
        Rows::Sealed(rows) => Some(rows.id),
        Rows::Growing(_) => None,
    });
    sealed.collect()
}
