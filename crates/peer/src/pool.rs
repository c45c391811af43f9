//! Connections to other nodes: one a target and class, made when first wanted, made again when lost.
//!
//! An attempt to connect is a task of its own, so that a caller with a short deadline does not end it for the others.
//! After a failed attempt calls fail at once until the next is due: a caller that has another copy to turn to must
//! not wait here.

mod slot;

use crate::connection::{Call, Connection};
use crate::error::{CallError, ConnectionError, Reason};
use crate::identity::{Class, PeerIdentity};
use crate::options::ClientOptions;
use crate::secret::Trust;
use crate::upgrade;
use bytes::Bytes;
use lavandin_types::NodeId;
use slot::Slot;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A node to call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// Another node at the address is an error. None for an address whose node is not known yet.
    pub node: Option<NodeId>,
}

/// Makes byte streams that a [`PeerServer`](crate::PeerServer) serves at the other end.
pub trait Connector: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Connects and upgrades. The pool bounds the time.
    fn connect(&self, target: &Target) -> impl Future<Output = Result<Self::Stream, ConnectionError>> + Send;
}

/// TCP, and an HTTP/1.1 upgrade.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    pub trust: Trust,
}

impl Connector for TcpConnector {
    type Stream = TcpStream;

    async fn connect(&self, target: &Target) -> Result<TcpStream, ConnectionError> {
        let mut stream = TcpStream::connect(&target.address).await?;
        self.trust.admits(stream.peer_addr()?.ip())?;
        // Frames are written whole: waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        upgrade::request_upgrade(&mut stream, &target.address).await?;
        Ok(stream)
    }
}

/// All connections of a node to others. Clones share them.
pub struct PeerPool<C> {
    shared: Arc<Shared<C>>,
}

impl<C> Clone for PeerPool<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<C> {
    connector: C,
    trust: Trust,
    identity: watch::Receiver<PeerIdentity>,
    options: ClientOptions,
    /// Where connections are served, whoever asks for them.
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<(Target, Class), Slot>,
    tasks: JoinSet<()>,
    shut_down: bool,
}

impl<C: Connector> PeerPool<C> {
    /// `identity` is what this node says of itself; when it changes, connections are made anew. They are served on the
    /// runtime that this is called on; calls may be made on any.
    ///
    /// Panics outside of a runtime.
    pub fn new(
        connector: C,
        trust: Trust,
        identity: watch::Receiver<PeerIdentity>,
        options: ClientOptions,
    ) -> Self {
        let state = Mutex::new(State::default());
        let runtime = Handle::current();
        Self { shared: Arc::new(Shared { connector, trust, identity, options, runtime, state }) }
    }

    /// Makes one call, on a connection that there is or that is made for it.
    pub async fn call(&self, target: &Target, class: Class, call: Call) -> Result<Bytes, CallError> {
        let connection = self.connection(target, class, call.deadline).await.map_err(CallError::NotSent)?;
        connection.call(call).await
    }

    /// The connection to a target. Calls whose order matters are made on one connection: those that [`PeerPool::call`]
    /// makes while there is none yet may change places.
    pub async fn connection(
        &self,
        target: &Target,
        class: Class,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Reason> {
        let mut attempt = match self.look(target, class)? {
            slot::Found::Open(connection) => return Ok(connection),
            slot::Found::Attempt(attempt) => attempt,
        };
        let outcome = tokio::time::timeout_at(deadline, attempt.wait_for(Option::is_some)).await;
        match outcome.map_err(|_| Reason::Deadline)?.map(|outcome| outcome.clone()) {
            Ok(Some(Ok(connection))) => Ok(connection),
            Ok(Some(Err(error))) => Err(Reason::Connection(error)),
            // The attempt's task was stopped.
            Ok(None) | Err(_) => Err(Reason::ShutDown),
        }
    }

    /// Why the last attempt to connect to a target failed; nothing once one has succeeded, or none was made.
    pub fn failure(&self, target: &Target, class: Class) -> Option<Arc<ConnectionError>> {
        self.shared.lock().slots.get(&(target.clone(), class))?.failure()
    }

    /// Leaves the connections to targets that `keep` refuses, such as nodes that were removed or have moved.
    pub fn retain(&self, mut keep: impl FnMut(&Target) -> bool) {
        self.shared.lock().slots.retain(|(target, _), slot| {
            let kept = keep(target);
            if !kept {
                slot.leave();
            }
            kept
        });
    }

    /// Takes no more calls, gives those under way `drain_max`, and ends all connections.
    pub async fn shut_down(&self, drain_max: Duration) {
        let mut tasks = {
            let mut state = self.shared.lock();
            state.shut_down = true;
            state.slots.drain().for_each(|(_, mut slot)| slot.leave());
            std::mem::take(&mut state.tasks)
        };
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(drain_max, drained).await.is_err() {
            tasks.shutdown().await;
        }
    }

    /// What there is of a connection now; begins an attempt if one is due.
    fn look(&self, target: &Target, class: Class) -> Result<slot::Found, Reason> {
        let mut state = self.shared.lock();
        if state.shut_down {
            return Err(Reason::ShutDown);
        }
        while state.tasks.try_join_next().is_some() {}
        let identity = *self.shared.identity.borrow();
        let key = (target.clone(), class);
        let options = self.shared.options;
        let seed = options.seed ^ state.slots.len() as u64;
        let slot = state.slots.entry(key.clone()).or_insert_with(|| Slot::new(&options, seed));
        match slot.look(identity, Instant::now())? {
            slot::Look::Found(found) => Ok(found),
            slot::Look::Due => {
                let (outcome, attempt) = watch::channel(None);
                slot.begin(attempt.clone());
                let (shared, (target, class)) = (Arc::clone(&self.shared), key);
                let work = async move {
                    let run = shared.attempt(&target, class, identity, outcome).await;
                    // Only an attempt keeps the pool: when its last handle goes, the connections do.
                    drop(shared);
                    if let Some(run) = run {
                        let error = run.await;
                        tracing::debug!(event = "peer_left", ?target, ?class, %error, "a connection ended");
                    }
                };
                state.tasks.spawn_on(work, &self.shared.runtime);
                Ok(slot::Found::Attempt(attempt))
            }
        }
    }
}

impl<C: Connector> Shared<C> {
    /// Nothing in here panics halfway, so a poisoned lock guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries to make a connection and says what came of it. Returns the work of the connection.
    async fn attempt(
        &self,
        target: &Target,
        class: Class,
        identity: PeerIdentity,
        outcome: watch::Sender<Option<slot::Outcome>>,
    ) -> Option<impl Future<Output = Arc<ConnectionError>> + Send + use<C>> {
        let waited_ms = u64::try_from(self.options.connect_max.as_millis()).unwrap_or(u64::MAX);
        let opening = async {
            let stream = self.connector.connect(target).await?;
            Connection::open(stream, target.node, class, (&self.trust, identity), &self.options).await
        };
        let opened = tokio::time::timeout(self.options.connect_max, opening)
            .await
            .unwrap_or(Err(ConnectionError::Slow { waited_ms }));
        match opened {
            Ok((connection, run)) => {
                tracing::debug!(event = "peer_reached", ?target, ?class, peer = ?connection.peer(), "connected");
                let connection = Arc::new(connection);
                self.settle(target, class, Ok((Arc::clone(&connection), identity)));
                outcome.send_replace(Some(Ok(connection)));
                Some(run)
            }
            Err(error) => {
                tracing::debug!(event = "peer_unreachable", ?target, ?class, %error, "no connection");
                let error = Arc::new(error);
                self.settle(target, class, Err(Arc::clone(&error)));
                outcome.send_replace(Some(Err(error)));
                None
            }
        }
    }

    /// Puts the outcome of an attempt in its slot, unless the target was let go meanwhile.
    fn settle(
        &self,
        target: &Target,
        class: Class,
        outcome: Result<(Arc<Connection>, PeerIdentity), Arc<ConnectionError>>,
    ) {
        if let Some(slot) = self.lock().slots.get_mut(&(target.clone(), class)) {
            slot.settle(outcome, Instant::now());
        }
    }
}
