//! Replies of the API of datasets and iterations, in the order of fields that the published server has.

use crate::lavender::extension::IterationExtension;
use crate::lavender::iteration::NamedFunction;
use crate::lavender::timestamp::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// Names of headers.
pub mod header {
    /// How many batches this rank got before this one.
    pub const CURRENT: &str = "x-lavender-data-sample-current";
    pub const ERROR: &str = "x-lavender-data-error";
    /// The value of `ERROR` when user code failed on a batch.
    pub const SAMPLE_PROCESSING_ERROR: &str = "SAMPLE_PROCESSING_ERROR";
    /// Ours, of `mode: "static"`: the step of the batch, from 0, and where an epoch goes on after it.
    pub const STEP: &str = "x-lavandin-step";
    pub const CURSOR: &str = "x-lavandin-cursor";
}

/// Texts in `detail` that clients look for.
pub mod phrase {
    /// The end of an iteration (status 400).
    pub const NO_MORE_INDICES: &str = "No more indices to pop";
    /// A result that is not there yet (status 202).
    pub const STILL_PROCESSING: &str = "Data is still being processed";
    /// A preview that is not there yet (status 400).
    pub const PREVIEW_NOT_FOUND: &str = "Preview not found";
    pub const CACHE_KEY_NOT_FOUND: &str = "Cache key not found";
    pub const CLUSTER_NOT_ENABLED: &str = "Cluster not enabled";
}

/// The JSON of any reply of this module.
pub(super) fn json(reply: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(reply).expect("replies have only text as keys and write to memory")
}

/// Values by name that keep their order; JSON objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(String, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Named(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            pub fn to_json(&self) -> Vec<u8> {
                json(self)
            }
        }
    )*};
}

replies! {
    /// Any reply that is an error, but for [`crate::lavender::Invalid`].
    Detail {
        detail: String,
    }

    Version {
        version: String,
    }

    Dataset {
        id: String,
        name: String,
        uid_column_name: String,
        created_at: Timestamp,
    }

    Column {
        id: String,
        dataset_id: String,
        shardset_id: String,
        name: String,
        #[serde(rename = "type")]
        column_type: String,
        description: Option<String>,
        created_at: Timestamp,
    }

    Shardset {
        id: String,
        dataset_id: String,
        location: String,
        is_main: bool,
        created_at: Timestamp,
        shard_count: u64,
        total_samples: u64,
    }

    /// One shard file.
    Shard {
        id: String,
        shardset_id: String,
        location: String,
        filesize: u64,
        samples: u64,
        index: u64,
        format: String,
        created_at: Timestamp,
    }

    /// `GET /datasets/{id}`
    DatasetFull {
        #[serde(flatten)]
        dataset: Dataset,
        columns: Vec<Column>,
        shardsets: Vec<Shardset>,
    }

    /// `GET /datasets/{id}/shardsets/{id}`, and the reply to creating and syncing one.
    ShardsetFull {
        #[serde(flatten)]
        shardset: Shardset,
        columns: Vec<Column>,
    }

    /// A shardset within `GET /iterations/{id}`.
    ShardsetWithShards {
        #[serde(flatten)]
        shardset: Shardset,
        shards: Vec<Shard>,
        columns: Vec<Column>,
    }

    /// `GET …/shards`
    ShardPage {
        shards: Vec<Shard>,
        /// Of all pages.
        total: u64,
    }

    /// `POST /datasets/{id}/preview`
    PreviewId {
        preview_id: String,
    }

    /// `GET /datasets/{id}/preview/{id}`
    Preview {
        dataset: Dataset,
        columns: Vec<Column>,
        samples: Vec<Named<Value>>,
        total: u64,
    }

    /// `POST /datasets/{id}/preprocess`
    TaskId {
        task_id: String,
    }

    /// `GET …/sync`, which is `null` where there is none.
    TaskStatus {
        status: String,
        current: u64,
        /// 0 while it is unknown.
        total: u64,
        /// Why it failed; an addition to what the published server says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }

    /// One of `GET /background-tasks/`
    TaskItem {
        status: String,
        current: u64,
        total: u64,
        task_id: String,
    }

    /// One of `GET /registries/…`
    FuncSpec {
        registry: String,
        name: String,
        /// Name and type of each parameter.
        args: Vec<(String, String)>,
        /// Of the source.
        md5: String,
    }

    Iteration {
        id: String,
        dataset_id: String,
        total: u64,
        filters: Option<Vec<NamedFunction>>,
        categorizer: Option<NamedFunction>,
        collater: Option<NamedFunction>,
        preprocessors: Option<Vec<NamedFunction>>,
        shuffle: bool,
        shuffle_seed: Option<i64>,
        shuffle_block_size: Option<i64>,
        batch_size: u64,
        replication_pg: Option<Vec<Vec<i64>>>,
        created_at: Timestamp,
        /// Our own fields, those that were asked for.
        #[serde(flatten)]
        extension: IterationExtension,
    }

    /// `GET /iterations/{id}`
    IterationFull {
        #[serde(flatten)]
        iteration: Iteration,
        dataset: Dataset,
        shardsets: Vec<ShardsetWithShards>,
    }

    /// A sample that was given out and is not completed.
    InProgress {
        index: u64,
        rank: i64,
        /// Seconds since 1970.
        started_at: f64,
    }

    /// `GET /iterations/{id}/progress`
    Progress {
        total: u64,
        current: u64,
        inprogress: Vec<InProgress>,
        completed: u64,
        filtered: u64,
        failed: u64,
    }

    /// Ours: `GET /iterations/{id}/cursor`
    CursorReply {
        /// Where to begin another iteration.
        cursor: String,
        epoch: u64,
        /// Steps done in this epoch by then, those before the iteration included.
        step: u64,
        /// Samples of the order before it.
        place: u64,
        /// Steps of the iteration.
        steps: u64,
        /// Samples that fill up its last batches, and those that no rank gets.
        repeated: u64,
        left_out: u64,
    }

    /// `POST /iterations/{id}/next`
    CacheKey {
        cache_key: String,
    }
}

#[cfg(test)]
mod tests;
