//! The next batch of a rank: taken from its session, granted in the log, and delivered or given back.

use crate::datasets::made::{self, Made, Wishes};
use crate::datasets::maker::{Maker, Source};
use crate::datasets::request_queue::{Pending, RequestQueue};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::session::{Next, Session};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use bytes::Bytes;
use lavandin_plan::Cursor;
use lavandin_plan::iterations::{Contested, Outcome, Owner, Rejection, Request};
use lavandin_types::IterationId;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Deliveries are logged with the rank's next grant, or after this long without one.
const DELIVERY_PAUSE: Duration = Duration::from_millis(100);
/// How often that is tried while the group does not answer; a try takes long by itself.
const DELIVERY_TRIES: u32 = 20;
/// Batches for one answer are taken up to this many bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Pauses before a call starts over because what was ready is no longer what comes next.
const AGAIN_MIN: Duration = Duration::from_millis(1);
const AGAIN_MAX: Duration = Duration::from_millis(50);
/// How often samples may turn out to be taken that should not be.
const REFUSALS_MAX: usize = 8;
/// How long it is waited for what is on its way back, to the other copies as well, before a call starts over anyway.
const RETURN_MAX: Duration = Duration::from_secs(1);

/// The layout of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchFormat {
    #[default]
    Lavender,
    /// An Arrow IPC stream.
    Arrow,
}

/// How a batch is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct NextOptions {
    pub format: BatchFormat,
    /// How often user code is tried again.
    pub retries: u32,
    /// Whether user code is to run even if its result for these samples is kept.
    pub no_cache: bool,
    /// Most batches at once; more than one only of Arrow streams.
    pub batches: u32,
    /// Of static mode: which step's batch, again if it was granted before; by default what comes next.
    pub step: Option<u64>,
}

/// What a rank gets.
pub enum NextOutcome {
    Batch(Batch),
    Failed(BatchFailure),
    /// The rank has everything.
    End,
}

/// A batch that was granted.
pub struct Batch {
    /// To be sent one after another.
    pub segments: Vec<Bytes>,
    /// How many batches the rank got before.
    pub current: u64,
    pub delivery: Delivery,
    /// Of static mode: its step, the last one of several, and where an epoch goes on once all ranks have done it.
    pub step: Option<u64>,
    pub cursor: Option<Cursor>,
}

/// Samples that could not be read or processed; they are settled as failed.
#[derive(Clone, Debug)]
pub struct BatchFailure {
    pub message: String,
    pub current: u64,
    /// Of static mode.
    pub step: Option<u64>,
}

/// What is to become of grants: delivered once `done` is called, given back if it never is.
#[derive(Default)]
pub struct Delivery {
    open: Option<OpenDelivery>,
}

struct OpenDelivery {
    runtime: Arc<DatasetRuntime>,
    session: Arc<Session>,
    iteration: IterationId,
    rank: u32,
    grants: Vec<(u64, Owner)>,
}

/// Deliveries of a session that are not logged yet.
#[derive(Default)]
pub(crate) struct Delivered {
    state: Mutex<DeliveredState>,
}

#[derive(Default)]
struct DeliveredState {
    grants: Vec<(u32, u64)>,
    /// A task waits to log them.
    flushing: bool,
}

impl Delivered {
    pub(crate) fn take(&self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).grants)
    }

    /// Remembers deliveries; whether somebody has to see to their logging.
    fn add(&self, rank: u32, grants: &[(u64, Owner)]) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.grants.extend(grants.iter().map(|(number, _)| (rank, *number)));
        !std::mem::replace(&mut state.flushing, true)
    }

    /// What was not logged with a grant after all; whether somebody has to see to its logging.
    fn put_back(&self, grants: Vec<(u32, u64)>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.grants.extend(grants);
        !std::mem::replace(&mut state.flushing, true)
    }

    /// What is to be logged; where there is nothing, or `gives_up`, nobody sees to it any more.
    fn take_to_flush(&self, gives_up: bool) -> Vec<(u32, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let grants = std::mem::take(&mut state.grants);
        state.flushing = !grants.is_empty() && !gives_up;
        grants
    }
}

impl Session {
    /// Logs deliveries until there are none left to log.
    pub(crate) async fn flush(&self, runtime: &DatasetRuntime, iteration: IterationId) {
        let mut failures = 0;
        while failures < DELIVERY_TRIES {
            let grants = self.delivered.take_to_flush(false);
            if grants.is_empty() {
                return;
            }
            let request = Request::Delivered { iteration, grants: grants.clone() };
            match self.queue.send_always(request).outcome().await {
                Ok(_) | Err(NodeError::Iteration(_)) => runtime.grants.release(iteration, &grants),
                Err(_) => {
                    self.delivered.put_back(grants);
                    failures += 1;
                    tokio::time::sleep(DELIVERY_PAUSE).await;
                }
            }
        }
        // As if the answers were in doubt, which is safe.
        runtime.grants.release(iteration, &self.delivered.take_to_flush(true));
    }
}

impl Delivery {
    fn new(
        node: &Node,
        session: &Arc<Session>,
        (iteration, rank): (IterationId, u32),
        (number, owner): (u64, Owner),
    ) -> Self {
        let (runtime, session) = (Arc::clone(&node.datasets), Arc::clone(session));
        runtime.grants.hold((iteration, rank, number), owner);
        Self { open: Some(OpenDelivery { runtime, session, iteration, rank, grants: vec![(number, owner)] }) }
    }

    /// Takes over what is to become of another grant of the same rank.
    fn absorb(&mut self, mut other: Self) {
        match (&mut self.open, other.open.take()) {
            (Some(open), Some(other)) => open.grants.extend(other.grants),
            (open @ None, other) => *open = other,
            (Some(_), None) => {}
        }
    }

    /// There is no grant after all.
    fn forget(mut self) {
        if let Some(OpenDelivery { runtime, iteration, rank, grants, .. }) = self.open.take() {
            runtime.grants.forget((iteration, rank), &grants);
        }
    }

    /// The answer has left whole.
    pub fn done(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.session.delivered.add(open.rank, &open.grants) {
            flush_later(&open.runtime, &open.session, open.iteration);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        let OpenDelivery { runtime, session, iteration, rank, grants } = open;
        session.lock().begin_return();
        runtime.counters.returned.fetch_add(grants.len() as u64, Ordering::Relaxed);
        let give_back = |(number, owner): &(u64, Owner)| {
            let (number, owner) = (*number, *owner);
            session.queue.send_always(Request::Return { iteration, rank, number, owner })
        };
        let answers: Vec<_> = grants.iter().rev().map(give_back).collect();
        runtime.handle.clone().spawn(async move {
            for answer in answers {
                // What could not be returned is by the rank's next session, or by the group's primary.
                drop(answer.outcome().await);
            }
            runtime.grants.forget((iteration, rank), &grants);
            session.end_return();
        });
    }
}

/// A batch that was taken and whose grant is on its way to the log. Dropped by a caller that goes away, it is given back.
struct Granting {
    made: Made,
    generation: u64,
    answer: Pending,
    delivery: Delivery,
    /// Deliveries that are logged with it.
    delivered: Carried,
}

/// Deliveries on their way to the log with a grant; dropped before it is known that they are there, they are logged by
/// themselves, which does no harm if they were.
struct Carried {
    runtime: Arc<DatasetRuntime>,
    session: Arc<Session>,
    iteration: IterationId,
    grants: Vec<(u32, u64)>,
}

impl Carried {
    fn logged(mut self) {
        self.runtime.grants.release(self.iteration, &std::mem::take(&mut self.grants));
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let grants = std::mem::take(&mut self.grants);
        if !grants.is_empty() && self.session.delivered.put_back(grants) {
            flush_later(&self.runtime, &self.session, self.iteration);
        }
    }
}

/// Has deliveries logged a little later, if no grant takes them along.
fn flush_later(runtime: &Arc<DatasetRuntime>, session: &Arc<Session>, iteration: IterationId) {
    let (runtime, session) = (Arc::clone(runtime), Arc::clone(session));
    runtime.handle.clone().spawn(async move {
        tokio::time::sleep(DELIVERY_PAUSE).await;
        session.flush(&runtime, iteration).await;
    });
}

impl Node {
    /// The rank's next batch, or that of a step, granted: durable on return. At the end there is none.
    pub async fn next_batch(
        &self,
        context: &CallContext,
        iteration: IterationId,
        rank: u32,
        options: NextOptions,
    ) -> Result<NextOutcome, NodeError> {
        match options.step {
            Some(step) => self.batch_at(context, (iteration, rank), step, options).await,
            None => self.next_in_order(context, iteration, rank, options).await,
        }
    }

    /// The rank's next batch.
    pub(crate) async fn next_in_order(
        &self,
        context: &CallContext,
        iteration: IterationId,
        rank: u32,
        options: NextOptions,
    ) -> Result<NextOutcome, NodeError> {
        let (mut pause, mut refusals) = (AGAIN_MIN, 0);
        loop {
            let session = self.session(context, (iteration, rank), options).await?;
            match self.try_next(context, &session, (iteration, rank), options).await {
                Err(NodeError::Iteration(Rejection::Conflict {
                    what: Contested::Generation,
                    expected,
                    ..
                })) => {
                    self.await_return(context, (iteration, rank), expected).await?;
                }
                // Another call was faster.
                Err(NodeError::Iteration(Rejection::Conflict { .. })) => {}
                Err(NodeError::Iteration(Rejection::AlreadyTaken { .. } | Rejection::NotOwned { .. })) => {
                    refusals += 1;
                }
                other => return other,
            }
            if refusals >= REFUSALS_MAX || Instant::now() + pause >= context.deadline {
                return Err(NodeError::Overloaded);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_MAX);
        }
    }

    /// Something comes back to the rank, of which a walk of that generation does not know: waits until a walk would. What is
    /// made before would be refused as well.
    async fn await_return(
        &self,
        context: &CallContext,
        (iteration, rank): (IterationId, u32),
        generation: u64,
    ) -> Result<(), NodeError> {
        let until = context.deadline.min(Instant::now() + RETURN_MAX);
        let mut pause = AGAIN_MIN;
        while Instant::now() + pause < until {
            if self.datasets.iterations.rank(context, iteration, rank).await?.generation != generation {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_MAX);
        }
        Ok(())
    }

    /// Like `next_batch`, but keeps the batch to be fetched by a key; `None` at the end.
    pub async fn submit_batch(
        &self,
        context: &CallContext,
        iteration: IterationId,
        rank: u32,
        options: NextOptions,
    ) -> Result<Option<String>, NodeError> {
        let outcome = self.next_batch(context, iteration, rank, options).await?;
        self.datasets.results.keep(outcome)
    }

    /// What a key stands for.
    pub fn submitted_batch(&self, key: &str) -> Option<NextOutcome> {
        self.datasets.results.fetch(key)
    }

    /// The session of a rank, which is made on its first call.
    async fn session(
        &self,
        context: &CallContext,
        (iteration, rank): (IterationId, u32),
        options: NextOptions,
    ) -> Result<Arc<Session>, NodeError> {
        let session = match self.datasets.session((iteration, rank)) {
            Some(session) => session,
            None => self.new_session(context, (iteration, rank)).await?,
        };
        if session.wishes.set(options) {
            let mut guard = session.lock();
            let generation = guard.generation();
            guard.reset(generation);
        }
        Ok(session)
    }

    async fn new_session(
        &self,
        context: &CallContext,
        (iteration, rank): (IterationId, u32),
    ) -> Result<Arc<Session>, NodeError> {
        let runtime = &self.datasets;
        let outline = match runtime.known_outline(iteration) {
            Some(known) => known,
            None => runtime.iterations.outline(context, iteration).await?,
        };
        if outline.definition.group_of(rank).is_none() {
            return Err(Rejection::UnknownRank(rank).into());
        }
        let dataset = self.dataset(outline.dataset).await?;
        let home = runtime.iterations.home(context, iteration).await?;
        let queue = RequestQueue::new(Arc::clone(&runtime.iterations), home);
        let wishes = Arc::new(Wishes::default());
        let of = dataset.id;
        let source = Source { dataset, outline };
        let maker = Maker::new(Arc::clone(runtime), source, (iteration, rank), Arc::clone(&wishes));
        let ready_bytes = Arc::clone(&runtime.ready_bytes);
        runtime.update_drafts_max();
        let made =
            Session::new((Box::new(maker), of), queue, wishes, ready_bytes, runtime.session_limits.clone());
        Ok(runtime.keep_session((iteration, rank), made))
    }

    async fn try_next(
        &self,
        context: &CallContext,
        session: &Arc<Session>,
        (iteration, rank): (IterationId, u32),
        options: NextOptions,
    ) -> Result<NextOutcome, NodeError> {
        loop {
            let granting = match self.collect(context, session, (iteration, rank), options).await? {
                Taken::Some(granting) => granting,
                Taken::End => {
                    let (ended_at, generation) = {
                        let guard = session.lock();
                        (guard.ended_at(), guard.generation())
                    };
                    let status = self.datasets.iterations.rank(context, iteration, rank).await?;
                    if status.generation == ended_at {
                        return Ok(NextOutcome::End);
                    }
                    // Through another node, something came back.
                    session.lock().reset(generation);
                    continue;
                }
                Taken::Broken(error) => {
                    self.datasets.end_session((iteration, rank), session);
                    return Err(error);
                }
            };
            let granted = self.granted(context, session, granting).await?;
            let counters = &self.datasets.counters;
            let failure = |(made, _): &(Made, Delivery)| {
                Some(BatchFailure { message: made.failure()?, current: made.current(), step: made.step })
            };
            if let Some(failure) = granted.iter().find_map(failure) {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                return Ok(NextOutcome::Failed(failure));
            }
            let granted: Vec<_> = granted.into_iter().filter(|(made, _)| !made.is_rest()).collect();
            if !granted.is_empty() {
                counters.granted.fetch_add(granted.len() as u64, Ordering::Relaxed);
                return answer(granted, options);
            }
        }
    }

    /// Waits for grants; those that went through. An error only if none did.
    async fn granted(
        &self,
        context: &CallContext,
        session: &Arc<Session>,
        granting: Vec<Granting>,
    ) -> Result<Vec<(Made, Delivery)>, NodeError> {
        let mut failed = None;
        let mut granted = Vec::with_capacity(granting.len());
        for Granting { made, generation, answer, delivery, delivered } in granting {
            match wait_for(context, answer).await {
                Ok(_) => {
                    delivered.logged();
                    // What comes after one that is given back is given back too, or it would come before it.
                    if failed.is_none() {
                        granted.push((made, delivery));
                    }
                }
                Err(error) => {
                    drop(delivered);
                    if matches!(error, NodeError::Iteration(_)) {
                        delivery.forget();
                    }
                    session.lock().reset(generation);
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) if granted.is_empty() => Err(error),
            _ => Ok(granted),
        }
    }

    /// Takes the batches that are asked for, or those up to a failure or the end, and queues their grants. Waits for what
    /// is still being made.
    async fn collect(
        &self,
        context: &CallContext,
        session: &Arc<Session>,
        (iteration, rank): (IterationId, u32),
        options: NextOptions,
    ) -> Result<Taken, NodeError> {
        let wanted = options.batches.max(1) as usize;
        let mut granting: Vec<Granting> = Vec::new();
        let mut bytes = 0;
        loop {
            let next = self.take(session, (iteration, rank), granting.is_empty())?;
            match next {
                Next::Batch(one) => {
                    bytes += one.made.bytes();
                    let is_alone = one.made.failure().is_some();
                    granting.push(one);
                    if is_alone || granting.len() >= wanted || bytes >= ANSWER_BYTES_MAX {
                        return Ok(Taken::Some(granting));
                    }
                }
                Next::Nothing => match session.wait(context).await {
                    // What was granted is answered; the next call waits for the rest.
                    Err(_) if !granting.is_empty() => return Ok(Taken::Some(granting)),
                    waited => waited?,
                },
                _ if !granting.is_empty() => return Ok(Taken::Some(granting)),
                Next::End | Next::Failure => return Ok(Taken::End),
                Next::Broken(error) => return Ok(Taken::Broken(error)),
            }
        }
    }

    /// Takes the next batch and queues its grant, both under the session's lock so that the order stays. A failure is
    /// only taken by who holds nothing else.
    fn take(
        &self,
        session: &Arc<Session>,
        (iteration, rank): (IterationId, u32),
        alone: bool,
    ) -> Result<Next<Granting>, NodeError> {
        let mut guard = session.lock();
        if !alone && guard.next_is_failure() {
            return Ok(Next::Failure);
        }
        let next = match guard.take() {
            Next::Batch((mut made, generation)) => {
                let owner = self.datasets.grants.owner().inspect_err(|_| guard.reset(generation))?;
                let grant = made.grant(session, (iteration, rank), owner);
                let delivered = Carried {
                    runtime: Arc::clone(&self.datasets),
                    session: Arc::clone(session),
                    iteration,
                    grants: grant.delivered.clone(),
                };
                let delivery = match made.failure().is_some() || made.is_rest() {
                    true => Delivery::default(),
                    false => Delivery::new(self, session, (iteration, rank), (made.number, owner)),
                };
                let answer = match session.queue.send(Request::Grant(Box::new(grant))) {
                    Ok(answer) => answer,
                    Err(error) => {
                        guard.reset(generation);
                        delivery.forget();
                        return Err(error);
                    }
                };
                Next::Batch(Granting { made, generation, answer, delivery, delivered })
            }
            Next::End => Next::End,
            Next::Broken(error) => Next::Broken(error),
            Next::Failure => Next::Failure,
            Next::Nothing => Next::Nothing,
        };
        guard.keep_producing(session);
        Ok(next)
    }
}

/// What was queued came to; it may still happen after the deadline.
async fn wait_for(context: &CallContext, answer: Pending) -> Result<Outcome, NodeError> {
    match tokio::time::timeout_at(context.deadline.into(), answer.outcome()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(NodeError::Deadline("the batch goes back to its rank; ask again")),
    }
}

/// The bytes of granted batches; on an error the grants are given back.
fn answer(granted: Vec<(Made, Delivery)>, options: NextOptions) -> Result<NextOutcome, NodeError> {
    let current = granted.first().map_or(0, |(made, _)| made.current());
    let (step, cursor) = granted.last().map_or((None, None), |(made, _)| (made.step, made.cursor));
    let mut delivery = Delivery::default();
    let mut all = Vec::with_capacity(granted.len());
    for (made, one) in granted {
        delivery.absorb(one);
        all.push(made);
    }
    let segments = made::encode(all, options.format)?;
    Ok(NextOutcome::Batch(Batch { segments, current, delivery, step, cursor }))
}

/// What a call got hold of.
enum Taken {
    Some(Vec<Granting>),
    End,
    Broken(NodeError),
}
