//! What a handler is given, and the replies it gives back.

use crate::app::App;
use crate::http::ApiError;
use crate::http::body::{self, Share};
use crate::routes::Route;
use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, header};
use bytes::Bytes;
use lavandin_node::{CallContext, NodeError, Reading};
use lavandin_types::{ErrorCode, RequestId};
use lavandin_wire::{ReplyWriter, request};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 255;
/// Larger bodies are parsed away from the threads that serve connections: about 0.3 ms of work.
const PARSED_IN_PLACE_MAX: usize = 256 << 10;

/// The body until somebody reads it; also the caller of a handler has it, to drain what the handler left.
/// In a lock only because a body cannot be shared between threads and a call is.
#[derive(Clone)]
pub(super) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads and forgets what is left of the body.
    pub(super) async fn drain(&self) {
        if let Some(body) = self.take()
            && !body.is_end_stream()
        {
            body::drain(body).await;
        }
    }
}

/// One request on its way through a handler.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) route: &'static Route,
    pub(crate) parts: Parts,
    pub(crate) request_id: HeaderValue,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    reading: Reading,
    body: Unread,
    /// Held until the handler is done with the body.
    share: Option<Share>,
}

impl Call {
    pub(crate) fn new(
        app: Arc<App>,
        route: &'static Route,
        (request_id, started): (HeaderValue, Instant),
        reading: Reading,
        request: axum::http::Request<Body>,
    ) -> Self {
        let deadline = started + app.config.request_timeout;
        let (parts, body) = request.into_parts();
        let body = Unread(Arc::new(Mutex::new(Some(body))));
        Self { app, route, parts, request_id, started, deadline, reading, body, share: None }
    }

    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or("")
    }

    /// The node's view of this request.
    pub(crate) fn context(&self) -> Result<CallContext, ApiError> {
        let (request_id, deadline) = (self.retry_id()?, self.deadline);
        Ok(CallContext { request_id, deadline, reading: self.reading.clone() })
    }

    /// A client that may retry names the request with an idempotency key; the same key on another route or other
    /// parameters is another request.
    fn retry_id(&self) -> Result<RequestId, ApiError> {
        let Some(key) = self.parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(RequestId::NONE) };
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_LENGTH_MAX {
            let limit = IDEMPOTENCY_KEY_LENGTH_MAX;
            return Err(ApiError::invalid(format!("an idempotency-key has 1 to {limit} characters")));
        }
        let mut hash = Sha256::new();
        hash.update(self.parts.uri.to_string());
        hash.update([0]);
        hash.update(key.as_bytes());
        let digest = hash.finalize();
        let half: [u8; 16] = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
        // Zero means "no name": a hash that happens to be zero becomes another.
        Ok(RequestId::new(u128::from_le_bytes(half).max(1)))
    }

    /// Reads a JSON body.
    pub(crate) async fn json<T: request::Body + Send + 'static>(&mut self) -> Result<T, ApiError> {
        self.expect_type("application/json")?;
        let limit = self.app.config.json_bytes_max;
        let body = self.read(limit).await?;
        if body.len() <= PARSED_IN_PLACE_MAX {
            return Ok(request::parse(&body)?);
        }
        Ok(aside(move || request::parse(&body)).await??)
    }

    /// Reads a JSON body without parsing it.
    pub(crate) async fn json_bytes(&mut self) -> Result<Bytes, ApiError> {
        self.json_bytes_within(self.app.config.json_bytes_max).await
    }

    /// The same of a body that is to be short.
    pub(crate) async fn json_bytes_within(&mut self, limit: u64) -> Result<Bytes, ApiError> {
        self.expect_type("application/json")?;
        self.read(limit).await
    }

    /// A part of the path, decoded; the part after the first `/` is 1.
    pub(crate) fn part(&self, place: usize) -> Result<String, ApiError> {
        let part = self.parts.uri.path().split('/').nth(place).unwrap_or_default();
        let decoded = percent_decode_str(part).decode_utf8();
        decoded.map(String::from).map_err(|_| ApiError::invalid("the path is no UTF-8"))
    }

    /// Reads a binary body.
    pub(crate) async fn bytes(&mut self) -> Result<Bytes, ApiError> {
        self.expect_type("application/octet-stream")?;
        let limit = self.app.config.payload_bytes_max;
        self.read(limit).await
    }

    pub(super) fn unread(&self) -> Unread {
        self.body.clone()
    }

    async fn read(&mut self, limit: u64) -> Result<Bytes, ApiError> {
        let Some(body) = self.body.take() else {
            return Err(ApiError::new(ErrorCode::Internal, "the body was read twice"));
        };
        let announced = self.parts.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
        let (bytes, share) = body::read(&self.app, body, announced, limit).await?;
        self.share = share;
        Ok(bytes)
    }

    /// No content type at all is fine; another one is a mistake worth telling.
    fn expect_type(&self, expected: &str) -> Result<(), ApiError> {
        let Some(found) = self.parts.headers.get(header::CONTENT_TYPE) else { return Ok(()) };
        let text = found.to_str().unwrap_or("");
        let essence = text.split(';').next().unwrap_or("").trim();
        if essence.is_empty() || essence.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(ApiError::invalid(format!("the content type is {text:?}, expected {expected}")))
    }

    /// Refuses a number of results above the limit.
    pub(crate) fn check_top_k(&self, name: &str, found: u64) -> Result<usize, ApiError> {
        check_limit(name, found, "max_top_k", self.app.config.top_k_max)
    }

    /// Refuses a number of vectors, ids or queries above the limit.
    pub(crate) fn check_batch(&self, name: &str, found: usize) -> Result<(), ApiError> {
        check_limit(name, found as u64, "max_batch_vectors", self.app.config.batch_vectors_max).map(drop)
    }

    /// Logs a change, whatever came of it.
    pub(crate) fn audit<T>(
        &self,
        action: &'static str,
        database: &str,
        collection: &str,
        outcome: &Result<T, NodeError>,
    ) {
        if !self.app.config.audit_log {
            return;
        }
        let request_id = self.request_id.to_str().unwrap_or_default();
        match outcome {
            Ok(_) => tracing::info!(
                event = "audit",
                action,
                database,
                collection,
                outcome = "done",
                request_id,
                "audit"
            ),
            Err(error) => tracing::info!(
                event = "audit", action, database, collection, outcome = error.code().name(), error = %error,
                request_id, "audit"
            ),
        }
    }

    /// Logs a change of something that is in no database.
    pub(crate) fn audit_key<T>(&self, action: &'static str, id: &str, outcome: &Result<T, NodeError>) {
        if !self.app.config.audit_log {
            return;
        }
        let request_id = self.request_id.to_str().unwrap_or_default();
        let outcome = outcome.as_ref().map_or_else(|error| error.code().name(), |_| "done");
        tracing::info!(event = "audit", action, id, outcome, request_id, "audit");
    }

    /// How long the request has taken, if that is worth a warning.
    pub(crate) fn slow(&self) -> Option<Duration> {
        let elapsed = self.started.elapsed();
        self.app.config.slow_query.filter(|limit| elapsed >= *limit).map(|_| elapsed)
    }
}

fn check_limit(name: &str, found: u64, setting: &str, limit: u64) -> Result<usize, ApiError> {
    if limit > 0 && found > limit {
        return Err(ApiError::invalid(format!("{name} {found} exceeds the server's {setting} {limit}")));
    }
    usize::try_from(found).map_err(|_| ApiError::invalid(format!("{name} {found} is too large")))
}

/// Runs work of more than half a millisecond away from the threads that serve connections.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| ApiError::new(ErrorCode::Internal, format!("a worker failed: {error}")))
}

/// A JSON success.
pub(crate) fn reply(writer: ReplyWriter) -> Response<Body> {
    with_type(writer.finish(), "application/json")
}

/// A binary success.
pub(crate) fn octets(bytes: Vec<u8>) -> Response<Body> {
    with_type(bytes, "application/octet-stream")
}

pub(crate) fn with_type(bytes: Vec<u8>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
