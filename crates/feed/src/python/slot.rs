//! A slot: the thread that owns one worker process at a time and does one job after another with it.

use super::error::PythonError;
use super::job::{Answer, Job, object};
use super::loading::UserCode;
use super::pool::{GOODBYE, Message, Shared};
use super::worker::{Request, Worker};
use serde_json::json;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

pub(super) fn run(shared: &Shared, index: usize, messages: &Receiver<Message>) {
    let mut worker: Option<Worker> = None;
    for message in messages {
        match message {
            Message::Refresh => {
                let generation = shared.lock().code.as_ref().map(|code| code.generation());
                if let Some(stale) = worker.take_if(|worker| Some(worker.generation) != generation) {
                    shared.retire(stale);
                }
            }
            Message::Job(job) => {
                let mut next = Some(job);
                while let Some(job) = next {
                    let answer = job.is_open().then(|| serve(shared, &mut worker, &job));
                    worker = worker.filter(|worker| !leaks(worker));
                    // First, so that the caller's next request finds this slot idle.
                    next = shared.next_job(index);
                    if let Some(answer) = answer {
                        job.finish(answer);
                    }
                }
            }
        }
    }
    if let Some(mut worker) = worker {
        // It dies with this thread.
        worker.retire();
        worker.wait_until(Instant::now() + GOODBYE);
    }
}

/// Does the job in the slot's worker, which is started or replaced first if need be and is gone after an error that
/// ended it.
fn serve(shared: &Shared, worker: &mut Option<Worker>, job: &Job) -> Result<Answer, PythonError> {
    let (code, spare) = {
        let mut state = shared.lock();
        let code = state.code.clone().ok_or(PythonError::Stopped)?;
        let needs_one = worker.as_ref().is_none_or(|worker| worker.generation != code.generation());
        (code, if needs_one { state.spare.take() } else { None })
    };
    for (kind, name) in &job.functions {
        code.registry.get(*kind, name)?;
    }
    if let Some(stale) = worker.take_if(|worker| worker.generation != code.generation()) {
        shared.retire(stale);
    }
    let mut ready = match worker.take().or(spare) {
        Some(ready) => ready,
        None => shared.starter.start_with(&code)?,
    };
    let answer = ask(shared, &mut ready, &code, job);
    match &answer {
        Err(error) if error.ended_process() => {
            tracing::warn!(process = ready.id(), "a python worker was lost: {error}");
        }
        _ => *worker = Some(ready),
    }
    answer
}

fn ask(shared: &Shared, worker: &mut Worker, code: &Arc<UserCode>, job: &Job) -> Result<Answer, PythonError> {
    let (options, stop) = (&shared.starter.options, &shared.starter.stop);
    let new: Vec<_> = job.functions.iter().filter(|function| !worker.prepared.contains(*function)).collect();
    if !new.is_empty() {
        let names: Vec<_> = new.iter().map(|(kind, name)| json!([kind.name(), name])).collect();
        let header = object([("op", json!("prepare")), ("functions", json!(names))]);
        let request = Request { header, body: &[], limit: options.start_limit };
        worker.ask(request, stop, &mut |_| {})?;
        worker.prepared.extend(new.into_iter().cloned());
    }
    let request = Request { header: job.header.clone(), body: &job.body, limit: options.time_limit };
    let (header, body) = worker.ask(request, stop, &mut |_| {})?;
    Ok(Answer { header, body, generation: code.generation() })
}

/// Whether an idle worker holds more memory than it may; it is replaced before that costs a batch.
fn leaks(worker: &Worker) -> bool {
    let is_over = worker.is_over_memory();
    if is_over {
        tracing::warn!(
            process = worker.id(),
            "a python worker holds more memory than it may and is replaced"
        );
    }
    is_over
}
