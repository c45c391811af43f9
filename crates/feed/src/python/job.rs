//! A request on its way to a worker, and the answer on its way back.

use super::calls::Patience;
use super::error::PythonError;
use super::registry::{Generation, Kind};
use serde_json::{Map, Value};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a waiting caller looks whether it is cancelled.
pub(super) const LOOK: Duration = Duration::from_millis(20);

pub(super) struct Job {
    pub(super) header: Map<String, Value>,
    pub(super) body: Vec<u8>,
    /// The functions it runs.
    pub(super) functions: Vec<(Kind, String)>,
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct Answer {
    pub(super) header: Value,
    pub(super) body: Vec<u8>,
    /// Whose code gave it.
    pub(super) generation: Generation,
}

enum State {
    Open,
    Done(Result<Answer, PythonError>),
    /// Nobody waits for it, or the answer was taken.
    Closed,
}

impl Job {
    pub(super) fn new(header: Map<String, Value>, body: Vec<u8>, functions: Vec<(Kind, String)>) -> Self {
        Self { header, body, functions, state: Mutex::new(State::Open), changed: Condvar::new() }
    }

    /// Whether anybody waits for it.
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.lock(), State::Open)
    }

    pub(super) fn finish(&self, answer: Result<Answer, PythonError>) {
        let mut state = self.lock();
        if matches!(*state, State::Open) {
            *state = State::Done(answer);
            self.changed.notify_all();
        }
    }

    /// Waits for the answer. A caller that gives up leaves the worker to finish for nobody.
    pub(super) fn wait(&self, patience: &Patience<'_>) -> Result<Answer, PythonError> {
        let mut state = self.lock();
        loop {
            if matches!(*state, State::Done(_)) {
                match std::mem::replace(&mut *state, State::Closed) {
                    State::Done(answer) => return answer,
                    _ => unreachable!("it was done above"),
                }
            }
            if let Err(error) = patience.check() {
                *state = State::Closed;
                return Err(error);
            }
            let wait = self.changed.wait_timeout(state, LOOK);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A JSON object.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Patience<'_> {
    pub(super) fn check(&self) -> Result<(), PythonError> {
        if self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(PythonError::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(PythonError::Deadline);
        }
        Ok(())
    }
}
