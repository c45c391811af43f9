//! Reading bodies: up to a limit, within the deadline, and within what all bodies may take together.

use crate::app::App;
use crate::http::ApiError;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lavandin_types::ErrorCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bodies up to this size are not counted against the memory for bodies: the connections bound them.
const COUNTED_FROM: u64 = 64 << 10;
/// What is read of a refused body, so that a client which sends before it reads sees the refusal.
const DRAINED_MAX: u64 = 64 << 20;

/// How long a refused body may pause before the refusal is sent all the same.
const DRAIN_PAUSE: Duration = Duration::from_millis(500);
/// How long all of it may take.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// A share of the memory for bodies, given back when dropped.
pub(super) struct Share {
    app: Arc<App>,
    bytes: u64,
}

impl Share {
    /// Takes a share. A single body is let in when nothing else is held, so that no allowed size is refused for ever.
    fn take(app: &Arc<App>, bytes: u64) -> Result<Self, ApiError> {
        let before = app.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        let share = Self { app: Arc::clone(app), bytes };
        let limit = app.config.body_memory_bytes_max;
        if before > 0 && before.saturating_add(bytes) > limit {
            return Err(ApiError::new(
                ErrorCode::Overloaded,
                format!("bodies of other requests take {before} of {limit} bytes; try again"),
            ));
        }
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.app.body_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body whole. `announced` is its Content-Length.
pub(super) async fn read(
    app: &Arc<App>,
    mut body: Body,
    announced: Option<u64>,
    limit: u64,
) -> Result<(Bytes, Option<Share>), ApiError> {
    if let Some(announced) = announced.filter(|announced| *announced > limit) {
        drain(body).await;
        return Err(too_large(announced, limit));
    }
    let mut share = match announced.filter(|announced| *announced >= COUNTED_FROM) {
        Some(announced) => Some(Share::take(app, announced)?),
        None => None,
    };
    let Some(first) = next_piece(&mut body).await? else { return Ok((Bytes::new(), share)) };
    if announced == Some(first.len() as u64) {
        return Ok((first, share));
    }
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(0).max(first.len() as u64) as usize);
    whole.extend_from_slice(&first);
    while let Some(piece) = next_piece(&mut body).await? {
        let length = (whole.len() + piece.len()) as u64;
        if length > limit {
            drain(body).await;
            return Err(too_large(length, limit));
        }
        // A body of unannounced length pays as it grows.
        if announced.is_none() && length >= COUNTED_FROM {
            share = Some(grow(app, share.take(), length)?);
        }
        whole.extend_from_slice(&piece);
    }
    Ok((whole.freeze(), share))
}

fn grow(app: &Arc<App>, share: Option<Share>, length: u64) -> Result<Share, ApiError> {
    let held = share.as_ref().map_or(0, |share| share.bytes);
    if held >= length
        && let Some(share) = share
    {
        return Ok(share);
    }
    drop(share);
    Share::take(app, length.next_power_of_two())
}

async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::invalid(format!("the body ended early: {error}")))?;
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// Reads a body that nobody wants, so that its sender reads the reply instead of failing to send.
pub(super) async fn drain(body: Body) {
    let _out_of_time = tokio::time::timeout(DRAIN_MAX, drain_all(body)).await;
}

async fn drain_all(mut body: Body) {
    let mut left = DRAINED_MAX;
    while let Ok(Ok(Some(piece))) = tokio::time::timeout(DRAIN_PAUSE, next_piece(&mut body)).await {
        left = left.saturating_sub(piece.len() as u64);
        if left == 0 {
            return;
        }
    }
}

fn too_large(found: u64, limit: u64) -> ApiError {
    ApiError::new(
        ErrorCode::PayloadTooLarge,
        format!("the body has {found} bytes or more; the limit is {limit}"),
    )
}
