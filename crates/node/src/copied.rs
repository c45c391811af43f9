//! Data directories of members that were copied: a replica that was rebuilt by hand from its primary's directory, a backup
//! that was restored beside the living node.
//!
//! A member's directory says who the node is, with its votes on the metadata and the promises of its copies. Two
//! processes on two copies of one would be one node to the others, each with a history that the other does not know. So
//! before a member opens anything it asks at its own address, unless it listens there itself. Who answers with the same
//! store lives on the original. Then what the copy holds is removed and it begins as an empty node of another store,
//! which the cluster takes in where its address is a member's: its copies are stale and rebuilt.
//!
//! Deliberately absent: telling a copy from its original while that does not run. It finds out at its next opening
//! after the original is back.

use crate::identity::Identity;
use crate::peers::{ControlReply, ControlRequest, Peers, host_and_port, method};
use bytes::Bytes;
use lavandin_peer::Lane;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::time::Instant;

/// Who lives answers in a few milliseconds; a member that is reached by a detour may only reach itself, which does not
/// answer yet, and waits in vain.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Whether another process runs on the directory that this one is a copy of. `listening` is where this process listens.
pub(crate) async fn original_lives(peers: &Peers, identity: &Identity, listening: SocketAddr) -> bool {
    let Some(seat) = &identity.seat else { return false };
    let asked =
        async { !is_own(&seat.address, listening).await && answers(peers, identity, &seat.address).await };
    tokio::time::timeout(ANSWER_MAX, asked).await.unwrap_or(false)
}

async fn is_own(uri: &str, listening: SocketAddr) -> bool {
    let Ok(mut found) = tokio::net::lookup_host(host_and_port(uri)).await else { return false };
    found.any(|at| at.port() == listening.port() && is_here(at.ip(), listening.ip()))
}

/// Whether who connects to `ip` reaches whoever listens on `listening` of this machine.
fn is_here(ip: IpAddr, listening: IpAddr) -> bool {
    // Only addresses of this machine can be bound.
    ip == listening || listening.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

async fn answers(peers: &Peers, identity: &Identity, uri: &str) -> bool {
    let Ok(question) = serde_json::to_vec(&ControlRequest::Identify) else { return false };
    let until = Instant::now() + ANSWER_MAX;
    let called = peers.call((uri, None), method::CONTROL, Lane::NONE, Bytes::from(question), until).await;
    let answer = called.ok().and_then(|reply| serde_json::from_slice(&reply).ok());
    matches!(answer, Some(ControlReply::Identity(found)) if found.store == identity.store.to_string())
}

#[cfg(test)]
mod tests;
