//! Logs on standard error: text on a terminal, one JSON object a line elsewhere.
//!
//! Events that machines read carry a field `event`: `http_request` (debug), `slow_query` (warn), `audit` (info).

use crate::config::{LogFormat, ServerConfig};
use anyhow::{Context, Result, anyhow};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

/// Keeps panics quiet that are caught and reported as damage of a file: the report is for the user, and a stack trace
/// beside it would only frighten.
pub(crate) fn leave_out_caught_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(lavandin_node::OPENING_THREAD) {
            report(panic);
        }
    }));
}

/// Installs the process's subscriber.
pub(crate) fn start(config: &ServerConfig) -> Result<()> {
    let level = &config.log_level;
    // LynseDB's clients know the level "warning"; a bare level is for this program, libraries stay at warnings.
    let directives = match level.to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        bare @ ("error" | "warn" | "info" | "debug" | "trace" | "off") => bare.to_owned(),
        _ => level.clone(),
    };
    let directives = match directives.contains(['=', ',']) {
        true => directives,
        // The consensus library warns of every message to a node that is away; what matters of it is in the status.
        false => format!("warn,openraft=error,lavandin={directives},{}", crates_at(&directives)),
    };
    let filter = EnvFilter::try_new(&directives).with_context(|| format!("log_level is {level:?}"))?;
    let file = config.log_file.as_deref().map(open).transpose()?;
    let writer = std::io::stderr.and(OptionalFile(file));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let builder = builder.with_ansi(config.log_file.is_none() && std::io::stderr().is_terminal());
    let installed = match config.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(true).try_init(),
    };
    installed.map_err(|error| anyhow!("cannot start logging: {error}"))
}

/// Opens a log file to append to; its folder is made if it is not there.
fn open(path: &Path) -> Result<Arc<File>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    Ok(Arc::new(file.with_context(|| format!("cannot open the log file {}", path.display()))?))
}

/// Writes to a file if there is one.
struct OptionalFile(Option<Arc<File>>);

impl<'a> MakeWriter<'a> for OptionalFile {
    type Writer = Box<dyn Write + 'a>;

    fn make_writer(&'a self) -> Self::Writer {
        match &self.0 {
            Some(file) => Box::new(&**file),
            None => Box::new(std::io::sink()),
        }
    }
}

fn crates_at(level: &str) -> String {
    let crates = [
        "server",
        "node",
        "consensus",
        "peer",
        "shard",
        "group",
        "storage",
        "vector",
        "cluster",
        "plan",
        "feed",
    ];
    crates.map(|name| format!("lavandin_{name}={level}")).join(",")
}
