//! Batches that other nodes put through user code: where this node's Python workers are all at work, the next draft goes to a
//! node whose are not. That one reads the rows by itself and sends the batch back as a client would get it; its place in the
//! session's queue is kept, so the order stays. Whatever goes wrong there, the draft is finished here.
//!
//! A node takes a draft only while a worker of its own is free. Arrow batches stay here: they are columns until they are sent.

use crate::datasets::iteration_groups::IterationGroups;
use crate::datasets::made::BatchRows;
use crate::datasets::peer_calls::DatasetPeers;
use crate::datasets::plan_cache::IterationPlan;
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::user_code::Attempt;
use crate::error::NodeError;
use crate::peers::method;
use bytes::Bytes;
use lavandin_plan::iterations::{Place, Sample};
use lavandin_types::{ErrorCode, IterationId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node is left alone that had no room, and one that failed.
const BUSY_REST: Duration = Duration::from_millis(50);
const FAILURE_REST: Duration = Duration::from_secs(5);
/// Besides the time that user code may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Plans of iterations that this node helps with.
const PLANS_MAX: usize = 16;

/// A draft as another node is asked for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DraftForm {
    pub(crate) iteration: String,
    pub(crate) indices: Vec<u64>,
    /// The rank's number of the batch.
    pub(crate) current: u64,
    pub(crate) retries: u32,
    pub(crate) no_cache: bool,
}

#[derive(Default)]
pub(crate) struct DraftExchange {
    /// Python workers of this node.
    workers: usize,
    /// Drafts that are being finished here, whoever asked.
    busy: AtomicUsize,
    others: Mutex<HashMap<NodeId, Other>>,
    plans: Mutex<VecDeque<(IterationId, Arc<IterationPlan>)>>,
    /// Batches made for others, and by others.
    pub(crate) given: AtomicU64,
    pub(crate) taken: AtomicU64,
}

/// What is known of another node.
#[derive(Clone, Copy, Default)]
struct Other {
    under_way: usize,
    rests_until: Option<Instant>,
}

/// Counts a draft that is finished here.
pub(crate) struct Busy<'a>(&'a DraftExchange);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DraftExchange {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, ..Self::default() }
    }

    /// A draft is finished here, whatever else is.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// The same, if a worker is free.
    fn begin_if_free(&self) -> Option<Busy<'_>> {
        let free = |busy: usize| (busy < self.workers).then_some(busy + 1);
        self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok().map(|_| Busy(self))
    }

    /// How many drafts of one session may be worked on at once.
    pub(crate) fn drafts_max(&self, peers: &DatasetPeers) -> usize {
        self.workers * (1 + peers.others(&[]).len())
    }

    /// Has a draft finished by another node, if this one has no worker free; `None` if it is to be finished here. Blocks.
    pub(crate) fn ask(&self, runtime: &DatasetRuntime, draft: &DraftForm) -> Option<Bytes> {
        if self.busy.load(Ordering::Relaxed) < self.workers {
            return None;
        }
        let node = self.choose(&runtime.peers)?;
        let patience = runtime.python.options().time_limit + PATIENCE;
        let payload = serde_json::to_vec(draft).ok()?;
        let asked = runtime.peers.call(node, method::PREPARE, payload.into(), patience);
        let answer = runtime.handle.block_on(asked);
        let rest = match &answer {
            Ok(_) => None,
            Err(error) if error.code() == ErrorCode::Overloaded => Some(BUSY_REST),
            Err(error) => {
                tracing::debug!(%node, %error, "another node could not make a batch");
                Some(FAILURE_REST)
            }
        };
        let mut others = lock(&self.others);
        let other = others.entry(node).or_default();
        other.under_way -= 1;
        other.rests_until = rest.map(|rest| Instant::now() + rest);
        drop(others);
        self.taken.fetch_add(u64::from(answer.is_ok()), Ordering::Relaxed);
        answer.ok()
    }

    /// The node with the least to do for this one.
    fn choose(&self, peers: &DatasetPeers) -> Option<NodeId> {
        let mut others = lock(&self.others);
        let now = Instant::now();
        let candidates = peers.others(&[]).into_iter().filter_map(|node| {
            let other = others.get(&node).copied().unwrap_or_default();
            let rests = other.rests_until.is_some_and(|until| now < until);
            (!rests && other.under_way < self.workers).then_some((other.under_way, node))
        });
        let (_, node) = candidates.min()?;
        others.entry(node).or_default().under_way += 1;
        Some(node)
    }

    fn known_plan(&self, iteration: IterationId) -> Option<Arc<IterationPlan>> {
        let plans = lock(&self.plans);
        plans.iter().find(|(of, _)| *of == iteration).map(|(_, plan)| Arc::clone(plan))
    }

    fn keep_plan(&self, iteration: IterationId, plan: &Arc<IterationPlan>) {
        let mut plans = lock(&self.plans);
        plans.retain(|(of, _)| *of != iteration);
        plans.push_back((iteration, Arc::clone(plan)));
        if plans.len() > PLANS_MAX {
            plans.pop_front();
        }
    }
}

impl DatasetRuntime {
    /// Finishes a draft of another node: the batch in the Lavender layout. Refuses while no worker is free.
    pub(crate) async fn prepare(self: &Arc<Self>, draft: DraftForm) -> Result<Bytes, NodeError> {
        let malformed = |_| NodeError::Invalid("what was sent names no iteration".to_owned());
        let iteration: IterationId = draft.iteration.parse().map_err(malformed)?;
        let plan = self.draft_exchange.known_plan(iteration);
        let outline = match &plan {
            Some(plan) => Arc::clone(plan.outline()),
            None => {
                let groups: &IterationGroups = &self.iterations;
                groups.outline(&groups.context(), iteration).await?
            }
        };
        let dataset = Arc::clone(self.peers.catalogue().dataset(outline.dataset)?);
        let runtime = Arc::clone(self);
        let work = move || {
            let _busy = runtime.draft_exchange.begin_if_free().ok_or(NodeError::Overloaded)?;
            let plan = match plan {
                Some(plan) => plan,
                None => {
                    let plan = Arc::new(IterationPlan::open(&runtime, &dataset, outline)?);
                    runtime.draft_exchange.keep_plan(iteration, &plan);
                    plan
                }
            };
            let made = finish(&runtime, &plan, draft)?;
            runtime.draft_exchange.given.fetch_add(1, Ordering::Relaxed);
            Ok(made)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or(Err(NodeError::Internal("making a batch for another node panicked")))
    }
}

fn finish(runtime: &DatasetRuntime, plan: &IterationPlan, draft: DraftForm) -> Result<Bytes, NodeError> {
    let DraftForm { indices, current, retries, no_cache, .. } = draft;
    // Only their numbers count: what is done is done for whoever has the places.
    let sample = |index: &u64| Sample { place: Place { block: 0, offset: 0 }, index: *index };
    let samples: Vec<Sample> = indices.iter().map(sample).collect();
    let rows = plan.rows(runtime, &samples)?;
    let attempt = Attempt { arrow: false, retries, no_cache };
    let processed = plan.process(runtime, (&rows, &indices), attempt).map_err(NodeError::Refused)?;
    let segments = BatchRows::new(indices, rows, plan.is_single(), processed).encode(current)?;
    Ok(match <[Bytes; 1]>::try_from(segments) {
        Ok([one]) => one,
        Err(segments) => segments.concat().into(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
