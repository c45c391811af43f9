//! `lavandin quickstart`: a node with real data in a few seconds.
//!
//! It starts the server that `serve` starts, loads a bundled slice of WordNet with its embeddings, builds an index,
//! runs searches and prints what they found, says what to try next, and goes on serving. A second start finds the
//! data and serves at once.

mod progress;
mod sample;
mod tour;

use crate::config::{LogFormat, Resolved, ServerConfig, Sources};
use crate::run::{self, Running};
use crate::{cli, logging};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Port where none is asked for.
pub(crate) const PORT: u16 = 7637;

/// What the command line said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) port: u16,
    /// End after the tour instead of serving on.
    pub(crate) exit: bool,
}

pub(crate) fn run(options: Options) -> Result<()> {
    let directory = cli::absolute(&options.data_dir.clone().unwrap_or_else(default_directory))?;
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    println!("Lavandin {}: quickstart", env!("CARGO_PKG_VERSION"));
    println!("Data directory: {}\n", directory.display());
    let config = config_for(&directory, options.port)?;
    logging::start(&config)?;
    run::runtime(&config)?.block_on(async {
        let running = run::start(config).await?;
        let told = show(&running, &directory).await;
        if told.is_err() || options.exit {
            running.stop().await?;
            return told;
        }
        println!("\nServing on http://{} (stop with Ctrl-C).", running.address);
        run::until_signal().await?;
        running.stop().await
    })
}

async fn show(running: &Running, directory: &Path) -> Result<()> {
    sample::ensure(&running.app.node).await?;
    tour::searches(&running.app.node).await?;
    tour::next_steps(&format!("http://{}", running.address), directory)
}

fn default_directory() -> PathBuf {
    match cli::user_data_home() {
        Some(home) => home.join("lavandin").join("quickstart"),
        None => PathBuf::from("lavandin-quickstart"),
    }
}

/// The defaults of `serve`, on the quickstart's own directory, with a quiet log.
fn config_for(directory: &Path, port: u16) -> Result<ServerConfig> {
    let command_line = BTreeMap::from([
        ("data_dir", directory.join("data").to_string_lossy().into_owned()),
        ("port", port.to_string()),
        ("log_level", "warn".to_owned()),
    ]);
    let nothing = |_: &str| None;
    let sources = Sources { command_line: &command_line, variable: &nothing, file: None };
    let config = Resolved::gather(&sources)?.into_config(true)?;
    Ok(ServerConfig { log_format: LogFormat::Text, ..config })
}
