//! Putting a dataset's samples through user code and writing what comes out as a new directory of shard files.
//!
//! 1. The request is checked: functions and their parameters, shardsets, and whether the location can be written.
//! 2. A background task takes the files of the main shardset, several at a time. Each file's rows are read in file order,
//!    joined so that every row stays, and go through the collater and the preprocessors in batches (`job`).
//! 3. What is to be exported goes to a parquet file in the data directory and from there, whole, to the location, as
//!    `shard.<index>.parquet`: the index of the file it was made from, so that the two join.
//!
//! Invariants: a failed batch fails the task and names its samples; nothing is left out silently; a file at the location is
//! whole or not there. The new directory is no shardset until somebody adds it. Driven by the server.

mod checks;
mod job;
mod scratch;

use crate::datasets::iterations::{Function, IterationOptions};
use crate::datasets::preview::left_join::LeftJoin;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use job::{Export, Job};
use lavandin_feed::location::Location;
use lavandin_types::DatasetId;
use scratch::Scratch;
use std::sync::Arc;

/// What is to be written where.
#[derive(Clone, Debug, PartialEq)]
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
}

impl Node {
    /// Begins to preprocess a dataset; the name of the task. While a task of that name runs, no other is begun.
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
        let options = IterationOptions {
            collater: request.collater.clone(),
            preprocessors: request.preprocessors.clone(),
            ..IterationOptions::default()
        };
        self.check_preprocessing(context, &options).await?;
        let chosen = checks::chosen(&info, request.shardsets.as_deref().unwrap_or_default())?;
        self.await_syncs(context, &chosen).await?;
        let info = self.dataset(dataset).await?;
        if info.uid_column().is_none() {
            return Err(refused("Dataset has no uid column"));
        }
        checks::all_synced(&info, &chosen)?;
        let target = Location::parse(&request.location)?;
        let scratch = Scratch::new(self.data_dir())?;
        let existing = self.existing_files(&target, &scratch, request.overwrite).await?;
        let runtime = Arc::clone(&self.datasets);
        let uid_column = info.uid_column_name.clone();
        let open = move || {
            let join = LeftJoin::open(&runtime, &info, &chosen, options)?;
            checks::same_files(&join).map(|()| join)
        };
        let join = self.blocking(context, open).await??;

        let name = task_name(dataset, &request);
        let Some(task) = self.datasets.tasks.start(&name, "processing") else { return Ok(name) };
        let job = Job {
            runtime: Arc::clone(&self.datasets),
            progress: task.progress(),
            join,
            export: Export { columns: request.export_columns, uid_column },
            target,
            existing,
            scratch,
            batch_size: u64::from(request.batch_size),
            drop_last: request.drop_last,
        };
        let shown = name.clone();
        self.datasets.handle.spawn_blocking(move || {
            let outcome = job.run();
            if let Err(error) = &outcome {
                tracing::warn!(event = "preprocess_failed", task = %shown, %error, "a dataset could not be preprocessed");
            }
            task.end(outcome.map_err(|error| error.to_string()));
        });
        Ok(name)
    }
}

/// As the published server names it.
fn task_name(dataset: DatasetId, request: &PreprocessRequest) -> String {
    let names: Vec<_> = request.preprocessors.iter().map(|function| function.name.as_str()).collect();
    format!("{dataset}-{}-{}", names.join("-"), request.location)
}

#[cfg(test)]
mod tests;
