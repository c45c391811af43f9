//! Rebuilding copies from snapshots: fetching them for the copies of this node, and serving those of other nodes.
//!
//! One fetch a group at a time. A fetch that fails is reported to the group's thread after a pause; the primary asks for
//! another one then, which goes on where this one ended.

use crate::driver::News;
use crate::groups::{Ailment, GroupHost, LocalGroup};
use crate::options::CallContext;
use crate::peers::{Peers, method};
use crate::snapshots::{Offer, Receiver, Request, SnapshotError, SnapshotSource, Standing};
use bytes::Bytes;
use lavandin_consensus::Metadata;
use lavandin_peer::{Lane, PeerStatus};
use lavandin_types::{ErrorCode, GroupId, NodeId};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// For one piece, or the offer, which may need a checkpoint first.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// How often sessions that nobody uses are looked for.
const EXPIRY: Duration = Duration::from_secs(10);

pub(crate) struct Rebuilding {
    source: SnapshotSource,
    peers: Peers,
    metadata: Metadata,
    node: NodeId,
    /// Set once there can be copies.
    groups: OnceLock<Weak<GroupHost>>,
}

impl Rebuilding {
    pub(crate) fn new(peers: &Peers, metadata: &Metadata, node: NodeId) -> Self {
        Self {
            source: SnapshotSource::default(),
            peers: peers.clone(),
            metadata: metadata.clone(),
            node,
            groups: OnceLock::new(),
        }
    }

    pub(crate) fn serve(self: &Arc<Self>, groups: &Arc<GroupHost>, runtime: &tokio::runtime::Handle) {
        // It is set once.
        drop(self.groups.set(Arc::downgrade(groups)));
        let this = Arc::downgrade(self);
        runtime.spawn(async move {
            while let Some(this) = this.upgrade() {
                this.source.expire(Instant::now());
                drop(this);
                tokio::time::sleep(EXPIRY).await;
            }
        });
    }

    fn host(&self) -> Option<Arc<GroupHost>> {
        self.groups.get()?.upgrade()
    }

    fn group(&self, group: GroupId) -> Option<Arc<LocalGroup>> {
        self.host()?.get(group)
    }

    /// Fetches a snapshot and gives it to the group's thread.
    pub(crate) async fn fetch(&self, group: GroupId, from: NodeId, standing: Standing) {
        let Some(local) = self.group(group) else { return };
        tracing::info!(event = "rebuild_began", %group, %from, "a copy is rebuilt from a snapshot");
        let receiver = Receiver {
            call: |request| self.ask(from, request),
            directory: Arc::clone(&local.directory),
            group,
            node: self.node,
            throttle: Arc::clone(&local.throttle),
            progress: Arc::clone(&local.rebuild),
        };
        let fetched = receiver.fetch(standing).await;
        local.rebuild.end();
        if let Err(error) = &fetched {
            self.make_space(group, error).await;
            tracing::warn!(event = "rebuild_failed", %group, %from, %error, "fetching a snapshot failed; it is tried again");
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
        drop(local.news.send(News::Snapshot(fetched.map(Box::new))));
    }

    /// What was kept of a damaged copy for a look takes space that another one needs.
    async fn make_space(&self, group: GroupId, error: &SnapshotError) {
        let SnapshotError::Storage(error) = error else { return };
        let groups = self.groups.get().and_then(Weak::upgrade);
        let Some(groups) =
            groups.filter(|_| matches!(Ailment::of(&error.clone().into()), Ailment::NoSpace(_)))
        else {
            return;
        };
        // Where it cannot be removed there is no less space than before.
        drop(tokio::task::spawn_blocking(move || groups.discard_aside(group)).await);
    }

    async fn ask(&self, node: NodeId, request: Bytes) -> Result<Bytes, SnapshotError> {
        let failed = |code, message: String| SnapshotError::Call { code, message };
        let address = self.metadata.catalogue().node(node).map(|info| info.address.clone());
        let address = address.filter(|address| !address.is_empty());
        let address =
            address.ok_or_else(|| failed(ErrorCode::Unavailable, format!("node {node} has no address")))?;
        let deadline = tokio::time::Instant::now() + ANSWER_MAX;
        let called = self.peers.call((&address, Some(node)), method::SNAPSHOT, Lane::NONE, request, deadline);
        called.await.map_err(|error| failed(error.code(), error.to_string()))
    }

    /// Answers another node that rebuilds a copy.
    pub(crate) async fn answer(&self, from: NodeId, payload: &[u8]) -> Result<Bytes, PeerStatus> {
        let malformed =
            || PeerStatus::new(ErrorCode::InvalidArgument, "a request for a snapshot is malformed");
        let answered = match Request::decode(payload).ok_or_else(malformed)? {
            Request::Begin { group, node } if node == from => self.offer(group, from).await,
            Request::Begin { .. } => return Err(malformed()),
            Request::Piece(piece) => {
                if let Some(host) = self.host() {
                    host.throttle.take(u64::from(piece.length)).await;
                }
                self.source.piece(piece).await
            }
            Request::End { session } => {
                self.source.end(session);
                Ok(Bytes::new())
            }
        };
        answered.map_err(|error| PeerStatus::new(error.code(), error.to_string()))
    }

    async fn offer(&self, group: GroupId, to: NodeId) -> Result<Bytes, SnapshotError> {
        let missing = || SnapshotError::Call {
            code: ErrorCode::Unavailable,
            message: format!("node {} has no copy of group {group} open", self.node),
        };
        let local = self.group(group).ok_or_else(missing)?;
        let begin = || self.source.begin(Arc::clone(&local.directory), group, to);
        let offer: Offer = match begin().await {
            Err(SnapshotError::NothingStored) => {
                let checkpointed = local.checkpoint(&CallContext::new(ANSWER_MAX)).await;
                checkpointed.map_err(|error| SnapshotError::Call {
                    code: error.code(),
                    message: error.to_string(),
                })?;
                begin().await?
            }
            offered => offered?,
        };
        // The log behind the snapshot is kept before anybody relies on it.
        let (kept, is_kept) = oneshot::channel();
        drop(local.news.send(News::SnapshotTaken { to, sequence: offer.sequence, kept }));
        is_kept.await.map_err(|_| SnapshotError::Stopping)?;
        Ok(offer.encode())
    }
}
