//! The runtime of everything that must not wait for clients' work.

use crate::error::NodeError;
use std::future::Future;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// Threads: what is done here is short, but for the hashing of what comes in and goes out.
const THREADS: usize = 2;

pub(crate) struct Runtime {
    runtime: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    pub(crate) fn start() -> Result<Self, NodeError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("lavandin-peers")
            .enable_all()
            .build()
            .map_err(|_| NodeError::Internal("the system starts no more threads"))?;
        Ok(Self { runtime: Some(runtime) })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.runtime.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.handle().spawn(work)
    }
}

impl Drop for Runtime {
    /// May happen on another runtime, where waiting is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
