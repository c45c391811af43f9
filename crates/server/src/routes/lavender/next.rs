//! Batches: the next one of a rank, at once or by a key to fetch it with.

use super::{Done, NOT_INITIALIZED, id, json, missing, not_found};
use crate::client::sample;
use crate::http::{ApiError, Call};
use crate::routes::{Form, Input, Output, optional, required, routes};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use lavandin_node::{Batch, BatchFailure, BatchFormat, Delivery, NextOptions, NextOutcome};
use lavandin_types::{ErrorCode, IterationId};
use lavandin_wire::lavender::header::{CURRENT, CURSOR, ERROR, SAMPLE_PROCESSING_ERROR, STEP};
use lavandin_wire::lavender::{self as wire, phrase};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// Most batches in one reply.
const BATCHES_MAX: u32 = 1024;

const NEXT: &[crate::routes::Value] = &[
    optional("rank", Form::Integer, "0 by default"),
    optional("no_cache", Form::Boolean, "Run user code even if its result for these samples is kept"),
    optional("max_retry_count", Form::Integer, "How often user code is tried again; 0 by default"),
    optional("batches", Form::Integer, "Most batches in the reply, of Arrow streams; 1 by default"),
    optional(
        "step",
        Form::Integer,
        "Of mode static: which step's batch, again if the rank got it; else the next one",
    ),
];
const BATCH: &str = "A batch (docs/formats/lavender-batch.md), or an Arrow IPC stream for Accept: \
                     application/vnd.apache.arrow.stream; 400 \"No more indices to pop\" at the end";

routes! { "iterations":
    Get "/iterations/{iteration_id}/next" Read next, "The rank's next batch", Input::Query(NEXT, None)
        => Output::Octets(BATCH);
    Post "/iterations/{iteration_id}/next" Read submit, "The rank's next batch, to be fetched by a key",
        Input::Query(NEXT, None) => Output::Json(&[required("cache_key", Form::Text, "For the next endpoint")]);
    Get "/iterations/{iteration_id}/next/{cache_key}" Read fetch, "A batch that was asked for before", Input::Nothing
        => Output::Octets(BATCH);
    Get "/iterations/{iteration_id}/next-preview" Read preview, "The next batch of rank 0 as JSON, for people",
        Input::Nothing => Output::Json(&[]);
}

/// What the query asks for.
fn options(call: &Call, format: BatchFormat) -> Result<(IterationId, u32, NextOptions), ApiError> {
    let iteration = id::<IterationId>(call, 2, NOT_INITIALIZED)?;
    let query = wire::NextQuery::parse(call.query())?;
    if query.seq.is_some() {
        let text = "this client speaks a dialect that was never published (seq): use lavender-data 0.1.10";
        return Err(ApiError::invalid(text));
    }
    let retries = u32::try_from(query.max_retry_count)
        .map_err(|_| ApiError::invalid("max_retry_count must be >= 0"))?;
    let rank = u32::try_from(query.rank)
        .map_err(|_| ApiError::invalid(format!("Replication pg not found for rank {}", query.rank)))?;
    let batches = query.batches.unwrap_or(1);
    if batches == 0 || batches > BATCHES_MAX {
        return Err(ApiError::invalid(format!("batches is {batches}; expected 1 to {BATCHES_MAX}")));
    }
    if batches > 1 && format != BatchFormat::Arrow {
        return Err(ApiError::invalid(format!("batches needs the header Accept: {ARROW_STREAM}")));
    }
    if batches > 1 && query.step.is_some() {
        return Err(ApiError::invalid("step asks for one batch; leave batches or step out"));
    }
    let (no_cache, step) = (query.no_cache, query.step);
    Ok((iteration, rank, NextOptions { format, retries, no_cache, batches, step }))
}

fn format(call: &Call) -> BatchFormat {
    let accept = call.parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match accept.is_some_and(|accept| accept.contains(ARROW_STREAM)) {
        true => BatchFormat::Arrow,
        false => BatchFormat::Lavender,
    }
}

async fn next(call: Call) -> Done {
    let format = format(&call);
    let (iteration, rank, options) = options(&call, format)?;
    let next = call.app.node.next_batch(&call.context()?, iteration, rank, options).await;
    match next.map_err(|error| missing(error, NOT_INITIALIZED))? {
        NextOutcome::Batch(batch) => Ok(batch_reply(batch, format)),
        NextOutcome::Failed(failure) => Err(failed(failure)),
        NextOutcome::End => Err(ApiError::invalid(phrase::NO_MORE_INDICES)),
    }
}

async fn submit(call: Call) -> Done {
    let (iteration, rank, options) = options(&call, BatchFormat::Lavender)?;
    let key = call.app.node.submit_batch(&call.context()?, iteration, rank, options).await;
    match key.map_err(|error| missing(error, NOT_INITIALIZED))? {
        Some(cache_key) => json(wire::CacheKey { cache_key }.to_json()),
        None => Err(ApiError::invalid(phrase::NO_MORE_INDICES)),
    }
}

async fn fetch(call: Call) -> Done {
    id::<IterationId>(&call, 2, NOT_INITIALIZED)?;
    match call.app.node.submitted_batch(&call.part(4)?) {
        Some(NextOutcome::Batch(batch)) => Ok(batch_reply(batch, BatchFormat::Lavender)),
        Some(NextOutcome::Failed(failure)) => Err(failed(failure)),
        Some(NextOutcome::End) | None => Err(not_found(phrase::CACHE_KEY_NOT_FOUND)),
    }
}

async fn preview(call: Call) -> Done {
    let (iteration, rank, options) = options(&call, BatchFormat::Lavender)?;
    let next = call.app.node.next_batch(&call.context()?, iteration, rank, options).await;
    match next.map_err(|error| missing(error, NOT_INITIALIZED))? {
        NextOutcome::Batch(mut batch) => {
            let bytes = batch.segments.concat();
            batch.delivery.done();
            let shown = sample::to_json(&bytes).map_err(|error| {
                ApiError::new(ErrorCode::Internal, format!("the batch cannot be shown: {error}"))
            });
            json(shown?)
        }
        NextOutcome::Failed(failure) => Err(failed(failure)),
        NextOutcome::End => Err(ApiError::invalid(phrase::NO_MORE_INDICES)),
    }
}

fn failed(failure: BatchFailure) -> ApiError {
    let error = ApiError { is_of_samples: true, ..ApiError::new(ErrorCode::Internal, failure.message) };
    error
        .with_status(StatusCode::INTERNAL_SERVER_ERROR)
        .with_header(ERROR, SAMPLE_PROCESSING_ERROR)
        .with_header(CURRENT, failure.current)
}

fn batch_reply(batch: Batch, format: BatchFormat) -> Response<Body> {
    let current = HeaderValue::from(batch.current);
    let step = batch.step.map(HeaderValue::from);
    let cursor = batch.cursor.and_then(|cursor| HeaderValue::try_from(cursor.to_string()).ok());
    let mut response = Response::new(Body::new(BatchBody::new(batch).boxed_unsync()));
    let content_type = match format {
        BatchFormat::Lavender => "application/octet-stream",
        BatchFormat::Arrow => ARROW_STREAM,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(HeaderName::from_static(CURRENT), current);
    for (name, value) in [(STEP, step), (CURSOR, cursor)] {
        headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
    }
    response
}

/// Sends a batch's segments as they are. When the last one was taken the batch counts as delivered; dropped before, it
/// goes back.
struct BatchBody {
    segments: VecDeque<Bytes>,
    left: u64,
    delivery: Delivery,
}

impl BatchBody {
    fn new(batch: Batch) -> Self {
        let segments: VecDeque<_> =
            batch.segments.into_iter().filter(|segment| !segment.is_empty()).collect();
        let left = segments.iter().map(|segment| segment.len() as u64).sum();
        Self { segments, left, delivery: batch.delivery }
    }
}

impl hyper::body::Body for BatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.segments.pop_front();
        if self.segments.is_empty() {
            self.delivery.done();
        }
        Poll::Ready(next.map(|segment| {
            self.left -= segment.len() as u64;
            Ok(Frame::data(segment))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.segments.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
