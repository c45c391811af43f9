//! Logs on standard error: text on a terminal, one JSON object a line elsewhere.
//!
//! Events that machines read carry a field `event`: `http_request` (debug), `slow_query` (warn), `audit` (info).

use crate::config::{LogFormat, ServerConfig};
use anyhow::{Context, Result, anyhow};
use tracing_subscriber::EnvFilter;

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
        false => format!("warn,lavandin={directives},{}", crates_at(&directives)),
    };
    let filter = EnvFilter::try_new(&directives).with_context(|| format!("log_level is {level:?}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match config.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(true).try_init(),
    };
    installed.map_err(|error| anyhow!("cannot start logging: {error}"))
}

fn crates_at(level: &str) -> String {
    let crates = ["server", "node", "consensus", "shard", "group", "storage", "vector", "cluster"];
    crates.map(|name| format!("lavandin_{name}={level}")).join(",")
}
