//! Changes of records.

use crate::databases::schema_of;
use crate::error::NodeError;
use crate::groups::ask_each;
use crate::node::Node;
use crate::options::CallContext;
use futures_util::future::BoxFuture;
use lavandin_cluster::{CollectionInfo, Command, Reply};
use lavandin_group::Consumer;
use lavandin_shard::{Change, Outcome, RecordBatch, Request, Shard};
use lavandin_storage::MemoryDirectory;
use lavandin_types::Metric;
use std::sync::Arc;

impl Node {
    /// Carries out a change: all of it or nothing. On return it is in the group's log, as durable as the node's
    /// options say, and visible to every later read.
    pub fn change<'a>(
        &'a self,
        context: &'a CallContext,
        database: &'a str,
        name: &'a str,
        change: Change,
    ) -> BoxFuture<'a, Result<Outcome, NodeError>> {
        Box::pin(async move {
            let mut info = self.lookup(database, name).await?;
            let context = &context.in_collection(info.id);
            context.check()?;
            let batch = match &change {
                Change::Add(batch) | Change::Upsert(batch) => Some(batch),
                Change::Delete(_) | Change::Restore(_) | Change::Compact | Change::Allot { .. } => None,
            };
            if let Some(batch) = batch {
                self.check_batch(batch)?;
                if info.dim == 0 {
                    // A batch that will be refused must not fix the dimension.
                    self.rehearse(context, &info, &change).await?;
                    info = self.fix_dimension(context, info, batch.vectors.dim).await?;
                }
            }
            match &self.groups_of(&info)?[..] {
                [only] => only.change(context, info.id, change).await,
                _ => self.change_over_groups(context, info, change).await,
            }
        })
    }

    /// Puts everything acknowledged onto stable storage; under `Durability::Fsync` it is there already.
    pub async fn flush(&self, context: &CallContext, database: &str, name: &str) -> Result<(), NodeError> {
        let groups = self.groups_of(&*self.lookup(database, name).await?)?;
        ask_each(&groups, |group| async move { group.flush(context).await }).await.map(drop)
    }

    /// Seals growing segments and writes a checkpoint, after which a start replays next to nothing.
    pub async fn checkpoint(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<(), NodeError> {
        let groups = self.groups_of(&*self.lookup(database, name).await?)?;
        ask_each(&groups, |group| async move { group.checkpoint(context).await }).await.map(drop)
    }

    async fn fix_dimension(
        &self,
        context: &CallContext,
        info: Arc<CollectionInfo>,
        dim: u32,
    ) -> Result<Arc<CollectionInfo>, NodeError> {
        match self.command(context, Command::FixDimension { collection: info.id, dim }).await? {
            Reply::Updated { info, .. } => Ok(info),
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// Stages the first batch of a collection on a shard that exists for that only, which says whether it will be
    /// refused: for its form, or under the collection's element type, metric and limits.
    async fn rehearse(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        change: &Change,
    ) -> Result<(), NodeError> {
        let (Change::Add(batch) | Change::Upsert(batch)) = change else { return Ok(()) };
        let (dim, bytes) = (batch.vectors.dim, batch.vectors.bytes.len() as u64);
        let collection = info.id;
        let schema = schema_of(&CollectionInfo { dim: dim.max(1), ..info.clone() });
        let schema = schema.ok_or(NodeError::Internal("a collection has no dimension"))?;
        if schema.metric() == Metric::Haversine && dim != 2 {
            return Err(NodeError::haversine(dim));
        }
        let (limits, change) = (self.options.limits.of_collection(), change.clone());
        let run = move || {
            let mut shard = Shard::open(Arc::new(MemoryDirectory::new()), limits, None)?;
            let mut op = Vec::new();
            shard.prepare(Request::Open { collection, schema }, &mut op)?;
            shard.prepare(Request::Change { collection, change }, &mut op)?;
            Ok(())
        };
        self.groups.pool.run(context, bytes, run).await?
    }

    fn check_batch(&self, batch: &RecordBatch) -> Result<(), NodeError> {
        let (count, limit) = (batch.ids.len(), self.options.limits.batch_vectors_max);
        if count == 0 {
            return Err(NodeError::Invalid("a write needs at least one record".to_owned()));
        }
        if limit > 0 && count > limit {
            let text = format!("{count} vectors in one request; the limit is {limit}, so split the batch");
            return Err(NodeError::Invalid(text));
        }
        Ok(())
    }
}
