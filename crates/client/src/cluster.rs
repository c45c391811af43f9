//! How a cluster stands, and changes of its members.

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::Call;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// A change may wait for another node to start.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Reply {
    params: Value,
}

impl Client {
    /// What `GET /cluster_info` says.
    pub async fn cluster_info(&self) -> Result<Value, ClientError> {
        let reply: Reply = self.json(Call::get(&["cluster_info"])).await?;
        Ok(reply.params)
    }

    /// Who does the chores and how the metadata stands: what `GET /coordinator_status` says.
    pub async fn coordinator_status(&self) -> Result<Value, ClientError> {
        let reply: Reply = self.json(Call::get(&["coordinator_status"])).await?;
        Ok(reply.params)
    }

    /// What each node feeds at the moment: what `GET /cluster/feeding` says.
    pub async fn feeding(&self) -> Result<Value, ClientError> {
        self.json(Call::get(&["cluster", "feeding"])).await
    }

    /// Begins a change: `POST /cluster_members/{action}`.
    pub async fn change_members(&self, action: &str, body: &impl Serialize) -> Result<Value, ClientError> {
        let path = ["cluster_members", action];
        let call = Call::post(&path).with_body(body).with_timeout(CHANGE_TIMEOUT.max(self.timeout));
        let reply: Reply = self.json(call).await?;
        Ok(reply.params)
    }
}
