//! How the cluster stands, and other nodes' connections: what a member of a cluster offers besides its data.

use crate::cluster_status::ClusterStatus;
use crate::error::NodeError;
use crate::membership::RepairStatistics;
use crate::node::Node;
use futures_util::future::BoxFuture;
use lavandin_peer::{Class, ConnectionError, HandshakeError};
use lavandin_types::NodeId;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

impl Node {
    /// Whether this is the only node of its cluster, or of none.
    pub fn is_alone(&self) -> bool {
        self.membership.is_alone()
    }

    /// Where the other nodes reach this one; empty where none does.
    pub fn address(&self) -> String {
        self.membership.address()
    }

    /// An error as long as this node waits for the head of the cluster that it is to join.
    pub fn check_joined(&self) -> Result<(), NodeError> {
        match self.membership.ready() {
            Err(error @ NodeError::Joining { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Its number in the cluster.
    pub fn id(&self) -> NodeId {
        self.identity.node
    }

    /// Serves a connection of another node until it ends, or `stop` says so.
    pub async fn serve_peer<S>(
        &self,
        stream: S,
        remote: IpAddr,
        stop: watch::Receiver<bool>,
    ) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (door, accepted) = (Arc::clone(&self.door), self.door.accept(stream, remote).await);
        if let Err(ConnectionError::Handshake(HandshakeError::WrongNode { addressed, .. })) = &accepted {
            self.membership.note_call_for(*addressed);
        }
        let accepted = accepted?;
        if accepted.class() == Class::Requests {
            return door.serve(accepted, stop).await;
        }
        let served = self.runtime.spawn(async move { door.serve(accepted, stop).await }).await;
        // The runtime ends with the node, and takes its connections along.
        served.unwrap_or(Ok(()))
    }

    /// True once the node should be closed and opened again, because its place in the cluster is another.
    pub fn reopen_wanted(&self) -> watch::Receiver<bool> {
        self.membership.reopen_wanted()
    }

    /// Why the process should end, once there is a reason: the node was to join a cluster, and cannot.
    pub fn given_up(&self) -> watch::Receiver<Option<String>> {
        self.membership.given_up()
    }

    /// Has other nodes take over what this one does, as far as they can within `limit`. It is to be closed then: its
    /// primaries serve nothing any more.
    pub async fn hand_over(&self, limit: Duration) {
        let membership = Arc::clone(&self.membership);
        // The runtime ends with the node only.
        drop(self.runtime.spawn(async move { membership.hand_over(limit).await }).await);
    }

    /// How the cluster stands as the leader of the metadata knows it; as this node knows it, where none answers in time.
    pub fn cluster_status(&self, timeout: Duration) -> BoxFuture<'_, ClusterStatus> {
        Box::pin(async move { self.membership.leader_status(timeout).await })
    }

    /// What became of copies here that were out of order.
    pub fn repair_statistics(&self) -> RepairStatistics {
        self.membership.repair_statistics()
    }

    /// How the cluster stands as far as this node knows without asking another.
    pub fn known_status(&self) -> ClusterStatus {
        self.membership.known_status()
    }
}
