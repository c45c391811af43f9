//! The table of settings.

use anyhow::{Result, bail};

/// What a setting's text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Text that is never shown.
    Secret,
    Port,
    /// An integer from 1.
    Positive,
    /// An integer from 0.
    Count,
    /// A number above 0.
    Number,
    Switch,
    Choice(&'static [&'static str]),
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its key in a file.
    pub(crate) key: &'static str,
    pub(crate) flag: &'static str,
    /// Other names of the flag.
    pub(crate) flag_aliases: &'static [&'static str],
    /// First found, first served.
    pub(crate) variables: &'static [&'static str],
    pub(crate) default: Option<&'static str>,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    /// Whether it means something to a coordinator only.
    pub(crate) of_coordinator: bool,
}

const fn setting(
    key: &'static str,
    flag: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, flag, flag_aliases: &[], variables: &[], default, kind, help, of_coordinator: false }
}

const fn of_coordinator(key: &'static str, flag: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { of_coordinator: true, ..setting(key, flag, kind, None, help) }
}

impl Setting {
    const fn variables(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn or_flag(self, flag_aliases: &'static [&'static str]) -> Self {
        Self { flag_aliases, ..self }
    }
}

pub(crate) const SETTINGS: &[Setting] = &[
    setting("host", "host", Kind::Text, Some("127.0.0.1"), "Address to listen on").variables(&[
        "LAVANDIN_HOST",
        "LYNSE_HOST",
        "LAVENDER_DATA_HOST",
    ]),
    setting("port", "port", Kind::Port, Some("7637"), "Port to listen on; 0 takes a free one").variables(&[
        "LAVANDIN_PORT",
        "LYNSE_PORT",
        "LAVENDER_DATA_PORT",
        "PORT",
    ]),
    setting("data_dir", "data-dir", Kind::Text, Some("lavandin-data"), "Directory that holds all data")
        .or_flag(&["root"])
        .variables(&["LAVANDIN_DATA_DIR", "LYNSE_DATA_DIR", "LYNSE_ROOT"]),
    setting("api_key", "api-key", Kind::Secret, None, "Key that requests must carry (Bearer or Basic)")
        .variables(&["LAVANDIN_API_KEY", "LYNSE_API_KEY"]),
    setting(
        "durability",
        "durability",
        Kind::Choice(&["fsync", "os"]),
        Some("fsync"),
        "When a write is acknowledged: on the disk (fsync), or handed to the operating system (os)",
    )
    .variables(&["LAVANDIN_DURABILITY"]),
    setting(
        "role",
        "role",
        Kind::Choice(&["single", "shard", "coordinator"]),
        Some("single"),
        "What to run as",
    )
    .variables(&["LAVANDIN_ROLE", "LYNSE_ROLE"]),
    setting(
        "workers",
        "workers",
        Kind::Positive,
        None,
        "HTTP worker threads [default: one a processor, at least 2]",
    )
    .variables(&["LAVANDIN_WORKERS", "LYNSE_SERVER_WORKERS"]),
    setting(
        "keep_alive_secs",
        "keep-alive-secs",
        Kind::Positive,
        Some("75"),
        "Idle time before a connection closes",
    )
    .variables(&["LAVANDIN_KEEP_ALIVE_SECS", "LYNSE_KEEP_ALIVE_SECS"]),
    setting(
        "request_timeout_secs",
        "request-timeout-secs",
        Kind::Positive,
        Some("300"),
        "Deadline of a request",
    )
    .variables(&["LAVANDIN_REQUEST_TIMEOUT_SECS", "LYNSE_CLIENT_REQUEST_TIMEOUT_SECS"]),
    setting(
        "stop_timeout_secs",
        "stop-timeout-secs",
        Kind::Positive,
        Some("20"),
        "How long requests under way may take after a stop signal",
    )
    .variables(&["LAVANDIN_STOP_TIMEOUT_SECS"]),
    setting("json_limit_mb", "json-limit-mb", Kind::Positive, Some("256"), "Largest JSON body")
        .variables(&["LAVANDIN_JSON_LIMIT_MB", "LYNSE_JSON_LIMIT_MB"]),
    setting("payload_limit_mb", "payload-limit-mb", Kind::Positive, Some("512"), "Largest binary body")
        .variables(&["LAVANDIN_PAYLOAD_LIMIT_MB", "LYNSE_PAYLOAD_LIMIT_MB"]),
    setting(
        "body_memory_mb",
        "body-memory-mb",
        Kind::Positive,
        Some("2048"),
        "Bodies held in memory at once",
    )
    .variables(&["LAVANDIN_BODY_MEMORY_MB"]),
    setting("max_connections", "max-connections", Kind::Positive, Some("10000"), "Connections open at once")
        .variables(&["LAVANDIN_MAX_CONNECTIONS"]),
    setting("max_requests", "max-requests", Kind::Positive, Some("4096"), "Requests under way at once")
        .variables(&["LAVANDIN_MAX_REQUESTS"]),
    setting("max_top_k", "max-top-k", Kind::Count, Some("10000"), "Largest k, n or max_results; 0 for any")
        .variables(&["LAVANDIN_MAX_TOP_K", "LYNSE_MAX_TOP_K"]),
    setting(
        "max_batch_vectors",
        "max-batch-vectors",
        Kind::Count,
        Some("100000"),
        "Most vectors, ids or queries in one request; 0 for any",
    )
    .variables(&["LAVANDIN_MAX_BATCH_VECTORS", "LYNSE_MAX_BATCH_VECTORS"]),
    setting(
        "max_collection_vectors",
        "max-collection-vectors",
        Kind::Count,
        Some("10000000"),
        "Most vectors in a collection; 0 for any",
    )
    .variables(&["LAVANDIN_MAX_COLLECTION_VECTORS", "LYNSE_MAX_COLLECTION_VECTORS"]),
    setting(
        "max_collection_vector_bytes",
        "max-collection-vector-bytes",
        Kind::Count,
        Some("1099511627776"),
        "Most bytes of vectors in a collection; 0 for any",
    )
    .variables(&["LAVANDIN_MAX_COLLECTION_VECTOR_BYTES", "LYNSE_MAX_COLLECTION_VECTOR_BYTES"]),
    setting(
        "slow_query_warn_ms",
        "slow-query-warn-ms",
        Kind::Count,
        Some("1000"),
        "Log searches and queries that take this long; 0 for never",
    )
    .variables(&["LAVANDIN_SLOW_QUERY_WARN_MS", "LYNSE_SLOW_QUERY_WARN_MS"]),
    setting(
        "audit_log",
        "audit-log",
        Kind::Switch,
        Some("true"),
        "Log every change [turn off: --no-audit-log]",
    )
    .variables(&["LAVANDIN_AUDIT_LOG", "LYNSE_AUDIT_LOG"]),
    setting(
        "log_level",
        "log-level",
        Kind::Text,
        Some("info"),
        "error, warn, info, debug or trace, or a filter",
    )
    .variables(&["LAVANDIN_LOG_LEVEL", "LYNSE_LOG_LEVEL", "LAVENDER_DATA_LOG_LEVEL"]),
    setting(
        "log_format",
        "log-format",
        Kind::Choice(&["auto", "text", "json"]),
        Some("auto"),
        "Look of log lines; auto is text on a terminal and JSON elsewhere",
    )
    .variables(&["LAVANDIN_LOG_FORMAT"]),
    setting("log_file", "log-file", Kind::Text, None, "File that log lines go to besides standard error")
        .variables(&["LAVANDIN_LOG_FILE", "LAVENDER_DATA_LOG_FILE"]),
    setting(
        "disable_auth",
        "disable-auth",
        Kind::Switch,
        Some("false"),
        "Let everyone in, whatever keys there are",
    )
    .variables(&["LAVANDIN_DISABLE_AUTH", "LAVENDER_DATA_DISABLE_AUTH"]),
    setting(
        "database_url",
        "database-url",
        Kind::Text,
        None,
        "sqlite:///NAME stands for the data directory NAME.d; for env files of Lavender Data",
    )
    .variables(&["LAVENDER_DATA_DB_URL"]),
    setting(
        "modules_dir",
        "modules-dir",
        Kind::Text,
        None,
        "Directory of Python modules with filters, categorizers, collaters and preprocessors",
    )
    .variables(&["LAVANDIN_MODULES_DIR", "LAVENDER_DATA_MODULES_DIR"]),
    setting(
        "modules_reload_interval",
        "modules-reload-interval",
        Kind::Count,
        Some("10"),
        "Seconds between looks for changed modules; 0 for never",
    )
    .variables(&["LAVANDIN_MODULES_RELOAD_INTERVAL", "LAVENDER_DATA_MODULES_RELOAD_INTERVAL"]),
    setting(
        "python",
        "python",
        Kind::Text,
        Some("python3"),
        "Python interpreter for modules (numpy, pyarrow)",
    )
    .variables(&["LAVANDIN_PYTHON"]),
    setting(
        "python_workers",
        "python-workers",
        Kind::Count,
        Some("0"),
        "Python processes; 0 for one a processor. None is started without user code",
    )
    .variables(&["LAVANDIN_PYTHON_WORKERS", "LAVENDER_DATA_NUM_WORKERS"]),
    setting(
        "python_time_limit_secs",
        "python-time-limit-secs",
        Kind::Positive,
        Some("60"),
        "How long user code may take for one batch",
    )
    .variables(&["LAVANDIN_PYTHON_TIME_LIMIT_SECS"]),
    setting(
        "python_memory_limit_mb",
        "python-memory-limit-mb",
        Kind::Positive,
        Some("2048"),
        "Memory of one Python process, beyond which it is replaced",
    )
    .variables(&["LAVANDIN_PYTHON_MEMORY_LIMIT_MB"]),
    setting(
        "feed_memory_mb",
        "feed-memory-mb",
        Kind::Positive,
        Some("1024"),
        "Memory for decoded shard files and batches made ahead",
    )
    .variables(&["LAVANDIN_FEED_MEMORY_MB"]),
    setting(
        "shard_cache_bytes",
        "shard-cache-bytes",
        Kind::Positive,
        Some("4294967296"),
        "Disk space for copies of remote shard files",
    )
    .variables(&["LAVANDIN_SHARD_CACHE_BYTES", "LAVENDER_DATA_READER_DISK_CACHE_SIZE"]),
    setting(
        "file_roots",
        "file-roots",
        Kind::Text,
        None,
        "Directories that file:// locations may be in, separated by colons [default: anywhere]",
    )
    .variables(&["LAVANDIN_FILE_ROOTS"]),
    setting(
        "advertise",
        "advertise",
        Kind::Text,
        None,
        "URI under which other nodes reach this one (http://host:port) [default: what the cluster calls it]",
    )
    .variables(&["LAVANDIN_ADVERTISE", "LAVENDER_DATA_CLUSTER_NODE_URL"]),
    setting(
        "head_url",
        "head-url",
        Kind::Text,
        None,
        "URI of the node that forms the cluster, which may be this one; for the first start of a node that is to be a member",
    )
    .variables(&["LAVANDIN_HEAD_URL", "LAVENDER_DATA_CLUSTER_HEAD_URL"]),
    setting("cluster_secret", "cluster-secret", Kind::Secret, None, "What the nodes of a cluster prove to each other to know")
        .variables(&["LAVANDIN_CLUSTER_SECRET", "LAVENDER_DATA_CLUSTER_SECRET"]),
    setting(
        "join_wait",
        "join-wait",
        Kind::Text,
        Some("10"),
        "Seconds that a first start waits for the head, or forever",
    )
    .variables(&["LAVANDIN_JOIN_WAIT"]),
    setting(
        "replication_factor",
        "replication-factor",
        Kind::Positive,
        Some("2"),
        "Copies of each group; used when a head forms its cluster",
    )
    .variables(&["LAVANDIN_REPLICATION_FACTOR"]),
    of_coordinator("cluster_config", "cluster-config", Kind::Text, "Coordinator: the cluster's configuration file")
        .variables(&["LAVANDIN_CLUSTER_CONFIG", "LYNSE_CLUSTER_CONFIG"]),
    of_coordinator(
        "cluster_state",
        "cluster-state",
        Kind::Text,
        "Coordinator: cache of the nodes' addresses; may be deleted [default: cluster_state.cache.json]",
    )
    .variables(&["LAVANDIN_CLUSTER_STATE", "LYNSE_CLUSTER_STATE"]),
    of_coordinator("shard_api_key", "shard-api-key", Kind::Secret, "Coordinator: the --api-key of the shards")
        .variables(&["LAVANDIN_SHARD_API_KEY", "LYNSE_SHARD_API_KEY"]),
    of_coordinator(
        "coordinator_id",
        "coordinator-id",
        Kind::Text,
        "Coordinator: its name in the status [default: its URI]",
    )
    .variables(&["LAVANDIN_COORDINATOR_ID", "LYNSE_COORDINATOR_ID"]),
    of_coordinator(
        "coordinator_uri",
        "coordinator-uri",
        Kind::Text,
        "Coordinator: URI under which others reach it [default: http:// with host and port]",
    )
    .variables(&["LAVANDIN_COORDINATOR_URI", "LYNSE_COORDINATOR_URI"]),
    of_coordinator(
        "coordinator_lease_secs",
        "coordinator-lease-secs",
        Kind::Number,
        "Accepted and not used: leases follow from the health settings",
    )
    .variables(&["LAVANDIN_COORDINATOR_LEASE_SECS", "LYNSE_COORDINATOR_LEASE_SECS"]),
    of_coordinator(
        "metadata_owners",
        "metadata-owners",
        Kind::Text,
        "Coordinator: URIs of the nodes that keep the metadata, one or three and more, with commas [default: chosen]",
    )
    .variables(&["LAVANDIN_METADATA_OWNERS", "LYNSE_CLUSTER_METADATA_OWNERS"]),
    of_coordinator(
        "health_interval_secs",
        "health-interval-secs",
        Kind::Number,
        "Coordinator or head: with --health-failures, the silence after which a node is dead; used when a cluster is formed",
    )
    .or("1.0")
    .variables(&["LAVANDIN_HEALTH_INTERVAL_SECS", "LYNSE_HEALTH_INTERVAL_SECS"]),
    of_coordinator(
        "health_failures",
        "health-failures",
        Kind::Positive,
        "Coordinator or head: intervals of silence after which a node is dead; used when a cluster is formed",
    )
    .or("3")
    .variables(&["LAVANDIN_HEALTH_FAILURES", "LYNSE_HEALTH_FAILURES"]),
    of_coordinator(
        "min_insync",
        "min-insync",
        Kind::Positive,
        "Coordinator or head: in-sync copies that a write needs; used when a cluster is formed",
    )
    .or("1")
    .variables(&["LAVANDIN_MIN_INSYNC"]),
];

impl Kind {
    pub(crate) fn check(self, text: &str) -> Result<()> {
        let integer = text.trim().parse::<u64>().ok();
        let (is_fine, expected) = match self {
            Self::Text | Self::Secret => (!text.is_empty(), "some text"),
            Self::Port => (integer.is_some_and(|port| port <= 65535), "an integer from 0 to 65535"),
            Self::Positive => (integer.is_some_and(|number| number > 0), "an integer from 1"),
            Self::Count => (integer.is_some(), "an integer from 0"),
            Self::Number => {
                let number = text.trim().parse::<f64>().ok();
                (number.is_some_and(|number| number > 0.0 && number.is_finite()), "a number above 0")
            }
            Self::Switch => (parse_switch(text).is_some(), "true or false (also 1, 0, yes, no, on, off)"),
            Self::Choice(choices) if choices.contains(&text) => return Ok(()),
            Self::Choice(choices) => bail!("expected one of {}", choices.join(", ")),
        };
        if is_fine {
            return Ok(());
        }
        bail!("expected {expected}")
    }
}

pub(crate) fn parse_switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
