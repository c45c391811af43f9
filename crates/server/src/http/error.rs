//! What a handler's failure looks like to the client.

use crate::http::Dialect;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
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
    /// The dataset dialect's `detail` where it is no text, as JSON.
    pub(crate) detail: Option<String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it is the data's or user code's fault, and not this program's.
    pub(crate) is_of_samples: bool,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            status: None,
            position: None,
            expected: None,
            detail: None,
            headers: Vec::new(),
            is_of_samples: false,
        }
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

    /// With one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        // A value that no header can carry is left out.
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    pub(crate) fn into_response(self, request_id: &HeaderValue, dialect: Dialect) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body(request_id, dialect)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.code {
            ErrorCode::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, dialect.challenge());
            }
            ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::Partial => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        headers.extend(self.headers);
        response
    }

    fn body(&self, request_id: &HeaderValue, dialect: Dialect) -> Vec<u8> {
        let request_id = request_id.to_str().unwrap_or_default();
        if dialect == Dialect::Datasets {
            let text = || serde_json::Value::from(self.message.as_str()).to_string();
            let detail = self.detail.clone().unwrap_or_else(text);
            let code = self.code;
            return format!("{{\"detail\":{detail},\"code\":\"{code}\",\"request_id\":{request_id:?}}}")
                .into_bytes();
        }
        let body = ErrorBody {
            message: &self.message,
            code: self.code,
            request_id,
            position: self.position,
            expected: self.expected.as_deref(),
        };
        body.to_json()
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
        Self { position, expected, ..Self::new(error.code(), message) }
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
