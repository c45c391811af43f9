//! The calling side of one connection: many calls at a time, each with a deadline, each given up when its future is
//! dropped.
//!
//! What a failed call says of its outcome rests on the outbox: as long as a request's last frame was not given out
//! to be written, the other side cannot hold the whole request, so its handler has not seen it.

use crate::assembly::Event;
use crate::error::{CallError, ConnectionError, FrameError, Reason};
use crate::frame::{Header, Kind, Lane, MESSAGE_BYTES_MAX};
use crate::handshake::{Local, Wanted};
use crate::identity::{Class, PeerIdentity};
use crate::link::{Inlet, Outlet, initiate, nonce};
use crate::options::ClientOptions;
use crate::outbox::{Cancelled, Outgoing};
use crate::secret::Trust;
use crate::status::PeerStatus;
use bytes::Bytes;
use lavandin_types::NodeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked; its meaning is the handler's.
    pub method: u16,
    pub lane: Lane,
    /// At most [`MESSAGE_BYTES_MAX`] bytes.
    pub payload: Bytes,
    /// The handler is told how much is left of it, and stops then.
    pub deadline: Instant,
}

/// A connection that calls can be made on. It is left when the last handle is dropped.
pub struct Connection {
    shared: Arc<Shared>,
    peer: PeerIdentity,
    protocol: u16,
}

struct Shared {
    outlet: Outlet<()>,
    waiting: Mutex<Waiting>,
    calls_max: usize,
    bytes_max: usize,
}

struct Waiting {
    replies: HashMap<u64, Awaited>,
    /// Payload of the requests of all of them.
    bytes: usize,
    last_call: u64,
    /// Why no more calls begin.
    ended: Option<Arc<ConnectionError>>,
}

struct Awaited {
    reply: oneshot::Sender<Reply>,
    bytes: usize,
}

impl Waiting {
    fn remove(&mut self, call: u64) -> Option<oneshot::Sender<Reply>> {
        let awaited = self.replies.remove(&call)?;
        self.bytes -= awaited.bytes;
        Some(awaited.reply)
    }
}

enum Reply {
    Answer(Bytes),
    Status(PeerStatus),
    Refused(PeerStatus),
    Ended(Arc<ConnectionError>),
}

impl Connection {
    /// Does the calling side of the handshake on `stream`, within `options.connect_max`. The second value is the
    /// connection's work: poll it, in a task of its own; it ends with the connection and says why.
    pub async fn open<S>(
        mut stream: S,
        node: Option<NodeId>,
        class: Class,
        (trust, identity): (&Trust, PeerIdentity),
        options: &ClientOptions,
    ) -> Result<(Self, impl Future<Output = Arc<ConnectionError>> + Send + use<S>), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let local = Local { secret: trust.secret(), identity, protocols: options.protocols, nonce: nonce()? };
        let slow = || ConnectionError::Slow {
            waited_ms: u64::try_from(options.connect_max.as_millis()).unwrap_or(u64::MAX),
        };
        let handshake = initiate(&mut stream, local, Wanted { node, class });
        let session = tokio::time::timeout(options.connect_max, handshake).await.map_err(|_| slow())??;
        let waiting = Waiting { replies: HashMap::new(), bytes: 0, last_call: 0, ended: None };
        let shared = Arc::new(Shared {
            outlet: Outlet::new(),
            waiting: Mutex::new(waiting),
            calls_max: options.calls_max,
            bytes_max: options.bytes_max,
        });
        let (liveness, worker) = (options.liveness, Arc::clone(&shared));
        let run = async move {
            let (reader, writer) = tokio::io::split(stream);
            let inlet = Inlet::new(reader, session.opener, liveness);
            let error = tokio::select! {
                error = worker.read(inlet) => error,
                error = worker.outlet.write(writer, session.sealer, liveness.sign_every, None) => error,
            };
            worker.end(Arc::new(error))
        };
        Ok((Self { shared, peer: session.peer, protocol: session.protocol }, run))
    }

    pub const fn peer(&self) -> PeerIdentity {
        self.peer
    }

    /// The highest protocol number that both nodes speak.
    pub const fn protocol(&self) -> u16 {
        self.protocol
    }

    /// Why no more calls can be made here, if so.
    pub fn ended(&self) -> Option<Arc<ConnectionError>> {
        self.shared.lock().ended.clone()
    }

    /// Takes no more calls; the connection ends when those under way have.
    pub fn leave(&self) {
        self.shared.leave();
    }

    /// Makes one call. Calls of one lane are sent, and reach the handler, in the order in which their futures are first
    /// polled. To drop the future is to cancel the call: unless it has ended, the handler is stopped.
    pub async fn call(&self, call: Call) -> Result<Bytes, CallError> {
        let bytes = call.payload.len();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(CallError::NotSent(Reason::TooLong { bytes }));
        }
        let deadline = call.deadline;
        let (number, reply) = self.shared.begin(call).map_err(CallError::NotSent)?;
        let mut giving_up = GivingUp { shared: &self.shared, call: Some(number) };
        self.shared.outlet.send();
        let reply = timeout_at(deadline, reply).await;
        let sent = giving_up.now();
        let failed = |reason| match sent {
            Cancelled::Sent => CallError::Unknown(reason),
            Cancelled::Unsent => CallError::NotSent(reason),
        };
        match reply {
            Ok(Ok(Reply::Answer(payload))) => Ok(payload),
            Ok(Ok(Reply::Status(status))) => Err(CallError::Status(status)),
            Ok(Ok(Reply::Refused(status))) => Err(CallError::NotSent(Reason::Refused(status))),
            Ok(Ok(Reply::Ended(error))) => Err(failed(Reason::Connection(error))),
            Ok(Err(_)) => Err(failed(Reason::Connection(Arc::new(ConnectionError::Lost)))),
            Err(_) => Err(failed(Reason::Deadline)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Ends a call whose future is dropped, or that is over.
struct GivingUp<'a> {
    shared: &'a Shared,
    call: Option<u64>,
}

impl GivingUp<'_> {
    fn now(&mut self) -> Cancelled {
        self.call.take().map_or(Cancelled::Sent, |call| self.shared.give_up(call))
    }
}

impl Drop for GivingUp<'_> {
    fn drop(&mut self) {
        self.now();
    }
}

impl Shared {
    /// Nothing in here panics halfway, so a poisoned lock guards a whole state.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, call: Call) -> Result<(u64, oneshot::Receiver<Reply>), Reason> {
        let (reply, receiver) = oneshot::channel();
        let bytes = call.payload.len();
        let mut waiting = self.lock();
        if let Some(error) = &waiting.ended {
            return Err(Reason::Connection(Arc::clone(error)));
        }
        if waiting.replies.len() >= self.calls_max || waiting.bytes + bytes > self.bytes_max {
            return Err(Reason::Full);
        }
        waiting.last_call += 1;
        let number = waiting.last_call;
        waiting.bytes += bytes;
        waiting.replies.insert(number, Awaited { reply, bytes });
        let mut header = Header::new(Kind::Request, number);
        header.code = call.method;
        header.lane = call.lane;
        let deadline_ms = self.outlet.clock_ms(call.deadline);
        // Under the lock, or two calls of a lane could change places.
        self.outlet.push(Outgoing { header, deadline_ms, payload: call.payload, ticket: () });
        Ok((number, receiver))
    }

    /// Forgets a call. Unless its reply has come, the other side is told, as far as it knows of the call.
    fn give_up(&self, call: u64) -> Cancelled {
        let mut waiting = self.lock();
        let open = waiting.remove(call).is_some();
        let cancelled = self.outlet.cancel(call);
        if open && cancelled == Cancelled::Sent {
            self.outlet.push_control(Header::new(Kind::Cancel, call));
        }
        self.finish_if_idle(&waiting);
        cancelled
    }

    fn leave(&self) {
        let mut waiting = self.lock();
        if waiting.ended.is_none() {
            waiting.ended = Some(Arc::new(ConnectionError::Leaving));
        }
        self.finish_if_idle(&waiting);
    }

    fn finish_if_idle(&self, waiting: &Waiting) {
        if waiting.ended.is_some() && waiting.replies.is_empty() {
            self.outlet.finish();
        }
    }

    /// Fails every call that waits.
    fn end(&self, error: Arc<ConnectionError>) -> Arc<ConnectionError> {
        let mut waiting = self.lock();
        waiting.ended = Some(Arc::clone(&error));
        waiting.bytes = 0;
        for (_, awaited) in waiting.replies.drain() {
            // A caller that is gone needs no reply.
            let _ = awaited.reply.send(Reply::Ended(Arc::clone(&error)));
        }
        error
    }

    /// Fails the calls of which the other side does not have the whole request yet: it will take none any more.
    fn dismiss(&self) {
        self.leave();
        let mut waiting = self.lock();
        let calls: Vec<u64> = waiting.replies.keys().copied().collect();
        let error = Arc::new(ConnectionError::Leaving);
        for call in calls {
            if self.outlet.cancel(call) == Cancelled::Unsent
                && let Some(reply) = waiting.remove(call)
            {
                let message = error.to_string();
                let status = PeerStatus::new(lavandin_types::ErrorCode::Unavailable, message);
                let _ = reply.send(Reply::Refused(status));
            }
        }
        self.finish_if_idle(&waiting);
    }

    async fn read<R: AsyncRead + Unpin>(&self, mut inlet: Inlet<R>) -> ConnectionError {
        let mut left = false;
        loop {
            let event = match inlet.frame().await {
                Ok(Some(frame)) => inlet.push(frame),
                Ok(None) if left => return ConnectionError::Leaving,
                Ok(None) => return ConnectionError::Lost,
                Err(error) => return error,
            };
            match event {
                Ok(Some(Event::Message(header, payload))) => match self.reply(header, payload) {
                    Ok(()) => {}
                    Err(error) => return error.into(),
                },
                Ok(Some(Event::Goodbye)) => {
                    left = true;
                    self.dismiss();
                }
                Ok(Some(Event::Alive) | None) => {}
                Ok(Some(Event::Cancel { .. } | Event::Abandoned { .. })) => {
                    return FrameError::Malformed("a cancellation to the calling side").into();
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Hands a reply to its caller; one that nobody waits for any more is dropped.
    fn reply(&self, header: Header, payload: Bytes) -> Result<(), FrameError> {
        let status = |payload: &Bytes| PeerStatus::decode(header.code, payload);
        let reply = match header.kind {
            Kind::Response if header.code == 0 => Reply::Answer(payload),
            Kind::Response => Reply::Status(status(&payload)),
            Kind::Refusal => Reply::Refused(status(&payload)),
            _ => return Err(FrameError::Malformed("a call to the calling side")),
        };
        let mut waiting = self.lock();
        if let Some(sender) = waiting.remove(header.call) {
            let _ = sender.send(reply);
        }
        self.finish_if_idle(&waiting);
        Ok(())
    }
}
