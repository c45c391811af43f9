//! Sending one request and reading its answer.

use crate::client::{Client, causes};
use crate::error::ClientError;
use lavandin_wire::lavender::{Detail, Invalid, header, phrase};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Bytes of an answer's body.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Characters of an error's text where it is not the API's own.
const FOREIGN_TEXT_MAX: usize = 300;

/// One request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
}

impl<'a> Call<'a> {
    /// The path is given in parts, of which each may hold any characters.
    pub(crate) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, timeout: None }
    }

    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &'a [&'a str]) -> Self {
        Self::new(Method::POST, path)
    }

    #[must_use]
    pub(crate) fn with_query(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    #[must_use]
    pub(crate) fn with_body(mut self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("requests have only text as keys and write to memory");
        self.body = Some(body);
        self
    }

    #[must_use]
    pub(crate) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// A success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

impl Client {
    /// Sends a request and reads the JSON of its reply.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ClientError> {
        let url = self.url(&call);
        let answer = self.send(call).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| ClientError::Reply { url: url.to_string(), reason: error.to_string() })
    }

    /// Sends a request; anything but a success is an error.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        let url = self.url(&call);
        let timeout = call.timeout.unwrap_or(self.timeout);
        let mut request = self.http.request(call.method, url.clone()).timeout(timeout);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let failed = |error: reqwest::Error| failure(&url, timeout, &error);
        let response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response, &url, timeout).await?;
        let answer = Answer { status: status.as_u16(), headers, body };
        if status.is_success() { Ok(answer) } else { Err(refusal(answer)) }
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // An address has a host, and so a path.
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }
}

async fn read_body(mut response: Response, url: &Url, timeout: Duration) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failure(url, timeout, &error))? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            let reason = format!("it is longer than {ANSWER_BYTES_MAX} bytes");
            return Err(ClientError::Reply { url: url.to_string(), reason });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn failure(url: &Url, after: Duration, error: &reqwest::Error) -> ClientError {
    let (url, reason) = (url.to_string(), causes(error));
    if error.is_connect() {
        ClientError::Connect { url, reason }
    } else if error.is_timeout() {
        ClientError::Timeout { url, after }
    } else {
        ClientError::Broken { url, reason }
    }
}

/// What an answer that is no success says.
fn refusal(answer: Answer) -> ClientError {
    if let Ok(invalid) = serde_json::from_slice::<Invalid>(&answer.body) {
        return ClientError::Invalid(invalid);
    }
    let detail = match serde_json::from_slice::<Detail>(&answer.body) {
        Ok(reply) => reply.detail,
        Err(_) => foreign_text(&answer),
    };
    let error = answer.headers.get(header::ERROR);
    if error.is_some_and(|value| value == header::SAMPLE_PROCESSING_ERROR) {
        return ClientError::SampleFailed { current: answer.number(header::CURRENT), detail };
    }
    if answer.status == 400 && detail.contains(phrase::NO_MORE_INDICES) {
        return ClientError::End { detail };
    }
    ClientError::Refused { status: answer.status, detail }
}

/// The text of an error in another form than the API's: a proxy's page, or a part of the server besides the API.
fn foreign_text(answer: &Answer) -> String {
    #[derive(serde::Deserialize)]
    struct OtherError {
        error: String,
    }
    if let Ok(other) = serde_json::from_slice::<OtherError>(&answer.body) {
        return other.error;
    }
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.trim().chars().take(FOREIGN_TEXT_MAX).collect();
    format!("status {}: {text}", answer.status)
}
