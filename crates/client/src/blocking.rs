//! The client for callers without an async runtime.

use crate::client::Client;
use crate::error::ClientError;
use crate::options::ClientOptions;
use tokio::runtime::{Builder, Runtime};

/// A client with a runtime of its own, on the caller's thread. Not for use inside of another runtime.
#[derive(Debug)]
pub struct Blocking {
    runtime: Runtime,
    client: Client,
}

impl Blocking {
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ClientError::Start { reason: error.to_string() })?;
        Ok(Self { runtime, client: Client::new(options)? })
    }

    /// Runs one or several requests to their end: `blocking.run(async |client| client.version().await)`.
    pub fn run<T>(&self, requests: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(requests(&self.client))
    }
}
