//! What nodes ask each other about datasets besides their groups: small calls, as JSON, so that versions of the program
//! that know different fields understand each other (docs/formats/dataset-calls.md).

use crate::error::NodeError;
use crate::membership::Membership;
use crate::peers::method;
use bytes::Bytes;
use lavandin_peer::{CallError, Lane, PeerStatus};
use lavandin_types::{ErrorCode, NodeId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatasetRequest {
    /// Which grants of a rank the node has still to deliver or to give back, as the start `incarnation`. Answers `Grants`.
    HeldGrants { incarnation: u64, iteration: String, rank: u32, numbers: Vec<u64> },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatasetReply {
    Grants { numbers: Vec<u64> },
}

/// The way to other nodes.
#[derive(Clone)]
pub(crate) struct DatasetPeers {
    membership: Arc<Membership>,
}

impl DatasetPeers {
    pub(crate) fn new(membership: Arc<Membership>) -> Self {
        Self { membership }
    }

    /// Asks another node.
    pub(crate) async fn ask(
        &self,
        node: NodeId,
        request: &DatasetRequest,
        patience: Duration,
    ) -> Result<DatasetReply, NodeError> {
        let payload = serde_json::to_vec(request)
            .map_err(|_| NodeError::Internal("a call to another node cannot be written down"))?;
        let reply = self.call(node, method::DATASETS, payload.into(), patience).await?;
        serde_json::from_slice(&reply).map_err(|error| {
            let text = format!(
                "node {node} gave an answer that cannot be read ({error}); upgrade the older of the two"
            );
            NodeError::Unavailable(text)
        })
    }

    /// One call; an error names the node.
    pub(crate) async fn call(
        &self,
        node: NodeId,
        method: u16,
        payload: Bytes,
        patience: Duration,
    ) -> Result<Bytes, NodeError> {
        let address = self.membership.metadata.catalogue().node(node).map(|info| info.address.clone());
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Err(NodeError::Unavailable(format!("node {node} has no address at present")));
        };
        let deadline = Instant::now() + patience;
        let called =
            self.membership.peers.call((&address, Some(node)), method, Lane::NONE, payload, deadline);
        called.await.map_err(|error| match error {
            CallError::Status(PeerStatus { code, message }) => {
                let message = format!("node {node} at {address}: {message}");
                NodeError::Remote { code, message, filter_position: None }
            }
            other => NodeError::Unavailable(format!("node {node} at {address}: {other}")),
        })
    }
}

/// Reads a call of another node.
pub(crate) fn decode_request(payload: &[u8]) -> Result<DatasetRequest, PeerStatus> {
    let malformed = |error: serde_json::Error| {
        let text = format!(
            "this version does not know what it is asked ({error}); upgrade the older of the two nodes"
        );
        PeerStatus::new(ErrorCode::NotImplemented, text)
    };
    serde_json::from_slice(payload).map_err(malformed)
}
