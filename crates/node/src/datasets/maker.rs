//! Making the batches of one rank: walking its samples, reading and joining their rows, filtering and sorting them into
//! batches. `made` puts those through user code and encodes them.
//!
//! 1. The walk says which samples come next. A block is taken only for a caller that waits, unless the rank is alone.
//! 2. `files` reads their rows, joins the feature shardsets and filters. A sample that cannot be read is a failure of its
//!    own; the others go on.
//! 3. Without a categorizer the rows that are left queue up; with one they queue in a bucket each. A full queue becomes a
//!    batch; at the end the partial ones do, in the order in which they began.
//! 4. What user code is to work on is a draft, so that several can be worked on at once.
//!
//! What is made is in the walk's order, so that after a restart the same batches are made again.

use crate::datasets::files::{Fate, Selected};
use crate::datasets::made::{Content, Draft, Made, Wishes};
use crate::datasets::plan_cache::IterationPlan;
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use lavandin_cluster::DatasetInfo;
use lavandin_plan::iterations::{
    Outline, Places, RankStatus, Rejection, Request, Sample, Step as WalkStep, Walk,
};
use lavandin_types::IterationId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Samples looked at in one go where some are filtered out or sorted into buckets.
const SELECTED_MAX: usize = 4096;

/// How long the end waits for what the rank was granted through other nodes, and how often it looks.
const OTHERS_MAX: Duration = Duration::from_secs(30);
const OTHERS_PAUSE: Duration = Duration::from_millis(50);
/// Before it is looked again where another rank is about to take a block.
const BLOCK_PAUSE: Duration = Duration::from_millis(1);
/// Samples filtered out that wait for a batch, at most: half of what a grant may have.
const FILTERED_MAX: u64 = 1 << 19;

/// What a maker comes to.
pub(crate) enum Step {
    Made(Box<Made>),
    /// A batch that is still to go through user code, on whatever thread.
    Draft(Box<Draft>),
    /// A block would have to be taken, and nobody waits.
    NeedsCaller,
    /// There is nothing more, as of a generation of the rank.
    Ended(u64),
    /// Not of a sample but of the whole: no file can be read, the iteration is gone, the node stops.
    Fault(NodeError),
}

/// A row that waits for its batch.
struct Row {
    batch: Arc<RecordBatch>,
    row: usize,
    sample: Sample,
    /// Rises with every row: which of two full buckets was full first.
    arrival: u64,
}

/// What a plan is made of.
pub(crate) struct Source {
    pub(crate) dataset: Arc<DatasetInfo>,
    pub(crate) outline: Arc<Outline>,
}

pub(crate) struct Maker {
    runtime: Arc<DatasetRuntime>,
    source: Source,
    /// Opened by the first step, which may block.
    plan: Option<Arc<IterationPlan>>,
    iteration: IterationId,
    rank: u32,
    wishes: Arc<Wishes>,
    walk: Option<Walk>,
    number: u64,
    /// Buckets by category, in the order in which they began; one without a name where there is no categorizer.
    buckets: Vec<(Arc<str>, VecDeque<Row>)>,
    arrivals: u64,
    /// Samples filtered out since the last batch.
    filtered: Places,
    /// Failures that are still to be told.
    failures: VecDeque<(Places, String)>,
    /// The walk is at its end.
    exhausted: bool,
    /// Where batches are steps: the step that is being made, and the first sample of the next one.
    step: Option<u64>,
    peeked: Option<Sample>,
}

impl Maker {
    pub(crate) fn new(
        runtime: Arc<DatasetRuntime>,
        source: Source,
        (iteration, rank): (IterationId, u32),
        wishes: Arc<Wishes>,
    ) -> Self {
        Self {
            runtime,
            source,
            plan: None,
            iteration,
            rank,
            wishes,
            walk: None,
            number: 0,
            buckets: Vec::new(),
            arrivals: 0,
            filtered: Places::new(),
            failures: VecDeque::new(),
            exhausted: false,
            step: None,
            peeked: None,
        }
    }

    /// Forgets everything: the next step begins with what the rank has not been granted.
    pub(crate) fn restart(&mut self) {
        self.walk = None;
        self.buckets.clear();
        self.filtered = Places::new();
        self.failures.clear();
        self.exhausted = false;
        self.peeked = None;
    }

    /// Makes the next batch. Only for somebody who waits is a block taken, unless the rank is alone.
    pub(crate) fn step(&mut self, somebody_waits: bool) -> Step {
        match self.try_step(somebody_waits) {
            Ok(step) => step,
            Err(error) => Step::Fault(error),
        }
    }

    /// The plan of the iteration, opened once.
    fn plan(&mut self) -> Result<Arc<IterationPlan>, NodeError> {
        if let Some(plan) = &self.plan {
            return Ok(Arc::clone(plan));
        }
        let (runtime, source) = (&self.runtime, &self.source);
        let open = || IterationPlan::open(runtime, &source.dataset, Arc::clone(&source.outline));
        let plan = runtime.plan(self.iteration, open)?;
        self.plan = Some(Arc::clone(&plan));
        Ok(plan)
    }

    fn try_step(&mut self, somebody_waits: bool) -> Result<Step, NodeError> {
        let plan = self.plan()?;
        loop {
            if let Some((places, message)) = self.failures.pop_front() {
                return Ok(Step::Made(Box::new(self.failure(places, message))));
            }
            let size = plan.batch_size();
            // A step was read; what is left of it is its batch.
            if plan.cursors().is_some()
                && let Some(length) =
                    self.buckets.first().map(|(_, rows)| rows.len()).filter(|rows| *rows > 0)
            {
                return self.make(&plan, 0, length);
            }
            if let Some(full) = self.first_full(size) {
                return self.make(&plan, full, size);
            }
            if self.exhausted {
                return self.make_last(&plan);
            }
            // So that what is filtered out fits into a grant, together with a batch.
            if self.filtered.len() >= FILTERED_MAX {
                let filtered = std::mem::take(&mut self.filtered);
                return Ok(Step::Made(Box::new(Made { filtered, ..self.made() })));
            }
            match self.fill(&plan, somebody_waits)? {
                Filled::Some => {}
                Filled::NeedsCaller => return Ok(Step::NeedsCaller),
            }
        }
    }

    /// What is left at the end.
    fn make_last(&mut self, plan: &Arc<IterationPlan>) -> Result<Step, NodeError> {
        self.buckets.retain(|(_, rows)| !rows.is_empty());
        if plan.drop_last() {
            for (_, rows) in self.buckets.drain(..) {
                rows.iter().for_each(|row| self.filtered.push(row.sample.place));
            }
        }
        if let Some((_, rows)) = self.buckets.first() {
            let length = rows.len();
            return self.make(plan, 0, length);
        }
        if self.filtered.is_empty() {
            return Ok(Step::Ended(self.walk.as_ref().map_or(0, Walk::generation)));
        }
        let filtered = std::mem::take(&mut self.filtered);
        Ok(Step::Made(Box::new(Made { filtered, ..self.made() })))
    }

    /// Reads some more samples.
    fn fill(&mut self, plan: &IterationPlan, somebody_waits: bool) -> Result<Filled, NodeError> {
        let mut samples: Vec<Sample> = self.peeked.take().into_iter().collect();
        let is_stepped = plan.cursors().is_some();
        let wanted = match plan.selects() {
            _ if is_stepped => plan.batch_size(),
            true => plan.batch_size().clamp(256, SELECTED_MAX),
            false => plan.batch_size() - self.buckets.first().map_or(0, |(_, rows)| rows.len()),
        };
        let iterations = Arc::clone(&self.runtime.iterations);
        while samples.len() < wanted {
            let walk = match &mut self.walk {
                Some(walk) => walk,
                None => self.begin()?,
            };
            match walk.step(|look| iterations.look_blocking(look))? {
                WalkStep::Sample(sample) if is_stepped && is_of_another_step(plan, &samples, sample) => {
                    self.peeked = Some(sample);
                    break;
                }
                WalkStep::Sample(sample) => samples.push(sample),
                WalkStep::Stale => {
                    self.restart();
                    samples.clear();
                }
                WalkStep::End => {
                    let generation = walk.generation();
                    if self.is_over(generation)? {
                        self.exhausted = true;
                        break;
                    }
                    self.restart();
                    samples.clear();
                }
                WalkStep::TakeBlock { .. } if !somebody_waits && !plan.takes_ahead(&self.runtime) => {
                    if samples.is_empty() {
                        return Ok(Filled::NeedsCaller);
                    }
                    break;
                }
                WalkStep::TakeBlock { group, block } => self.take_block(group, block)?,
            }
        }
        if is_stepped {
            self.step = samples.first().and_then(|first| plan.outline().step_at(first.place));
        }
        self.select(plan, samples)?;
        Ok(Filled::Some)
    }

    /// A step's batch as the rank was granted it before. Blocks.
    pub(crate) fn make_again(&mut self, step: u64) -> Result<Made, NodeError> {
        let plan = self.plan()?;
        let samples = plan.outline().samples_at(self.rank, step).unwrap_or_default();
        (self.step, self.number) = (Some(step), step);
        self.select(&plan, samples)?;
        match (self.buckets.first().map_or(0, |(_, rows)| rows.len()), self.failures.pop_front()) {
            (0, Some((places, message))) => Ok(self.failure(places, message)),
            (0, None) => {
                let text = format!("step {step} has no batch: no sample of it has a row in every shardset");
                Err(NodeError::Refused(text))
            }
            (length, _) => match self.make(&plan, 0, length)? {
                Step::Made(made) => Ok(*made),
                Step::Draft(draft) => Ok(draft.finish()),
                _ => Err(NodeError::Internal("a batch that was made before cannot be made again")),
            },
        }
    }

    fn begin(&mut self) -> Result<&mut Walk, NodeError> {
        let (iteration, rank, runtime) = (self.iteration, self.rank, Arc::clone(&self.runtime));
        let status = runtime.handle.block_on(async {
            let (groups, context) = (&runtime.iterations, runtime.iterations.context());
            let status = groups.rank(&context, iteration, rank).await?;
            if status.open.is_empty() {
                return Ok(status);
            }
            let settled =
                runtime.grants.settle((groups, &runtime.peers), (iteration, rank), &status.open).await?;
            let mut status = if settled { groups.rank(&context, iteration, rank).await? } else { status };
            if self.source.outline.steps().is_some() {
                // What comes back comes first, so it has to be there first.
                self.await_others(&mut status, |_| false).await?;
            }
            Ok::<_, NodeError>(status)
        })?;
        let walk = Walk::new(Arc::clone(&self.source.outline), rank, &status)?;
        self.number = walk.number();
        Ok(self.walk.insert(walk))
    }

    /// Whether nothing of the rank can come back any more. What it was granted through another node, and has not been
    /// delivered, is waited for: that node may be about to give it back. What it keeps for too long is taken back.
    fn is_over(&self, generation: u64) -> Result<bool, NodeError> {
        let groups = &self.runtime.iterations;
        self.runtime.handle.block_on(async {
            let mut status = groups.rank(&groups.context(), self.iteration, self.rank).await?;
            let is_stale = |status: &RankStatus| status.generation != generation;
            self.await_others(&mut status, is_stale).await?;
            Ok(!is_stale(&status))
        })
    }

    /// Waits until the rank has no open grant through another node, or until `stops` says so of a newer status.
    async fn await_others(
        &self,
        status: &mut RankStatus,
        stops: impl Fn(&RankStatus) -> bool,
    ) -> Result<(), NodeError> {
        let (iteration, rank, runtime) = (self.iteration, self.rank, &self.runtime);
        let (groups, peers) = (&runtime.iterations, &runtime.peers);
        let mut seen: HashMap<u64, Instant> = HashMap::new();
        loop {
            let mut others = status.open.clone();
            runtime.grants.retain_others((iteration, rank), &mut others);
            if others.is_empty() || stops(status) {
                return Ok(());
            }
            let is_stuck = |(number, _): &(u64, _)| {
                seen.entry(*number).or_insert_with(Instant::now).elapsed() >= OTHERS_MAX
            };
            let (stuck, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_stuck);
            if !stuck.is_empty() {
                // Its client has come here: it waits for nothing over there.
                runtime.grants.give_back(groups, (iteration, rank), stuck).await?;
            } else {
                tokio::time::sleep(OTHERS_PAUSE).await;
                runtime.grants.settle((groups, peers), (iteration, rank), &others).await?;
            }
            *status = groups.rank(&groups.context(), iteration, rank).await?;
        }
    }

    fn take_block(&self, group: u32, block: u32) -> Result<(), NodeError> {
        let request = Request::TakeBlock { iteration: self.iteration, group, block };
        match self.runtime.iterations.propose_blocking(self.iteration, request) {
            // Another rank was faster, or another walk of this one: a look tells once the other copies have it.
            Err(NodeError::Iteration(Rejection::Conflict { .. })) => {
                std::thread::sleep(BLOCK_PAUSE);
                Ok(())
            }
            Ok(_) | Err(NodeError::Iteration(Rejection::NoMoreBlocks { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads, joins, filters and sorts samples into buckets.
    fn select(&mut self, plan: &IterationPlan, samples: Vec<Sample>) -> Result<(), NodeError> {
        if samples.is_empty() {
            return Ok(());
        }
        let Selected { rows, fates } = plan.select(&self.runtime, &samples, self.wishes.retries())?;
        let rows = Arc::new(rows);
        let mut failures: Vec<Failure> = Vec::new();
        for (sample, fate) in samples.into_iter().zip(fates) {
            match fate {
                Fate::Kept { row, category } => {
                    self.arrivals += 1;
                    let (batch, arrival) = (Arc::clone(&rows), self.arrivals);
                    self.bucket(category).push_back(Row { batch, row: row as usize, sample, arrival });
                }
                Fate::Filtered => self.filtered.push(sample.place),
                Fate::Failed(reason) => match failures.last_mut() {
                    // One reply for neighbours that fail alike; it names the first.
                    Some(last) if last.reason == reason && last.places.len() < plan.batch_size() as u64 => {
                        last.places.push(sample.place);
                    }
                    _ => {
                        let places = std::iter::once(sample.place).collect();
                        failures.push(Failure { reason, index: sample.index, places });
                    }
                },
            }
        }
        let told =
            |Failure { reason, index, places }| (places, format!("Failed to read sample {index}: {reason}"));
        self.failures.extend(failures.into_iter().map(told));
        Ok(())
    }

    /// The bucket that was the first to have a batch's rows: the order is that of reading sample by sample.
    fn first_full(&self, size: usize) -> Option<usize> {
        let full =
            |(at, (_, rows)): (usize, &(Arc<str>, VecDeque<Row>))| Some((rows.get(size - 1)?.arrival, at));
        self.buckets.iter().enumerate().filter_map(full).min().map(|(_, at)| at)
    }

    fn bucket(&mut self, category: Option<Arc<str>>) -> &mut VecDeque<Row> {
        let category = category.unwrap_or_default();
        let known = self.buckets.iter().position(|(name, _)| *name == category);
        let at = known.unwrap_or_else(|| {
            self.buckets.push((category, VecDeque::new()));
            self.buckets.len() - 1
        });
        &mut self.buckets[at].1
    }

    /// A batch of the first `length` rows of a bucket.
    fn make(&mut self, plan: &Arc<IterationPlan>, bucket: usize, length: usize) -> Result<Step, NodeError> {
        let (_, rows) = &mut self.buckets[bucket];
        let rows: Vec<Row> = rows.drain(..length).collect();
        if rows.is_empty() {
            return Err(NodeError::Internal("a batch without samples"));
        }
        let samples: Places = rows.iter().map(|row| row.sample.place).collect();
        let indices: Vec<u64> = rows.iter().map(|row| row.sample.index).collect();
        let batch = together(&rows)?;
        let filtered = std::mem::take(&mut self.filtered);
        let made = Made { samples, filtered, ..self.made() };
        self.number += 1;
        let draft = Draft {
            runtime: Arc::clone(&self.runtime),
            plan: Arc::clone(plan),
            wishes: Arc::clone(&self.wishes),
            rows: batch,
            indices,
            made,
        };
        Ok(match plan.processes() {
            true => Step::Draft(Box::new(draft)),
            false => Step::Made(Box::new(draft.finish())),
        })
    }

    fn failure(&mut self, failed: Places, message: String) -> Made {
        let made = self.made();
        self.number += 1;
        Made { failed, ..made.with(Content::Failure(message), 0) }
    }

    /// Nothing yet, under the next number.
    fn made(&self) -> Made {
        let made = Made::new(self.number, self.walk.as_ref().map_or(0, Walk::generation));
        let cursors = self.plan.as_ref().and_then(|plan| plan.cursors());
        let cursor = cursors.zip(self.step).map(|(cursors, step)| cursors.after(step + 1));
        Made { step: self.step, cursor, ..made }
    }
}

fn is_of_another_step(plan: &IterationPlan, samples: &[Sample], sample: Sample) -> bool {
    let step = |of: &Sample| plan.outline().step_at(of.place);
    samples.first().is_some_and(|first| step(first) != step(&sample))
}

/// Neighbours that could not be read or selected.
struct Failure {
    reason: String,
    /// Of the first.
    index: u64,
    places: Places,
}

enum Filled {
    Some,
    NeedsCaller,
}

/// The rows as one record batch: as they lie if they are neighbours, else gathered; blobs are shared either way.
fn together(rows: &[Row]) -> Result<RecordBatch, NodeError> {
    let first = &rows[0];
    let are_neighbours = rows
        .iter()
        .enumerate()
        .all(|(at, row)| Arc::ptr_eq(&row.batch, &first.batch) && row.row == first.row + at);
    if are_neighbours {
        return Ok(match rows.len() == first.batch.num_rows() {
            true => RecordBatch::clone(&first.batch),
            false => first.batch.slice(first.row, rows.len()),
        });
    }
    let mut sources: Vec<&RecordBatch> = Vec::new();
    let mut picks = Vec::with_capacity(rows.len());
    for row in rows {
        // Few sources, and mostly the last one.
        let known = sources.iter().rposition(|source| std::ptr::eq(*source, &*row.batch));
        let source = known.unwrap_or_else(|| {
            sources.push(&row.batch);
            sources.len() - 1
        });
        picks.push((source, row.row));
    }
    interleave_record_batch(&sources, &picks)
        .map_err(|_| NodeError::Internal("rows of one batch differ in their columns"))
}
