//! A copy of a group on this node: the way to its thread, and what readers see of it.

use crate::driver::Event;
use crate::error::NodeError;
use crate::group_client::GroupClient;
use crate::options::CallContext;
use crate::pool::Pool;
use lavandin_plan::iterations::{self, IterationsReader, OpenGrant};
use lavandin_shard::ShardReader;
use lavandin_types::{CollectionId, GroupId};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

pub(crate) struct LocalGroup {
    pub(crate) id: GroupId,
    pub(crate) client: GroupClient,
    pub(crate) shard: ShardReader,
    pub(crate) iterations: IterationsReader,
    /// Batches that a former session handed out and of which nobody knows whether they arrived.
    pub(crate) open_grants: Mutex<Vec<OpenGrant>>,
    /// Bytes of the log that a start would replay.
    pub(crate) log_bytes: watch::Receiver<u64>,
    /// Why it takes no more writes, once it does not.
    pub(crate) failure: watch::Receiver<Option<NodeError>>,
    /// Where long reads run; the node's groups share it.
    pub(crate) pool: Arc<Pool>,
}

impl LocalGroup {
    /// Whether it serves.
    pub(crate) fn ready(&self) -> Result<(), NodeError> {
        if let Some(error) = &*self.failure.borrow() {
            return Err(error.clone());
        }
        // The group's thread has ended.
        self.failure.has_changed().map(drop).map_err(|_| NodeError::Stopping)
    }

    /// Everything acknowledged onto stable storage.
    pub(crate) async fn flush(&self, context: &CallContext) -> Result<(), NodeError> {
        self.client.ask(context, |answer| Event::Flush { answer }).await
    }

    /// A checkpoint that covers everything acknowledged so far.
    pub(crate) async fn checkpoint(&self, context: &CallContext) -> Result<(), NodeError> {
        self.client.ask(context, |answer| Event::Checkpoint { answer }).await
    }

    /// Brings the group in line with the catalogue.
    pub(crate) async fn align(&self, context: &CallContext) -> Result<(), NodeError> {
        self.client.ask(context, |answer| Event::Align { answer }).await
    }

    /// Gives back the batches of a former session.
    pub(crate) async fn return_grants(&self, context: &CallContext) -> Result<(), NodeError> {
        let grants = std::mem::take(&mut *self.open_grants.lock().unwrap_or_else(PoisonError::into_inner));
        for OpenGrant { iteration, rank, number } in grants {
            let request = iterations::Request::Return { iteration, rank, number };
            self.client.propose_iterations(context, request).await?;
        }
        Ok(())
    }

    /// Merges a collection's segments into as few as possible and returns when that is done.
    pub(crate) async fn merge_all(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<(), NodeError> {
        self.checkpoint(context).await?;
        self.client.send(Event::WantMerge { collection })?;
        self.wait_for_jobs(collection).await
    }

    /// Waits until the collection's merges and graph builds are done. Bounded by the work, not by a call's deadline: the
    /// client waits for its index, and gives up by hanging up.
    pub(crate) async fn wait_for_jobs(&self, collection: CollectionId) -> Result<(), NodeError> {
        let (answer, complete) = oneshot::channel();
        self.client.send(Event::AwaitIndex { collection, answer })?;
        complete.await.unwrap_or(Err(NodeError::Stopping))
    }
}
