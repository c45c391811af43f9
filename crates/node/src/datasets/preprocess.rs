//! Putting a dataset's samples through user code and writing what comes out as a new directory of shard files.
//!
//! 1. The request is checked where it is made (`checks`): functions and their parameters, shardsets, and whether the location
//!    can be written. Then it is a *job* in the catalogue, which outlives every node.
//! 2. The node that does the chores sees to it (`jobs`, `runner`, `work`, `round`): it hands out the files of the main shardset to all nodes,
//!    and begins with the job where it stands when the chores come to it.
//! 3. Each node makes several files at a time (`workbench`, `file_maker`), with its own Python processes. A file goes to the
//!    location whole, as `shard.<index>.parquet`: the index of the file it was made from, so that the two join.
//!
//! Invariants: a failed batch fails the job and names its samples; nothing is left out silently; a file at the location is
//! whole or not there; a job reads the manifests that there were when it was begun. Two nodes may make the same file: each
//! writes the same. The new directory is a shardset when somebody adds it, or the request asked for it.

mod checks;
mod export;
mod file_maker;
mod jobs;
mod round;
mod runner;
mod scratch;
mod work;
mod workbench;

use crate::datasets::iterations::{Function, IterationOptions};
use crate::datasets::unix_ms;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
pub(crate) use file_maker::Part;
pub(crate) use jobs::{see_to_jobs, with_jobs};
use lavandin_cluster::{Command, JobInfo, Reply};
use lavandin_feed::location::Location;
use lavandin_types::DatasetId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
pub(crate) use workbench::{FileKey, FileStanding, Workbench};

/// What is to be written where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreprocessRequest {
    /// The directory to write to.
    pub location: String,
    /// Ids; `None` or empty for all.
    pub shardsets: Option<Vec<String>>,
    pub collater: Option<Function>,
    pub preprocessors: Vec<Function>,
    /// Keys of the processed batch; the uid column is always written.
    pub export_columns: Vec<String>,
    /// From 1.
    pub batch_size: u32,
    /// Whether files that are there are written again.
    pub overwrite: bool,
    /// Whether a file's last batch is left out unless it is full.
    pub drop_last: bool,
    /// Whether the directory is to be a shardset of the dataset when it is done.
    pub register: bool,
}

impl PreprocessRequest {
    /// What a job was begun with.
    fn of(job: &JobInfo) -> Result<Self, NodeError> {
        serde_json::from_str(&job.request).map_err(|error| {
            let text = format!("the job {} cannot be read by this version ({error}); upgrade it", job.name);
            NodeError::Refused(text)
        })
    }

    /// The user code, as iterations name it.
    fn options(&self) -> IterationOptions {
        IterationOptions {
            collater: self.collater.clone(),
            preprocessors: self.preprocessors.clone(),
            ..IterationOptions::default()
        }
    }
}

impl Node {
    /// Begins to preprocess a dataset; the name of the task. While a task of that name runs, no other is begun. It is durable
    /// when this returns.
    pub async fn preprocess(
        &self,
        context: &CallContext,
        dataset: DatasetId,
        request: PreprocessRequest,
    ) -> Result<String, NodeError> {
        let refused = |text: &str| NodeError::Refused(text.to_owned());
        if request.batch_size == 0 {
            return Err(refused("Batch size must be greater than 0"));
        }
        let info = self.dataset(dataset).await?;
        self.check_preprocessing(context, &request.options()).await?;
        let chosen = checks::chosen(&info, &request)?;
        self.await_syncs(context, &chosen).await?;
        // What a sync replaces meanwhile stays until the job names it.
        self.dataset(dataset).await?;
        let (info, pins) = self.pinned_dataset(context, dataset, &chosen)?;
        if info.uid_column().is_none() {
            return Err(refused("Dataset has no uid column"));
        }
        checks::all_synced(&info, &chosen)?;
        self.check_target(&Location::parse(&request.location)?).await?;
        let sources = checks::sources(&info, &chosen)?;
        self.check_sources(context, (Arc::clone(&info), sources.clone()), request.options()).await?;
        let job = JobInfo {
            name: task_name(dataset, &request),
            run: random_run()?,
            dataset,
            sources,
            request: serde_json::to_string(&request)
                .map_err(|_| NodeError::Internal("a request cannot be written down"))?,
            created_at_s: unix_ms() / 1000,
            failure: None,
        };
        let begun = self.command(context, Command::BeginJob { job }).await?;
        drop(pins);
        match begun {
            Reply::Job { info } => Ok(info.name.clone()),
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }
}

fn random_run() -> Result<u64, NodeError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| NodeError::Internal("the system gives no random bytes"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// As the published server names it.
fn task_name(dataset: DatasetId, request: &PreprocessRequest) -> String {
    let names: Vec<_> = request.preprocessors.iter().map(|function| function.name.as_str()).collect();
    format!("{dataset}-{}-{}", names.join("-"), request.location)
}

#[cfg(test)]
mod tests;
