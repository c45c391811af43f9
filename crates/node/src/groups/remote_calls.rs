//! The way to other nodes, as the router sees it.

use crate::peers::{Peers, method};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_consensus::Metadata;
use lavandin_peer::{CallError, Lane, PeerStatus, Reason};
use lavandin_types::{ErrorCode, NodeId};
use std::time::Instant;

/// Carries a question for a group to another node, where `Node::answer_group_call` answers it.
pub(crate) trait RemoteCalls: Send + Sync {
    fn call(
        &self,
        node: NodeId,
        payload: Bytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Bytes, CallError>>;
}

/// Over connections between nodes, at the addresses that the catalogue has.
pub(crate) struct PeerCalls {
    peers: Peers,
    metadata: Metadata,
}

impl PeerCalls {
    pub(crate) fn new(peers: &Peers, metadata: &Metadata) -> Self {
        Self { peers: peers.clone(), metadata: metadata.clone() }
    }
}

impl RemoteCalls for PeerCalls {
    fn call(
        &self,
        node: NodeId,
        payload: Bytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Bytes, CallError>> {
        Box::pin(async move {
            let address = self.metadata.catalogue().node(node).map(|info| info.address.clone());
            let Some(address) = address.filter(|address| !address.is_empty()) else {
                let nowhere = PeerStatus::new(ErrorCode::Unavailable, "it has no address at present");
                return Err(CallError::NotSent(Reason::Refused(nowhere)));
            };
            let target = (&*address, Some(node));
            self.peers.call(target, method::GROUP_CALL, Lane::NONE, payload, deadline.into()).await
        })
    }
}
