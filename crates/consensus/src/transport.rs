//! How messages reach another member: bytes in, bytes out. Who implements it owns sockets, authentication and limits.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_types::NodeId;
use std::time::Duration;
use thiserror::Error;

/// The longest message that a transport must carry.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Calls of one member to another. The other side hands `request` to [`Metadata::handle`](crate::Metadata::handle)
/// together with the caller's number, which the transport has authenticated, and sends back what that returns.
///
/// Calls may be lost, delayed, answered late or delivered twice; an answer must never be one to another call.
pub trait Transport: Send + Sync + 'static {
    /// One call, which ends within `timeout` (and is cut off there if it does not). `address` is what the membership
    /// says of `target`; whether `target` is what answers there, the message itself makes sure.
    fn call<'a>(
        &'a self,
        target: NodeId,
        address: &'a str,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>>;
}

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// Nothing was delivered: no connection, or a refused one.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It may have been delivered.
    #[error("it did not answer in time")]
    Timeout,
    /// It may have been delivered.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// The transport of a node alone.
#[derive(Debug)]
pub(crate) struct NoTransport;

impl Transport for NoTransport {
    fn call<'a>(
        &'a self,
        _target: NodeId,
        _address: &'a str,
        _request: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        let alone = TransportError::Unreachable("this node was started without peers".to_owned());
        Box::pin(std::future::ready(Err(alone)))
    }
}
