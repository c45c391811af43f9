//! `lavandin quickstart`: a node with real data in a few seconds.
//!
//! It starts the server that `serve` starts, loads a bundled slice of WordNet with its embeddings, builds an index,
//! runs searches and prints what they found; then it feeds the same texts from parquet files as a trainer would get
//! them, says what to try next, and goes on serving. A second start finds the data and makes none again.

mod batch;
mod dataset;
mod epoch;
mod pipeline;
mod progress;
mod sample;
mod tour;

use crate::config::{LogFormat, Resolved, ServerConfig, Sources};
use crate::run::{self, Running, StopSignals};
use crate::{cli, logging};
use anyhow::{Context, Result};
use pipeline::Pipeline;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Port where none is asked for.
pub(crate) const PORT: u16 = 7637;

const PYTHON_VARIABLE: &str = "LAVANDIN_PYTHON";
const PYTHON: &str = "python3";

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
    let python = std::env::var(PYTHON_VARIABLE).ok().filter(|python| !python.is_empty());
    let python = python.unwrap_or_else(|| PYTHON.to_owned());
    let pipeline = Pipeline::prepare(&directory, &python)?;
    let config = config_for(&directory, options.port, (&python, &pipeline))?;
    logging::start(&config)?;
    run::runtime(&config)?.block_on(async {
        let running = run::start(config).await?;
        let told = show(&running, &directory, &pipeline).await;
        if told.is_err() || options.exit {
            running.stop().await?;
            return told;
        }
        let signals = StopSignals::catch()?;
        println!("\nServing on http://{} (stop with Ctrl-C).", running.address);
        signals.first().await;
        running.stop().await
    })
}

async fn show(running: &Running, directory: &Path, pipeline: &Pipeline) -> Result<()> {
    let node = &running.app.node;
    sample::ensure(node).await?;
    tour::searches(node).await?;
    let dataset = dataset::ensure(node, directory).await?;
    let is_preprocessed = epoch::run(running, &dataset, pipeline).await?;
    let url = format!("http://{}", running.address);
    tour::next_steps(&url, directory)?;
    tour::training_steps(&url, is_preprocessed);
    Ok(())
}

fn default_directory() -> PathBuf {
    match cli::user_data_home() {
        Some(home) => home.join("lavandin").join("quickstart"),
        None => PathBuf::from("lavandin-quickstart"),
    }
}

/// The defaults of `serve`, on the quickstart's own directory, with a quiet log.
fn config_for(directory: &Path, port: u16, (python, pipeline): (&str, &Pipeline)) -> Result<ServerConfig> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut command_line = BTreeMap::from([
        ("data_dir", text(&directory.join("data"))),
        ("port", port.to_string()),
        ("log_level", "warn".to_owned()),
        ("python", python.to_owned()),
    ]);
    command_line.extend(pipeline.modules().map(|modules| ("modules_dir", text(modules))));
    let nothing = |_: &str| None;
    let sources = Sources { command_line: &command_line, variable: &nothing, file: None };
    let config = Resolved::gather(&sources)?.into_config(true)?;
    Ok(ServerConfig { log_format: LogFormat::Text, ..config })
}
