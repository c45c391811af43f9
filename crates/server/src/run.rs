//! Starting and stopping a node with its HTTP server.

mod cluster;

use crate::config::ServerConfig;
use crate::routes::router;
use crate::{App, accept, cli, state_cache};
use anyhow::{Context, Result, bail};
use lavandin_node::{DatasetOptions, HfSettings, Limits, Node, NodeError, NodeOptions, S3Settings};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a node that is stopped waits for others to take over from it.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);
/// Between two attempts to open a node again.
const REOPEN_PAUSE: Duration = Duration::from_millis(20);

/// A server that runs.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    listener: Arc<TcpListener>,
    stop: watch::Sender<bool>,
    /// What serves, and what keeps a coordinator's cache.
    tasks: JoinSet<()>,
    adopted: watch::Receiver<bool>,
    given_up: watch::Receiver<Option<String>>,
}

/// Runs a node until a signal ends it. A node that a cluster adopts is closed and opened again meanwhile.
pub(crate) fn serve(config: ServerConfig) -> Result<()> {
    runtime(&config)?.block_on(async {
        // Before anybody can know that the server runs. In a task of its own, so that the second signal counts whatever
        // goes on.
        let mut stop = tokio::spawn(StopSignals::catch()?.first());
        let mut running = start(config).await?;
        loop {
            tokio::select! {
                biased;
                _ = &mut stop => return running.stop().await,
                () = running.was_adopted() => running = running.reopen().await?,
                reason = running.has_given_up() => {
                    running.close().await?;
                    bail!(reason);
                }
            }
        }
    })
}

pub(crate) fn runtime(config: &ServerConfig) -> Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = config.workers.unwrap_or(processors.max(2));
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("lavandin-http")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Takes the port, then opens the node.
pub(crate) async fn start(mut config: ServerConfig) -> Result<Running> {
    let listener = bind(&config).await?;
    let address = listener.local_addr().context("cannot tell the address listened on")?;
    config.port = address.port();
    for variable in &config.ignored_variables {
        tracing::warn!(
            event = "variable_ignored",
            variable,
            "{variable} means nothing to this process; it is ignored"
        );
    }
    cluster::prepare(&mut config, address.ip());
    let data_dir = config.data_dir.clone();
    Running::open(config, Arc::new(listener)).await.map_err(|error| cannot_open(error, &data_dir))
}

fn cannot_open(error: NodeError, data_dir: &Path) -> anyhow::Error {
    match error {
        // It names the directory itself.
        NodeError::DataDirectory { .. } => error.into(),
        _ => {
            let context = format!("cannot open the data directory {}", absolute(data_dir).display());
            anyhow::Error::new(error).context(context)
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    cli::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Running {
    /// Opens the node and serves it.
    async fn open(config: ServerConfig, listener: Arc<TcpListener>) -> Result<Self, NodeError> {
        let opening = Instant::now();
        let address = listener.local_addr().unwrap_or(SocketAddr::from(([127, 0, 0, 1], config.port)));
        let node = Node::open(options_of(&config, address)).await?;
        let (adopted, given_up) = (node.reopen_wanted(), node.given_up());
        let app = App::new(node, config);
        warn_if_open(&app, address.ip());
        tracing::info!(
            event = "listening", address = %format!("http://{address}"),
            data_dir = %absolute(app.node.data_dir()).display(), version = env!("CARGO_PKG_VERSION"),
            role = app.config.role_name(), opened_ms = opening.elapsed().as_millis() as u64,
            key_required = app.keys.are_wanted(&app.node.catalogue()), "listening"
        );
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let routes = router(Arc::clone(&app));
        tasks.spawn(accept::run(Arc::clone(&app), routes, Arc::clone(&listener), stopped.clone()));
        if let Some(path) = app.config.cluster.state_file.clone() {
            tasks.spawn(state_cache::keep(Arc::clone(&app), path, stopped));
        }
        Ok(Self { app, address, listener, stop, tasks, adopted, given_up })
    }

    /// Returns once the node comes to no cluster: why.
    async fn has_given_up(&self) -> String {
        let mut given_up = self.given_up.clone();
        match given_up.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            _ => std::future::pending().await,
        }
    }

    /// Returns once a cluster has adopted the node.
    async fn was_adopted(&self) {
        if self.adopted.clone().wait_for(|adopted| *adopted).await.is_err() {
            // Nobody can adopt it any more.
            std::future::pending::<()>().await;
        }
    }

    /// Finishes what is under way, closes the node and opens it again on its directory. The port stays taken: whoever
    /// connects meanwhile waits.
    async fn reopen(self) -> Result<Self> {
        tracing::info!(event = "reopening", "this node is closed and opened again within its process");
        let (config, listener) = (self.app.config.clone(), Arc::clone(&self.listener));
        self.close().await?;
        let until = Instant::now() + config.stop_timeout;
        loop {
            match Self::open(config.clone(), Arc::clone(&listener)).await {
                Ok(running) => return Ok(running),
                // Something of the closed node still holds the directory.
                Err(NodeError::DataDirectory { .. }) if Instant::now() < until => {
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
                Err(error) => return Err(cannot_open(error, &config.data_dir)),
            }
        }
    }

    /// Hands over, finishes what is under way, then closes the node. Clients are served meanwhile.
    pub(crate) async fn stop(self) -> Result<()> {
        tracing::info!(event = "stopping", "stopping");
        self.app.stopping.store(true, Ordering::Relaxed);
        self.app.node.hand_over(HAND_OVER_MAX).await;
        self.close().await?;
        tracing::info!(event = "stopped", "stopped");
        Ok(())
    }

    async fn close(self) -> Result<()> {
        let Self { app, listener, stop, mut tasks, .. } = self;
        drop(listener);
        app.stopping.store(true, Ordering::Relaxed);
        let _ = stop.send(true);
        while let Some(ended) = tasks.join_next().await {
            ended.context("the server failed")?;
        }
        app.node.shutdown().await.context("cannot close the node")
    }
}

async fn bind(config: &ServerConfig) -> Result<TcpListener> {
    let (host, port) = (config.host.as_str(), config.port);
    TcpListener::bind((host, port)).await.with_context(|| format!("cannot listen on {host}:{port}"))
}

fn options_of(config: &ServerConfig, listening: SocketAddr) -> NodeOptions {
    let defaults = NodeOptions::new(&config.data_dir);
    NodeOptions {
        durability: config.durability,
        limits: Limits {
            top_k_max: usize::try_from(config.top_k_max).unwrap_or(usize::MAX),
            batch_vectors_max: usize::try_from(config.batch_vectors_max).unwrap_or(usize::MAX),
            collection_vectors_max: config.collection_vectors_max,
            collection_vector_bytes_max: config.collection_vector_bytes_max,
        },
        request_timeout: config.request_timeout,
        datasets: dataset_options(config, defaults.threads),
        cluster: cluster::settings(config, listening),
        ..defaults
    }
}

fn dataset_options(config: &ServerConfig, threads: usize) -> DatasetOptions {
    let datasets = &config.datasets;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    DatasetOptions {
        modules_dir: datasets.modules_dir.clone(),
        modules_reload_interval: datasets.modules_reload_interval,
        python: datasets.python.clone(),
        python_workers: datasets.python_workers.unwrap_or(threads),
        python_time_limit: datasets.python_time_limit,
        python_memory_bytes_max: datasets.python_memory_bytes_max,
        memory_bytes_max: datasets.memory_bytes_max,
        shard_cache_bytes_max: datasets.shard_cache_bytes_max,
        file_roots: datasets.file_roots.clone(),
        s3: S3Settings::from_variables(&variable),
        hf: HfSettings::from_variables(&variable),
    }
}

fn warn_if_open(app: &App, ip: IpAddr) {
    if !app.keys.are_wanted(&app.node.catalogue()) && !ip.is_loopback() {
        tracing::warn!(
            event = "open_to_all", address = %ip,
            "ANYONE WHO REACHES THIS ADDRESS CAN READ AND CHANGE ALL DATA: make a key (lavandin keys create, or \
             --api-key) and leave --disable-auth out, or listen on 127.0.0.1"
        );
    }
}

/// SIGTERM and SIGINT, caught from when this is made: before that they end the process at once.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(crate) fn catch() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Returns at the first signal; the second one ends the process at once.
    pub(crate) async fn first(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!(event = "cut", "a second signal: ending at once");
            std::process::exit(1);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests;
