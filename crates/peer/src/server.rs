//! The answering side: takes one upgraded stream at a time and hands its calls to a handler.

mod call;
mod lanes;

use crate::assembly::{Assembly, Event};
use crate::error::{ConnectionError, FrameError};
use crate::frame::{Frame, Header, Kind};
use crate::handshake::{Local, Session};
use crate::identity::{Class, PeerIdentity};
use crate::link::{Inlet, Outlet, nonce, respond};
use crate::options::ServerOptions;
use crate::secret::Trust;
use crate::status::PeerStatus;
use bytes::Bytes;
use call::{Answer, Room};
use lanes::Lanes;
use lavandin_types::ErrorCode;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use lanes::Turn;

/// A call as the handler gets it.
#[derive(Debug)]
pub struct IncomingCall {
    pub from: PeerIdentity,
    pub class: Class,
    /// The highest protocol number that both nodes speak.
    pub protocol: u16,
    pub method: u16,
    pub payload: Bytes,
    /// The handler is dropped then.
    pub deadline: Instant,
    /// Drop it to let the next call of the lane begin; it goes at the latest when the handler has ended.
    pub turn: Turn,
}

/// What answers calls.
pub trait PeerHandler: Send + Sync + 'static {
    /// Answers one call. The future is dropped when the caller gives up, the deadline passes or the connection ends:
    /// what must not be left half done is handed to another task or thread. An answer holds at most
    /// [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX) bytes.
    fn handle(&self, call: IncomingCall) -> impl Future<Output = Result<Bytes, PeerStatus>> + Send;
}

/// Serves connections of peers.
pub struct PeerServer<H> {
    trust: Trust,
    identity: watch::Receiver<PeerIdentity>,
    handler: Arc<H>,
    options: ServerOptions,
}

impl<H: PeerHandler> PeerServer<H> {
    /// `identity` is read at each handshake.
    pub fn new(
        trust: Trust,
        identity: watch::Receiver<PeerIdentity>,
        handler: Arc<H>,
        options: ServerOptions,
    ) -> Self {
        Self { trust, identity, handler, options }
    }

    /// Does the answering side of the handshake on a stream; `remote` is where it comes from.
    ///
    /// Errors: whoever is not trusted or breaks the protocol.
    pub async fn accept<S>(&self, mut stream: S, remote: IpAddr) -> Result<Accepted<S>, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.trust.admits(remote)?;
        let session = self.greet(&mut stream).await?;
        tracing::debug!(event = "peer_connected", peer = ?session.peer, class = ?session.class, "a peer connected");
        Ok(Accepted { stream, session })
    }

    /// Serves a connection until it ends. When `stop` becomes true the peer is told, calls under way are finished within
    /// `drain_max`, and new ones refused. No handler runs any more when this returns; when its future is dropped they
    /// are stopped.
    ///
    /// Errors: whoever breaks the protocol, and a connection that was lost. Dropping the future cuts the connection.
    pub async fn serve<S>(
        &self,
        accepted: Accepted<S>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Accepted { stream, session } = accepted;
        let (reader, writer) = tokio::io::split(stream);
        let liveness = self.options.liveness;
        let inlet = Inlet::new(reader, session.opener, liveness);
        let connection = Incoming {
            from: session.peer,
            class: session.class,
            protocol: session.protocol,
            handler: &self.handler,
            options: &self.options,
            outlet: Arc::new(Outlet::new()),
            stopping: AtomicBool::new(false),
        };
        // A caller always reads; one that takes nothing for so long is dead, even while nothing is read from it.
        let (write, write_max) = (&connection.outlet, Some(liveness.dead_after));
        let mut calls = Calls::new(&self.options);
        let ended = tokio::select! {
            ended = connection.read(inlet, &mut calls) => ended,
            error = write.write(writer, session.sealer, liveness.sign_every, write_max) => Err(error),
            () = connection.stopped(&mut stop) => Ok(()),
        };
        calls.tasks.shutdown().await;
        ended
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<Session, ConnectionError> {
        let local = Local {
            secret: self.trust.secret(),
            identity: *self.identity.borrow(),
            protocols: self.options.protocols,
            nonce: nonce()?,
        };
        let waited_ms = u64::try_from(self.options.handshake_max.as_millis()).unwrap_or(u64::MAX);
        tokio::time::timeout(self.options.handshake_max, respond(stream, local))
            .await
            .map_err(|_| ConnectionError::Slow { waited_ms })?
    }
}

/// A connection whose peer has proved itself.
pub struct Accepted<S> {
    stream: S,
    session: Session,
}

impl<S> Accepted<S> {
    /// What the peer wants to use the connection for, which may decide where it is served.
    pub const fn class(&self) -> Class {
        self.session.class
    }
}

/// One connection as it is served.
struct Incoming<'a, H> {
    from: PeerIdentity,
    class: Class,
    protocol: u16,
    handler: &'a Arc<H>,
    options: &'a ServerOptions,
    outlet: Arc<Outlet<Room>>,
    stopping: AtomicBool,
}

/// What the reader keeps of the calls under way.
struct Calls {
    tasks: JoinSet<u64>,
    cancels: HashMap<u64, oneshot::Sender<()>>,
    lanes: Lanes,
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// Of the large message that is incomplete.
    partial: Option<Room>,
}

impl<H: PeerHandler> Incoming<'_, H> {
    /// Returns when calls had their time to end after a stop.
    async fn stopped(&self, stop: &mut watch::Receiver<bool>) {
        if stop.wait_for(|stop| *stop).await.is_err() {
            // Nobody is left to stop it.
            std::future::pending::<()>().await;
        }
        self.stopping.store(true, Ordering::Relaxed);
        self.outlet.push_control(Header::new(Kind::Goodbye, 0));
        tokio::time::sleep(self.options.drain_max).await;
    }

    /// Reads calls until the other side has said goodbye and closed.
    async fn read<R: AsyncRead + Unpin>(
        &self,
        mut inlet: Inlet<R>,
        calls: &mut Calls,
    ) -> Result<(), ConnectionError> {
        let mut left = false;
        loop {
            let frame = inlet.frame().await?;
            calls.forget_ended();
            let Some(frame) = frame else {
                return if left { Ok(()) } else { Err(ConnectionError::Lost) };
            };
            let room = calls.room_for(&frame).await?;
            match inlet.push(frame)? {
                None => calls.partial = room.or(calls.partial.take()),
                Some(Event::Message(header, payload)) => {
                    // A message of several frames took its room with its first.
                    let room = room.or_else(|| calls.partial.take());
                    let room = room.ok_or(FrameError::Malformed("a message without a beginning"))?;
                    self.begin(calls, header, payload, room)?;
                }
                Some(Event::Cancel { call }) => {
                    if let Some(cancel) = calls.cancels.remove(&call) {
                        // A call that has just ended needs none.
                        let _ = cancel.send(());
                    }
                }
                Some(Event::Abandoned { .. }) => calls.partial = None,
                Some(Event::Alive) => {}
                Some(Event::Goodbye) => left = true,
            }
        }
    }

    fn begin(&self, calls: &mut Calls, header: Header, payload: Bytes, room: Room) -> Result<(), FrameError> {
        if header.kind != Kind::Request {
            return Err(FrameError::Malformed("an answer to the answering side"));
        }
        if self.stopping.load(Ordering::Relaxed) {
            let status = PeerStatus::new(ErrorCode::Unavailable, ConnectionError::Leaving.to_string());
            Answer::new(Arc::clone(&self.outlet), header.call, room).refuse(status);
            return Ok(());
        }
        let (cancel, cancelled) = oneshot::channel();
        if calls.cancels.insert(header.call, cancel).is_some() {
            return Err(FrameError::Malformed("two calls of one number"));
        }
        let (turn, before) = calls.lanes.enter(header.lane);
        let call = IncomingCall {
            from: self.from,
            class: self.class,
            protocol: self.protocol,
            method: header.code,
            payload,
            deadline: Instant::now() + std::time::Duration::from_millis(header.left_ms.into()),
            turn,
        };
        let answer = Answer::new(Arc::clone(&self.outlet), header.call, room);
        calls.tasks.spawn(call::run(Arc::clone(self.handler), call, answer, cancelled, before));
        Ok(())
    }
}

impl Calls {
    fn new(options: &ServerOptions) -> Self {
        Self {
            tasks: JoinSet::new(),
            cancels: HashMap::new(),
            lanes: Lanes::default(),
            calls: Arc::new(Semaphore::new(options.calls_max)),
            bytes: Arc::new(Semaphore::new(options.bytes_max as usize)),
            partial: None,
        }
    }

    /// Waits until there is room for the message that `frame` begins, if it begins one.
    ///
    /// This cannot wait for ever: what holds room is under way and ends by its deadline. The one incomplete message
    /// is no exception, because only messages of one frame may stand between its frames, and those need no bytes; it
    /// holds one place among the calls, of which there are at least two.
    async fn room_for(&self, frame: &Frame) -> Result<Option<Room>, FrameError> {
        match Assembly::begins(frame)? {
            Some(bytes) => Ok(Some(Room::take(&self.calls, &self.bytes, bytes).await)),
            None => Ok(None),
        }
    }

    /// Drops what is kept of calls that ended. Not as they end: that would wake the reader after each one.
    fn forget_ended(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok(call) => drop(self.cancels.remove(&call)),
                Err(error) => {
                    tracing::error!(event = "peer_handler_failed", %error, "a peer's call ended without an answer");
                    // Which call it was is not said; its receiver is gone.
                    self.cancels.retain(|_, cancel| !cancel.is_closed());
                }
            }
        }
    }
}
