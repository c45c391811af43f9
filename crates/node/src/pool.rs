//! Where long reads run: on blocking threads, a bounded number at a time, so that they never delay the async runtime.

use crate::error::NodeError;
use crate::options::CallContext;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Bytes that a read may touch and still run where it is called. That takes some 200 us of one thread; handing the work to
/// another thread and waking the caller afterwards costs about as much again, all of it lost.
const INLINE_BYTES_MAX: u64 = 8 << 20;

pub(crate) struct Pool {
    permits: Arc<Semaphore>,
    pub(crate) threads: usize,
}

/// Work that was started.
pub(crate) enum Running<T> {
    Done(T),
    OnThread(JoinHandle<T>),
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self { permits: Arc::new(Semaphore::new(threads)), threads }
    }

    /// The threads that nobody uses but for one, for a read of about `bytes` that can use several; they are free again
    /// when the permit is dropped.
    pub(crate) fn take_spare(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        (bytes > INLINE_BYTES_MAX).then(|| self.take_but_one(self.permits.available_permits())).flatten()
    }

    /// All permits but one, of so many as were free a moment ago. All of them first: else two reads at once could take
    /// the last one too, and each would wait for the other's while it holds its own.
    fn take_but_one(&self, free: usize) -> Option<OwnedSemaphorePermit> {
        let mut taken = Arc::clone(&self.permits).try_acquire_many_owned(free as u32).ok()?;
        drop(taken.split(1));
        (taken.num_permits() > 0).then_some(taken)
    }

    /// Runs `work`, which touches about `bytes`, in place or on a blocking thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        context: &CallContext,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        self.start(context, bytes, work).await?.wait(context).await
    }

    /// Starts `work` once a thread is free.
    pub(crate) async fn start<T: Send + 'static>(
        &self,
        context: &CallContext,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Running<T>, NodeError> {
        context.check()?;
        if bytes <= INLINE_BYTES_MAX {
            return Ok(Running::Done(work()));
        }
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout_at(context.deadline.into(), waiting)
            .await
            .map_err(|_| NodeError::Deadline("the search found no free thread; try again or ask for less"))?
            .map_err(|_| NodeError::Stopping)?;
        let run = move || {
            let result = work();
            drop(permit);
            result
        };
        Ok(Running::OnThread(tokio::task::spawn_blocking(run)))
    }
}

impl<T> Running<T> {
    /// Until the deadline; work that is not done by then runs to its end unheard, on its permit.
    pub(crate) async fn wait(self, context: &CallContext) -> Result<T, NodeError> {
        match self {
            Self::Done(result) => Ok(result),
            Self::OnThread(handle) => tokio::time::timeout_at(context.deadline.into(), handle)
                .await
                .map_err(|_| {
                    NodeError::Deadline("the read takes longer; allow it more time or ask for less")
                })?
                .map_err(|_| NodeError::Internal("a read panicked")),
        }
    }
}

#[cfg(test)]
mod tests;
