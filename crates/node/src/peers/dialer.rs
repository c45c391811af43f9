//! How byte streams to other nodes are made: over TCP, or, in tests, over a network that a seed cuts and slows.

use futures_util::future::BoxFuture;
use lavandin_peer::{ConnectionError, Connector, Target, TcpConnector, Trust};
use std::fmt;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes to and from another node.
pub trait PeerBytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> PeerBytes for S {}

/// A stream whose other end is served by `Node::serve_peer` there.
pub type PeerStream = Box<dyn PeerBytes>;

/// Makes streams to other nodes.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Connects to a node that `trust` admits. The caller bounds the time.
    fn dial<'a>(
        &'a self,
        trust: &'a Trust,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<PeerStream, ConnectionError>>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp;

impl Dialer for Tcp {
    fn dial<'a>(
        &'a self,
        trust: &'a Trust,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<PeerStream, ConnectionError>> {
        Box::pin(async move {
            let stream = TcpConnector { trust: trust.clone() }.connect(target).await?;
            Ok(Box::new(stream) as PeerStream)
        })
    }
}

/// What the pool of connections asks.
pub(super) struct Dialling {
    pub(super) dialer: Arc<dyn Dialer>,
    pub(super) trust: Trust,
}

impl Connector for Dialling {
    type Stream = PeerStream;

    async fn connect(&self, target: &Target) -> Result<PeerStream, ConnectionError> {
        self.dialer.dial(&self.trust, target).await
    }
}
