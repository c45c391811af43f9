//! The writing end of a connection: frames sealed in the order of the outbox, and written by one at a time.
//!
//! Whoever has something to send may move it. What the system does not take at once is left to the connection's own task,
//! which alone waits for it: so a small message costs no change of threads.

use crate::error::ConnectionError;
use crate::frame::Sealer;
use crate::outbox::Step;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

pub(crate) struct Pen<T> {
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    sealer: Sealer,
    /// Sealed frames, of which the first `written` bytes are out.
    bytes: Vec<u8>,
    written: usize,
    /// Of the messages that `bytes` completes.
    tickets: Vec<T>,
    last_write: Instant,
    failed: Option<ConnectionError>,
}

/// What moving a pen came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Some bytes are out.
    On,
    /// There was nothing to write.
    Idle,
}

impl<T> Pen<T> {
    pub(crate) fn new(writer: impl AsyncWrite + Send + 'static, sealer: Sealer) -> Self {
        Self {
            writer: Box::pin(writer),
            sealer,
            bytes: Vec::new(),
            written: 0,
            tickets: Vec::new(),
            last_write: Instant::now(),
            failed: None,
        }
    }

    /// Writes once. If nothing is left from before, frames are gathered first, until they have `bytes_max` bytes or `next`
    /// has no more.
    pub(crate) fn poll_move(
        &mut self,
        context: &mut Context<'_>,
        bytes_max: usize,
        next: impl FnMut() -> Option<Step<T>>,
    ) -> Poll<Result<Moved, ConnectionError>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if self.bytes.is_empty() {
            self.gather(bytes_max, next);
        }
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(Moved::Idle));
        }
        if self.written < self.bytes.len() {
            match ready!(self.writer.as_mut().poll_write(context, &self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(ConnectionError::Lost)),
                taken => self.written += taken,
            }
        }
        self.last_write = Instant::now();
        if self.written == self.bytes.len() {
            ready!(self.writer.as_mut().poll_flush(context))?;
            self.bytes.clear();
            self.written = 0;
            self.tickets.clear();
        }
        Poll::Ready(Ok(Moved::On))
    }

    /// Whether frames are sealed that are not out yet.
    pub(crate) const fn is_under_way(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Leaves an error to whoever moves the pen next.
    pub(crate) fn fail(&mut self, error: ConnectionError) {
        self.failed = Some(error);
    }

    /// When something was written last, or this began.
    pub(crate) const fn last_write(&self) -> Instant {
        self.last_write
    }

    /// Closes the writing side.
    pub(crate) async fn close(mut self) -> Result<(), ConnectionError> {
        Ok(self.writer.shutdown().await?)
    }

    fn gather(&mut self, bytes_max: usize, mut next: impl FnMut() -> Option<Step<T>>) {
        while self.bytes.len() < bytes_max
            && let Some(step) = next()
        {
            // Outside of the outbox's lock: hashing a frame takes longer than everything that is done in it.
            self.sealer.seal(step.header, &step.payload, &mut self.bytes);
            self.tickets.extend(step.done);
        }
    }
}
