//! The consensus library's calls to one other member, over the transport.
//!
//! An append is cut to a budget of bytes and answered as one in part; a snapshot is sent in pieces, each with the time
//! that the library gives to a call. Whoever cannot be reached is reported as such, so that the library backs off,
//! and never as one who agreed. A leader that no majority answers sends nothing for a while, again and again.

use crate::message::{Body, Failure, Reply, Request, SnapshotChunk};
use crate::metadata::QuorumWatch;
use crate::raft_types::{Member, Membership, Snapshot, TypeConfig, Vote};
use crate::row;
use crate::transport::{Transport, TransportError};
use arc_swap::ArcSwap;
use bytes::Bytes;
use lavandin_types::NodeId;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of entries in one append; a longer entry goes alone.
const APPEND_BYTES_MAX: usize = 1 << 20;
/// Bytes of a snapshot in one message.
const CHUNK_BYTES: usize = 1 << 20;

/// Makes the ways to other members.
#[derive(Clone)]
pub(crate) struct Network {
    node: u64,
    transport: Arc<dyn Transport>,
    /// What the membership says now. The library makes its ways once, and keeps them when a member moves.
    members: Arc<ArcSwap<Membership>>,
    quorum: Arc<OnceLock<QuorumWatch>>,
}

/// Why a call to another member failed.
pub(crate) enum CallError {
    Transport(TransportError),
    Failed(Failure),
}

impl CallError {
    pub(crate) fn unexpected() -> Self {
        Self::Transport(TransportError::Broken("it answered another question".to_owned()))
    }

    /// The same for a reader.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Transport(error) => error.to_string(),
            Self::Failed(failure) => failure.to_string(),
        }
    }
}

impl Network {
    pub(crate) fn new(node: u64, transport: Arc<dyn Transport>) -> Self {
        Self { node, transport, members: Arc::default(), quorum: Arc::default() }
    }

    /// Tells the network by what to know that a majority no longer answers; once, when the library runs.
    pub(crate) fn watch_quorum(&self, watch: QuorumWatch) {
        drop(self.quorum.set(watch));
    }

    /// Takes over what the membership says of addresses.
    pub(crate) fn set_members(&self, members: Membership) {
        self.members.store(Arc::new(members));
    }

    /// One call, ended by force at its timeout.
    pub(crate) async fn call(
        &self,
        address: &str,
        request: Request,
        timeout: Duration,
    ) -> Result<Reply, CallError> {
        let node = NodeId::new(request.node);
        let bytes = Bytes::from(request.encode());
        let called = tokio::time::timeout(timeout, self.transport.call(node, address, bytes, timeout)).await;
        let reply = called.unwrap_or(Err(TransportError::Timeout)).map_err(CallError::Transport)?;
        match Reply::decode(&reply) {
            Ok(Reply::Failed(failure)) => Err(CallError::Failed(failure)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(CallError::Transport(TransportError::Broken(error.to_string()))),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer {
        Peer { network: self.clone(), target, member: member.clone() }
    }
}

/// The way to one member.
pub(crate) struct Peer {
    network: Network,
    target: u64,
    member: Member,
}

impl Peer {
    async fn call(
        &self,
        body: Body,
        action: RPCTypes,
        timeout: Duration,
    ) -> Result<Reply, RPCError<TypeConfig>> {
        let members = self.network.members.load_full();
        let Member { address, directory } = members.get_node(&self.target).unwrap_or(&self.member);
        let request = Request { node: self.target, directory: *directory, body };
        match self.network.call(address, request, timeout).await {
            Ok(reply) => Ok(reply),
            Err(CallError::Transport(TransportError::Timeout)) => {
                Err(Timeout { action, id: self.network.node, target: self.target, timeout }.into())
            }
            Err(CallError::Transport(TransportError::Broken(reason))) => {
                Err(NetworkError::from_string(reason).into())
            }
            Err(error) => {
                if let CallError::Failed(failure) = &error {
                    tracing::warn!(node = %NodeId::new(self.target), address, "a metadata call was refused: {failure}");
                }
                Err(Unreachable::from_string(error.describe()).into())
            }
        }
    }

    async fn ask_vote(
        &self,
        body: Body,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(body, RPCTypes::Vote, option.soft_ttl()).await? {
            Reply::Voted(response) => Ok(response),
            _ => Err(unexpected()),
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
        timeout: Duration,
    ) -> Result<SnapshotResponse<TypeConfig>, RPCError<TypeConfig>> {
        let Snapshot { meta, snapshot } = snapshot;
        let length = snapshot.len();
        let mut offset = 0;
        loop {
            let end = length.min(offset + CHUNK_BYTES);
            let bytes = snapshot[offset..end].to_vec();
            let chunk = SnapshotChunk {
                vote,
                meta: meta.clone(),
                length: length as u64,
                offset: offset as u64,
                bytes,
            };
            match self.call(Body::Snapshot(chunk), RPCTypes::InstallSnapshot, timeout).await? {
                Reply::Done if end < length => offset = end,
                Reply::Snapshot(vote) => return Ok(SnapshotResponse::new(vote)),
                _ => return Err(unexpected()),
            }
        }
    }
}

fn unexpected() -> RPCError<TypeConfig> {
    NetworkError::from_string("it answered another question").into()
}

/// Cuts an append to the budget; whether anything was cut.
fn cut(append: &mut AppendEntriesRequest<TypeConfig>) -> bool {
    let mut room = APPEND_BYTES_MAX;
    let fits = append.entries.iter().take_while(|entry| {
        let fits = row::encode_entry(entry).len();
        let left = room.checked_sub(fits);
        room = left.unwrap_or(0);
        left.is_some()
    });
    let fitting = fits.count().max(1);
    let cut = fitting < append.entries.len();
    append.entries.truncate(fitting);
    cut
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        mut append: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        if self.network.quorum.get().is_some_and(|quorum| quorum.silent(Instant::now())) {
            return Err(
                Unreachable::from_string("no majority answers this leader, which waits for another").into()
            );
        }
        let cut = cut(&mut append);
        let last = append.entries.last().map(|entry| entry.log_id);
        match self.call(Body::Append(append), RPCTypes::AppendEntries, option.soft_ttl()).await? {
            Reply::Appended(AppendEntriesResponse::Success) if cut => {
                Ok(AppendEntriesResponse::PartialSuccess(last))
            }
            Reply::Appended(response) => Ok(response),
            _ => Err(unexpected()),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote(Body::Vote(request), option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote(Body::PreVote(request), option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut cancel = pin!(cancel);
        tokio::select! {
            closed = &mut cancel => Err(closed.into()),
            sent = self.send_snapshot(vote, snapshot, option.soft_ttl()) => Ok(sent?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let body = Body::TakeLeadership(request);
        self.call(body, RPCTypes::TransferLeader, option.soft_ttl()).await.map(|_| Ok(()))
    }
}

#[cfg(test)]
mod tests;
