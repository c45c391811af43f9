//! What the nodes of a cluster share, and what is derived from it: one key for connections, one for signed requests.

use crate::error::ConnectionError;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) type HmacSha256 = Hmac<Sha256>;
/// A whole HMAC-SHA256.
pub(crate) type Tag = [u8; 32];

const CONNECTIONS: &[u8] = b"lavandin peer connections 1";
const REQUESTS: &[u8] = b"lavandin signed requests 1";

/// An HMAC state with `key` in it. A clone of it costs less than a new one.
pub(crate) fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC-SHA256 of `parts` one after the other. The caller sees to it that they cannot be cut in another way.
pub(crate) fn mac_of(key: &HmacSha256, parts: &[&[u8]]) -> HmacSha256 {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// The key of connections, derived from the cluster's secret; the secret itself is not kept.
#[derive(Clone)]
pub struct ClusterSecret(Arc<Keys>);

struct Keys {
    connections: HmacSha256,
    requests: HmacSha256,
}

/// The key of [`sign`](crate::sign) and [`Verifier`](crate::Verifier).
#[derive(Clone)]
pub struct RequestKey(pub(crate) HmacSha256);

impl ClusterSecret {
    /// Derives the keys. `secret` may have any length; whoever sees the start of a connection may try guesses
    /// against it, so a secret that a person made up is a weak one.
    pub fn new(secret: &[u8]) -> Self {
        let derive = |label: &[u8]| keyed(&mac_of(&keyed(secret), &[label]).finalize().into_bytes());
        Self(Arc::new(Keys { connections: derive(CONNECTIONS), requests: derive(REQUESTS) }))
    }

    pub fn request_key(&self) -> RequestKey {
        RequestKey(self.0.requests.clone())
    }

    pub(crate) fn connections(&self) -> &HmacSha256 {
        &self.0.connections
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestKey(..)")
    }
}

/// Whom a node takes for a peer.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Whoever proves to know the secret, at any address.
    Secret(ClusterSecret),
    /// There is no secret: whoever is on this machine. Connections run the same protocol, on an empty secret.
    Loopback,
}

impl Trust {
    /// Whether a connection to or from `address` may be used at all. Ask before a byte is exchanged.
    pub fn admits(&self, address: IpAddr) -> Result<(), ConnectionError> {
        match self {
            Self::Secret(_) => Ok(()),
            Self::Loopback if address.to_canonical().is_loopback() => Ok(()),
            Self::Loopback => Err(ConnectionError::NotLoopback(address)),
        }
    }

    pub(crate) fn secret(&self) -> ClusterSecret {
        match self {
            Self::Secret(secret) => secret.clone(),
            Self::Loopback => ClusterSecret::new(&[]),
        }
    }
}
