//! What a client is made of.

use std::fmt;
use std::time::Duration;

/// Whom to speak to, with which key, and how long to wait.
#[derive(Clone)]
pub struct ClientOptions {
    /// Such as `http://127.0.0.1:7637`; a path in it stands before every route.
    pub api_url: String,
    /// `id:secret`, or a plain key.
    pub api_key: Option<String>,
    pub connect_timeout: Duration,
    /// Of a whole request, but for those that wait for a batch.
    pub timeout: Duration,
    /// Of a request that waits for a batch: the server answers when user code has made it.
    pub batch_timeout: Duration,
}

impl ClientOptions {
    pub fn new(api_url: impl Into<String>) -> Self {
        Self {
            api_url: api_url.into(),
            api_key: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            batch_timeout: Duration::from_secs(600),
        }
    }

    #[must_use]
    pub fn with_key(self, api_key: Option<String>) -> Self {
        Self { api_key, ..self }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_url, api_key, connect_timeout, timeout, batch_timeout } = self;
        f.debug_struct("ClientOptions")
            .field("api_url", api_url)
            .field("has_key", &api_key.is_some())
            .field("connect_timeout", connect_timeout)
            .field("timeout", timeout)
            .field("batch_timeout", batch_timeout)
            .finish()
    }
}
