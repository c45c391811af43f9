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

    /// Adds or replaces a key; durable on return.
    pub async fn put_key(&self, context: &CallContext, key: ApiKey) -> Result<(), NodeError> {
        match self.command(context, Command::PutApiKey { key }).await? {
            Reply::Done => Ok(()),
            _ => Err(NodeError::Internal("the catalogue answered another command")),
        }
    }

    /// Makes sure that there is no such key.
    pub async fn remove_key(&self, context: &CallContext, id: &str) -> Result<(), NodeError> {
        self.command(context, Command::RemoveApiKey { id: id.to_owned() }).await.map(drop)
    }
}
