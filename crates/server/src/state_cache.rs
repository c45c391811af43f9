//! The coordinator's cache: which nodes the cluster had, so that a coordinator that starts finds one of them even if
//! those that its configuration names are gone.
//!
//! JSON, `{"cluster": id, "nodes": [uri, …]}`. The metadata counts; the file may be deleted at any time, and one that
//! is missing or cannot be read is no error.

use crate::app::App;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A cluster has 256 nodes at most, with addresses of up to 512 bytes.
const BYTES_MAX: u64 = 256 << 10;
const NODES_MAX: usize = 256;
/// How often the catalogue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateCache {
    pub(crate) cluster: Option<String>,
    pub(crate) nodes: Vec<String>,
}

impl StateCache {
    /// What the file says; nothing where it says nothing that can be read.
    pub(crate) fn read(path: &Path) -> Self {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
        let read = read.ok().and_then(|_| serde_json::from_str::<Self>(&text).ok());
        let mut cache = read.unwrap_or_default();
        cache.nodes.truncate(NODES_MAX);
        cache
    }

    /// Replaces the file in one step.
    fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        Ok(fs::rename(&beside, path)?)
    }

    fn of(app: &App) -> Option<Self> {
        let catalogue = app.node.catalogue();
        let cluster = catalogue.cluster()?.to_string();
        let nodes = catalogue.nodes().filter(|node| !node.address.is_empty());
        let nodes = nodes.map(|node| node.address.clone()).collect();
        Some(Self { cluster: Some(cluster), nodes })
    }
}

/// Keeps the file as the catalogue is, until `stop`.
pub(crate) async fn keep(app: Arc<App>, path: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut written = StateCache::read(&path);
    let mut has_failed = false;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let Some(present) = StateCache::of(&app).filter(|present| *present != written) else { continue };
        let (new, file) = (present.clone(), path.clone());
        let done = tokio::task::spawn_blocking(move || new.write(&file)).await;
        match done.context("the writing failed").and_then(|done| done) {
            Ok(()) => (written, has_failed) = (present, false),
            Err(error) if !has_failed => {
                has_failed = true;
                tracing::warn!(
                    event = "cluster_state_failed", path = %path.display(), error = %format!("{error:#}"),
                    "cannot write the cache of the cluster's nodes; it is tried again"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
