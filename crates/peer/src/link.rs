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
use bytes::BytesMut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Frames are gathered up to about this many bytes for one write.
const WRITE_BYTES: usize = 4 * FRAME_PAYLOAD_BYTES_MAX;

/// An outbox that a writer empties.
pub(crate) struct Outlet<T> {
    state: Mutex<State<T>>,
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
        Self { state, wake: Notify::new(), began: Instant::now() }
    }

    /// Nothing in here panics halfway, so a poisoned lock guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, message: Outgoing<T>) {
        self.lock().outbox.push(message);
        self.wake.notify_one();
    }

    pub(crate) fn push_control(&self, header: Header) {
        self.lock().outbox.push_control(header);
        self.wake.notify_one();
    }

    pub(crate) fn cancel(&self, call: u64) -> Cancelled {
        let cancelled = self.lock().outbox.cancel(call);
        self.wake.notify_one();
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
    pub(crate) async fn write<W: AsyncWrite + Unpin>(
        &self,
        writer: W,
        sealer: Sealer,
        sign_every: Duration,
        write_max: Option<Duration>,
    ) -> ConnectionError {
        match self.write_until_finished(writer, sealer, sign_every, write_max).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    }

    async fn write_until_finished<W: AsyncWrite + Unpin>(
        &self,
        mut writer: W,
        mut sealer: Sealer,
        sign_every: Duration,
        write_max: Option<Duration>,
    ) -> Result<(), ConnectionError> {
        let mut bytes = Vec::with_capacity(WRITE_BYTES);
        loop {
            let tickets = self.gather(&mut sealer, &mut bytes);
            if bytes.is_empty() {
                if self.lock().last {
                    break;
                }
                if timeout(sign_every, self.wake.notified()).await.is_err() {
                    self.push_control(Header::new(Kind::Alive, 0));
                }
                continue;
            }
            write_moving(&mut writer, &bytes, write_max).await?;
            drop(tickets);
        }
        sealer.seal(Header::new(Kind::Goodbye, 0), &[], &mut bytes);
        write_moving(&mut writer, &bytes, write_max).await?;
        Ok(writer.shutdown().await?)
    }

    /// Fills `bytes` with the next frames, and returns the tickets of the messages that they complete.
    fn gather(&self, sealer: &mut Sealer, bytes: &mut Vec<u8>) -> Vec<T> {
        bytes.clear();
        let mut tickets = Vec::new();
        while bytes.len() < WRITE_BYTES
            && let Some(step) = self.next()
        {
            // Outside the lock: hashing a frame takes longer than everything that is done in it.
            sealer.seal(step.header, &step.payload, bytes);
            tickets.extend(step.done);
        }
        tickets
    }
}

/// Writes all of `bytes`; an error if not one more is taken within `write_max`.
async fn write_moving<W: AsyncWrite + Unpin>(
    writer: &mut W,
    bytes: &[u8],
    write_max: Option<Duration>,
) -> Result<(), ConnectionError> {
    let mut written = 0;
    while written < bytes.len() {
        let writing = writer.write(&bytes[written..]);
        let taken = match write_max {
            Some(max) => timeout(max, writing).await.map_err(|_| silent(max))??,
            None => writing.await?,
        };
        if taken == 0 {
            return Err(ConnectionError::Lost);
        }
        written += taken;
    }
    Ok(writer.flush().await?)
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
