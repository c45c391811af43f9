//! Why connections and calls fail, by what the caller can do about it.

use crate::identity::Protocols;
use crate::status::PeerStatus;
use lavandin_types::{ClusterId, ErrorCode, NodeId};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Two nodes that do not become peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error(
        "the other node has another cluster secret, or only one of the two has a secret: start both with the same one \
         (--cluster-secret; where that is not given, the --api-key of a node and the --shard-api-key of a coordinator)"
    )]
    WrongSecret,
    #[error(
        "the other node belongs to cluster {theirs}, this one to {ours}: check the address, or start the one that is \
         to change clusters on an empty data directory"
    )]
    WrongCluster { ours: ClusterId, theirs: ClusterId },
    #[error(
        "node {addressed} was addressed and {} was reached: check which address each node advertises", shown(.reached)
    )]
    WrongNode { addressed: NodeId, reached: Option<NodeId> },
    #[error(
        "the other node speaks peer protocol {}-{}, this one {}-{}: upgrade the other node",
        .theirs.lowest, .theirs.highest, .ours.lowest, .ours.highest
    )]
    ProtocolTooOld { ours: Protocols, theirs: Protocols },
    #[error(
        "the other node speaks peer protocol {}-{}, this one {}-{}: upgrade this node",
        .theirs.lowest, .theirs.highest, .ours.lowest, .ours.highest
    )]
    ProtocolTooNew { ours: Protocols, theirs: Protocols },
    #[error(
        "the other side does not speak the peer protocol ({0}): check that the address is that of a node"
    )]
    Malformed(&'static str),
}

fn shown(node: &Option<NodeId>) -> String {
    node.map_or_else(|| "a node without a number".to_owned(), |node| format!("node {node}"))
}

impl HandshakeError {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::WrongSecret => ErrorCode::Unauthorized,
            Self::WrongCluster { .. } | Self::WrongNode { .. } | Self::Malformed(_) => {
                ErrorCode::InvalidArgument
            }
            Self::ProtocolTooOld { .. } | Self::ProtocolTooNew { .. } => ErrorCode::Unavailable,
        }
    }
}

/// Bytes that end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame was altered, repeated or left out on its way")]
    WrongTag,
    #[error("a frame says to hold {bytes} bytes, more than the {max} allowed")]
    TooLong { bytes: u32, max: u32 },
    #[error("the connection ended within a frame or a message")]
    Truncated,
    /// The frame is authentic: the other program is defective, or newer than it said.
    #[error("the other node broke the peer protocol: {0}")]
    Malformed(&'static str),
}

/// Why a connection was not made or has ended. Making another one is always right.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the other node was silent for {silent_ms} ms")]
    Silent { silent_ms: u64 },
    #[error("no connection within {waited_ms} ms")]
    Slow { waited_ms: u64 },
    #[error("the connection ended without a goodbye")]
    Lost,
    #[error("the other node takes no calls on this connection any more")]
    Leaving,
    #[error(
        "{0} is not on this machine, and without a cluster secret no other machine is trusted: set the secret on all nodes"
    )]
    NotLoopback(IpAddr),
    #[error(
        "the address answered the peer upgrade with HTTP status {status}: check that it is that of a node, and this node's version"
    )]
    NotUpgraded { status: u16 },
    #[error("the address did not answer the peer upgrade as HTTP/1.1 ({0})")]
    NotHttp(&'static str),
}

impl ConnectionError {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Handshake(error) => error.code(),
            Self::NotLoopback(_) => ErrorCode::Unauthorized,
            _ => ErrorCode::Unavailable,
        }
    }
}

/// A call without a result. The variant says whether the other node may have handled it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The handler has not seen the call and never will: it may be repeated, here or elsewhere.
    #[error("not sent: {0}")]
    NotSent(Reason),
    /// The handler may have seen the call, wholly or in part, and may still be at it.
    #[error("outcome unknown: {0}")]
    Unknown(Reason),
    /// The handler's own answer.
    #[error(transparent)]
    Status(PeerStatus),
}

/// Why a call was not sent, or its outcome is not known.
#[derive(Clone, Debug)]
pub enum Reason {
    /// The deadline passed.
    Deadline,
    /// The payload is larger than a message may be.
    TooLong { bytes: usize },
    /// As many calls or bytes as may be are under way to the other node.
    Full,
    /// There is no connection, or it ended. Shared by all calls that it failed.
    Connection(Arc<ConnectionError>),
    /// The last attempt to connect failed and the next may not be made yet.
    BackingOff { error: Arc<ConnectionError>, retry_ms: u64 },
    /// The other node would not take the call.
    Refused(PeerStatus),
    /// The pool is shut down.
    ShutDown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the deadline passed"),
            Self::TooLong { bytes } => {
                write!(f, "{bytes} bytes are more than the {} of a message", crate::MESSAGE_BYTES_MAX)
            }
            Self::Full => f.write_str("too much is under way to the other node: try again in a moment"),
            Self::Connection(error) => error.fmt(f),
            Self::BackingOff { error, retry_ms } => write!(f, "{error} (next attempt in {retry_ms} ms)"),
            Self::Refused(status) => status.fmt(f),
            Self::ShutDown => f.write_str("this node is stopping"),
        }
    }
}

impl CallError {
    /// Whether another attempt can neither repeat nor be repeated: the handler has not seen the call.
    pub const fn is_not_sent(&self) -> bool {
        matches!(self, Self::NotSent(_))
    }

    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Status(status) => status.code,
            Self::NotSent(reason) | Self::Unknown(reason) => match reason {
                Reason::Deadline => ErrorCode::DeadlineExceeded,
                Reason::TooLong { .. } => ErrorCode::PayloadTooLarge,
                Reason::Full => ErrorCode::Overloaded,
                Reason::Connection(error) | Reason::BackingOff { error, .. } => error.code(),
                Reason::Refused(status) => status.code,
                Reason::ShutDown => ErrorCode::Unavailable,
            },
        }
    }
}
