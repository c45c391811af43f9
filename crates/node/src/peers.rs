//! Calls to the other nodes of the cluster, and theirs to this one.
//!
//! Each node has three connections to each other one: for the metadata's messages, heartbeats and other small calls, for
//! records and snapshots, and for parts of clients' requests. The first two run on a runtime of their own (`Runtime`), so
//! that no scan and no client delays a vote or a heartbeat; the last where clients are served.
//!
//! Deliberately absent: what calls mean (`membership`, `driver`), and authentication (`lavandin-peer`).

mod control;
mod dialer;
mod door;
mod messages;
mod runtime;
mod transport;

pub(crate) use control::{ControlReply, ControlRequest, CopyForm, IdentityForm, Refused};
pub(crate) use dialer::Tcp;
pub use dialer::{Dialer, PeerStream};
pub(crate) use door::Door;
pub(crate) use messages::Mailboxes;
pub(crate) use runtime::Runtime;
pub(crate) use transport::PeerTransport;

use crate::cluster_settings::ClusterSettings;
use crate::error::NodeError;
use crate::identity;
use bytes::Bytes;
use dialer::Dialling;
use lavandin_peer::{Call, CallError, Class, ClientOptions, Lane, PeerIdentity, PeerPool, Target};
use lavandin_types::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

/// What is asked, in each call's header.
pub(crate) mod method {
    /// A message of the metadata's group.
    pub(crate) const METADATA: u16 = 1;
    /// See `ControlRequest`.
    pub(crate) const CONTROL: u16 = 2;
    /// A message between copies of a group; the lane is the group.
    pub(crate) const REPLICATION: u16 = 3;
    /// A group's part of a client's request.
    pub(crate) const GROUP_CALL: u16 = 4;
    /// Pieces of a snapshot.
    pub(crate) const SNAPSHOT: u16 = 5;
    /// See `DatasetRequest`.
    pub(crate) const DATASETS: u16 = 6;
    /// See `FileRequest`.
    pub(crate) const FILES: u16 = 7;
    /// A batch to be put through user code; see `DraftForm`.
    pub(crate) const PREPARE: u16 = 8;
    /// A shard file to be read whole; see `InspectForm`.
    pub(crate) const INSPECT: u16 = 9;
}

/// The way to other nodes.
#[derive(Clone)]
pub(crate) struct Peers {
    pool: PeerPool<Dialling>,
    /// Its connections are served where the node's clients are: a request and its answer change threads less often.
    requests: PeerPool<Dialling>,
}

impl Peers {
    /// On the runtime of clients' requests; `runtime` is the one for everything else.
    pub(crate) fn new(
        settings: &ClusterSettings,
        identity: &watch::Receiver<PeerIdentity>,
        runtime: &Handle,
    ) -> Result<Self, NodeError> {
        let ClusterSettings { trust, protocols, dialer, .. } = settings;
        let seed = identity::random()? as u64;
        let pool = || {
            let connector = Dialling { dialer: Arc::clone(dialer), trust: trust.clone() };
            let options = ClientOptions { seed, protocols: *protocols, ..ClientOptions::default() };
            PeerPool::new(connector, trust.clone(), identity.clone(), options)
        };
        let requests = pool();
        let _entered = runtime.enter();
        Ok(Self { pool: pool(), requests })
    }

    /// Calls the node at a URI; `node` where another one there would be an error.
    pub(crate) async fn call(
        &self,
        (uri, node): (&str, Option<NodeId>),
        method: u16,
        lane: Lane,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let (pool, class) = match method {
            method::METADATA | method::CONTROL => (&self.pool, Class::Control),
            method::GROUP_CALL | method::DATASETS | method::PREPARE => (&self.requests, Class::Requests),
            _ => (&self.pool, Class::Bulk),
        };
        let target = Target { address: host_and_port(uri).to_owned(), node };
        pool.call(&target, class, Call { method, lane, payload, deadline }).await
    }

    /// Why whoever is at a URI could not be reached, as far as control calls to no node in particular tell.
    pub(crate) fn failure(&self, uri: &str) -> Option<String> {
        let target = Target { address: host_and_port(uri).to_owned(), node: None };
        self.pool.failure(&target, Class::Control).map(|error| error.to_string())
    }

    /// Leaves the connections to nodes that are at none of these URIs any more.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.pool.retain(|target| keep(&target.address));
        self.requests.retain(|target| keep(&target.address));
    }

    pub(crate) async fn shut_down(&self) {
        let drain_max = Duration::from_millis(500);
        tokio::join!(self.pool.shut_down(drain_max), self.requests.shut_down(drain_max));
    }
}

/// What a connection is made to.
pub(crate) fn host_and_port(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(authority, _)| authority)
}
