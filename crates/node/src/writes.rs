//! Changes of records.

use crate::databases::schema_of;
use crate::driver::Event;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{Command, Reply};
use lavandin_shard::{Change, Outcome, RecordBatch, Request};
use lavandin_types::RequestId;
use std::sync::Arc;

impl Node {
    /// Carries out a change: all of it or nothing. On return it is in the group's log, as durable as the node's
    /// options say, and visible to every later read.
    pub async fn change(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        change: Change,
    ) -> Result<Outcome, NodeError> {
        let mut info = self.lookup(database, name)?;
        let batch = match &change {
            Change::Add(batch) | Change::Upsert(batch) => Some(batch),
            Change::Delete(_) | Change::Restore(_) | Change::Compact => None,
        };
        if let Some(batch) = batch {
            self.check_batch(batch)?;
            if info.dim == 0 {
                // A batch that will be refused must not fix the dimension.
                lavandin_shard::check_batch(batch)?;
                info = self.fix_dimension(context, info, batch.vectors.dim).await?;
            }
        }
        let opening = if self.reader.view(info.id).is_some() {
            None
        } else if batch.is_none() {
            // Nothing was ever written, so there is nothing to delete, restore or remove.
            return Ok(Outcome::Count(0));
        } else {
            let schema = schema_of(&info).ok_or(NodeError::Internal("a collection has no dimension"))?;
            let open = Request::Open { collection: info.id, schema };
            Some(self.send_request(RequestId::NONE, open)?)
        };
        let changed = self.propose(context, Request::Change { collection: info.id, change }).await;
        if let Some(opening) = opening {
            // The change is staged behind the opening; if that failed, its reason is the one to tell.
            self.wait_for(context, opening).await?;
        }
        changed
    }

    /// Puts everything acknowledged onto stable storage; under `Durability::Fsync` it is there already.
    pub async fn flush(&self, context: &CallContext, database: &str, name: &str) -> Result<(), NodeError> {
        self.lookup(database, name)?;
        self.ask(context, |answer| Event::Flush { answer }).await
    }

    /// Seals growing segments and writes a checkpoint, after which a start replays next to nothing.
    pub async fn checkpoint(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<(), NodeError> {
        self.lookup(database, name)?;
        self.ask(context, |answer| Event::Checkpoint { answer }).await
    }

    async fn fix_dimension(
        &self,
        context: &CallContext,
        info: Arc<lavandin_cluster::CollectionInfo>,
        dim: u32,
    ) -> Result<Arc<lavandin_cluster::CollectionInfo>, NodeError> {
        match self.command(context, Command::FixDimension { collection: info.id, dim }).await? {
            Reply::Updated { info, .. } => Ok(info),
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
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
