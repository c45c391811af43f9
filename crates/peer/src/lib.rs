//! Connections between the nodes of a cluster: authenticated, multiplexed calls, bytes in and bytes out, over an
//! HTTP/1.1 connection of the node's one port that was upgraded to this protocol.
//!
//! 1. Without I/O: what both sides say before they trust each other (`handshake`), frames under a keyed MAC
//!    (`frame`), messages put together (`assembly`) and sent in turn (`outbox`), signed HTTP requests (`signature`).
//! 2. On tokio, over any byte stream: [`PeerServer`] hands calls to a [`PeerHandler`]; [`PeerPool`] dials, keeps one
//!    connection a target and [`Class`], and tells for a failed call whether the other node may have handled it.
//!
//! Invariants: nothing captured can be replayed, neither within a connection nor on another one; the secret never
//! travels, and no node says who it is before the other has proved to know it; every queue, message, wait and count
//! is bounded; no byte is believed, and nothing large allocated for it, before its MAC was checked.
//!
//! Deliberately absent: secrecy of what is said (frames are authentic, not encrypted), what methods and payloads mean,
//! who is a member of the cluster, retries of calls. docs/formats/peer.md describes the bytes.

mod assembly;
mod backoff;
mod connection;
mod error;
mod frame;
mod handshake;
mod identity;
mod link;
mod options;
mod outbox;
mod pen;
mod pool;
mod secret;
mod server;
mod signature;
mod status;
mod upgrade;

pub use connection::{Call, Connection};
pub use error::{CallError, ConnectionError, FrameError, HandshakeError, Reason};
pub use frame::{FRAME_PAYLOAD_BYTES_MAX, Lane, MESSAGE_BYTES_MAX, PROTOCOLS};
pub use identity::{Class, PeerIdentity, Protocols};
pub use options::{ClientOptions, Liveness, ServerOptions};
pub use pool::{Connector, PeerPool, Target, TcpConnector};
pub use secret::{ClusterSecret, RequestKey, Trust};
pub use server::{Accepted, IncomingCall, PeerHandler, PeerServer, Turn};
pub use signature::{
    CLOCK_AHEAD_S_MAX, CLOCK_BEHIND_S_MAX, HEADER_MAC, HEADER_NONCE, HEADER_TIME, NONCES_MAX, Signature,
    SignatureError, SignedRequest, Verifier, sign,
};
pub use status::PeerStatus;
pub use upgrade::{PEER_PATH, UPGRADE_TOKEN, accept_upgrade, is_peer_upgrade, request_upgrade, upgraded};
