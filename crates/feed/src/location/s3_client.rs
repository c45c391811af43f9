//! Our HTTP client as `object_store` wants it: a failure keeps its status and cause on the way through that crate's
//! errors, and is found again below them.

use super::answer::{Hints, failure, innermost, readable_cause};
use super::error::LocationError;
use super::web::{Web, within};
use futures_util::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// Bytes of an error's body that are read to find its cause.
const CAUSE_BYTES_MAX: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) web: Web,
}

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Client {
    fn call<'client, 'call>(
        &'client self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'call>>
    where
        'client: 'call,
    {
        Box::pin(async move {
            let timeout = self.web.request_timeout;
            let response = match within(timeout, "", HttpService::call(self.web.client(), request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(Failure::NotSent { cause: innermost(&error) }.into()),
                Err(_) => return Err(Failure::Stalled { waited: timeout }.into()),
            };
            if response.status().is_success() {
                return Ok(response);
            }
            let (parts, body) = response.into_parts();
            let cause = cause(timeout, body).await;
            Err(Failure::Status { status: parts.status, headers: parts.headers, cause }.into())
        })
    }
}

/// What went wrong with a request, before it is known which file it was for.
#[derive(Debug)]
enum Failure {
    NotSent { cause: String },
    Stalled { waited: Duration },
    Status { status: StatusCode, headers: HeaderMap, cause: String },
}

impl Failure {
    fn to_error(&self, shown: &str, hints: Hints) -> LocationError {
        let file = shown.to_owned();
        match self {
            Self::NotSent { cause } => LocationError::Unreachable { file, cause: cause.clone() },
            Self::Stalled { waited } => LocationError::Stalled { file, waited: *waited },
            Self::Status { status, cause, .. } if cause.starts_with("NoSuchBucket") => {
                let hints = Hints { not_found: "; there is no such bucket", ..hints };
                failure(shown, *status, &HeaderMap::new(), cause, hints)
            }
            Self::Status { status, headers, cause } => {
                let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
                let cause = match region {
                    Some(region) if status.is_redirection() || *status == StatusCode::BAD_REQUEST => {
                        format!("{cause}; the bucket is in the region {region}: set AWS_REGION")
                    }
                    _ => cause.clone(),
                };
                failure(shown, *status, headers, &cause, hints)
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_error("request", Hints::default()))
    }
}

impl Error for Failure {}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        // `object_store` retries the first kind and not the second; all that it uploads may be sent twice.
        let kind = match failure.to_error("", Hints::default()).is_retryable() {
            true => HttpErrorKind::Request,
            false => HttpErrorKind::Unknown,
        };
        Self::new(kind, failure)
    }
}

/// The error of a request, found again below those that `object_store` put around it.
pub(super) fn error_of(error: &object_store::Error, shown: &str, hints: Hints) -> LocationError {
    let file = shown.to_owned();
    let mut current: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = current {
        if let Some(failure) = inner.downcast_ref::<Failure>() {
            return failure.to_error(shown, hints);
        }
        if let Some(http) = inner.downcast_ref::<HttpError>()
            && http.source().is_none_or(|source| !source.is::<Failure>())
        {
            return LocationError::Broken { file, got: 0, cause: innermost(http) };
        }
        current = inner.source();
    }
    match error {
        object_store::Error::NotFound { .. } => LocationError::NotFound { file, hint: hints.not_found },
        _ => LocationError::Refused {
            file,
            status: 200,
            cause: format!(" with something unusable: {}", innermost(error)),
        },
    }
}

/// Code and message of an error's body.
async fn cause(timeout: Duration, body: HttpResponseBody) -> String {
    let mut bytes = Vec::new();
    let mut stream = body.bytes_stream();
    while bytes.len() < CAUSE_BYTES_MAX
        && let Ok(Some(Ok(piece))) = within(timeout, "", stream.next()).await
    {
        bytes.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&bytes);
    match (element(&text, "Code"), element(&text, "Message")) {
        (Some(code), Some(message)) => format!("{code}, {message}").chars().take(300).collect(),
        (Some(code), None) => code.chars().take(100).collect(),
        _ => readable_cause(&bytes),
    }
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    after.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

#[cfg(test)]
mod tests;
