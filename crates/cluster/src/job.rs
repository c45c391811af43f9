//! Preprocessing jobs: what is to be done is kept here until it is done, so that it outlives every node. Who works on it and
//! how far it is are not: the node that does the chores sees to it.

use crate::form;
use crate::limit;
use lavandin_types::{DatasetId, ShardsetId};
use serde::{Deserialize, Serialize};

/// A shardset as it is read, whatever syncs come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSource {
    #[serde(with = "form::shardset_id")]
    pub shardset: ShardsetId,
    pub version: u64,
    /// Of the manifest's bytes.
    #[serde(with = "form::wide_hash")]
    pub hash: u128,
}

/// Why a job ended without being done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFailure {
    /// Whether somebody wanted it to end.
    pub is_aborted: bool,
    /// A sentence for people.
    pub reason: String,
}

/// A job's entry. One that was done has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobInfo {
    /// What clients ask for it by.
    pub name: String,
    /// Drawn by who begins it: tells the runs of one name apart.
    pub run: u64,
    #[serde(with = "form::dataset_id")]
    pub dataset: DatasetId,
    /// The main one first.
    pub sources: Vec<JobSource>,
    /// What is to be done with them: JSON, kept as given.
    pub request: String,
    pub created_at_s: u64,
    /// `None` while it runs.
    pub failure: Option<JobFailure>,
}

impl JobInfo {
    pub fn is_running(&self) -> bool {
        self.failure.is_none()
    }

    pub(crate) fn weight(&self) -> u64 {
        let sources = self.sources.len() as u64 * limit::JOB_SOURCE_WEIGHT;
        // The name is kept twice: here and as the key.
        // The end of a job must always fit, so room for its reason is there from the beginning.
        limit::ENTRY_WEIGHT
            + limit::JOB_REASON_BYTES_MAX as u64
            + sources
            + (2 * self.name.len() + self.request.len()) as u64
    }
}
