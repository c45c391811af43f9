//! A group of members on directories of their own.

use crate::net::Net;
use lavandin_cluster::{Command, NodeSeed};
use lavandin_consensus::{Metadata, MetadataError, MetadataOptions, Start};
use lavandin_types::{ClusterId, NodeId, StoreId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// Longer than anything may take in a group most of which is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Group {
    pub(crate) net: Net,
    pub(crate) snapshot_every: u64,
    directories: BTreeMap<u64, TempDir>,
    running: BTreeMap<u64, Metadata>,
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::new(number)
}

pub(crate) fn address(number: u64) -> String {
    format!("node{number}:7")
}

pub(crate) fn nodes(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(NodeId::new).collect()
}

pub(crate) fn first_voters(numbers: impl IntoIterator<Item = u64>) -> Start {
    Start::Found(numbers.into_iter().map(|number| (node(number), address(number))).collect())
}

pub(crate) fn form(cluster: u128) -> Command {
    let node = NodeSeed { id: NodeId::new(1), store: StoreId::new(7), address: String::new() };
    Command::FormCluster { cluster: ClusterId::new(cluster), node }
}

pub(crate) fn database(name: &str) -> Command {
    Command::CreateDatabase { name: name.to_owned(), drop_if_exists: false }
}

impl Group {
    pub(crate) fn new(seed: u64) -> Self {
        let net = Net::new(seed);
        Self { net, snapshot_every: 1_000, directories: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// A formed cluster of so many voters, which agree on a leader.
    pub(crate) async fn founded(seed: u64, voters: u64) -> Self {
        let mut group = Self::new(seed);
        for number in 1..=voters {
            group.start(number, first_voters(1..=voters)).await;
        }
        group.leader().await;
        group.on(1).propose_within(form(42), PATIENCE).await.unwrap();
        group
    }

    /// Opens a member, in the directory that it had if it had one.
    pub(crate) async fn open(&mut self, number: u64, start: Start) -> Result<Metadata, MetadataError> {
        let directory = self.directories.entry(number).or_insert_with(|| tempfile::tempdir().unwrap());
        let options = MetadataOptions {
            address: address(number),
            start,
            transport: self.net.link(node(number)),
            snapshot_every: self.snapshot_every,
            ..MetadataOptions::new(directory.path(), node(number))
        };
        Metadata::open(options).await
    }

    pub(crate) async fn start(&mut self, number: u64, start: Start) {
        let metadata = self.open(number, start).await.unwrap();
        self.net.plug(&address(number), node(number), metadata.clone());
        self.running.insert(number, metadata);
    }

    pub(crate) async fn restart(&mut self, number: u64) {
        self.start(number, Start::Join).await;
    }

    /// Ends a member. Nothing is written for the occasion: what is on the disk is what a kill leaves.
    pub(crate) async fn kill(&mut self, number: u64) {
        self.net.unplug(&address(number));
        self.running.remove(&number).unwrap().shutdown().await;
    }

    /// Ends a member and forgets its disk.
    pub(crate) async fn wipe(&mut self, number: u64) {
        self.kill(number).await;
        self.directories.remove(&number);
    }

    pub(crate) fn on(&self, number: u64) -> &Metadata {
        &self.running[&number]
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = (u64, &Metadata)> {
        self.running.iter().map(|(number, metadata)| (*number, metadata))
    }

    /// Waits for a member that leads for sure and whom all that run follow.
    pub(crate) async fn leader(&self) -> u64 {
        wait("a leader that all follow", || {
            let (leader, _) = self.running().find(|(_, metadata)| metadata.quorum_lease(Instant::now()))?;
            self.running()
                .all(|(_, metadata)| metadata.status().leader == Some(node(leader)))
                .then_some(leader)
        })
        .await
    }

    /// Waits until all that run have applied the same, and checks that it is.
    pub(crate) async fn settle(&self) {
        let leader = self.leader().await;
        for (_, metadata) in self.running() {
            metadata.read_barrier(PATIENCE).await.unwrap();
        }
        for (number, metadata) in self.running() {
            assert_eq!(metadata.catalogue(), self.on(leader).catalogue(), "node {number} differs");
        }
    }

    pub(crate) async fn stop(self) {
        for metadata in self.running.values() {
            metadata.shutdown().await;
        }
    }
}

/// Polls until there is something.
pub(crate) async fn wait<T: Debug>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
