//! The thread that makes generations of user code of the module files, and ends workers that are no longer needed.

use super::error::PythonError;
use super::loading::UserCode;
use super::pool::Shared;
use super::registry::Generation;
use super::snapshot::{Signature, Snapshot, signature};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often workers that were asked to end are looked at.
const REAP: Duration = Duration::from_millis(50);
/// Between attempts while no worker can be started.
const RETRY: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(3600);

/// What the last look found.
#[derive(Default)]
struct Seen {
    signature: Option<Signature>,
    /// Of the files on disk; the generation in use may differ where files are broken.
    disk: Option<Generation>,
}

pub(super) fn run(shared: &Shared, directory: &Path) {
    let mut seen = Seen::default();
    loop {
        let wanted = shared.lock().looks_wanted;
        look(shared, directory, &mut seen);
        let next = Instant::now() + interval(shared);
        let mut state = shared.lock();
        state.looks_done = wanted;
        shared.changed.notify_all();
        while !state.stopped && state.looks_done >= state.looks_wanted && Instant::now() < next {
            let now = Instant::now();
            let gone = state.retired.extract_if(.., |(worker, end)| worker.has_ended() || *end <= now);
            let gone: Vec<_> = gone.collect();
            if !gone.is_empty() {
                drop(state);
                drop(gone);
                state = shared.lock();
                continue;
            }
            let wait = if state.retired.is_empty() { IDLE } else { REAP };
            state = shared.wait(state, wait.min(next.saturating_duration_since(now)));
        }
        if state.stopped {
            while !state.finished {
                state = shared.wait(state, IDLE);
            }
            return;
        }
    }
}

fn interval(shared: &Shared) -> Duration {
    let failed = shared.lock().code.as_ref().is_some_and(|code| code.registry.failure().is_some());
    let reload = shared.starter.options.reload_interval;
    match (failed, reload.is_zero()) {
        (true, true) => RETRY,
        (true, false) => RETRY.min(reload),
        (false, true) => IDLE,
        (false, false) => reload,
    }
}

/// Loads the files if they have changed or failed as a whole.
fn look(shared: &Shared, directory: &Path, seen: &mut Seen) {
    let former = shared.lock().code.clone();
    let failed = former.as_ref().is_none_or(|code| code.registry.failure().is_some());
    let read = signature(directory).and_then(|signature| {
        let unchanged = !failed && seen.signature == Some(signature);
        let snapshot = if unchanged { None } else { Some(Snapshot::read(directory)?) };
        Ok((signature, snapshot))
    });
    let snapshot = match read {
        Ok((_, None)) => return,
        Ok((signature, Some(snapshot))) => {
            seen.signature = Some(signature);
            snapshot
        }
        Err(error) => {
            let reason = format!("the modules directory {} cannot be read: {error}", directory.display());
            return fail(shared, Snapshot::default(), PythonError::Start { reason });
        }
    };
    if !failed && seen.disk == Some(snapshot.generation()) {
        return;
    }
    seen.disk = Some(snapshot.generation());
    if snapshot.sources.is_empty() {
        return shared.publish(UserCode::none(snapshot), None);
    }
    let before = former.map(|code| code.good().clone()).unwrap_or_default();
    match UserCode::load(&shared.starter, &snapshot, &before) {
        Ok((code, worker)) => {
            for problem in code.registry.problems() {
                tracing::warn!("module {problem}");
            }
            let count = code.registry.functions.iter().filter(|function| !function.built_in).count();
            tracing::info!(functions = count, generation = %code.generation(), "python modules loaded");
            shared.publish(code, Some(worker));
        }
        Err(PythonError::Stopped) => {}
        Err(error) => fail(shared, snapshot, error),
    }
}

/// User code that works goes on; without any, the error is what is known of it.
fn fail(shared: &Shared, snapshot: Snapshot, error: PythonError) {
    tracing::error!("{error}");
    let works = shared.lock().code.as_ref().is_some_and(|code| code.registry.failure().is_none());
    if !works {
        shared.publish(UserCode::failed(snapshot, error), None);
    }
}
