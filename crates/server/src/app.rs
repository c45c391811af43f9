//! What every request shares.

use crate::auth::Keys;
use crate::config::ServerConfig;
use crate::http::RequestNames;
use crate::metrics::Metrics;
use crate::routes::Signatures;
use lavandin_node::Node;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The node and all that the HTTP layer keeps beside it.
pub struct App {
    pub(crate) node: Arc<Node>,
    pub(crate) config: ServerConfig,
    pub(crate) keys: Keys,
    pub(crate) metrics: Metrics,
    pub(crate) names: RequestNames,
    pub(crate) signatures: Signatures,
    /// Bytes of bodies held in memory.
    pub(crate) body_bytes: AtomicU64,
    pub(crate) stopping: AtomicBool,
}

impl App {
    pub fn new(node: Arc<Node>, config: ServerConfig) -> Arc<Self> {
        let keys = Keys::new(config.api_key.as_deref(), config.disable_auth);
        Arc::new(Self {
            node,
            keys,
            metrics: Metrics::new(),
            names: RequestNames::new(),
            signatures: Signatures::new(&config.cluster.settings.trust),
            body_bytes: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            config,
        })
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
