//! The network between the nodes of one process: streams in memory, whose bytes are held, delayed and cut in each
//! direction. What is held arrives later, as TCP would send it again; what breaks ends both ends of a stream.

use crate::random::Random;
use futures_util::future::BoxFuture;
use lavandin_node::{Dialer, Node, PeerStream};
use lavandin_peer::{ConnectionError, Target, Trust};
use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Bytes between two nodes that nobody has read.
const BUFFER_BYTES: usize = 64 << 10;
const CHUNK_BYTES: usize = 32 << 10;

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// How many faults hold what is sent.
    held: u32,
    /// What each piece takes at most.
    delay_ms: u64,
    /// How many pieces in a thousand break the stream.
    breaks_per_mille: u64,
}

/// Who is at an address.
enum Host {
    /// Nobody: whoever connects is refused.
    Absent,
    Present {
        life: u64,
        node: Weak<Node>,
        stop: watch::Receiver<bool>,
    },
}

struct Stream {
    ends: [usize; 2],
    carrying: AbortHandle,
}

pub(crate) struct Network {
    hosts: Vec<Mutex<Host>>,
    links: Vec<Vec<watch::Sender<Link>>>,
    streams: Mutex<Vec<Stream>>,
    random: Mutex<Random>,
    runtime: Handle,
}

/// Where a node is reached.
pub(crate) fn uri(node: usize) -> String {
    format!("http://{}", address(node))
}

fn address(node: usize) -> String {
    format!("node{node}:7638")
}

impl Network {
    pub(crate) fn new(nodes: usize, random: Random) -> Arc<Self> {
        let link = |_| watch::Sender::new(Link::default());
        Arc::new(Self {
            hosts: (0..nodes).map(|_| Mutex::new(Host::Absent)).collect(),
            links: (0..nodes).map(|_| (0..nodes).map(link).collect()).collect(),
            streams: Mutex::default(),
            random: Mutex::new(random),
            runtime: Handle::current(),
        })
    }

    pub(crate) fn attach(&self, node: usize, life: u64, here: &Arc<Node>, stop: watch::Receiver<bool>) {
        *lock(&self.hosts[node]) = Host::Present { life, node: Arc::downgrade(here), stop };
    }

    /// Nobody is there any more.
    pub(crate) fn detach(&self, node: usize) {
        *lock(&self.hosts[node]) = Host::Absent;
    }

    /// Ends the streams between a node and others, or one other.
    pub(crate) fn break_streams(&self, node: usize, other: Option<usize>) {
        lock(&self.streams).retain(|stream| {
            let is_meant =
                stream.ends.contains(&node) && other.is_none_or(|other| stream.ends.contains(&other));
            if is_meant {
                stream.carrying.abort();
            }
            !is_meant && !stream.carrying.is_finished()
        });
    }

    /// Holds what goes from one node to another.
    pub(crate) fn hold(&self, (from, to): (usize, usize)) {
        self.links[from][to].send_modify(|link| link.held += 1);
    }

    pub(crate) fn release(&self, (from, to): (usize, usize)) {
        self.links[from][to].send_modify(|link| link.held = link.held.saturating_sub(1));
    }

    /// Makes both directions between two nodes slow, or breaks their streams now and then; zeros end that.
    pub(crate) fn trouble(&self, (one, other): (usize, usize), delay_ms: u64, breaks_per_mille: u64) {
        for (from, to) in [(one, other), (other, one)] {
            self.links[from][to].send_modify(|link| {
                (link.delay_ms, link.breaks_per_mille) = (delay_ms, breaks_per_mille);
            });
        }
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        for link in self.links.iter().flatten() {
            link.send_replace(Link::default());
        }
    }

    fn is_present(&self, node: usize, life: u64) -> bool {
        matches!(*lock(&self.hosts[node]), Host::Present { life: present, .. } if present == life)
    }

    /// A stream from a node's present life to whoever is at an address.
    async fn connect(&self, (from, life): (usize, u64), address: &str) -> Result<DuplexStream> {
        let place = (0..self.hosts.len()).find(|node| self::address(*node) == address);
        let to = place.ok_or(ErrorKind::HostUnreachable)?;
        // A connection takes a message in each direction.
        for (from, to) in [(from, to), (to, from)] {
            let mut link = self.links[from][to].subscribe();
            // The network outlives its nodes.
            drop(link.wait_for(|link| link.held == 0).await);
        }
        if !self.is_present(from, life) {
            return Err(ErrorKind::NetworkDown.into());
        }
        let (node, stop) = match &*lock(&self.hosts[to]) {
            Host::Present { node, stop, .. } => (node.upgrade(), stop.clone()),
            Host::Absent => (None, watch::channel(true).1),
        };
        let node = node.ok_or(ErrorKind::ConnectionRefused)?;
        let ((near, near_wire), (far, far_wire)) = (duplex(BUFFER_BYTES), duplex(BUFFER_BYTES));
        self.carry((from, to), near_wire, far_wire);
        self.runtime.spawn(async move {
            // Why a connection ended is its peer's business.
            drop(node.serve_peer(far, IpAddr::V4(Ipv4Addr::LOCALHOST), stop).await);
        });
        Ok(near)
    }

    fn carry(&self, (from, to): (usize, usize), near: DuplexStream, far: DuplexStream) {
        let links = [self.links[from][to].subscribe(), self.links[to][from].subscribe()];
        let mut random = lock(&self.random);
        let randoms = [random.branch(), random.branch()];
        drop(random);
        let carrying = self.runtime.spawn(async move {
            let ((near_in, near_out), (far_in, far_out)) = (split(near), split(far));
            let ([there, back], [one, other]) = (links, randoms);
            // The first error ends both.
            drop(tokio::try_join!(carry(there, near_in, far_out, one), carry(back, far_in, near_out, other)));
        });
        let mut streams = lock(&self.streams);
        streams.retain(|stream| !stream.carrying.is_finished());
        streams.push(Stream { ends: [from, to], carrying: carrying.abort_handle() });
    }
}

/// Carries one direction of a stream, until its end.
async fn carry(
    mut link: watch::Receiver<Link>,
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    mut random: Random,
) -> Result<()> {
    let mut piece = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let Link { delay_ms, breaks_per_mille, .. } = *link.borrow();
        if random.per_mille(breaks_per_mille) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(random.range(0..delay_ms + 1))).await;
        }
        link.wait_for(|link| link.held == 0).await.map_err(|_| Error::from(ErrorKind::BrokenPipe))?;
        to.write_all(&piece[..length]).await?;
    }
}

/// The network as one life of a node sees it.
pub(crate) struct Port {
    pub(crate) network: Arc<Network>,
    pub(crate) node: usize,
    pub(crate) life: u64,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port of node {}", self.node)
    }
}

impl Dialer for Port {
    fn dial<'a>(
        &'a self,
        _: &'a Trust,
        target: &'a Target,
    ) -> BoxFuture<'a, std::result::Result<PeerStream, ConnectionError>> {
        Box::pin(async move {
            let stream = self.network.connect((self.node, self.life), &target.address).await?;
            Ok(Box::new(stream) as PeerStream)
        })
    }
}

/// A test that panicked has failed already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
