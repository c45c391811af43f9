//! One node of the cluster through its lives: opened, adopted, stopped, killed, wiped, opened again.
//!
//! A kill is this: nobody hears of the node any more, nothing that it does reaches its copies' disk, and what clients
//! were not told by then they are not told. Only then its threads are ended. So to everybody else it is as if the
//! process had ended at that moment.

use crate::disk::Disk;
use crate::network::{Network, Port, lock, uri};
use futures_util::future::BoxFuture;
use lavandin_cluster::{NodeRole, StaticLayout};
use lavandin_node::{ClusterSettings, CopyStore, DatasetOptions, Node, NodeError, NodeOptions};
use lavandin_peer::{ClusterSecret, Trust};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The least that the catalogue takes.
const DETECTION_MS: u64 = 1_000;
/// How long a node may take to end its threads, and to be opened. Far beyond what they take.
const PATIENCE: Duration = Duration::from_secs(30);
const HAND_OVER_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);
/// Small, so that checkpoints cut the log and copies are rebuilt from snapshots.
const LOG_BYTES_MAX: u64 = 64 << 10;

/// One life of a node: from its opening until its end, however it ends.
pub(crate) struct Life {
    pub(crate) number: u64,
    pub(crate) node: Arc<Node>,
    dead: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

impl Life {
    /// A client's call. `None` if the node was killed before its answer had arrived.
    pub(crate) async fn ask<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            biased;
            _ = dead.wait_for(|dead| *dead) => None,
            answer = call => (!*self.dead.borrow()).then_some(answer),
        }
    }
}

/// What lasts over the lives.
struct Store {
    folder: TempDir,
    disk: Arc<Disk>,
    /// The end of the last life.
    ending: Option<JoinHandle<Result<(), String>>>,
}

pub(crate) struct Member {
    pub(crate) index: usize,
    network: Arc<Network>,
    /// Of a coordinator.
    layout: Option<StaticLayout>,
    #[cfg(feature = "mutations")]
    mutation: Option<lavandin_group::replication::Mutation>,
    /// Held while it is started or ended.
    store: tokio::sync::Mutex<Store>,
    life: Mutex<Option<Arc<Life>>>,
    /// So that a node is opened again only by who is last to say so.
    lives: Mutex<u64>,
}

impl Member {
    pub(crate) fn new(index: usize, network: &Arc<Network>, layout: Option<StaticLayout>) -> Self {
        Self {
            index,
            network: Arc::clone(network),
            layout,
            #[cfg(feature = "mutations")]
            mutation: None,
            store: tokio::sync::Mutex::new(Store { folder: folder(), disk: Arc::default(), ending: None }),
            life: Mutex::default(),
            lives: Mutex::default(),
        }
    }

    #[cfg(feature = "mutations")]
    pub(crate) fn with_mutation(self, mutation: Option<lavandin_group::replication::Mutation>) -> Self {
        Self { mutation, ..self }
    }

    pub(crate) fn is_coordinator(&self) -> bool {
        self.layout.is_some()
    }

    /// The present life, if it is up.
    pub(crate) fn life(&self) -> Option<Arc<Life>> {
        lock(&self.life).clone()
    }

    pub(crate) async fn disk(&self) -> Arc<Disk> {
        Arc::clone(&self.store.lock().await.disk)
    }

    /// Opens the node, unless it is up. An error is a disk that does not let it.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<(), String> {
        let mut store = self.store.lock().await;
        if self.life().is_some() {
            return Ok(());
        }
        self.open(&mut store).await
    }

    async fn open(self: &Arc<Self>, store: &mut Store) -> Result<(), String> {
        if let Some(ending) = store.ending.take() {
            ending.await.map_err(|error| error.to_string())??;
        }
        let number = {
            let mut lives = lock(&self.lives);
            *lives += 1;
            *lives
        };
        let until = Instant::now() + PATIENCE;
        let options = self.options(store, number);
        let node = loop {
            match Node::open(options.clone()).await {
                Ok(node) => break node,
                // Something of the last life still holds the directory.
                Err(NodeError::DataDirectory { .. }) if Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await
                }
                Err(error) => return Err(format!("node {} cannot be opened: {error}", self.index)),
            }
        };
        let (stop, stopped) = watch::channel(false);
        self.network.attach(self.index, number, &node, stopped);
        let mut reopen = node.reopen_wanted();
        let life = Arc::new(Life { number, node, dead: watch::Sender::new(false), stop });
        *lock(&self.life) = Some(Arc::clone(&life));
        let (this, mut dead) = (Arc::clone(self), life.dead.subscribe());
        drop(life);
        tokio::spawn(async move {
            let wanted = tokio::select! {
                _ = dead.wait_for(|dead| *dead) => false,
                wanted = reopen.wait_for(|wanted| *wanted) => wanted.is_ok(),
            };
            if wanted {
                this.reopen(number).await;
            }
        });
        Ok(())
    }

    fn options(&self, store: &Store, life: u64) -> NodeOptions {
        let network = Arc::clone(&self.network);
        let role = if self.is_coordinator() { NodeRole::Coordinator } else { NodeRole::Data };
        let cluster = ClusterSettings {
            role,
            advertised: self.is_coordinator().then(|| uri(self.index)),
            trust: Trust::Secret(ClusterSecret::new(b"of these tests")),
            dialer: Arc::new(Port { network, node: self.index, life }),
            layout: self.layout.clone(),
            detection_ms: DETECTION_MS,
            ..ClusterSettings::default()
        };
        NodeOptions {
            threads: 1,
            log_bytes_max: LOG_BYTES_MAX,
            datasets: DatasetOptions::new(1),
            cluster,
            copies: Arc::clone(&store.disk) as Arc<dyn CopyStore>,
            #[cfg(feature = "mutations")]
            mutation: self.mutation,
            ..NodeOptions::new(store.folder.path().join("data"))
        }
    }

    /// A cluster has adopted the node, or it has to start over.
    fn reopen(self: Arc<Self>, number: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut store = self.store.lock().await;
            let Some(life) = self.life().filter(|life| life.number == number) else { return };
            self.close(life, &mut store);
            // Whoever waits for the cluster finds that the node is not there.
            drop(self.open(&mut store).await);
        })
    }

    /// An orderly stop; whether it was up.
    pub(crate) async fn stop(&self) -> bool {
        let mut store = self.store.lock().await;
        let Some(life) = self.life() else { return false };
        life.node.hand_over(HAND_OVER_MAX).await;
        self.close(life, &mut store);
        true
    }

    fn close(&self, life: Arc<Life>, store: &mut Store) {
        life.stop.send_replace(true);
        self.network.detach(self.index);
        *lock(&self.life) = None;
        self.end(life, store);
    }

    /// Ends the process, and with `power_cut` the machine; whether it was up. `None` where it keeps its power.
    pub(crate) async fn kill(&self, power_cut: Option<u64>) -> bool {
        let mut store = self.store.lock().await;
        let Some(life) = self.life() else { return false };
        // In this order nothing that the new disk does not have was told to anybody.
        life.dead.send_replace(true);
        self.network.detach(self.index);
        self.network.break_streams(self.index, None);
        *lock(&self.life) = None;
        store.disk = Arc::new(store.disk.end(power_cut));
        self.end(life, &mut store);
        true
    }

    /// Takes another disk, while it is down.
    pub(crate) async fn wipe(&self) {
        let mut store = self.store.lock().await;
        if self.life().is_some() {
            return;
        }
        if let Some(ending) = store.ending.take() {
            drop(ending.await);
        }
        (store.folder, store.disk) = (folder(), Arc::default());
    }

    /// Ends the threads; the next life waits for it.
    fn end(&self, life: Arc<Life>, store: &mut Store) {
        let (index, network) = (self.index, Arc::clone(&self.network));
        store.ending = Some(tokio::spawn(async move {
            let ended = tokio::time::timeout(PATIENCE, life.node.shutdown()).await;
            life.dead.send_replace(true);
            network.break_streams(index, None);
            match ended {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("the threads of node {index} do not end")),
            }
        }));
    }

    /// Waits for the end of what is ending.
    pub(crate) async fn ended(&self) -> Result<(), String> {
        match self.store.lock().await.ending.take() {
            Some(ending) => ending.await.map_err(|error| error.to_string())?,
            None => Ok(()),
        }
    }
}

/// In memory where the system has a place for that: hundreds of nodes sync their metadata.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let folder =
        if memory.is_dir() { TempDir::with_prefix_in("lavandin-nodes-", memory) } else { TempDir::new() };
    folder.expect("a temporary directory")
}
