//! Starting and stopping a node with its HTTP server.

use crate::config::ServerConfig;
use crate::routes::router;
use crate::{App, accept, cli};
use anyhow::{Context, Result};
use lavandin_node::{Limits, Node, NodeError, NodeOptions};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
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
        let running = start(config).await?;
        until_signal().await?;
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
    warn_if_open(&config, address.ip());
    for variable in &config.ignored_variables {
        tracing::warn!(
            event = "variable_ignored",
            variable,
            "{variable} is for the coordinator, which is not there yet; it is ignored"
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
    tracing::info!(
        event = "listening", address = %format!("http://{address}"), data_dir = %data_dir.display(),
        version = env!("CARGO_PKG_VERSION"), opened_ms = opening.elapsed().as_millis() as u64,
        key_required = !app.keys.is_empty(), "listening"
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
    NodeOptions {
        durability: config.durability,
        limits: Limits {
            top_k_max: usize::try_from(config.top_k_max).unwrap_or(usize::MAX),
            batch_vectors_max: usize::try_from(config.batch_vectors_max).unwrap_or(usize::MAX),
            collection_vectors_max: config.collection_vectors_max,
            collection_vector_bytes_max: config.collection_vector_bytes_max,
        },
        request_timeout: config.request_timeout,
        ..NodeOptions::new(&config.data_dir)
    }
}

fn warn_if_open(config: &ServerConfig, ip: IpAddr) {
    if config.api_key.is_none() && !ip.is_loopback() {
        tracing::warn!(
            event = "open_to_all", address = %ip,
            "ANYONE WHO REACHES THIS ADDRESS CAN READ AND CHANGE ALL DATA: set --api-key, or listen on 127.0.0.1"
        );
    }
}

/// Returns at the first SIGTERM or SIGINT; the second one ends the process at once.
pub(crate) async fn until_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!(event = "cut", "a second signal: ending at once");
        std::process::exit(1);
    });
    Ok(())
}
