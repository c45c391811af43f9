//! One iteration: what is fixed, and what changes, behind a lock.
//!
//! Only the thread of the log changes it. Readers hold the lock for as long as it takes to copy what they need.

use crate::iterations::outline::Outline;
use crate::iterations::state::State;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(crate) struct Entry {
    pub outline: Arc<Outline>,
    state: Mutex<State>,
}

impl Entry {
    pub(crate) fn new(outline: Outline, state: State) -> Self {
        Self { outline: Arc::new(outline), state: Mutex::new(state) }
    }

    /// Nothing that is done under the lock leaves it half done but by a defect, so a poisoned lock is as good as
    /// another.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Entry {
    type Target = Outline;

    fn deref(&self) -> &Outline {
        &self.outline
    }
}
