//! Connections that become a peer's: `GET /peer` with the upgrade (`lavandin_peer`). No API key is asked for, because
//! what follows proves that both sides know the cluster's secret; without a secret only this machine is let in.

use crate::app::App;
use crate::http::{ApiError, Dialect, name_reply};
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use lavandin_peer::{ConnectionError, HandshakeError, PEER_PATH, accept_upgrade, is_peer_upgrade, upgraded};
use lavandin_types::ErrorCode;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections of peers at once: 256 nodes have two each, and again as many while old ones end.
const PEERS_MAX: usize = 1_024;
/// Connections beyond the clients' that are looked at, at once, and for how long.
const LOOKS_MAX: usize = 64;
const LOOK_MAX: Duration = Duration::from_millis(250);
/// From the answer to the upgraded stream.
const UPGRADE_MAX: Duration = Duration::from_secs(5);
/// What a peer's first request begins with.
const KNOCK: &[u8] = b"GET /peer ";
/// A refused peer comes again every second, and strangers as often as they like: the log hears of the same refusal this
/// often, and of others this often.
const SAME_REFUSAL_EVERY: Duration = Duration::from_secs(60);
const REFUSAL_EVERY: Duration = Duration::from_secs(1);

/// How many may come in as peers.
pub(super) struct Doors {
    peers: Arc<Semaphore>,
    looks: Semaphore,
    /// The refusal that was logged last.
    refused: Mutex<Option<(IpAddr, HandshakeError, Instant)>>,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            peers: Arc::new(Semaphore::new(PEERS_MAX)),
            looks: Semaphore::new(LOOKS_MAX),
            refused: Mutex::default(),
        }
    }
}

impl Doors {
    /// Whether a connection that is one too many for clients begins as a peer's does.
    pub(super) async fn is_peer(&self, stream: &TcpStream) -> bool {
        let Ok(_look) = self.looks.try_acquire() else { return false };
        let mut first = [0; KNOCK.len()];
        let looked = tokio::time::timeout(LOOK_MAX, stream.peek(&mut first)).await;
        // A peer writes its request at once; its first bytes come together.
        matches!(looked, Ok(Ok(length)) if length == KNOCK.len() && first == *KNOCK)
    }

    /// Whether a refusal is news for the log.
    pub(super) fn is_news(&self, remote: IpAddr, error: HandshakeError, now: Instant) -> bool {
        let mut last = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let news = last.is_none_or(|(from, known, at)| {
            let pause = if (from, known) == (remote, error) { SAME_REFUSAL_EVERY } else { REFUSAL_EVERY };
            now.saturating_duration_since(at) >= pause
        });
        if news {
            *last = Some((remote, error, now));
        }
        news
    }
}

/// Whoever is at the other end of a connection.
pub(super) struct Visitor {
    app: Arc<App>,
    doors: Arc<Doors>,
    remote: IpAddr,
    /// The request that was answered with the upgrade.
    upgrade: Mutex<Option<(Request<Incoming>, OwnedSemaphorePermit)>>,
}

impl Visitor {
    pub(super) fn new(app: Arc<App>, doors: Arc<Doors>, remote: IpAddr) -> Self {
        Self { app, doors, remote, upgrade: Mutex::default() }
    }

    /// Answers a request for a peer connection, and refuses any other: there is no place for clients.
    pub(super) fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let request_id = self.app.names.name(request.headers());
        let answer = if asks_for_peer(&request) { self.admit(request) } else { Err(too_many("connections")) };
        let answer = answer.unwrap_or_else(|error| {
            let mut refusal = error.into_response(&request_id, Dialect::Collections);
            refusal.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
            refusal
        });
        name_reply(answer, request_id)
    }

    fn admit(&self, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let trust = &self.app.node.options().cluster.trust;
        trust.admits(self.remote).map_err(|error| {
            let message = format!(
                "{error} (--cluster-secret, or --api-key on shards and --shard-api-key on coordinators)"
            );
            ApiError::new(ErrorCode::Unauthorized, message).with_status(StatusCode::FORBIDDEN)
        })?;
        let place = Arc::clone(&self.doors.peers).try_acquire_owned();
        let place = place.map_err(|_| too_many("connections of peers"))?;
        *self.upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some((request, place));
        Ok(accept_upgrade())
    }

    /// Serves the peer that the connection became, if it did, until it leaves or the server stops.
    pub(super) async fn serve(&self, stop: watch::Receiver<bool>) {
        let asked = self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((request, _place)) = asked else { return };
        let upgrade = tokio::time::timeout(UPGRADE_MAX, upgraded(request)).await;
        let served = match upgrade {
            Ok(Ok(stream)) => {
                let _counted = self.app.metrics.count_peer();
                self.app.node.serve_peer(stream, self.remote, stop).await
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectionError::Lost),
        };
        let remote = self.remote;
        match served {
            Err(ConnectionError::Handshake(error)) if self.doors.is_news(remote, error, Instant::now()) => {
                tracing::warn!(event = "peer_refused", %remote, %error, "a node was refused as a peer");
            }
            Err(error) => {
                tracing::debug!(event = "peer_failed", %remote, %error, "a peer's connection failed")
            }
            Ok(()) => {}
        }
    }
}

/// Whether a request asks for a peer connection; what else is at that path is a client's.
pub(super) fn asks_for_peer(request: &Request<Incoming>) -> bool {
    let is_there = request.method() == Method::GET && request.uri().path() == PEER_PATH;
    is_there && is_peer_upgrade(request.headers())
}

fn too_many(what: &str) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, format!("too many {what}; try again"))
}
