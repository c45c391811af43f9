//! Taking connections, and letting go of them.
//!
//! Each connection is a task, and stays one when it becomes a peer's (`peers`). When the server stops, no connection is
//! taken any more, requests under way are finished, idle connections are closed cleanly, and whatever is left when the
//! time is over is cut.
//!
//! Connections of clients are counted and bounded. Those of peers have a bound of their own, and are let in where
//! clients have used up theirs: a node that clients press must not lose its cluster.

mod peers;

use crate::app::App;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use peers::{Doors, Visitor, asks_for_peer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::{ServiceExt, service_fn};

/// Wait after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a refused connection that are read: more than a request's head has as a rule.
const READ_OF_REFUSED_MAX: usize = 4 << 10;

/// What all connections share.
#[derive(Clone)]
struct Served {
    app: Arc<App>,
    router: Router,
    doors: Arc<Doors>,
    stop: watch::Receiver<bool>,
}

/// Serves connections until `stop` says so, then finishes what is under way.
pub(crate) async fn run(
    app: Arc<App>,
    router: Router,
    listener: Arc<TcpListener>,
    mut stop: watch::Receiver<bool>,
) {
    let served = Served { app: Arc::clone(&app), router, doors: Arc::default(), stop: stop.clone() };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = wanted(&mut stop) => break,
            accepted = listener.accept() => take(&served, accepted, &mut connections).await,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(app.config.stop_timeout, finish).await.is_err() {
        let left = app.metrics.connections();
        tracing::warn!(
            event = "stop_timeout",
            connections = left,
            "requests did not end in time and are cut"
        );
        connections.shutdown().await;
    }
}

async fn take(served: &Served, accepted: io::Result<(TcpStream, SocketAddr)>, connections: &mut JoinSet<()>) {
    let (stream, remote) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(event = "accept_failed", %error, "cannot take a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return;
        }
    };
    let served = served.clone();
    if served.app.metrics.connect(served.app.config.connections_max) {
        let connected = Connected(Arc::clone(&served.app));
        connections.spawn(async move { serve(served, Some(connected), (stream, remote)).await });
        return;
    }
    connections.spawn(async move {
        if served.doors.is_peer(&stream).await {
            serve(served, None, (stream, remote)).await;
        } else {
            refuse(stream).await;
        }
    });
}

/// Returns once a stop is wanted, or nobody is left to want it.
async fn wanted(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A connection's place among the clients'.
struct Connected(Arc<App>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.metrics.disconnect();
    }
}

/// Serves requests, and the peer that the connection may become. Without a place among the clients it serves a peer's
/// request only.
async fn serve(served: Served, connected: Option<Connected>, (stream, remote): (TcpStream, SocketAddr)) {
    // Replies are written whole: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let Served { app, router, doors, mut stop } = served;
    let visitor = Arc::new(Visitor::new(Arc::clone(&app), doors, remote.ip()));
    let (asking, is_client) = (Arc::clone(&visitor), connected.is_some());
    let service = service_fn(move |request: Request<Incoming>| {
        let (asking, router) = (Arc::clone(&asking), router.clone());
        async move {
            if is_client && !asks_for_peer(&request) {
                return router.oneshot(request.map(Body::new)).await;
            }
            Ok::<_, Infallible>(asking.answer(request))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper's wait for headers includes the idle time between two requests.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(app.config.keep_alive);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(app.config.keep_alive);
    let service = TowerToHyperService::new(service);
    let outcome = {
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = wanted(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(event = "connection_failed", %error, "connection failed");
    }
    drop(connected);
    visitor.serve(stop).await;
}

/// Answers one connection too many without waiting for its request. What has come of that is read: a close with bytes
/// unread would take the reply back.
async fn refuse(stream: TcpStream) {
    let body = r#"{"error":"too many connections; try again","code":"overloaded","request_id":"refused"}"#;
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         x-request-id: refused\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.writable().await.is_ok() {
        let _ = stream.try_read(&mut [0; READ_OF_REFUSED_MAX]);
        let _ = stream.try_write(reply.as_bytes());
    }
}

#[cfg(test)]
pub(crate) mod tests;
