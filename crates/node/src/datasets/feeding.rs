//! What the nodes of a cluster feed at the moment: which batches of which ranks each makes, how far ahead, how fast they go,
//! and why one does not.

use crate::datasets::peer_calls::{DatasetReply, DatasetRequest};
use crate::node::Node;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedingNode {
    pub node: u64,
    pub uri: String,
    /// Why it could not be asked; the rest is empty then.
    pub error: Option<String>,
    pub ranks: Vec<FeedingRank>,
    /// Bytes of batches made ahead, of decoded chunks, and of copies of shard files.
    pub ready_bytes: u64,
    pub chunk_bytes: u64,
    pub file_cache_bytes: u64,
    /// Batches that went through user code for other nodes, and at other nodes for this one, since its start.
    pub made_for_others: u64,
    pub made_by_others: u64,
}

/// A rank whose batches a node makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeedingRank {
    pub iteration: String,
    pub dataset: String,
    pub rank: u32,
    /// Batches that are ready, and those that user code works on.
    pub ready: u64,
    pub in_work: u64,
    /// Batches handed out a second lately, 0 when there were none for a while.
    pub batches_per_second: f64,
    /// One sentence, where no batch is on its way to a client.
    pub why_waiting: Option<String>,
}

impl Node {
    /// All nodes; those that do not answer in time with the reason.
    pub async fn feeding(&self, patience: Duration) -> Vec<FeedingNode> {
        let peers = &self.datasets.peers;
        let request = DatasetRequest::Feeding {};
        let request = &request;
        let others = peers.others(&[]);
        let asked =
            others.iter().map(|node| async move { (*node, peers.ask(*node, request, patience).await) });
        let mut all = vec![self.own_feeding()];
        for (node, answer) in join_all(asked).await {
            let error = match answer {
                Ok(DatasetReply::Feeding { node }) => {
                    all.push(*node);
                    continue;
                }
                Ok(_) => "it answered another question".to_owned(),
                Err(error) => peers.told(node, &error),
            };
            let (node, uri) = (node.get(), peers.shown(node));
            all.push(FeedingNode { node, uri, error: Some(error), ..FeedingNode::default() });
        }
        all.sort_by_key(|node| node.node);
        all
    }

    pub(crate) fn own_feeding(&self) -> FeedingNode {
        let (runtime, statistics) = (&self.datasets, self.feed_statistics());
        FeedingNode {
            node: self.identity.node.get(),
            uri: self.address(),
            error: None,
            ranks: runtime.feeding_ranks(),
            ready_bytes: statistics.ready_bytes,
            chunk_bytes: statistics.chunk_bytes,
            file_cache_bytes: statistics.file_cache_bytes,
            made_for_others: runtime.draft_exchange.given.load(Ordering::Relaxed),
            made_by_others: runtime.draft_exchange.taken.load(Ordering::Relaxed),
        }
    }
}
