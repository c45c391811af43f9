//! Taking connections, and letting go of them.
//!
//! Each connection is a task. When the server stops, no connection is taken any more, requests under way are
//! finished, idle connections are closed cleanly, and whatever is left when the time is over is cut.

use crate::app::App;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Wait after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `stop` says so, then finishes what is under way.
pub(crate) async fn run(
    app: Arc<App>,
    router: Router,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    let stop_of_connections = stop.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = wanted(&mut stop) => break,
            accepted = listener.accept() => {
                take(&app, &router, accepted, &stop_of_connections, &mut connections).await;
            },
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

async fn take(
    app: &Arc<App>,
    router: &Router,
    accepted: io::Result<(TcpStream, SocketAddr)>,
    stop: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let stream = match accepted {
        Ok((stream, _)) => stream,
        Err(error) => {
            tracing::warn!(event = "accept_failed", %error, "cannot take a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return;
        }
    };
    if !app.metrics.connect(app.config.connections_max) {
        connections.spawn(refuse(stream));
        return;
    }
    let connected = Connected(Arc::clone(app));
    connections.spawn(serve(connected, router.clone(), stream, stop.clone()));
}

/// Returns once a stop is wanted, or nobody is left to want it.
async fn wanted(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A connection's place among the open ones.
struct Connected(Arc<App>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.metrics.disconnect();
    }
}

async fn serve(connected: Connected, router: Router, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    // Replies are written whole: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let service =
        TowerToHyperService::new(router.map_request(|request: Request<Incoming>| request.map(Body::new)));
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper's wait for headers includes the idle time between two requests.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(connected.0.config.keep_alive);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(connected.0.config.keep_alive);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = wanted(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(event = "connection_failed", %error, "connection failed");
    }
}

/// Answers one connection too many without reading from it.
async fn refuse(stream: TcpStream) {
    let body = r#"{"error":"too many connections; try again","code":"overloaded","request_id":"refused"}"#;
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         x-request-id: refused\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.writable().await.is_ok() {
        let _ = stream.try_write(reply.as_bytes());
    }
}
