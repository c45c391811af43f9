//! Datasets, shardsets and columns in the catalogue.

use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{
    ColumnChange, Command, DatasetInfo, FoundColumns, ManifestChange, NewColumn, NewDataset, NewShardset,
    Reply, ShardsetInfo,
};
use lavandin_types::{ColumnId, DatasetId, ShardsetId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A column as a user or a file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    pub name: String,
    pub column_type: String,
    pub description: Option<String>,
}

/// A shardset to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShardsetRequest {
    pub location: String,
    /// Empty to take what the first shard file has.
    pub columns: Vec<ColumnSpec>,
}

const OTHER_REPLY: NodeError = NodeError::Internal("the catalogue answered another command");

/// The wall clock, for ids and times that people read.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The wall clock, but later than at every call before, so that ids sort in the order in which they were made.
fn rising_ms() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = unix_ms();
    let rise = |last: u64| now.max(last + 1);
    rise(LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(rise(last))).unwrap_or_default())
}

/// Random characters of a new id.
pub(crate) fn random() -> Result<[u8; 20], NodeError> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).map_err(|_| NodeError::Internal("the system gives no random bytes"))?;
    Ok(bytes)
}

impl Node {
    /// All datasets, newest first, with every change that had ended before, through whatever node it was made, as long as
    /// the metadata has a leader; the same of what follows.
    pub async fn datasets(&self) -> Result<Vec<Arc<DatasetInfo>>, NodeError> {
        let mut all: Vec<_> = self.listed_catalogue().await?.datasets().cloned().collect();
        all.sort_by_key(|dataset| std::cmp::Reverse((dataset.created_at_s, dataset.id)));
        Ok(all)
    }

    pub async fn dataset(&self, id: DatasetId) -> Result<Arc<DatasetInfo>, NodeError> {
        Ok(Arc::clone(self.listed_catalogue().await?.dataset(id)?))
    }

    pub async fn dataset_by_name(&self, name: &str) -> Result<Arc<DatasetInfo>, NodeError> {
        Ok(Arc::clone(self.listed_catalogue().await?.dataset_by_name(name)?))
    }

    /// As far as this node knows without asking.
    pub(crate) fn known_dataset(&self, id: DatasetId) -> Result<Arc<DatasetInfo>, NodeError> {
        Ok(Arc::clone(self.metadata.catalogue().dataset(id)?))
    }

    pub async fn create_dataset(
        &self,
        context: &CallContext,
        name: &str,
        uid_column_name: &str,
    ) -> Result<Arc<DatasetInfo>, NodeError> {
        let now = rising_ms();
        let new = NewDataset {
            id: DatasetId::new(now, random()?),
            name: name.to_owned(),
            uid_column_name: uid_column_name.to_owned(),
            created_at_s: now / 1000,
        };
        self.change_dataset(context, Command::CreateDataset(new)).await
    }

    pub(crate) async fn add_shardset(
        &self,
        context: &CallContext,
        dataset: DatasetId,
        location: &str,
        columns: Vec<ColumnSpec>,
    ) -> Result<(Arc<DatasetInfo>, ShardsetId), NodeError> {
        let now = rising_ms();
        let id = ShardsetId::new(now, random()?);
        let new = NewShardset {
            dataset,
            id,
            location: location.to_owned(),
            columns: new_columns(now, columns)?,
            created_at_s: now / 1000,
        };
        Ok((self.change_dataset(context, Command::CreateShardset(new)).await?, id))
    }

    /// Adds the columns that a sync found and the dataset does not have.
    pub(crate) async fn add_columns(
        &self,
        context: &CallContext,
        (dataset, shardset): (DatasetId, ShardsetId),
        columns: Vec<ColumnSpec>,
    ) -> Result<Arc<DatasetInfo>, NodeError> {
        let now = unix_ms();
        let columns = new_columns(now, columns)?;
        let found = FoundColumns { dataset, shardset, columns, created_at_s: now / 1000 };
        self.change_dataset(context, Command::AddColumns(found)).await
    }

    pub async fn set_main_shardset(
        &self,
        context: &CallContext,
        (dataset, shardset): (DatasetId, ShardsetId),
        is_main: bool,
    ) -> Result<Arc<DatasetInfo>, NodeError> {
        self.change_dataset(context, Command::SetMainShardset { dataset, shardset, is_main }).await
    }

    pub async fn update_column(
        &self,
        context: &CallContext,
        (dataset, column): (DatasetId, ColumnId),
        name: Option<String>,
        column_type: Option<String>,
        description: Option<String>,
    ) -> Result<Arc<DatasetInfo>, NodeError> {
        let change = ColumnChange { dataset, column, name, column_type, description };
        self.change_dataset(context, Command::UpdateColumn(change)).await
    }

    pub(crate) async fn set_manifest(
        &self,
        context: &CallContext,
        change: ManifestChange,
    ) -> Result<Arc<DatasetInfo>, NodeError> {
        self.change_dataset(context, Command::SetManifest(change)).await
    }

    pub(crate) async fn remove_dataset(
        &self,
        context: &CallContext,
        dataset: DatasetId,
    ) -> Result<Option<DatasetInfo>, NodeError> {
        match self.command(context, Command::DeleteDataset { dataset }).await? {
            Reply::DatasetDropped { info } => Ok(info.map(|info| *info)),
            _ => Err(OTHER_REPLY),
        }
    }

    pub(crate) async fn remove_shardset(
        &self,
        context: &CallContext,
        dataset: DatasetId,
        shardset: ShardsetId,
    ) -> Result<Option<ShardsetInfo>, NodeError> {
        match self.command(context, Command::DeleteShardset { dataset, shardset }).await? {
            Reply::ShardsetDropped { dropped, .. } => Ok(dropped),
            _ => Err(OTHER_REPLY),
        }
    }

    async fn change_dataset(
        &self,
        context: &CallContext,
        command: Command,
    ) -> Result<Arc<DatasetInfo>, NodeError> {
        match self.command(context, command).await? {
            Reply::Dataset { info, .. } => Ok(info),
            _ => Err(OTHER_REPLY),
        }
    }
}

fn new_columns(now: u64, columns: Vec<ColumnSpec>) -> Result<Vec<NewColumn>, NodeError> {
    let new = |ColumnSpec { name, column_type, description }| {
        Ok(NewColumn { id: ColumnId::new(now, random()?), name, column_type, description })
    };
    columns.into_iter().map(new).collect()
}
