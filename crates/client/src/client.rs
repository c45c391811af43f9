//! The client itself: its address, its key and its connections.

use crate::error::ClientError;
use crate::options::ClientOptions;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use std::time::Duration;

/// A client of one server. A copy shares its connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) timeout: Duration,
    pub(crate) batch_timeout: Duration,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let base = address(&options.api_url)?;
        // Whoever was first in this process has chosen; both choices are as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http =
            reqwest::Client::builder().connect_timeout(options.connect_timeout).redirect(Policy::none());
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        if base.scheme() == "http" {
            // Nothing is verified, and a machine without root certificates can speak to a node.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| ClientError::Tls { reason: causes(&error) })?;
        let authorization = options.api_key.as_deref().map(authorization).transpose()?;
        let (timeout, batch_timeout) = (options.timeout, options.batch_timeout);
        Ok(Self { http, base, authorization, timeout, batch_timeout })
    }
}

fn address(text: &str) -> Result<Url, ClientError> {
    let wrong = |reason: String| ClientError::Address { url: text.to_owned(), reason };
    let url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it does not begin with http:// or https:// and a host".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment".to_owned()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

/// A key with an id goes as Basic, which the published server wants; a plain one as Bearer.
fn authorization(key: &str) -> Result<HeaderValue, ClientError> {
    let text = match key.contains(':') {
        true => format!("Basic {}", STANDARD.encode(key)),
        false => format!("Bearer {key}"),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| ClientError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
