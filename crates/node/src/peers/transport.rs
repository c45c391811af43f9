//! The metadata's messages, as calls between nodes.

use crate::peers::{Peers, method};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_consensus::{Transport, TransportError};
use lavandin_peer::{CallError, Lane, Reason};
use lavandin_types::NodeId;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct PeerTransport(pub(crate) Peers);

impl Transport for PeerTransport {
    fn call<'a>(
        &'a self,
        target: NodeId,
        address: &'a str,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        Box::pin(async move {
            let deadline = Instant::now() + timeout;
            let called =
                self.0.call((address, Some(target)), method::METADATA, Lane::NONE, request, deadline).await;
            called.map_err(|error| match &error {
                CallError::NotSent(Reason::Deadline) => {
                    TransportError::Unreachable("no connection in time".to_owned())
                }
                CallError::NotSent(_) => TransportError::Unreachable(error.to_string()),
                CallError::Unknown(Reason::Deadline) => TransportError::Timeout,
                CallError::Unknown(_) | CallError::Status(_) => TransportError::Broken(error.to_string()),
            })
        })
    }
}
