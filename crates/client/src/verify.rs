//! Whether the copies of a cluster's shard groups hold the same records.

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::Call;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Every record of every copy is read.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(300);

#[derive(Deserialize)]
struct Reply {
    params: Value,
}

impl Client {
    /// What `GET /cluster_verify` says.
    pub async fn verify_cluster(&self) -> Result<Value, ClientError> {
        let call = Call::get(&["cluster_verify"]).with_timeout(VERIFY_TIMEOUT.max(self.timeout));
        let reply: Reply = self.json(call).await?;
        Ok(reply.params)
    }
}
