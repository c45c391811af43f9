//! A network in memory.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use lavandin_consensus::{Metadata, Transport, TransportError};
use lavandin_types::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a link does to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// Of a thousand messages, each way.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) delay_max_ms: u64,
}

/// A request on its way.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) request: Bytes,
}

#[derive(Default)]
struct State {
    random: u64,
    weather: Weather,
    /// Who answers at an address.
    up: BTreeMap<String, (NodeId, Metadata)>,
    /// From whom nothing reaches whom.
    cut: BTreeSet<(NodeId, NodeId)>,
    longest_request: usize,
    /// What was sent, while it is recorded.
    recorded: Option<Vec<Sent>>,
}

#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<State>>);

/// The end of the network that a node has.
pub(crate) struct Link {
    net: Net,
    from: NodeId,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let net = Self::default();
        net.0.lock().unwrap().random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        net
    }

    pub(crate) fn link(&self, from: NodeId) -> Arc<dyn Transport> {
        Arc::new(Link { net: self.clone(), from })
    }

    pub(crate) fn plug(&self, address: &str, node: NodeId, metadata: Metadata) {
        self.0.lock().unwrap().up.insert(address.to_owned(), (node, metadata));
    }

    pub(crate) fn unplug(&self, address: &str) {
        self.0.lock().unwrap().up.remove(address);
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.0.lock().unwrap().weather = weather;
    }

    /// Cuts one direction.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.0.lock().unwrap().cut.insert((NodeId::new(from), NodeId::new(to)));
    }

    /// Cuts both directions between two sides.
    pub(crate) fn part(&self, one: &[u64], other: &[u64]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().cut.clear();
    }

    pub(crate) fn random(&self, below: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        state.random ^= state.random << 13;
        state.random ^= state.random >> 7;
        state.random ^= state.random << 17;
        state.random % below
    }

    pub(crate) fn record(&self) {
        self.0.lock().unwrap().recorded = Some(Vec::new());
    }

    pub(crate) fn recorded(&self) -> Vec<Sent> {
        self.0.lock().unwrap().recorded.take().unwrap()
    }

    pub(crate) fn longest_request(&self) -> usize {
        self.0.lock().unwrap().longest_request
    }

    /// Whether a message gets through, after its time on the way.
    async fn travel(&self, from: NodeId, to: NodeId) -> bool {
        let Weather { lost, delay_max_ms, .. } = self.0.lock().unwrap().weather;
        let (delay, fate) = (self.random(delay_max_ms + 1), self.random(1_000));
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        fate >= lost && !self.0.lock().unwrap().cut.contains(&(from, to))
    }
}

impl Transport for Link {
    fn call<'a>(
        &'a self,
        target: NodeId,
        address: &'a str,
        request: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        Box::pin(async move {
            let (net, from) = (&self.net, self.from);
            let found = {
                let mut state = net.0.lock().unwrap();
                state.longest_request = state.longest_request.max(request.len());
                if let Some(recorded) = &mut state.recorded {
                    recorded.push(Sent { from, to: target, request: request.clone() });
                }
                state.up.get(address).cloned()
            };
            let nobody = || TransportError::Unreachable(format!("nobody answers at {address}"));
            if !net.travel(from, target).await {
                return std::future::pending().await;
            }
            let (_, metadata) = found.ok_or_else(nobody)?;
            let doubled = net.0.lock().unwrap().weather.doubled;
            if net.random(1_000) < doubled {
                let (net, metadata, request) = (net.clone(), metadata.clone(), request.clone());
                let delay = Duration::from_millis(net.random(500));
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    metadata.handle(from, &request).await;
                });
            }
            // Whoever receives a message works on it even when nobody waits for the answer any more.
            let handled = tokio::spawn(async move { metadata.handle(from, &request).await }).await;
            if !net.travel(target, from).await {
                return std::future::pending().await;
            }
            handled.map_err(|error| TransportError::Broken(error.to_string()))
        })
    }
}
