//! What nodes ask each other about datasets besides their groups: small calls, as JSON, so that versions of the program
//! that know different fields understand each other (docs/formats/dataset-calls.md).

use crate::datasets::feeding::FeedingNode;
use crate::datasets::file_finder::{Absence, WantedFile};
use crate::datasets::preprocess::{FileKey, FileStanding, Part};
use crate::datasets::tasks::{TaskName, TaskStatus};
use crate::error::NodeError;
use crate::membership::Membership;
use crate::peers::method;
use bytes::Bytes;
use futures_util::future::join_all;
use lavandin_cluster::{Catalogue, NodeInfo};
use lavandin_feed::location::{Location, Version};
use lavandin_peer::{CallError, Lane, PeerStatus};
use lavandin_types::{ErrorCode, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatasetRequest {
    /// Which grants of a rank the node has still to deliver or to give back, as the start `incarnation`. Answers `Grants`.
    HeldGrants { incarnation: u64, iteration: String, rank: u32, numbers: Vec<u64> },
    /// To have a manifest and its indexes on the disk. Answers `Done`, durable.
    KeepManifest { shardset: String, version: u64, hash: String },
    /// To follow the catalogue's log up to there. Answers `Done`.
    FollowCatalogue { applied: u64 },
    /// The files directly in a directory. Answers `Entries`; a directory that is not there has none.
    ListFolder { location: String },
    /// The content of a file. Answers `Content`.
    Content { location: String },
    /// Whether the node has a file as it was synced. Answers `File`.
    FindFile(FileForm),
    /// Which files of a manifest the node does not have as they were synced. Answers `Absent`.
    AbsentFiles { directory: String, shardset: String, version: u64, hash: String },
    /// To the node that does the chores: sync a shardset. Answers `Done` when it has begun.
    StartSync { dataset: String, shardset: String, overwrite: bool },
    /// How far a sync is. Answers `Sync`.
    SyncStatus { shardset: String },
    /// Answers `Tasks`.
    Tasks {},
    /// What the node feeds at the moment. Answers `Feeding`.
    Feeding {},
    /// Answers `Aborted`, of a sync.
    AbortTask { name: String },
    /// To make a part of a file of a job, or how it stands. Answers `MadeFile`, after a second at most.
    MakeFile { key: FileKey, part: Box<Part> },
}

/// A shard file as a sync saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileForm {
    location: String,
    /// 32 hexadecimal digits.
    fingerprint: String,
    bytes: u64,
    tag: Option<String>,
}

impl FileForm {
    pub(crate) fn of(wanted: &WantedFile) -> Self {
        Self {
            location: wanted.location.as_str().to_owned(),
            fingerprint: format!("{:032x}", wanted.fingerprint),
            bytes: wanted.version.size.unwrap_or_default(),
            tag: wanted.version.tag.clone(),
        }
    }

    /// `None` if it is none.
    pub(crate) fn wanted(self) -> Option<WantedFile> {
        Some(WantedFile {
            location: Location::parse(&self.location).ok()?,
            version: Version::new(self.bytes, self.tag),
            fingerprint: u128::from_str_radix(&self.fingerprint, 16).ok()?,
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatasetReply {
    Grants {
        numbers: Vec<u64>,
    },
    Done {},
    /// Name, size and tag of each file.
    Entries {
        entries: Vec<(String, Option<u64>, Option<String>)>,
    },
    Content {
        fingerprint: String,
        bytes: u64,
        tag: Option<String>,
    },
    /// Why it is not there, if it is not.
    File {
        absence: Option<Absence>,
    },
    /// By their indices.
    Absent {
        files: Vec<(u32, Absence)>,
    },
    Sync {
        status: Option<TaskStatus>,
    },
    Tasks {
        tasks: Vec<(TaskName, TaskStatus)>,
    },
    Feeding {
        node: Box<FeedingNode>,
    },
    /// Whether there was such a task.
    Aborted {
        found: bool,
    },
    MadeFile {
        standing: Box<FileStanding>,
    },
}

/// What a node asks for a part of a file. The answer is `FilePiece`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileRequest {
    /// Of a manifest or its indexes, by its name.
    Stored { name: String, offset: u64 },
    /// Of a shard file that the node has.
    ShardFile { file: FileForm, offset: u64 },
}

/// A part of a file.
///
/// ```text
/// u64 bytes of the whole file, u128 XXH3 of the part, the part; all little-endian
/// ```
pub(crate) struct FilePiece {
    pub(crate) length: u64,
    pub(crate) bytes: Bytes,
}

/// Bytes of one part.
pub(crate) const PIECE_BYTES_MAX: usize = 1 << 20;
const PIECE_HEADER_BYTES: usize = 24;

impl FilePiece {
    pub(crate) fn encode(length: u64, bytes: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(PIECE_HEADER_BYTES + bytes.len());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&xxh3_128(bytes).to_le_bytes());
        out.extend_from_slice(bytes);
        out.into()
    }

    /// `None` on bytes that are none, or not those that were sent.
    pub(crate) fn decode(message: &Bytes) -> Option<Self> {
        let length = u64::from_le_bytes(message.get(..8)?.try_into().ok()?);
        let hash = u128::from_le_bytes(message.get(8..PIECE_HEADER_BYTES)?.try_into().ok()?);
        let bytes = message.slice(PIECE_HEADER_BYTES..);
        (xxh3_128(&bytes) == hash).then_some(Self { length, bytes })
    }
}

/// How long a change waits for nodes that may not be reachable.
const FOLLOW_MAX: Duration = Duration::from_millis(500);

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

    /// Returns once every node that can be reached has applied so much of the catalogue's log.
    pub(crate) async fn await_catalogue(&self, applied: u64) {
        let request = DatasetRequest::FollowCatalogue { applied };
        let asked = self.others(&[]).into_iter().map(|node| self.ask(node, &request, FOLLOW_MAX));
        drop(join_all(asked).await);
    }

    /// Returns once this node has applied so much of the catalogue's log; whoever asks gives up by itself.
    pub(crate) async fn follow_catalogue(&self, applied: u64) {
        let mut changes = self.membership.metadata.changed();
        let followed = changes.wait_for(|here| *here >= applied);
        drop(tokio::time::timeout(FOLLOW_MAX, followed).await);
    }

    /// A part of a file of another node.
    pub(crate) async fn piece(
        &self,
        node: NodeId,
        request: &FileRequest,
        patience: Duration,
    ) -> Result<FilePiece, NodeError> {
        let payload = serde_json::to_vec(request)
            .map_err(|_| NodeError::Internal("a call to another node cannot be written down"))?;
        let reply = self.call(node, method::FILES, payload.into(), patience).await?;
        FilePiece::decode(&reply).ok_or_else(|| {
            NodeError::Unavailable(format!("node {node} sent a part of a file that is damaged"))
        })
    }

    /// The other nodes that may be asked: those of `first` come first.
    pub(crate) fn others(&self, first: &[NodeId]) -> Vec<NodeId> {
        let (own, catalogue) = (self.membership.identity.node, self.membership.metadata.catalogue());
        let is_there = |node: &&Arc<NodeInfo>| node.id != own && !node.lost && !node.address.is_empty();
        let mut others: Vec<NodeId> = catalogue.nodes().filter(is_there).map(|node| node.id).collect();
        others.sort_by_key(|node| (!first.contains(node), *node));
        others
    }

    /// A node as people know it.
    pub(crate) fn shown(&self, node: NodeId) -> String {
        let catalogue = self.membership.metadata.catalogue();
        let address =
            catalogue.node(node).map(|info| info.address.clone()).filter(|address| !address.is_empty());
        address.unwrap_or_else(|| format!("node {node}"))
    }

    /// What a node answered instead, or why it could not be asked.
    pub(crate) fn told(&self, node: NodeId, error: &NodeError) -> String {
        match error {
            NodeError::Remote { message, .. } => format!("{}: {message}", self.shown(node)),
            other => other.to_string(),
        }
    }

    pub(crate) fn own(&self) -> NodeId {
        self.membership.identity.node
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.membership.metadata.catalogue()
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
                NodeError::Remote { code, message, filter_position: None }
            }
            other => NodeError::Unavailable(format!("node {node} at {address}: {other}")),
        })
    }
}

/// Reads a call of another node.
pub(crate) fn decode_request<T: DeserializeOwned>(payload: &[u8]) -> Result<T, PeerStatus> {
    let malformed = |error: serde_json::Error| {
        let text = format!(
            "this version does not know what it is asked ({error}); upgrade the older of the two nodes"
        );
        PeerStatus::new(ErrorCode::NotImplemented, text)
    };
    serde_json::from_slice(payload).map_err(malformed)
}
