//! Messages between copies: one box for each node, whose calls begin in the order in which the messages were put in.
//! A message that cannot be delivered is lost; replication sends it again.

use crate::peers::{Peers, method};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lavandin_consensus::Metadata;
use lavandin_peer::Lane;
use lavandin_types::{GroupId, NodeId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Messages that wait for one node.
const WAITING_MAX: usize = 4096;
/// A message that has not arrived by then is lost.
const DELIVERY_MAX: Duration = Duration::from_secs(2);

struct Letter {
    group: GroupId,
    message: Bytes,
}

pub(crate) struct Mailboxes {
    peers: Peers,
    metadata: Metadata,
    runtime: Handle,
    boxes: Mutex<HashMap<NodeId, mpsc::Sender<Letter>>>,
}

impl Mailboxes {
    pub(crate) fn new(peers: &Peers, metadata: &Metadata, runtime: Handle) -> Self {
        Self { peers: peers.clone(), metadata: metadata.clone(), runtime, boxes: Mutex::default() }
    }

    /// Never waits; from any thread.
    pub(crate) fn post(&self, to: NodeId, group: GroupId, message: Vec<u8>) {
        let letter = Letter { group, message: message.into() };
        let mut boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = boxes.entry(to).or_insert_with(|| {
            let (sender, letters) = mpsc::channel(WAITING_MAX);
            self.runtime.spawn(deliver(self.peers.clone(), self.metadata.clone(), to, letters));
            sender
        });
        drop(sender.try_send(letter));
    }
}

/// Sends one node's letters until the box is dropped.
async fn deliver(peers: Peers, metadata: Metadata, to: NodeId, mut letters: mpsc::Receiver<Letter>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            letter = letters.recv() => {
                let Some(Letter { group, message }) = letter else { return };
                let address = metadata.catalogue().node(to).map(|info| info.address.clone());
                let Some(address) = address.filter(|address| !address.is_empty()) else { continue };
                let peers = peers.clone();
                under_way.push(async move {
                    let deadline = Instant::now() + DELIVERY_MAX;
                    let lane = Lane::new(group.get());
                    let sent = peers.call((&address, Some(to)), method::REPLICATION, lane, message, deadline);
                    drop(sent.await);
                });
            }
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}
