//! One rank's session with an iteration: batches made ahead, handed out in order.
//!
//! A call to `next` takes the first batch that is ready, logs its grant and, once that is durable, returns it. Grants
//! are queued in the order in which batches are taken, so that several calls at once keep the order. A producer on a
//! blocking thread refills the queue up to a number of batches and bytes and then goes; it is started again when the
//! queue runs low. Drafts keep their place in the queue while user code works on several of them at once. What is ready and not granted belongs to nobody: a restart makes it again.
//!
//! When a grant is refused (a pushback, a return, another session before a restart), what is ready is thrown away and
//! made anew from the iteration's state. While a grant of this session is on its way back nothing is made or taken: its
//! samples come first, and until they are there the end is not known.

use crate::datasets::feeding::FeedingRank;
use crate::datasets::made::{Draft, Made, Wishes};
use crate::datasets::maker::{Maker, Step};
use crate::datasets::next::Delivered;
use crate::datasets::request_queue::RequestQueue;
use crate::error::NodeError;
use crate::options::CallContext;
use lavandin_types::DatasetId;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A defect, of which the log says more.
const PANICKED: NodeError = NodeError::Internal("making a batch panicked; the next call tries again");
/// Batches made ahead for one rank at most.
const READY_MAX: usize = 32;
/// A producer is started again when fewer are ready.
const READY_LOW: usize = 16;

/// Batches over which it is told how fast they go, and how long a pause counts as a standstill.
const HANDED_MAX: usize = 64;
const STANDSTILL: Duration = Duration::from_secs(10);

/// Bytes of batches made ahead, of all sessions together.
#[derive(Debug)]
pub(crate) struct ReadyBytes {
    held: AtomicU64,
    max: u64,
}

impl ReadyBytes {
    pub(crate) fn new(max: u64) -> Self {
        Self { held: AtomicU64::new(0), max }
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.held() >= self.max
    }
}

/// A session of one rank.
pub(crate) struct Session {
    pub(crate) dataset: DatasetId,
    /// The way to the iteration's group.
    pub(crate) queue: Arc<RequestQueue>,
    /// Answers that have left and are not logged yet.
    pub(crate) delivered: Delivered,
    pub(crate) wishes: Arc<Wishes>,
    state: Mutex<State>,
    changed: Notify,
    ready_bytes: Arc<ReadyBytes>,
    limits: SessionLimits,
}

/// What a session may use.
#[derive(Clone, Debug)]
pub(crate) struct SessionLimits {
    /// Bytes made ahead for one rank.
    pub(crate) bytes_max: u64,
    /// Drafts worked on at once: there are so many Python workers, those of other nodes included.
    pub(crate) drafts_max: Arc<AtomicUsize>,
}

impl SessionLimits {
    fn drafts_max(&self) -> usize {
        self.drafts_max.load(Ordering::Relaxed)
    }
}

/// A place in the queue.
enum Slot {
    Ready(Box<Made>),
    /// User code works on it.
    Draft {
        ticket: u64,
        bytes: u64,
    },
}

impl Slot {
    fn bytes(&self) -> u64 {
        match self {
            Self::Ready(made) => made.bytes(),
            Self::Draft { bytes, .. } => *bytes,
        }
    }
}

struct State {
    queue: VecDeque<Slot>,
    /// Of the queue.
    bytes: u64,
    /// Drafts that are being worked on, those of thrown away queues included.
    in_work: usize,
    next_ticket: u64,
    /// Away while a producer works with it.
    maker: Option<Box<Maker>>,
    producing: bool,
    /// Nothing comes after what is ready.
    ended: bool,
    /// The rank's generation by then.
    ended_at: u64,
    /// A defect ended the producer.
    /// Why nothing more comes.
    fault: Option<NodeError>,
    /// Callers that wait for a batch.
    waiting: usize,
    /// Deliveries that failed and whose grants are not back yet.
    returning: usize,
    /// Rises when what is ready is thrown away.
    generation: u64,
    last_used: Instant,
    /// When batches were handed out last.
    handed: VecDeque<Instant>,
}

/// What there is for a caller.
pub(crate) enum Next<T> {
    Batch(T),
    /// A failure, for a caller that wants batches only.
    Failure,
    /// The rank has everything.
    End,
    /// The session has ended, and why: a new one is needed.
    Broken(NodeError),
    /// Not yet.
    Nothing,
}

impl Session {
    pub(crate) fn new(
        (maker, dataset): (Box<Maker>, DatasetId),
        queue: Arc<RequestQueue>,
        wishes: Arc<Wishes>,
        ready_bytes: Arc<ReadyBytes>,
        limits: SessionLimits,
    ) -> Arc<Self> {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            in_work: 0,
            next_ticket: 0,
            maker: Some(maker),
            producing: false,
            ended: false,
            ended_at: 0,
            fault: None,
            waiting: 0,
            returning: 0,
            generation: 0,
            last_used: Instant::now(),
            handed: VecDeque::new(),
        };
        Arc::new(Self {
            dataset,
            queue,
            delivered: Delivered::default(),
            wishes,
            state: Mutex::new(state),
            changed: Notify::new(),
            ready_bytes,
            limits,
        })
    }

    pub(crate) fn lock(&self) -> SessionGuard<'_> {
        SessionGuard { session: self, state: self.state.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Waits until there may be something for the caller, who then looks again.
    pub(crate) async fn wait(self: &Arc<Self>, context: &CallContext) -> Result<(), NodeError> {
        let notified = self.changed.notified();
        tokio::pin!(notified);
        // Registered before the look, so that what comes in between is not missed.
        notified.as_mut().enable();
        let _waiting = {
            let mut guard = self.lock();
            if guard.has_news() {
                return Ok(());
            }
            let waiting = Waiting::begin(self, &mut guard);
            // A producer may have gone before it could see this caller.
            guard.keep_producing(self);
            waiting
        };
        let waited = tokio::time::timeout_at(context.deadline.into(), notified).await;
        waited.map_err(|_| NodeError::Deadline("the batch is still being made; ask again"))
    }

    /// When it was last used, and whether nobody uses it now.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let guard = self.lock();
        let state = &guard.state;
        let idle = state.waiting == 0 && !state.producing && state.in_work == 0 && state.returning == 0;
        idle.then_some(state.last_used)
    }

    /// Grants that were on their way back are there.
    pub(crate) fn end_return(&self) {
        self.lock().state.returning -= 1;
        self.changed.notify_waiters();
    }

    /// The producer's work: fills the queue until it is full, the end, or a step that waits for a caller.
    fn produce(self: Arc<Self>, mut maker: Box<Maker>, mut generation: u64) {
        loop {
            let wanted = {
                let mut guard = self.lock();
                if guard.state.generation != generation {
                    generation = guard.state.generation;
                    maker.restart();
                }
                match guard.wants_more() {
                    Some(wanted) => wanted,
                    None => {
                        guard.state.maker = Some(maker);
                        guard.state.producing = false;
                        return;
                    }
                }
            };
            // A defect must not leave callers waiting for a thread that is gone.
            let made = catch_unwind(AssertUnwindSafe(|| maker.step(wanted == Wanted::ByCaller)));
            let mut guard = self.lock();
            if guard.state.generation != generation {
                continue;
            }
            let Ok(step) = made else {
                guard.state.producing = false;
                guard.break_down(PANICKED);
                drop(guard);
                return self.changed.notify_waiters();
            };
            match step {
                Step::Made(made) => guard.push(Slot::Ready(made)),
                Step::Draft(draft) => {
                    let ticket = guard.push_draft(draft.bytes());
                    let session = Arc::clone(&self);
                    tokio::task::spawn_blocking(move || session.finish(*draft, ticket));
                    continue;
                }
                Step::Ended(generation) => {
                    guard.state.ended = true;
                    guard.state.ended_at = generation;
                }
                Step::Fault(error) => guard.break_down(error),
                Step::NeedsCaller if guard.state.waiting > 0 && guard.state.queue.is_empty() => continue,
                Step::NeedsCaller => {
                    guard.state.maker = Some(maker);
                    guard.state.producing = false;
                    return;
                }
            }
            drop(guard);
            self.changed.notify_waiters();
        }
    }

    /// Puts a draft through user code, and into its place if that is still there.
    fn finish(self: Arc<Self>, draft: Draft, ticket: u64) {
        let made = catch_unwind(AssertUnwindSafe(|| draft.finish()));
        let mut guard = self.lock();
        guard.state.in_work -= 1;
        match made {
            Ok(made) => guard.fill(ticket, made),
            Err(_) => guard.break_down(PANICKED),
        }
        guard.keep_producing(&self);
        drop(guard);
        self.changed.notify_waiters();
    }
}

/// A caller that waits; one whose client vanishes is dropped and waits no more.
struct Waiting<'a> {
    session: &'a Session,
}

impl<'a> Waiting<'a> {
    fn begin(session: &'a Session, guard: &mut SessionGuard<'_>) -> Self {
        guard.state.waiting += 1;
        Self { session }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.session.lock().state.waiting -= 1;
    }
}

/// Who wants the next batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Somebody waits for it.
    ByCaller,
    Ahead,
}

/// The locked session.
pub(crate) struct SessionGuard<'a> {
    session: &'a Session,
    state: MutexGuard<'a, State>,
}

impl SessionGuard<'_> {
    /// Takes the next batch, with the generation that it is of.
    pub(crate) fn take(&mut self) -> Next<(Made, u64)> {
        self.state.last_used = Instant::now();
        if self.state.returning > 0 {
            return Next::Nothing;
        }
        match self.state.queue.pop_front() {
            Some(Slot::Ready(made)) => {
                self.held(made.bytes(), 0);
                if self.state.handed.len() >= HANDED_MAX {
                    self.state.handed.pop_front();
                }
                self.state.handed.push_back(Instant::now());
                Next::Batch((*made, self.state.generation))
            }
            Some(draft) => {
                self.state.queue.push_front(draft);
                Next::Nothing
            }
            None => match &self.state.fault {
                Some(error) => Next::Broken(error.clone()),
                None if self.state.ended => Next::End,
                None => Next::Nothing,
            },
        }
    }

    /// Throws away what is ready, unless that was done since.
    pub(crate) fn reset(&mut self, generation: u64) {
        if self.state.generation != generation {
            return;
        }
        self.state.generation += 1;
        self.state.ended = false;
        self.held(self.state.bytes, 0);
        self.state.queue.clear();
        if let Some(maker) = &mut self.state.maker {
            maker.restart();
        }
    }

    /// Grants are on their way back: what is ready was made without their samples.
    pub(crate) fn begin_return(&mut self) {
        self.state.returning += 1;
        self.reset(self.state.generation);
    }

    /// The rank's generation when the end was found; samples have come back since if it is another by now.
    pub(crate) fn ended_at(&self) -> u64 {
        self.state.ended_at
    }

    pub(crate) fn generation(&self) -> u64 {
        self.state.generation
    }

    /// How it stands, for people.
    pub(crate) fn feeding(&self) -> FeedingRank {
        let state = &self.state;
        let is_ready = |slot: &&Slot| matches!(slot, Slot::Ready(_));
        let speed = match (state.handed.front(), state.handed.back()) {
            (Some(first), Some(last)) if last.elapsed() < STANDSTILL && last > first => {
                (state.handed.len() - 1) as f64 / last.duration_since(*first).as_secs_f64()
            }
            _ => 0.0,
        };
        FeedingRank {
            ready: state.queue.iter().filter(is_ready).count() as u64,
            in_work: state.in_work as u64,
            batches_per_second: speed,
            why_waiting: self.why_waiting(),
            ..FeedingRank::default()
        }
    }

    fn why_waiting(&self) -> Option<String> {
        let state = &self.state;
        let told = match &state.fault {
            Some(error) => {
                return Some(format!("its last attempt failed, and the next call tries again: {error}"));
            }
            None if state.returning > 0 => "a batch that did not reach its client is being given back",
            None if state.waiting > 0 && state.in_work > 0 => "user code works on the next batch",
            None if state.waiting > 0 => "the next batch is being read",
            None if state.ended && state.queue.is_empty() => "the rank has everything",
            None if state.handed.back().is_none_or(|last| last.elapsed() >= STANDSTILL) => {
                "its client has asked for nothing for a while"
            }
            None => return None,
        };
        Some(told.to_owned())
    }

    /// Whether the next thing is a failure, which is told alone.
    pub(crate) fn next_is_failure(&self) -> bool {
        matches!(self.state.queue.front(), Some(Slot::Ready(made)) if made.failure().is_some())
    }

    /// Whether a caller need not wait.
    fn has_news(&self) -> bool {
        let has_news = match self.state.queue.front() {
            Some(slot) => matches!(slot, Slot::Ready(_)),
            None => self.state.ended,
        };
        has_news && self.state.returning == 0
    }

    /// Starts the producer if there is room and it does not run.
    pub(crate) fn keep_producing(&mut self, session: &Arc<Session>) {
        let low = self.state.queue.len() < READY_LOW
            && self.state.in_work < self.session.limits.drafts_max()
            && self.state.returning == 0
            && !self.state.ended;
        if !low || self.state.producing {
            return;
        }
        let Some(maker) = self.state.maker.take() else { return };
        self.state.producing = true;
        let (session, generation) = (Arc::clone(session), self.state.generation);
        tokio::task::spawn_blocking(move || session.produce(maker, generation));
    }

    fn wants_more(&self) -> Option<Wanted> {
        let (state, limits) = (&self.state, &self.session.limits);
        if state.ended || state.in_work >= limits.drafts_max() || state.returning > 0 {
            return None;
        }
        // What somebody waits for is made whatever it takes; the rest within bounds.
        if state.queue.is_empty() && state.waiting > 0 {
            return Some(Wanted::ByCaller);
        }
        let has_room = state.queue.len() < READY_MAX
            && state.bytes < limits.bytes_max
            && (!self.session.ready_bytes.is_full() || state.queue.is_empty());
        has_room.then_some(Wanted::Ahead)
    }

    fn push(&mut self, slot: Slot) {
        self.held(0, slot.bytes());
        self.state.queue.push_back(slot);
    }

    /// Keeps a place for a draft, which is found again by the ticket.
    fn push_draft(&mut self, bytes: u64) -> u64 {
        let ticket = self.state.next_ticket;
        self.state.next_ticket += 1;
        self.state.in_work += 1;
        self.push(Slot::Draft { ticket, bytes });
        ticket
    }

    fn fill(&mut self, wanted: u64, made: Made) {
        let is_its = |slot: &Slot| matches!(slot, Slot::Draft { ticket, .. } if *ticket == wanted);
        // Else what it was made from is made anew.
        let Some(at) = self.state.queue.iter().position(is_its) else { return };
        self.held(self.state.queue[at].bytes(), made.bytes());
        self.state.queue[at] = Slot::Ready(Box::new(made));
    }

    /// Nothing more comes of this session.
    fn break_down(&mut self, error: NodeError) {
        self.held(self.state.bytes, 0);
        self.state.queue.clear();
        self.state.fault = Some(error);
        self.state.ended = true;
    }

    /// Counts bytes of the queue.
    fn held(&mut self, less: u64, more: u64) {
        self.state.bytes = self.state.bytes - less + more;
        self.session.ready_bytes.held.fetch_sub(less, Ordering::Relaxed);
        self.session.ready_bytes.held.fetch_add(more, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let bytes = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).bytes;
        self.ready_bytes.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
