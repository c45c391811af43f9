//! The API of the dataset wing, as the published Lavender Data client speaks it; see docs/http-api.md.

mod cluster;
mod convert;
mod datasets;
mod iterations;
mod next;
mod shardsets;
mod tasks;

pub(crate) use cluster::Signatures;

use crate::http::{ApiError, Call, with_type};
use crate::routes::Route;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use lavandin_node::NodeError;
use lavandin_types::ErrorCode;
use lavandin_wire::lavender::{self, Invalid};
use serde_json::Value as Json;
use std::str::FromStr;

pub(super) const ROUTES: [&[Route]; 6] =
    [datasets::ROUTES, shardsets::ROUTES, iterations::ROUTES, next::ROUTES, tasks::ROUTES, cluster::ROUTES];

type Done = Result<Response<Body>, ApiError>;

/// A success with a JSON body.
fn json(bytes: Vec<u8>) -> Done {
    Ok(with_type(bytes, "application/json"))
}

fn null() -> Done {
    json(b"null".to_vec())
}

/// Reads a body.
async fn body<T: lavender::Body>(call: &mut Call) -> Result<T, ApiError> {
    let bytes = call.json_bytes().await?;
    Ok(lavender::parse(&bytes)?)
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let detail = serde_json::to_value(&invalid.faults).unwrap_or(Json::Null).to_string();
        let error = Self::invalid("the request is not valid");
        let status = StatusCode::from_u16(Invalid::STATUS).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Self { detail: Some(detail), ..error }.with_status(status)
    }
}

/// An id in the path; a text that is none names nothing.
fn id<T: FromStr>(call: &Call, place: usize, missing: &'static str) -> Result<T, ApiError> {
    call.part(place)?.parse().map_err(|_| not_found(missing))
}

fn not_found(text: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, text)
}

/// The published texts of what the catalogue does not have.
fn missing(error: NodeError, text: &'static str) -> ApiError {
    match &error {
        // A file that is not found is another matter.
        NodeError::Location(_) => error.into(),
        _ if error.code() == ErrorCode::NotFound => not_found(text),
        _ => error.into(),
    }
}

const NO_DATASET: &str = "Dataset not found";
const NO_SHARDSET: &str = "Shardset not found";
const NO_COLUMN: &str = "Column not found";
const NO_ITERATION: &str = "Iteration not found";
const NOT_INITIALIZED: &str = "Iteration not initialized";
