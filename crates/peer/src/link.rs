//! The two halves of a connection after the handshake, for both sides: frames read, frames written, signs of life.
//!
//! Signs of life go one way: each side sends one when it has sent nothing else for a while, and ends the connection
//! when it has received nothing for longer. Nothing is asked and answered, so a side that does not read, because it
//! has no room, still shows that it lives; while it does not read it takes nobody for dead.

use crate::assembly::{Assembly, Event};
use crate::error::{ConnectionError, FrameError};
use crate::frame::{FRAME_PAYLOAD_BYTES_MAX, Frame, Header, Kind, Opener, Sealer};
use crate::handshake::{Initiator, Local, Responder, Session, Wanted};
use crate::options::Liveness;
use crate::outbox::{Cancelled, Outbox, Outgoing, Step};
use crate::pen::{Moved, Pen};
use bytes::BytesMut;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// Frames are gathered up to about this many bytes for one write.
const WRITE_BYTES: usize = 4 * FRAME_PAYLOAD_BYTES_MAX;
/// And up to this many by whoever sends a message: no work to be done in the place of a task.
const SEND_BYTES: usize = 16 << 10;

/// An outbox, and the pen that empties it.
pub(crate) struct Outlet<T> {
    state: Mutex<State<T>>,
    /// There while the connection is served, until its writing side is closed.
    pen: Mutex<Option<Pen<T>>>,
    /// There is something to do for the connection's task.
    wake: Notify,
    /// Deadlines in the outbox count from here.
    began: Instant,
}

struct State<T> {
    outbox: Outbox<T>,
    /// Once all was written, the writing side is closed.
    last: bool,
}

impl<T> Outlet<T> {
    pub(crate) fn new() -> Self {
        let state = Mutex::new(State { outbox: Outbox::new(), last: false });
        Self { state, pen: Mutex::new(None), wake: Notify::new(), began: Instant::now() }
    }

    /// Nothing in here panics halfway, so a poisoned lock guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pen(&self) -> MutexGuard<'_, Option<Pen<T>>> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message behind those that wait. It stays there until `send`.
    pub(crate) fn push(&self, message: Outgoing<T>) {
        self.lock().outbox.push(message);
    }

    /// Has what waits written: now, as far as the connection takes it at once and it is little, else by its task.
    pub(crate) fn send(&self) {
        if !self.write_at_once() {
            self.wake.notify_one();
        }
    }

    pub(crate) fn push_control(&self, header: Header) {
        self.lock().outbox.push_control(header);
        self.wake.notify_one();
    }

    pub(crate) fn cancel(&self, call: u64) -> Cancelled {
        let cancelled = self.lock().outbox.cancel(call);
        if cancelled == Cancelled::Unsent {
            self.wake.notify_one();
        }
        cancelled
    }

    /// Says goodbye behind all that waits, and closes the writing side.
    pub(crate) fn finish(&self) {
        self.lock().last = true;
        self.wake.notify_one();
    }

    /// `at` on the clock of deadlines.
    pub(crate) fn clock_ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    fn next(&self) -> Option<Step<T>> {
        let now_ms = self.clock_ms(Instant::now());
        self.lock().outbox.next(now_ms)
    }

    /// Writes what waits until the connection fails, or takes no byte for `write_max`. After `finish` it closes the
    /// writing side and never returns: what is left to do is the reader's.
    pub(crate) async fn write<W: AsyncWrite + Send + 'static>(
        &self,
        writer: W,
        sealer: Sealer,
        sign_every: Duration,
        write_max: Option<Duration>,
    ) -> ConnectionError {
        *self.pen() = Some(Pen::new(writer, sealer));
        // The stream is closed with this future, whoever keeps the outlet.
        let _lent = Lent(self);
        match self.write_until_finished(sign_every, write_max).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    }

    async fn write_until_finished(
        &self,
        sign_every: Duration,
        write_max: Option<Duration>,
    ) -> Result<(), ConnectionError> {
        let mut said_goodbye = false;
        loop {
            while self.move_pen(write_max).await? == Moved::On {}
            if said_goodbye {
                break;
            }
            if self.lock().last {
                said_goodbye = true;
                self.push_control(Header::new(Kind::Goodbye, 0));
            } else {
                self.wait(sign_every).await;
            }
        }
        let pen = self.pen().take();
        match pen {
            Some(pen) => pen.close().await,
            None => Ok(()),
        }
    }

    /// Writes once, as soon as the connection takes something; an error if that is not within `write_max`.
    async fn move_pen(&self, write_max: Option<Duration>) -> Result<Moved, ConnectionError> {
        let moving = poll_fn(|context| match &mut *self.pen() {
            Some(pen) => pen.poll_move(context, WRITE_BYTES, || self.next()),
            None => Poll::Ready(Ok(Moved::Idle)),
        });
        match write_max {
            Some(max) => timeout(max, moving).await.map_err(|_| silent(max))?,
            None => moving.await,
        }
    }

    /// Whether nothing is left to write. Never waits: not for the connection, and for nobody else who writes.
    fn write_at_once(&self) -> bool {
        let Ok(mut pen) = self.pen.try_lock() else { return false };
        let Some(pen) = pen.as_mut().filter(|pen| !pen.is_under_way()) else { return false };
        let mut context = Context::from_waker(Waker::noop());
        match pen.poll_move(&mut context, SEND_BYTES, || self.next()) {
            Poll::Ready(Ok(_)) => !pen.is_under_way() && self.lock().outbox.is_empty(),
            Poll::Ready(Err(error)) => {
                pen.fail(error);
                false
            }
            // Nobody is woken by that; the task asks again.
            Poll::Pending => false,
        }
    }

    /// Until there is something to write; a sign of life, once nobody has written for `sign_every`.
    async fn wait(&self, sign_every: Duration) {
        let due = || self.pen().as_ref().map_or_else(Instant::now, Pen::last_write) + sign_every;
        if timeout_at(due(), self.wake.notified()).await.is_err() && due() <= Instant::now() {
            self.push_control(Header::new(Kind::Alive, 0));
        }
    }
}

/// An outlet that has a pen.
struct Lent<'a, T>(&'a Outlet<T>);

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        drop(self.0.pen().take());
    }
}

fn silent(after: Duration) -> ConnectionError {
    ConnectionError::Silent { silent_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX) }
}

async fn write_all<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// The reading half.
pub(crate) struct Inlet<R> {
    reader: R,
    opener: Opener,
    bytes: BytesMut,
    assembly: Assembly,
    dead_after: Duration,
}

impl<R: AsyncRead + Unpin> Inlet<R> {
    pub(crate) fn new(reader: R, opener: Opener, liveness: Liveness) -> Self {
        let (bytes, assembly) = (BytesMut::new(), Assembly::default());
        Self { reader, opener, bytes, assembly, dead_after: liveness.dead_after }
    }

    /// The next frame; none at the end, if no frame or message is cut there. Nothing is lost when it is cancelled.
    pub(crate) async fn frame(&mut self) -> Result<Option<Frame>, ConnectionError> {
        loop {
            if let Some(frame) = self.opener.open(&mut self.bytes)? {
                return Ok(Some(frame));
            }
            self.bytes.reserve(FRAME_PAYLOAD_BYTES_MAX);
            let read = timeout(self.dead_after, self.reader.read_buf(&mut self.bytes)).await;
            match read.map_err(|_| silent(self.dead_after))?? {
                0 if self.bytes.is_empty() && !self.assembly.is_partial() => return Ok(None),
                0 => return Err(FrameError::Truncated.into()),
                _ => {}
            }
        }
    }

    pub(crate) fn push(&mut self, frame: Frame) -> Result<Option<Event>, FrameError> {
        self.assembly.push(frame)
    }
}

/// The initiator's half of the handshake.
pub(crate) async fn initiate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    local: Local,
    wanted: Wanted,
) -> Result<Session, ConnectionError> {
    let initiator = Initiator::new(local, wanted);
    write_all(stream, initiator.hello()).await?;
    let awaits = initiator.challenged(&read_array(stream).await?)?;
    write_all(stream, awaits.proof()).await?;
    Ok(awaits.judged(&read_array(stream).await?)?)
}

/// The responder's half of the handshake. Whoever is refused is told why, as far as it may know.
pub(crate) async fn respond<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    local: Local,
) -> Result<Session, ConnectionError> {
    let responder = match Responder::new(local, &read_array(stream).await?) {
        Ok(responder) => responder,
        Err(refused) => return refuse(stream, refused.reply, refused.error.into()).await,
    };
    write_all(stream, responder.challenge()).await?;
    match responder.proved(&read_array(stream).await?) {
        Ok((session, verdict)) => {
            write_all(stream, &verdict).await?;
            Ok(session)
        }
        Err(refused) => refuse(stream, refused.reply, refused.error.into()).await,
    }
}

async fn refuse<S: AsyncWrite + Unpin, const N: usize>(
    stream: &mut S,
    reply: Option<Box<[u8; N]>>,
    error: ConnectionError,
) -> Result<Session, ConnectionError> {
    if let Some(reply) = reply {
        // The refusal stands whether or not the other side hears of it.
        let _ = write_all(stream, &*reply).await;
        let _ = stream.shutdown().await;
    }
    Err(error)
}

async fn read_array<S: AsyncRead + Unpin, const N: usize>(
    stream: &mut S,
) -> Result<[u8; N], ConnectionError> {
    let mut bytes = [0; N];
    match stream.read_exact(&mut bytes).await {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(ConnectionError::Lost),
        Err(error) => Err(error.into()),
    }
}

/// A nonce for one handshake.
pub(crate) fn nonce() -> Result<crate::handshake::Nonce, ConnectionError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    Ok(nonce)
}

#[cfg(test)]
mod tests;
