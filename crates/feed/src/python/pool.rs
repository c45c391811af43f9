//! The pool: callers hand jobs to slots, each of which owns one worker process at a time; a keeper watches the files.
//!
//! A job goes to the slot that became idle last, so that requests one after another meet the same process (user code
//! may keep state in its objects), and processes that are not needed are never started. Slots and keeper are threads that
//! live as long as the pool, because a worker dies with the thread that started it. Lock order: only ever one lock.

use super::calls::Patience;
use super::error::PythonError;
use super::job::{Answer, Job, LOOK};
use super::keeper;
use super::loading::{Starter, UserCode};
use super::options::PythonOptions;
use super::registry::Registry;
use super::slot;
use super::worker::Worker;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// For workers to end by themselves when the pool stops.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// Runs user code in worker processes. Calls block; they may come from many threads.
pub struct PythonPool {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) starter: Starter,
    state: Mutex<State>,
    /// Told when there is user code, a look at the files was done, or the keeper has something to do.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// `None` until somebody needs it.
    pub(super) code: Option<Arc<UserCode>>,
    /// Looks at the files that were asked for, and those that were done.
    pub(super) looks_wanted: u64,
    pub(super) looks_done: u64,
    /// A worker of the current generation that no slot has taken.
    pub(super) spare: Option<Worker>,
    /// Workers that were asked to end, and when they are killed.
    pub(super) retired: Vec<(Worker, Instant)>,
    pub(super) stopped: bool,
    /// The slots are gone, and the keeper may go: workers that it started die with it.
    pub(super) finished: bool,
    slots: Vec<Sender<Message>>,
    /// Slots without work, the one that became idle last at the end.
    idle: Vec<usize>,
    queue: VecDeque<Arc<Job>>,
    slot_threads: Vec<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// What a slot is told while it is idle.
pub(super) enum Message {
    Job(Arc<Job>),
    /// There is another generation.
    Refresh,
}

impl PythonPool {
    /// Starts nothing yet.
    pub fn new(options: PythonOptions) -> Self {
        let shared =
            Shared { starter: Starter::new(options), state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    pub fn options(&self) -> &PythonOptions {
        &self.shared.starter.options
    }

    /// The functions there are. The first call runs the module files, which may take long; later ones return at once.
    pub fn registry(&self) -> Arc<Registry> {
        self.code(&Patience::default())
            .map_or_else(|_| Arc::new(Registry::built_in()), |code| code.registry.clone())
    }

    /// Looks at the module files now, and returns the functions there are then.
    pub fn reload(&self) -> Arc<Registry> {
        let mut state = self.shared.lock();
        if self.options().modules_dir.is_some() && state.code.is_some() && !state.stopped {
            state.looks_wanted += 1;
            let wanted = state.looks_wanted;
            self.shared.changed.notify_all();
            while state.looks_done < wanted && !state.stopped {
                state = self.shared.wait(state, LOOK);
            }
        }
        drop(state);
        self.registry()
    }

    /// Ends all processes. Callers that wait get an error, as do later ones.
    pub fn stop(&self) {
        self.shared.starter.stop.store(true, Ordering::Relaxed);
        let mut state = self.shared.lock();
        state.stopped = true;
        // Idle slots wake up when their sender is gone.
        state.slots.clear();
        state.idle.clear();
        let jobs = std::mem::take(&mut state.queue);
        let (slots, keeper) = (std::mem::take(&mut state.slot_threads), state.keeper.take());
        drop(state);
        self.shared.changed.notify_all();
        for job in jobs {
            job.finish(Err(PythonError::Stopped));
        }
        // A panic has been reported by its thread.
        for slot in slots {
            let _ = slot.join();
        }
        self.shared.end_workers();
        if let Some(keeper) = keeper {
            self.shared.lock().finished = true;
            self.shared.changed.notify_all();
            let _ = keeper.join();
        }
    }

    /// Number of worker processes that are running, for tests and metrics.
    pub fn slots(&self) -> usize {
        self.shared.lock().slots.len()
    }

    /// The user code, loaded if nobody has needed it yet.
    pub(super) fn code(&self, patience: &Patience<'_>) -> Result<Arc<UserCode>, PythonError> {
        let Some(directory) = &self.options().modules_dir else {
            return Ok(Arc::new(UserCode::none(Default::default())));
        };
        let mut state = self.shared.lock();
        loop {
            if state.stopped {
                return Err(PythonError::Stopped);
            }
            if let Some(code) = &state.code {
                return Ok(code.clone());
            }
            if state.keeper.is_none() {
                let (shared, directory) = (self.shared.clone(), directory.clone());
                let thread = Builder::new().name("python-keeper".to_owned());
                let thread = thread.spawn(move || keeper::run(&shared, &directory));
                state.keeper = Some(thread.map_err(|error| no_thread(&error))?);
            }
            patience.check()?;
            state = self.shared.wait(state, LOOK);
        }
    }

    /// Has a worker do the job.
    pub(super) fn run(&self, job: Job, patience: &Patience<'_>) -> Result<Answer, PythonError> {
        let job = Arc::new(job);
        self.shared.submit(&job)?;
        job.wait(patience)
    }
}

impl Drop for PythonPool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Gives the job to an idle slot, a new one or the queue.
    fn submit(self: &Arc<Self>, job: &Arc<Job>) -> Result<(), PythonError> {
        let mut state = self.lock();
        if state.stopped {
            return Err(PythonError::Stopped);
        }
        if let Some(slot) = state.idle.pop() {
            // A slot that is gone has panicked; its jobs would wait for ever.
            return state.slots[slot].send(Message::Job(job.clone())).map_err(|_| PythonError::Stopped);
        }
        if state.slots.len() >= self.starter.options.workers.max(1) {
            state.queue.push_back(job.clone());
            return Ok(());
        }
        let (sender, messages): (_, Receiver<Message>) = channel();
        let (shared, index) = (self.clone(), state.slots.len());
        let thread = Builder::new().name(format!("python-{index}"));
        let thread =
            thread.spawn(move || slot::run(&shared, index, &messages)).map_err(|error| no_thread(&error))?;
        state.slot_threads.push(thread);
        // It cannot have ended: it waits for messages as long as there is a sender.
        let _ = sender.send(Message::Job(job.clone()));
        state.slots.push(sender);
        Ok(())
    }

    /// The next job for a slot that has finished one; without one it counts as idle.
    pub(super) fn next_job(&self, slot: usize) -> Option<Arc<Job>> {
        let mut state = self.lock();
        let job = state.queue.pop_front();
        if job.is_none() && !state.stopped {
            state.idle.push(slot);
        }
        job
    }

    /// Puts user code into use; `worker` is one of its generation.
    pub(super) fn publish(&self, code: UserCode, worker: Option<Worker>) {
        let mut state = self.lock();
        let is_new = state.code.as_ref().is_none_or(|former| former.generation() != code.generation());
        state.code = Some(Arc::new(code));
        let surplus = if is_new {
            for slot in &state.slots {
                // As in `submit`.
                let _ = slot.send(Message::Refresh);
            }
            std::mem::replace(&mut state.spare, worker)
        } else {
            worker
        };
        drop(state);
        if let Some(surplus) = surplus {
            self.retire(surplus);
        }
        self.changed.notify_all();
    }

    /// Lets a worker that is idle end by itself; the keeper sees to it that it does.
    pub(super) fn retire(&self, mut worker: Worker) {
        worker.retire();
        self.lock().retired.push((worker, Instant::now() + 2 * GOODBYE));
        self.changed.notify_all();
    }

    /// Gives the workers that are left a moment to end, then kills them.
    fn end_workers(&self) {
        let mut state = self.lock();
        let mut workers: Vec<_> =
            std::mem::take(&mut state.retired).into_iter().map(|(worker, _)| worker).collect();
        workers.extend(state.spare.take());
        drop(state);
        for worker in &mut workers {
            worker.retire();
        }
        let deadline = Instant::now() + GOODBYE;
        while workers.iter().any(|worker| !worker.has_ended()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn no_thread(error: &std::io::Error) -> PythonError {
    PythonError::Start { reason: format!("no thread can be started: {error}") }
}
