//! The server's configuration: one table of settings, each with a flag, variables, a file key and a default.
//!
//! Precedence: command line, then `LAVANDIN_*`, then `LYNSE_*` (and the two variables that LynseDB reads besides),
//! then `LAVENDER_DATA_*`, then the file, then the default. Each variable is that of the environment, else that of
//! the env file. An empty variable counts as unset. A value that is wrong is an error that names where it came from;
//! so is a key of the file that no setting has.

mod cluster;
pub(crate) mod env_file;
mod file;
mod settings;

use anyhow::{Context, Result, bail};
pub(crate) use cluster::ClusterConfig;
use lavandin_node::{Durability, NodeRole};
pub(crate) use settings::{Kind, SETTINGS, Setting, parse_switch};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MEGABYTE: u64 = 1 << 20;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Everything that `serve` needs to know.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) data_dir: PathBuf,
    pub(crate) api_key: Option<String>,
    pub(crate) durability: Durability,
    /// HTTP worker threads; `None` leaves it to the number of processors.
    pub(crate) workers: Option<usize>,
    pub(crate) keep_alive: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) json_bytes_max: u64,
    pub(crate) payload_bytes_max: u64,
    /// Bodies held in memory at once.
    pub(crate) body_memory_bytes_max: u64,
    pub(crate) connections_max: usize,
    pub(crate) requests_max: usize,
    /// The next four: 0 means no limit.
    pub(crate) top_k_max: u64,
    pub(crate) batch_vectors_max: u64,
    pub(crate) collection_vectors_max: u64,
    pub(crate) collection_vector_bytes_max: u64,
    /// `None` never warns.
    pub(crate) slow_query: Option<Duration>,
    pub(crate) audit_log: bool,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) disable_auth: bool,
    pub(crate) datasets: DatasetConfig,
    pub(crate) cluster: ClusterConfig,
    /// Variables that are set and mean nothing to this process.
    pub(crate) ignored_variables: Vec<&'static str>,
    /// What the env file says, for those who read the environment: locations' credentials, and user code.
    pub(crate) env_file: BTreeMap<String, String>,
}

/// What the dataset wing needs to know.
#[derive(Clone, Debug)]
pub(crate) struct DatasetConfig {
    pub(crate) modules_dir: Option<PathBuf>,
    /// `None` never looks.
    pub(crate) modules_reload_interval: Option<Duration>,
    pub(crate) python: String,
    /// `None` leaves it to the number of processors.
    pub(crate) python_workers: Option<usize>,
    pub(crate) python_time_limit: Duration,
    pub(crate) python_memory_bytes_max: u64,
    pub(crate) memory_bytes_max: u64,
    pub(crate) shard_cache_bytes_max: u64,
    /// Empty for anywhere.
    pub(crate) file_roots: Vec<PathBuf>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    CommandLine { flag: &'static str },
    Variable { name: &'static str },
    File { path: PathBuf },
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine { flag } => write!(f, "--{flag}"),
            Self::Variable { name } => write!(f, "the variable {name}"),
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

impl Source {
    fn is_variable(&self) -> bool {
        matches!(self, Self::Variable { .. })
    }
}

/// The text of every setting that has one, with its source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    values: BTreeMap<&'static str, (String, Source)>,
}

/// Where values are looked for.
pub(crate) struct Sources<'a> {
    /// By key.
    pub(crate) command_line: &'a BTreeMap<&'static str, String>,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) file: Option<&'a Path>,
}

impl Resolved {
    /// What kind of process to be; a shard is a node like any other.
    pub(crate) fn role(&self) -> NodeRole {
        match self.text("role") {
            Some("coordinator") => NodeRole::Coordinator,
            _ => NodeRole::Data,
        }
    }

    pub(crate) fn gather(sources: &Sources<'_>) -> Result<Self> {
        let mut from_file = match sources.file {
            Some(path) => file::read(path)?,
            None => BTreeMap::new(),
        };
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let in_file = from_file.remove(setting.key);
            let value = setting.look_up(sources, in_file);
            if let Some((text, source)) = value {
                setting
                    .kind
                    .check(&text)
                    .with_context(|| format!("{source}: {} is {text:?}", setting.key))?;
                values.insert(setting.key, (text, source));
            }
        }
        if let Some(unknown) = from_file.keys().next() {
            let path = sources.file.map(|path| path.display().to_string()).unwrap_or_default();
            bail!("{path}: unknown key {unknown:?}; did you mean {:?}?", nearest(unknown));
        }
        Ok(Self { values })
    }

    /// The settings with a value, their text (secrets hidden) and source, for `--check-config`.
    pub(crate) fn listing(&self) -> String {
        let mut text = String::new();
        for setting in SETTINGS {
            if let Some((value, source)) = self.values.get(setting.key) {
                let shown = if setting.kind == Kind::Secret { "(hidden)" } else { value };
                text.push_str(&format!("{} = {shown}  # {source}\n", setting.key));
            }
        }
        text
    }

    /// The coordinator's settings that were given, each with its source; of a node that is told of a head, those that do not
    /// concern it.
    pub(crate) fn of_coordinator(&self) -> impl Iterator<Item = (&'static str, Source)> {
        let has_head = self.given("head_url").is_some();
        let settings = SETTINGS.iter().filter(move |setting| {
            setting.of_coordinator && !(has_head && cluster::OF_WHOEVER_FORMS.contains(&setting.key))
        });
        settings.filter_map(|setting| Some((setting.key, self.given(setting.key)?.1.clone())))
    }

    /// A value that is not the default, with its source.
    pub(crate) fn given(&self, key: &str) -> Option<(&str, &Source)> {
        let value = self.values.get(key).filter(|(_, source)| *source != Source::Default);
        value.map(|(text, source)| (text.as_str(), source))
    }

    fn text(&self, key: &str) -> Option<&str> {
        debug_assert!(SETTINGS.iter().any(|setting| setting.key == key), "no setting is called {key}");
        self.values.get(key).map(|(text, _)| text.as_str())
    }

    /// An integer setting. All of them have defaults and were checked when they were gathered.
    fn integer(&self, key: &str) -> u64 {
        self.text(key).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    }

    fn seconds(&self, key: &str) -> Duration {
        Duration::from_secs(self.integer(key))
    }

    /// `is_terminal`: whether a terminal reads the log, which decides what the format `auto` means.
    pub(crate) fn into_config(self, is_terminal: bool) -> Result<ServerConfig> {
        let port = self.integer("port");
        let slow_query_ms = self.integer("slow_query_warn_ms");
        let api_key = self.text("api_key").map(str::to_owned);
        let log_format = match self.text("log_format") {
            Some("json") => LogFormat::Json,
            Some("text") => LogFormat::Text,
            _ if is_terminal => LogFormat::Text,
            _ => LogFormat::Json,
        };
        let cluster = self.cluster()?;
        Ok(ServerConfig {
            host: self.host(&cluster.settings),
            port: u16::try_from(port).with_context(|| format!("port is {port}, above 65535"))?,
            data_dir: self.data_dir(&cluster)?,
            api_key,
            durability: if self.text("durability") == Some("os") {
                Durability::Os
            } else {
                Durability::Fsync
            },
            workers: self.text("workers").map(|_| self.integer("workers") as usize),
            keep_alive: self.seconds("keep_alive_secs"),
            request_timeout: self.seconds("request_timeout_secs"),
            stop_timeout: self.seconds("stop_timeout_secs"),
            json_bytes_max: self.integer("json_limit_mb").saturating_mul(MEGABYTE),
            payload_bytes_max: self.integer("payload_limit_mb").saturating_mul(MEGABYTE),
            body_memory_bytes_max: self.integer("body_memory_mb").saturating_mul(MEGABYTE),
            connections_max: self.integer("max_connections") as usize,
            requests_max: self.integer("max_requests") as usize,
            top_k_max: self.integer("max_top_k"),
            batch_vectors_max: self.integer("max_batch_vectors"),
            collection_vectors_max: self.integer("max_collection_vectors"),
            collection_vector_bytes_max: self.integer("max_collection_vector_bytes"),
            slow_query: (slow_query_ms > 0).then(|| Duration::from_millis(slow_query_ms)),
            audit_log: self.text("audit_log").and_then(parse_switch).unwrap_or(true),
            log_level: self.text("log_level").unwrap_or("info").to_owned(),
            log_format,
            log_file: self.text("log_file").map(PathBuf::from),
            disable_auth: self.switch("disable_auth"),
            datasets: self.datasets(),
            cluster,
            ignored_variables: Vec::new(),
            env_file: BTreeMap::new(),
        })
    }

    fn switch(&self, key: &str) -> bool {
        self.text(key).and_then(parse_switch).unwrap_or_default()
    }

    /// Named, or in the place of the SQLite file that an env file of Lavender Data names, or beside a coordinator's
    /// cache.
    fn data_dir(&self, cluster: &ClusterConfig) -> Result<PathBuf> {
        let url = self.given("database_url").filter(|_| self.given("data_dir").is_none());
        let Some((url, source)) = url else {
            let beside = cluster.state_file.as_ref().filter(|_| self.given("data_dir").is_none());
            return Ok(match beside {
                Some(state_file) => cluster::with_ending(state_file, ".d"),
                None => self.text("data_dir").unwrap_or_default().into(),
            });
        };
        match url.strip_prefix("sqlite:///").filter(|file| !file.is_empty()) {
            Some(file) => Ok(PathBuf::from(format!("{file}.d"))),
            None => bail!(
                "{source} is {url:?}: this server keeps its own store and takes only sqlite:///NAME, for which it uses \
                 the directory NAME.d; leave it out and set --data-dir"
            ),
        }
    }

    fn datasets(&self) -> DatasetConfig {
        let reload = self.integer("modules_reload_interval");
        let workers = self.integer("python_workers") as usize;
        let roots = self.text("file_roots").unwrap_or_default();
        DatasetConfig {
            modules_dir: self.text("modules_dir").map(PathBuf::from),
            modules_reload_interval: (reload > 0).then(|| Duration::from_secs(reload)),
            python: self.text("python").unwrap_or("python3").to_owned(),
            python_workers: (workers > 0).then_some(workers),
            python_time_limit: self.seconds("python_time_limit_secs"),
            python_memory_bytes_max: self.integer("python_memory_limit_mb").saturating_mul(MEGABYTE),
            memory_bytes_max: self.integer("feed_memory_mb").saturating_mul(MEGABYTE),
            shard_cache_bytes_max: self.integer("shard_cache_bytes"),
            file_roots: roots.split(':').filter(|root| !root.is_empty()).map(PathBuf::from).collect(),
        }
    }
}

impl Setting {
    fn look_up(&self, sources: &Sources<'_>, in_file: Option<String>) -> Option<(String, Source)> {
        if let Some(text) = sources.command_line.get(self.key) {
            return Some((text.clone(), Source::CommandLine { flag: self.flag }));
        }
        for name in self.variables {
            if let Some(text) = (sources.variable)(name).filter(|text| !text.is_empty()) {
                return Some((text, Source::Variable { name }));
            }
        }
        if let (Some(text), Some(path)) = (in_file, sources.file) {
            return Some((text, Source::File { path: path.to_owned() }));
        }
        self.default.map(|text| (text.to_owned(), Source::Default))
    }
}

/// The setting whose key is fewest edits away.
fn nearest(unknown: &str) -> &'static str {
    let keys = SETTINGS.iter().map(|setting| setting.key);
    keys.min_by_key(|key| edits(unknown, key)).unwrap_or("host")
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
