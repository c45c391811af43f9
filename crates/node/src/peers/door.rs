//! Calls of other nodes: each goes to the part of the node that it concerns.

use crate::datasets::DatasetRuntime;
use crate::driver::News;
use crate::groups::Router;
use crate::membership::Membership;
use crate::peers::{ControlReply, Refused, method};
use crate::rebuilding::Rebuilding;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_group::replication::Message;
use lavandin_peer::{IncomingCall, MESSAGE_BYTES_MAX, PeerHandler, PeerStatus};
use lavandin_types::{ErrorCode, NodeId};
use std::sync::Arc;

pub(crate) struct Door {
    membership: Arc<Membership>,
    router: Arc<Router>,
    rebuilding: Arc<Rebuilding>,
    datasets: Arc<DatasetRuntime>,
}

impl Door {
    pub(crate) fn new(
        membership: Arc<Membership>,
        router: Arc<Router>,
        rebuilding: Arc<Rebuilding>,
        datasets: Arc<DatasetRuntime>,
    ) -> Self {
        Self { membership, router, rebuilding, datasets }
    }

    /// A message for one of this node's copies. There is nothing to answer: what it leads to is a message as well.
    fn replication(&self, from: NodeId, payload: Bytes) -> Result<Bytes, PeerStatus> {
        let mut rest = &payload[..];
        let malformed =
            || PeerStatus::new(ErrorCode::InvalidArgument, "a message between copies is malformed");
        let message = Message::decode(&mut rest).ok_or_else(malformed)?;
        let records = payload.slice(payload.len() - rest.len()..);
        if let Some(group) = self.membership.groups.get(message.group) {
            group.take_message(News::Message { from, message: Box::new(message), records });
        }
        Ok(Bytes::new())
    }

    fn dispatch(&self, call: IncomingCall) -> BoxFuture<'_, Result<Bytes, PeerStatus>> {
        Box::pin(async move {
            let unnamed =
                || PeerStatus::new(ErrorCode::InvalidArgument, "a node without a number has no such calls");
            let from = call.from.node;
            match call.method {
                method::METADATA => {
                    Ok(self.membership.metadata.handle(from.ok_or_else(unnamed)?, &call.payload).await)
                }
                method::CONTROL => self.control(&call.payload).await,
                method::REPLICATION => self.replication(from.ok_or_else(unnamed)?, call.payload),
                method::GROUP_CALL => {
                    let from = from.ok_or_else(unnamed)?;
                    self.router.answer(from, &call.payload, call.deadline.into_std()).await
                }
                method::DATASETS => {
                    from.ok_or_else(unnamed)?;
                    self.datasets.answer(&call.payload).await
                }
                method::FILES => {
                    from.ok_or_else(unnamed)?;
                    self.datasets.file_piece(&call.payload).await
                }
                method::PREPARE => {
                    from.ok_or_else(unnamed)?;
                    self.datasets.prepare_for(&call.payload).await
                }
                method::INSPECT => {
                    from.ok_or_else(unnamed)?;
                    self.datasets.inspect_for(&call.payload).await
                }
                method::SNAPSHOT => self.rebuilding.answer(from.ok_or_else(unnamed)?, &call.payload).await,
                other => {
                    let message = format!("this version knows no calls of kind {other}; upgrade the node");
                    Err(PeerStatus::new(ErrorCode::NotImplemented, message))
                }
            }
        })
    }

    async fn control(&self, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        let reply = match serde_json::from_slice(payload) {
            Ok(request) => self.membership.answer(request).await,
            Err(error) => {
                ControlReply::Refused(Refused { reason: format!("the request is malformed: {error}") })
            }
        };
        let bytes = serde_json::to_vec(&reply);
        bytes.map(Bytes::from).map_err(|error| PeerStatus::new(ErrorCode::Internal, error.to_string()))
    }
}

impl PeerHandler for Door {
    async fn handle(&self, call: IncomingCall) -> Result<Bytes, PeerStatus> {
        let answer = self.dispatch(call).await?;
        if answer.len() <= MESSAGE_BYTES_MAX {
            return Ok(answer);
        }
        let text = format!(
            "the answer takes {} bytes between two nodes; the limit is {MESSAGE_BYTES_MAX}",
            answer.len()
        );
        Err(PeerStatus::new(ErrorCode::PayloadTooLarge, text))
    }
}
