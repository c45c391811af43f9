//! One HTTP client for all stores: requests that follow redirects, wait for a bounded time and fail with a
//! [`LocationError`]. It never retries; its callers do.
//!
//! Redirects are followed by hand, for three reasons: a token stays with the host it was made for, a step from https
//! down to http is refused, and the headers of the redirecting answer are seen (`hf://` needs them).

use super::answer::{
    Hints, content_length, content_range, failure, innermost, linked_version, readable_cause,
    redirect_target, refused, tag,
};
use super::error::LocationError;
use super::options::StoreOptions;
use super::remote::Opened;
use super::version::Version;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, HeaderMap, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect};
use std::time::Duration;

const REDIRECTS_MAX: usize = 8;
/// Bytes of an error's body that are read to find its cause.
const CAUSE_BYTES_MAX: usize = 4096;

/// The client that all stores share.
#[derive(Clone, Debug)]
pub(super) struct Web {
    client: Client,
    pub(super) request_timeout: Duration,
    /// Why https cannot work on this machine.
    tls_missing: Option<String>,
}

/// A request for one file.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) url: &'a Url,
    /// The location as errors name it.
    pub(super) file: &'a str,
    /// Sent to the host of `url` only.
    pub(super) token: Option<&'a str>,
    pub(super) hints: Hints,
}

/// A successful answer whose body has not been read.
pub(super) struct Answer {
    pub(super) response: Response,
    /// What the first redirecting host said about the file, see `hf_store`.
    linked: Version,
}

impl Web {
    pub(super) fn new(options: &StoreOptions) -> Result<Self, LocationError> {
        // Another part of the process may have installed a provider: either does.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |error: reqwest::Error| LocationError::Setting {
            setting: "HTTP client",
            what: innermost(&error),
        };
        let (client, tls_missing) = match client_builder(options).build() {
            Ok(client) => (client, None),
            // A machine without root certificates can still use plain http.
            Err(error) => (
                client_builder(options).tls_certs_only([]).build().map_err(unusable)?,
                Some(innermost(&error)),
            ),
        };
        Ok(Self { client, request_timeout: options.request_timeout, tls_missing })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The body from `offset` on, or from the start where the server does not do ranges.
    pub(super) async fn open(&self, request: Request<'_>, offset: u64) -> Result<Opened, LocationError> {
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let answer = self.send(Method::GET, request, range.as_deref()).await?;
        let headers = answer.response.headers();
        let (offset, size) = match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => content_range(headers).ok_or_else(|| {
                refused(request.file, StatusCode::PARTIAL_CONTENT, "an unreadable content-range")
            })?,
            _ => (0, content_length(headers)),
        };
        let is_strong = headers.get(ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"));
        let version = answer.linked.or(&Version { size, tag: tag(headers) });
        let file = request.file.to_owned();
        let body = answer.response.bytes_stream();
        let body = body.map(move |piece| {
            let broken = |error: reqwest::Error| LocationError::Broken {
                file: file.clone(),
                got: 0,
                cause: innermost(&error),
            };
            piece.map_err(broken)
        });
        Ok(Opened { version, offset, is_resumable: is_strong, body: body.boxed() })
    }

    /// What is known about a file without reading it; `None` where the server does not say.
    pub(super) async fn version(&self, request: Request<'_>) -> Result<Option<Version>, LocationError> {
        match self.send(Method::HEAD, request, None).await {
            Ok(answer) => {
                let headers = answer.response.headers();
                // Not `Response::content_length`: that is the body's, which a HEAD has none of.
                let size = content_length(headers);
                Ok(Some(answer.linked.or(&Version { size, tag: tag(headers) })))
            }
            // Servers that do not do HEAD say so in many ways; one that denies reading too will say that again.
            Err(LocationError::Refused { .. } | LocationError::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A whole body of at most `bytes_max` bytes, and the headers.
    pub(super) async fn read(
        &self,
        request: Request<'_>,
        bytes_max: usize,
    ) -> Result<(Bytes, HeaderMap), LocationError> {
        let mut answer = self.send(Method::GET, request, None).await?;
        let headers = std::mem::take(answer.response.headers_mut());
        let mut body = BytesMut::new();
        let mut stream = answer.response.bytes_stream();
        while let Some(piece) = self.next(request.file, body.len() as u64, &mut stream).await? {
            if body.len() + piece.len() > bytes_max {
                let what = format!("it is longer than {bytes_max} bytes");
                return Err(LocationError::BadListing { directory: request.file.to_owned(), what });
            }
            body.extend_from_slice(&piece);
        }
        Ok((body.freeze(), headers))
    }

    async fn next(
        &self,
        file: &str,
        got: u64,
        stream: &mut (impl Stream<Item = reqwest::Result<Bytes>> + Unpin),
    ) -> Result<Option<Bytes>, LocationError> {
        let next = within(self.request_timeout, file, stream.next()).await?;
        let broken = |error: reqwest::Error| LocationError::Broken {
            file: file.to_owned(),
            got,
            cause: innermost(&error),
        };
        next.transpose().map_err(broken)
    }

    /// Sends, follows redirects, and makes an error of any status but success.
    async fn send(
        &self,
        method: Method,
        request: Request<'_>,
        range: Option<&str>,
    ) -> Result<Answer, LocationError> {
        let mut url = request.url.clone();
        let mut linked = Version::default();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send_once(&method, &url, request, range).await?;
            let status = response.status();
            linked = linked.or(&linked_version(response.headers()));
            if method == Method::HEAD && linked.size.is_some() && linked.tag.is_some() {
                // All is known, and where the file is kept a HEAD may be refused.
                return Ok(Answer { response, linked });
            }
            match redirect_target(&response) {
                Some(target) => url = self.next_url(&url, target, request.file)?,
                None if status.is_success() => return Ok(Answer { response, linked }),
                None => return Err(self.failure(request, response).await),
            }
        }
        Err(refused(request.file, StatusCode::FOUND, "one redirect too many"))
    }

    async fn send_once(
        &self,
        method: &Method,
        url: &Url,
        request: Request<'_>,
        range: Option<&str>,
    ) -> Result<Response, LocationError> {
        // Bytes as they are stored: sizes and tags belong to those.
        let mut builder =
            self.client.request(method.clone(), url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            builder = builder.header(RANGE, range);
        }
        if let Some(token) = request.token.filter(|_| url.origin() == request.url.origin()) {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let sent = within(self.request_timeout, request.file, builder.send()).await?;
        sent.map_err(|error| self.not_sent(request.file, url, &error))
    }

    fn next_url(&self, from: &Url, target: &str, file: &str) -> Result<Url, LocationError> {
        let refused = |what: &str| refused(file, StatusCode::FOUND, what);
        let url = from.join(target).map_err(|_| refused("a redirect to something that is not a URL"))?;
        match (from.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => Ok(url),
            _ => Err(refused("a redirect from https to a location that is not")),
        }
    }

    fn not_sent(&self, file: &str, url: &Url, error: &reqwest::Error) -> LocationError {
        let file = file.to_owned();
        match (&self.tls_missing, url.scheme()) {
            (Some(cause), "https") => LocationError::Setting {
                setting: "root certificates",
                what: format!(
                    "https needs them, and this machine has none ({cause}); install its package ca-certificates"
                ),
            },
            _ if error.is_builder() => LocationError::Malformed { text: file, what: innermost(error) },
            _ => LocationError::Unreachable { file, cause: innermost(error) },
        }
    }

    async fn failure(&self, request: Request<'_>, response: Response) -> LocationError {
        let (status, headers) = (response.status(), response.headers().clone());
        let cause = self.cause(request.file, response).await;
        failure(request.file, status, &headers, &cause, request.hints)
    }

    /// The beginning of an error's body, if it is text for people.
    async fn cause(&self, file: &str, response: Response) -> String {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while body.len() < CAUSE_BYTES_MAX
            && let Ok(Some(piece)) = self.next(file, 0, &mut stream).await
        {
            body.extend_from_slice(&piece);
        }
        readable_cause(&body)
    }
}

fn client_builder(options: &StoreOptions) -> reqwest::ClientBuilder {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(options.request_timeout)
        .user_agent(concat!("lavandin/", env!("CARGO_PKG_VERSION")));
    match options.environment_proxies {
        true => builder,
        false => builder.no_proxy(),
    }
}

/// Waits for `future` for at most `timeout`.
pub(super) async fn within<T>(
    timeout: Duration,
    file: &str,
    future: impl Future<Output = T>,
) -> Result<T, LocationError> {
    let stalled = |_| LocationError::Stalled { file: file.to_owned(), waited: timeout };
    tokio::time::timeout(timeout, future).await.map_err(stalled)
}

#[cfg(test)]
mod tests;
