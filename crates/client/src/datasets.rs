//! Requests about datasets, shardsets, columns, registries and background tasks.

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::Call;
use lavandin_wire::lavender::{
    Column, CreateDataset, CreatePreview, CreateShardset, Dataset, DatasetFull, DatasetStatistics, FuncSpec,
    PreprocessDataset, Preview, PreviewId, ShardPage, ShardStatistics, Shardset, ShardsetFull, SyncShardset,
    TaskId, TaskItem, TaskStatus, UpdateColumn, UpdateShardset, Version,
};
use reqwest::Method;

impl Client {
    /// The version of the API that the server speaks. Needs no key.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.json(Call::get(&["version"])).await
    }

    /// All datasets, or the one of that name.
    pub async fn datasets(&self, name: Option<&str>) -> Result<Vec<Dataset>, ClientError> {
        self.json(Call::get(&["datasets", ""]).with_query("name", name.map(str::to_owned))).await
    }

    pub async fn dataset(&self, id: &str) -> Result<DatasetFull, ClientError> {
        self.json(Call::get(&["datasets", id])).await
    }

    pub async fn dataset_by_name(&self, name: &str) -> Result<DatasetFull, ClientError> {
        let found = self.datasets(Some(name)).await?;
        let missing = || ClientError::NoSuchName { name: name.to_owned() };
        let dataset = found.iter().find(|dataset| dataset.name == name).ok_or_else(missing)?;
        self.dataset(&dataset.id).await
    }

    pub async fn create_dataset(&self, new: &CreateDataset) -> Result<Dataset, ClientError> {
        self.json(Call::post(&["datasets", ""]).with_body(new)).await
    }

    /// Deletes a dataset; its files stay. Returns it as it was.
    pub async fn delete_dataset(&self, id: &str) -> Result<Dataset, ClientError> {
        self.json(Call::new(Method::DELETE, &["datasets", id])).await
    }

    pub async fn dataset_statistics(&self, id: &str) -> Result<DatasetStatistics, ClientError> {
        self.json(Call::get(&["datasets", id, "statistics"])).await
    }

    pub async fn update_column(
        &self,
        dataset: &str,
        column: &str,
        change: &UpdateColumn,
    ) -> Result<Column, ClientError> {
        self.json(Call::new(Method::PUT, &["datasets", dataset, "columns", column]).with_body(change)).await
    }

    pub async fn shardset(&self, dataset: &str, shardset: &str) -> Result<ShardsetFull, ClientError> {
        self.json(Call::get(&["datasets", dataset, "shardsets", shardset])).await
    }

    /// Creates a shardset and begins to read its files; [`Client::sync_status`] tells how far that is.
    pub async fn create_shardset(
        &self,
        dataset: &str,
        new: &CreateShardset,
    ) -> Result<ShardsetFull, ClientError> {
        self.json(Call::post(&["datasets", dataset, "shardsets"]).with_body(new)).await
    }

    pub async fn update_shardset(
        &self,
        dataset: &str,
        shardset: &str,
        change: &UpdateShardset,
    ) -> Result<Shardset, ClientError> {
        let path = ["datasets", dataset, "shardsets", shardset];
        self.json(Call::new(Method::PUT, &path).with_body(change)).await
    }

    /// Deletes a shardset; its files stay. Returns it as it was.
    pub async fn delete_shardset(&self, dataset: &str, shardset: &str) -> Result<Shardset, ClientError> {
        self.json(Call::new(Method::DELETE, &["datasets", dataset, "shardsets", shardset])).await
    }

    /// Begins to look for new, changed and removed files.
    pub async fn sync_shardset(
        &self,
        dataset: &str,
        shardset: &str,
        sync: &SyncShardset,
    ) -> Result<ShardsetFull, ClientError> {
        self.json(Call::post(&["datasets", dataset, "shardsets", shardset, "sync"]).with_body(sync)).await
    }

    /// How far a sync is; `None` if none runs.
    pub async fn sync_status(
        &self,
        dataset: &str,
        shardset: &str,
    ) -> Result<Option<TaskStatus>, ClientError> {
        self.json(Call::get(&["datasets", dataset, "shardsets", shardset, "sync"])).await
    }

    pub async fn shards(
        &self,
        dataset: &str,
        shardset: &str,
        offset: u64,
        limit: u64,
    ) -> Result<ShardPage, ClientError> {
        let path = ["datasets", dataset, "shardsets", shardset, "shards"];
        let page = Call::get(&path).with_query("offset", Some(offset.to_string()));
        self.json(page.with_query("limit", Some(limit.to_string()))).await
    }

    pub async fn shard_statistics(
        &self,
        dataset: &str,
        shardset: &str,
        shard: &str,
    ) -> Result<ShardStatistics, ClientError> {
        let path = ["datasets", dataset, "shardsets", shardset, "shards", shard, "statistics"];
        self.json(Call::get(&path)).await
    }

    /// Begins to make a preview, which [`Client::preview`] fetches.
    pub async fn create_preview(
        &self,
        dataset: &str,
        preview: &CreatePreview,
    ) -> Result<PreviewId, ClientError> {
        self.json(Call::post(&["datasets", dataset, "preview"]).with_body(preview)).await
    }

    /// A preview; refused with status 400 while it is not there yet.
    pub async fn preview(&self, dataset: &str, preview: &str) -> Result<Preview, ClientError> {
        self.json(Call::get(&["datasets", dataset, "preview", preview])).await
    }

    /// Begins to write the files of a new shardset; [`Client::tasks`] tells how far that is.
    pub async fn preprocess(&self, dataset: &str, job: &PreprocessDataset) -> Result<TaskId, ClientError> {
        self.json(Call::post(&["datasets", dataset, "preprocess"]).with_body(job)).await
    }

    /// What runs in the background; a task that has ended is gone.
    pub async fn tasks(&self) -> Result<Vec<TaskItem>, ClientError> {
        self.json(Call::get(&["background-tasks", ""])).await
    }

    pub async fn abort_task(&self, task: &str) -> Result<(), ClientError> {
        self.json(Call::post(&["background-tasks", task, "abort"])).await
    }

    /// What a pipeline can name. `kind` is `filters`, `categorizers`, `collaters` or `preprocessors`.
    pub async fn registry(&self, kind: &str) -> Result<Vec<FuncSpec>, ClientError> {
        self.json(Call::get(&["registries", kind])).await
    }
}
