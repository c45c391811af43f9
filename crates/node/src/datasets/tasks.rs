//! What runs in the background, for those who ask how far it is.
//!
//! A task's name is what clients poll. While it runs nobody can start another of its name. A finished one is shown for
//! a while and then gone; a failed one stays until the next of its name, and blocks nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a finished task is shown.
const SHOWN: Duration = Duration::from_secs(10);
/// Tasks remembered; the oldest ended ones go first.
const TASKS_MAX: usize = 1000;

/// What a task is called.
pub type TaskName = String;

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// What it does at the moment: a step of its work, "completed", "failed" or "aborted".
    pub status: String,
    pub current: u64,
    pub total: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// All tasks of a node.
#[derive(Default)]
pub(crate) struct Tasks {
    entries: Mutex<BTreeMap<TaskName, Arc<Entry>>>,
}

struct Entry {
    shared: Arc<Progress>,
    ended: Mutex<Option<Instant>>,
}

/// The side of the work.
pub(crate) struct Progress {
    step: Mutex<&'static str>,
    error: Mutex<Option<String>>,
    current: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

/// A task that runs; dropped without an outcome it counts as failed.
pub(crate) struct RunningTask {
    entry: Arc<Entry>,
    has_outcome: bool,
}

impl Tasks {
    /// Starts a task; `None` while one of that name runs.
    pub(crate) fn start(&self, name: &str, step: &'static str) -> Option<RunningTask> {
        let mut entries = lock(&self.entries);
        if entries.get(name).is_some_and(|entry| lock(&entry.ended).is_none()) {
            return None;
        }
        forget(&mut entries);
        let shared = Progress {
            step: Mutex::new(step),
            error: Mutex::new(None),
            current: AtomicU64::new(0),
            total: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        };
        let entry = Arc::new(Entry { shared: Arc::new(shared), ended: Mutex::new(None) });
        entries.insert(name.to_owned(), Arc::clone(&entry));
        Some(RunningTask { entry, has_outcome: false })
    }

    pub(crate) fn status(&self, name: &str) -> Option<TaskStatus> {
        let mut entries = lock(&self.entries);
        forget(&mut entries);
        entries.get(name).map(|entry| entry.status())
    }

    /// Those that run or failed, by name; a finished one is not listed any more.
    pub(crate) fn list(&self) -> Vec<(TaskName, TaskStatus)> {
        let mut entries = lock(&self.entries);
        forget(&mut entries);
        let all = entries.iter().map(|(name, entry)| (name.clone(), entry.status()));
        all.filter(|(_, status)| status.status != "completed").collect()
    }

    /// Tells a task to stop; whether there is one.
    pub(crate) fn abort(&self, name: &str) -> bool {
        let entries = lock(&self.entries);
        let Some(entry) = entries.get(name) else { return false };
        entry.shared.cancelled.store(true, Ordering::Release);
        true
    }

    pub(crate) fn abort_all(&self) {
        for entry in lock(&self.entries).values() {
            entry.shared.cancelled.store(true, Ordering::Release);
        }
    }
}

impl TaskStatus {
    /// Whether nothing of it goes on any more.
    pub(crate) fn is_over(&self) -> bool {
        ["completed", "failed", "aborted"].contains(&self.status.as_str())
    }
}

impl Entry {
    fn status(&self) -> TaskStatus {
        TaskStatus {
            status: (*lock(&self.shared.step)).to_owned(),
            current: self.shared.current.load(Ordering::Relaxed),
            total: self.shared.total.load(Ordering::Relaxed),
            error: lock(&self.shared.error).clone(),
        }
    }
}

impl Progress {
    /// Enters the next step.
    pub(crate) fn step(&self, step: &'static str, total: u64) {
        *lock(&self.step) = step;
        self.current.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

impl RunningTask {
    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.entry.shared)
    }

    pub(crate) fn end(mut self, outcome: Result<(), String>) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Result<(), String>) {
        self.has_outcome = true;
        let shared = &self.entry.shared;
        *lock(&shared.step) = match &outcome {
            Ok(()) => "completed",
            Err(_) if shared.is_cancelled() => "aborted",
            Err(_) => "failed",
        };
        *lock(&shared.error) = outcome.err();
        *lock(&self.entry.ended) = Some(Instant::now());
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        if !self.has_outcome {
            self.finish(Err("the task ended without an outcome".to_owned()));
        }
    }
}

fn forget(entries: &mut BTreeMap<TaskName, Arc<Entry>>) {
    entries.retain(|_, entry| {
        let completed = *lock(&entry.shared.step) == "completed";
        !(completed && lock(&entry.ended).is_some_and(|ended| ended.elapsed() >= SHOWN))
    });
    while entries.len() >= TASKS_MAX {
        let ended = entries.iter().filter_map(|(name, entry)| Some(((*lock(&entry.ended))?, name.clone())));
        let Some((_, oldest)) = ended.min() else { return };
        entries.remove(&oldest);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
