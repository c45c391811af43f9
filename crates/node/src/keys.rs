//! API keys in the catalogue.

use crate::datasets::{random, unix_ms};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{ApiKey, Command, Reply};
use lavandin_types::KeyId;

impl Node {
    /// An id for a new key.
    pub fn new_key_id(&self) -> Result<KeyId, NodeError> {
        Ok(KeyId::new(unix_ms(), random()?))
    }

    /// Adds or replaces a key; durable on return, and in force on every node that can be reached.
    pub async fn put_key(&self, context: &CallContext, key: ApiKey) -> Result<(), NodeError> {
        match self.command(context, Command::PutApiKey { key }).await? {
            Reply::Done => self.tell_catalogue().await,
            _ => return Err(NodeError::Internal("the catalogue answered another command")),
        }
        Ok(())
    }

    /// Makes sure that there is no such key, on every node that can be reached.
    pub async fn remove_key(&self, context: &CallContext, id: &str) -> Result<(), NodeError> {
        self.command(context, Command::RemoveApiKey { id: id.to_owned() }).await?;
        self.tell_catalogue().await;
        Ok(())
    }

    /// Returns once every node that can be reached knows of the catalogue what this one does.
    async fn tell_catalogue(&self) {
        let applied = *self.metadata.changed().borrow();
        self.datasets.peers.await_catalogue(applied).await;
    }
}
