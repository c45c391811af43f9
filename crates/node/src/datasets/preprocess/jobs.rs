//! Jobs in the catalogue: who sees to them, how they end, and what people are told of them.

use crate::datasets::preprocess::runner::{Ended, Runner};
use crate::datasets::preprocess::workbench::MAKERS_MAX;
use crate::datasets::tasks::{RunningTask, TaskName, TaskStatus};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{Command, JobFailure, JobInfo};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often it is looked which jobs there are, besides at every change of the catalogue.
const LOOK: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(500);
/// How long one try to write the end of a job down may take.
const PROPOSAL_MAX: Duration = Duration::from_secs(10);
const ABORTED: &str = "the task was aborted";

/// Goes on until the node is gone: begins with each job that nobody sees to, while this node does the chores.
pub(crate) async fn see_to_jobs(node: Weak<Node>) {
    let Some(mut changes) = node.upgrade().map(|node| node.metadata.changed()) else { return };
    loop {
        {
            let Some(node) = node.upgrade() else { return };
            if node.datasets.workbench.is_stopping() {
                return;
            }
            let catalogue = node.metadata.catalogue();
            let is_running = |run| catalogue.jobs().any(|job| job.run == run && job.is_running());
            node.datasets.workbench.retain_jobs(is_running);
            if node.sees_to_jobs() {
                let mut running: Vec<_> = catalogue.jobs().filter(|job| job.is_running()).collect();
                running.sort_by_key(|job| (job.created_at_s, job.run));
                running.into_iter().take(MAKERS_MAX).for_each(|job| node.see_to(job));
            }
        }
        // A channel that is closed belongs to a node that stops.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK, changes.changed()).await {
            return;
        }
    }
}

impl Node {
    /// Whether this node does the chores.
    pub(super) fn sees_to_jobs(&self) -> bool {
        !self.datasets.workbench.is_stopping() && self.does_chores()
    }

    fn see_to(&self, job: &Arc<JobInfo>) {
        let Some(task) = self.datasets.jobs.start(&job.name, "processing") else { return };
        let runner = Runner { node: self.weak(), job: Arc::clone(job), progress: task.progress() };
        self.datasets.handle.spawn(run(runner, task));
    }

    /// Ends a run of a job in the catalogue, durable.
    async fn end_job(&self, job: &JobInfo, failure: Option<JobFailure>) -> Result<(), NodeError> {
        let command = Command::EndJob { name: job.name.clone(), run: job.run, failure };
        self.command(&CallContext::new(PROPOSAL_MAX), command).await.map(drop)
    }

    /// Ends a job because somebody wants it; whether there is one of that name.
    pub(crate) async fn abort_job(&self, name: &str) -> Result<bool, NodeError> {
        let catalogue = self.listed_catalogue().await?;
        let Some(job) = catalogue.job(name) else { return Ok(false) };
        if job.is_running() {
            let failure = JobFailure { is_aborted: true, reason: ABORTED.to_owned() };
            self.end_job(job, Some(failure)).await?;
        }
        Ok(true)
    }
}

/// Sees to a job until it is over, or another node's.
async fn run(runner: Runner, task: RunningTask) {
    let ended = runner.run().await;
    let failure = match ended {
        // The catalogue says what is to be told of it.
        Ended::Left => return task.end(Ok(())),
        Ended::Done => None,
        Ended::Failed(reason) => Some(JobFailure { is_aborted: false, reason }),
    };
    // What goes wrong because this node stops, or the chores have moved, is no end of the job.
    if runner.node().is_err() {
        return task.end(Ok(()));
    }
    if let Some(JobFailure { reason, .. }) = &failure {
        tracing::warn!(event = "preprocess_failed", task = %runner.job.name, error = %reason, "a dataset could not be preprocessed");
    }
    // As long as it takes: to begin anew would be to do all again that is written over.
    while let Ok(node) = runner.node() {
        match node.end_job(&runner.job, failure.clone()).await {
            Ok(()) => break,
            Err(error) => tracing::debug!(%error, "the end of a job is not written down yet"),
        }
        drop(node);
        tokio::time::sleep(RETRY).await;
    }
    task.end(Ok(()));
}

/// Tasks with the catalogue's jobs among them: what runs as some node says, else as begun; what failed and why.
pub(crate) fn with_jobs<'a>(
    tasks: Vec<(TaskName, TaskStatus)>,
    jobs: impl Iterator<Item = &'a Arc<JobInfo>>,
) -> Vec<(TaskName, TaskStatus)> {
    let mut all: BTreeMap<TaskName, TaskStatus> = BTreeMap::new();
    for (name, status) in tasks {
        let further =
            |known: &TaskStatus| (known.is_over(), status.current) < (status.is_over(), known.current);
        if !all.get(&name).is_some_and(further) {
            all.insert(name, status);
        }
    }
    for job in jobs {
        match &job.failure {
            None => drop(all.entry(job.name.clone()).or_insert_with(|| status("processing", None))),
            Some(failure) => {
                let word = if failure.is_aborted { "aborted" } else { "failed" };
                all.insert(job.name.clone(), status(word, Some(failure.reason.clone())));
            }
        }
    }
    all.into_iter().collect()
}

fn status(word: &str, error: Option<String>) -> TaskStatus {
    TaskStatus { status: word.to_owned(), current: 0, total: 0, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lavandin_types::DatasetId;

    fn job(name: &str, failure: Option<(bool, &str)>) -> Arc<JobInfo> {
        let told = |(is_aborted, reason): (bool, &str)| JobFailure { is_aborted, reason: reason.to_owned() };
        let (dataset, name) = (DatasetId::new(1, [1; 20]), name.to_owned());
        let (request, failure) = (String::new(), failure.map(told));
        Arc::new(JobInfo { name, run: 1, dataset, sources: Vec::new(), request, created_at_s: 5, failure })
    }

    #[test]
    fn a_task_is_told_once_as_who_runs_it_and_then_the_catalogue_says() {
        let told = |name: &str, word: &str, current| {
            (name.to_owned(), TaskStatus { current, total: 9, ..status(word, None) })
        };
        let tasks = vec![
            told("running", "processing", 3),
            told("running", "processing", 7),
            told("running", "processing", 5),
            told("begun anew", "completed", 9),
            told("begun anew", "processing", 1),
            told("aborted", "processing", 2),
        ];
        let jobs = [
            job("running", None),
            job("begun", None),
            job("aborted", Some((true, "the task was aborted"))),
            job("failed", Some((false, "no such column"))),
        ];
        let shown: Vec<_> = with_jobs(tasks, jobs.iter())
            .into_iter()
            .map(|(name, status)| (name, status.status, status.current, status.error))
            .collect();
        let line = |name: &str, word: &str, current, error: Option<&str>| {
            (name.to_owned(), word.to_owned(), current, error.map(str::to_owned))
        };
        let expected = [
            line("aborted", "aborted", 0, Some("the task was aborted")),
            line("begun", "processing", 0, None),
            line("begun anew", "processing", 1, None),
            line("failed", "failed", 0, Some("no such column")),
            line("running", "processing", 7, None),
        ];
        assert_eq!(shown, expected);
    }
}
