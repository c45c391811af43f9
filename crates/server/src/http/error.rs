//! What a handler's failure looks like to the client.

use crate::auth::CHALLENGE;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use lavandin_node::NodeError;
use lavandin_types::ErrorCode;
use lavandin_wire::binary::IdNotAnInteger;
use lavandin_wire::{ErrorBody, WireError};

/// A failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Where it is not the code's own.
    pub(crate) status: Option<StatusCode>,
    /// Byte position in a filter, and what was expected there.
    pub(crate) position: Option<usize>,
    pub(crate) expected: Option<String>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None, position: None, expected: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn not_implemented(feature: &str) -> Self {
        Self::new(ErrorCode::NotImplemented, format!("{feature}: not implemented yet in this version"))
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        let own = StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.status.unwrap_or(own)
    }

    pub(crate) fn into_response(self, request_id: &HeaderValue) -> Response<Body> {
        let body = ErrorBody {
            message: &self.message,
            code: self.code,
            request_id: request_id.to_str().unwrap_or_default(),
            position: self.position,
            expected: self.expected.as_deref(),
        };
        let mut response = Response::new(Body::from(body.to_json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.code {
            ErrorCode::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            }
            ErrorCode::Overloaded | ErrorCode::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        let (message, position) = (error.to_string(), error.filter_position());
        // A filter's error ends in what would have fitted.
        let expected = position.and_then(|_| Some(message.rsplit_once(", expected ")?.1.to_owned()));
        Self { code: error.code(), message, status: None, position, expected }
    }
}

impl From<IdNotAnInteger> for ApiError {
    fn from(error: IdNotAnInteger) -> Self {
        let message = format!(
            "a hit has the string id {}, which this endpoint cannot carry: open the collection again \
             (get_collection) or use /search",
            error.id
        );
        Self::invalid(message).with_status(StatusCode::CONFLICT)
    }
}
