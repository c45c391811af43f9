//! Starting and stopping a node with its HTTP server.

use crate::config::ServerConfig;
use crate::routes::router;
use crate::{App, accept, cli};
use anyhow::{Context, Result};
use lavandin_node::{DatasetOptions, HfSettings, Limits, Node, NodeError, NodeOptions, S3Settings};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A server that runs.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// Runs a node until a signal ends it.
pub(crate) fn serve(config: ServerConfig) -> Result<()> {
    runtime(&config)?.block_on(async {
        // Before anybody can know that the server runs.
        let signals = StopSignals::catch()?;
        let running = start(config).await?;
        signals.first().await;
        running.stop().await
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

/// Opens the node, then the port.
pub(crate) async fn start(mut config: ServerConfig) -> Result<Running> {
    let listener = bind(&config).await?;
    let address = listener.local_addr().context("cannot tell the address listened on")?;
    config.port = address.port();
    for variable in &config.ignored_variables {
        tracing::warn!(
            event = "variable_ignored",
            variable,
            "{variable} is for clusters, which are not there yet; it is ignored"
        );
    }
    let data_dir = cli::absolute(&config.data_dir)?;
    let opening = std::time::Instant::now();
    let node = match Node::open(options_of(&config)).await {
        Ok(node) => node,
        // It names the directory itself.
        Err(error @ NodeError::DataDirectory { .. }) => return Err(error.into()),
        Err(error) => {
            let context = format!("cannot open the data directory {}", data_dir.display());
            return Err(anyhow::Error::new(error).context(context));
        }
    };
    let app = App::new(node, config);
    warn_if_open(&app, address.ip());
    tracing::info!(
        event = "listening", address = %format!("http://{address}"), data_dir = %data_dir.display(),
        version = env!("CARGO_PKG_VERSION"), opened_ms = opening.elapsed().as_millis() as u64,
        key_required = app.keys.are_wanted(&app.node.catalogue()), "listening"
    );
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept::run(Arc::clone(&app), router(Arc::clone(&app)), listener, stopped));
    Ok(Running { app, address, stop, accepting })
}

impl Running {
    /// Finishes what is under way, then closes the node.
    pub(crate) async fn stop(self) -> Result<()> {
        tracing::info!(event = "stopping", "stopping");
        self.app.stopping.store(true, Ordering::Relaxed);
        let _ = self.stop.send(true);
        self.accepting.await.context("the server failed")?;
        self.app.node.shutdown().await.context("cannot close the node")?;
        tracing::info!(event = "stopped", "stopped");
        Ok(())
    }
}

async fn bind(config: &ServerConfig) -> Result<TcpListener> {
    let (host, port) = (config.host.as_str(), config.port);
    TcpListener::bind((host, port)).await.with_context(|| format!("cannot listen on {host}:{port}"))
}

fn options_of(config: &ServerConfig) -> NodeOptions {
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
