//! What callers see of a shardset's files, of tasks and of user code; deleting.

use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::DatasetInfo;
use lavandin_feed::manifest::Manifest;
use lavandin_feed::python::Kind;
use lavandin_feed::statistics::{ColumnStatistics, DatasetStatistics};
use lavandin_plan::iterations::Request;
use lavandin_types::{DatasetId, ShardFileId, ShardsetId};
use std::sync::Arc;

/// A file of a shardset as callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFileInfo {
    pub id: ShardFileId,
    pub index: u32,
    pub location: String,
    pub bytes: u64,
    pub rows: u64,
    pub format: &'static str,
    pub created_at_s: u64,
}

/// A function of user code, or a built-in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    pub registry: String,
    pub name: String,
    /// Name and type of each parameter.
    pub args: Vec<(String, String)>,
    pub md5: String,
}

impl Node {
    /// Files of a shardset from `offset` on, and how many there are.
    pub async fn shard_files(
        &self,
        dataset: &DatasetInfo,
        shardset: ShardsetId,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<ShardFileInfo>, u64), NodeError> {
        let Some(manifest) = self.manifest(dataset, shardset).await? else { return Ok((Vec::new(), 0)) };
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let page = manifest.files.iter().enumerate().skip(number(offset)).take(number(limit));
        let files = page.map(|(index, file)| ShardFileInfo {
            id: file.id,
            index: index as u32,
            location: file.location.clone(),
            bytes: file.bytes,
            rows: u64::from(file.rows),
            format: file.format.name(),
            created_at_s: file.created_at_s,
        });
        Ok((files.collect(), manifest.files.len() as u64))
    }

    /// A file's statistics by column; `None` for an unknown file.
    pub async fn shard_statistics(
        &self,
        dataset: &DatasetInfo,
        shardset: ShardsetId,
        file: ShardFileId,
    ) -> Result<Option<Vec<(String, ColumnStatistics)>>, NodeError> {
        let Some(manifest) = self.manifest(dataset, shardset).await? else { return Ok(None) };
        let Some(file) = manifest.files.iter().find(|known| known.id == file) else { return Ok(None) };
        let columns = manifest.columns.iter().zip(&file.statistics);
        Ok(Some(columns.filter_map(|(column, found)| Some((column.name.clone(), found.clone()?))).collect()))
    }

    /// The statistics of all shardsets' columns; refused while a first sync is under way.
    pub async fn dataset_statistics(
        &self,
        dataset: DatasetId,
    ) -> Result<Vec<(String, DatasetStatistics)>, NodeError> {
        let info = self.dataset(dataset).await?;
        let mut all: Vec<(String, DatasetStatistics)> = Vec::new();
        for shardset in &info.shardsets {
            if shardset.manifest.is_none() && self.sync_status(shardset.id).await.is_some() {
                let text = "Dataset statistics are being computed. Please try again later.";
                return Err(NodeError::Refused(text.to_owned()));
            }
            let Some(manifest) = self.manifest(&info, shardset.id).await? else { continue };
            for (column, found) in manifest.columns.iter().zip(&manifest.statistics) {
                if let Some(found) = found
                    && all.iter().all(|(name, _)| *name != column.name)
                {
                    all.push((column.name.clone(), found.clone()));
                }
            }
        }
        Ok(all)
    }

    /// Forgets a dataset, its iterations and what a sync made for it; its files stay. Durable on return.
    pub async fn delete_dataset(&self, context: &CallContext, dataset: DatasetId) -> Result<(), NodeError> {
        let Some(info) = self.remove_dataset(context, dataset).await? else { return Ok(()) };
        self.datasets.iterations.propose(context, info.group, Request::DropDataset { dataset }).await?;
        self.datasets.previews.forget(dataset);
        self.datasets.forget_dataset(dataset);
        for shardset in &info.shardsets {
            self.abort_sync(&crate::datasets::sync::task_name(shardset.id)).await;
        }
        self.sweep_if_alone().await;
        Ok(())
    }

    /// Forgets a shardset; its files stay. Iterations over it go on with what they know. Durable on return.
    pub async fn delete_shardset(
        &self,
        context: &CallContext,
        dataset: DatasetId,
        shardset: ShardsetId,
    ) -> Result<(), NodeError> {
        self.dataset(dataset).await?.shardset(shardset)?;
        self.abort_sync(&crate::datasets::sync::task_name(shardset)).await;
        self.remove_shardset(context, dataset, shardset).await?;
        self.datasets.previews.forget(dataset);
        Ok(())
    }

    /// The manifest of a shardset; `None` before its first sync has ended.
    pub(crate) async fn manifest(
        &self,
        dataset: &DatasetInfo,
        shardset: ShardsetId,
    ) -> Result<Option<Arc<Manifest>>, NodeError> {
        let Some(known) = dataset.shardset(shardset)?.manifest else { return Ok(None) };
        let runtime = Arc::clone(&self.datasets);
        let load = move || runtime.manifests.load(shardset, known.version, known.hash);
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.map_err(|_| NodeError::Internal("reading a manifest panicked"))?.map(Some)
    }

    /// The functions of a kind.
    pub async fn functions(&self, context: &CallContext, kind: Kind) -> Result<Vec<FunctionSpec>, NodeError> {
        let runtime = Arc::clone(&self.datasets);
        let registry = self.blocking(context, move || runtime.python.registry()).await?;
        let specs = registry.functions(kind).map(|function| FunctionSpec {
            registry: kind.registry().to_owned(),
            name: function.name.clone(),
            args: function
                .parameters
                .iter()
                .map(|parameter| (parameter.name.clone(), parameter.type_name.clone()))
                .collect(),
            md5: function.md5.clone(),
        });
        Ok(specs.collect())
    }

    /// Runs what may block for long on a thread of its own.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        context: &CallContext,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        context.check()?;
        let work = tokio::task::spawn_blocking(work);
        tokio::time::timeout_at(context.deadline.into(), work)
            .await
            .map_err(|_| NodeError::Deadline("it takes longer; allow the request more time"))?
            .map_err(|_| NodeError::Internal("a background thread panicked"))
    }
}
