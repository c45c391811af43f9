//! What another member may ask of this one: bytes in, bytes out.

use super::Metadata;
use crate::log_store::blocking;
use crate::message::{Body, Failure, MessageError, Reply, Request, SnapshotChunk};
use crate::raft_types::{Snapshot, SnapshotMeta, Vote};
use crate::transport::MESSAGE_BYTES_MAX;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_cluster::Catalogue;
use lavandin_types::NodeId;
use std::fmt::Display;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// The longest snapshot: twice the bound of the catalogue's weight.
const SNAPSHOT_BYTES_MAX: u64 = 2 * lavandin_cluster::limit::METADATA_BYTES_MAX;

/// What a peer says of its deadline is believed up to here.
const OPERATION_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// A snapshot of which some pieces have come. There is one at a time: a leader that begins another one replaces it.
pub(super) struct IncomingSnapshot {
    vote: Vote,
    meta: SnapshotMeta,
    length: u64,
    bytes: Vec<u8>,
}

impl Metadata {
    /// Answers a message of another member, whose number the transport has made sure of. Never fails: what is wrong
    /// with the message, or with this node, is in the answer.
    pub fn handle<'a>(&'a self, from: NodeId, request: &'a [u8]) -> BoxFuture<'a, Bytes> {
        Box::pin(async move {
            let reply = self.answer(from.get(), request).await;
            reply.unwrap_or_else(Reply::Failed).encode().into()
        })
    }

    async fn answer(&self, from: u64, message: &[u8]) -> Result<Reply, Failure> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Failure::Unreadable(format!("it is longer than {MESSAGE_BYTES_MAX} bytes")));
        }
        let Request { node, directory, body } = Request::decode(message).map_err(|error| match error {
            MessageError::Newer => Failure::Newer,
            other => Failure::Unreadable(other.to_string()),
        })?;
        let shared = &self.shared;
        if node != shared.node {
            return Err(Failure::WrongNode(shared.node));
        }
        match body {
            Body::Status => return Ok(Reply::Status(Box::new(self.status()))),
            Body::Operation(left, operation) => {
                let deadline = Instant::now() + left.min(OPERATION_TIMEOUT_MAX);
                return self.execute(operation, deadline).await.map(Reply::Answer);
            }
            _ => {}
        }
        // What follows changes votes or the log: only the directory that the group knows may take part.
        if directory != Some(shared.directory) {
            return Err(self.stranger());
        }
        let raft = &shared.raft;
        match body {
            Body::Append(append) => {
                speaks_for_itself(from, &append.vote)?;
                raft.append_entries(append).await.map(Reply::Appended).map_err(stopped)
            }
            Body::Vote(request) => {
                speaks_for_itself(from, &request.vote)?;
                raft.vote(request).await.map(Reply::Voted).map_err(stopped)
            }
            Body::PreVote(request) => {
                speaks_for_itself(from, &request.vote)?;
                raft.pre_vote(request).await.map(Reply::Voted).map_err(stopped)
            }
            Body::Snapshot(chunk) => {
                speaks_for_itself(from, &chunk.vote)?;
                self.receive_chunk(chunk).await
            }
            Body::TakeLeadership(request) => {
                speaks_for_itself(from, request.from_leader())?;
                let taken = raft.handle_transfer_leader(request).await.map_err(stopped)?;
                taken.map(|()| Reply::Done).map_err(|error| Failure::NotNow(error.to_string()))
            }
            Body::Operation(..) | Body::Status => unreachable!("answered above"),
        }
    }

    /// The group knows this node with another directory: this one is new, or not the one that was added.
    fn stranger(&self) -> Failure {
        let shared = &self.shared;
        if self.status().voters.is_empty() {
            self.set_obstacle(Some(format!(
                "the cluster knows node {} with metadata that is gone, its votes included; \
                 remove it from the cluster and let it join as a new node, with an empty data directory",
                NodeId::new(shared.node)
            )));
        }
        Failure::WrongDirectory(shared.directory)
    }

    async fn receive_chunk(&self, chunk: SnapshotChunk) -> Result<Reply, Failure> {
        let Some(IncomingSnapshot { vote, meta, bytes, .. }) = self.collect(chunk)? else {
            return Ok(Reply::Done);
        };
        // What cannot be read must not reach the state machine, which would stop.
        let read = blocking(move || Ok(Catalogue::decode(&bytes).map(|_| bytes))).await.map_err(stopped)?;
        let snapshot = read.map_err(|error| Failure::Unreadable(error.to_string()))?;
        let installed = self.shared.raft.install_full_snapshot(vote, Snapshot { meta, snapshot }).await;
        installed.map(|response| Reply::Snapshot(response.vote)).map_err(stopped)
    }

    /// Adds a piece; the snapshot, once it is whole.
    fn collect(&self, chunk: SnapshotChunk) -> Result<Option<IncomingSnapshot>, Failure> {
        let SnapshotChunk { vote, meta, length, offset, bytes } = chunk;
        if length > SNAPSHOT_BYTES_MAX {
            return Err(Failure::Refused(format!("a snapshot has at most {SNAPSHOT_BYTES_MAX} bytes")));
        }
        let mut slot = self.shared.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let same = slot
            .as_ref()
            .is_some_and(|known| known.vote == vote && known.meta == meta && known.length == length);
        if offset == 0 && !same {
            *slot = Some(IncomingSnapshot { vote, meta, length, bytes: Vec::new() });
        } else if !same {
            return Err(Failure::NotNow("the pieces before are not here".to_owned()));
        }
        let Some(incoming) = slot.as_mut() else { return Ok(None) };
        let received = incoming.bytes.len() as u64;
        if offset > received {
            return Err(Failure::NotNow(format!("the pieces from {received} to {offset} are not here")));
        }
        if offset == received {
            incoming.bytes.extend_from_slice(&bytes);
        }
        let whole = incoming.bytes.len() as u64 == length;
        Ok(if whole { slot.take() } else { None })
    }
}

/// A vote is asked for, and a leader's word given, by nobody but itself.
fn speaks_for_itself(from: u64, vote: &Vote) -> Result<(), Failure> {
    if vote.leader_id.node_id == from {
        return Ok(());
    }
    let (from, vote) = (NodeId::new(from), NodeId::new(vote.leader_id.node_id));
    Err(Failure::Refused(format!("node {from} speaks for node {vote}")))
}

fn stopped(error: impl Display) -> Failure {
    Failure::Stopped(error.to_string())
}
