//! Counters of the HTTP layer, and the text that `/metrics` answers.
//!
//! Counting is a handful of relaxed atomic additions a request. The text has the names that LynseDB gives its metrics
//! behind the prefix `lavandin_`, and more.

mod cluster;
mod duration;
mod text;

use crate::app::App;
use duration::Durations;
use lavandin_node::{FeedStatistics, JobStatistics};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use text::Text;

/// The index of requests that no route took.
pub(crate) const NO_ROUTE: usize = ROUTES_MAX - 1;
/// Routes that have counters of their own.
const ROUTES_MAX: usize = 192;
/// Status classes 1xx to 5xx.
const CLASSES: usize = 5;

/// All counters.
pub(crate) struct Metrics {
    start_seconds: f64,
    connections: AtomicU64,
    connections_accepted: AtomicU64,
    connections_refused: AtomicU64,
    peers: AtomicU64,
    under_way: AtomicU64,
    abandoned: AtomicU64,
    by_class: [AtomicU64; CLASSES],
    unauthorized: AtomicU64,
    overloaded: AtomicU64,
    durations: Durations,
    by_route: Box<[RouteCounters]>,
}

#[derive(Default)]
struct RouteCounters {
    requests: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// How a request ended.
pub(crate) struct Ended {
    pub(crate) status: u16,
    pub(crate) duration: Duration,
}

/// A request under way. Dropped without `end`, it was abandoned: its client went away.
pub(crate) struct UnderWay<'a> {
    metrics: &'a Metrics,
    route: usize,
    ended: bool,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start_seconds: start.as_secs_f64(),
            connections: AtomicU64::new(0),
            connections_accepted: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            peers: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            by_class: Default::default(),
            unauthorized: AtomicU64::new(0),
            overloaded: AtomicU64::new(0),
            durations: Durations::default(),
            by_route: (0..ROUTES_MAX).map(|_| RouteCounters::default()).collect(),
        }
    }

    pub(crate) fn begin(&self, route: usize) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay { metrics: self, route: route.min(NO_ROUTE), ended: false }
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Counts a connection in, unless there are `limit` already.
    pub(crate) fn connect(&self, limit: usize) -> bool {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= limit as u64 {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            self.connections_refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.connections_accepted.fetch_add(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn disconnect(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a peer's connection until what this answers is dropped.
    pub(crate) fn count_peer(&self) -> PeerConnection<'_> {
        self.peers.fetch_add(1, Ordering::Relaxed);
        PeerConnection(self)
    }
}

/// A connection of a peer that is open.
pub(crate) struct PeerConnection<'a>(&'a Metrics);

impl Drop for PeerConnection<'_> {
    fn drop(&mut self) {
        self.0.peers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl UnderWay<'_> {
    pub(crate) fn end(mut self, ended: Ended) {
        self.ended = true;
        let metrics = self.metrics;
        let class = usize::from(ended.status / 100).clamp(1, CLASSES) - 1;
        metrics.by_class[class].fetch_add(1, Ordering::Relaxed);
        match ended.status {
            401 => metrics.unauthorized.fetch_add(1, Ordering::Relaxed),
            429 => metrics.overloaded.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        metrics.durations.record(ended.duration);
        let route = &metrics.by_route[self.route];
        route.requests.fetch_add(1, Ordering::Relaxed);
        route.micros.fetch_add(ended.duration.as_micros() as u64, Ordering::Relaxed);
        if ended.status >= 400 {
            route.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.metrics.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            self.metrics.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The body of `/metrics`.
pub(crate) fn exposition(app: &App) -> String {
    let scrape = Instant::now();
    let mut text = Text::default();
    text.gauge("up", "Whether the server answers", 1);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    text.family("build_info", "gauge", "What is running");
    text.sample("build_info", &version, 1);
    text.gauge("server_start_time_seconds", "When the process started", app.metrics.start_seconds);
    let is_ready = app.node.ready().is_ok() && !app.is_stopping();
    text.gauge("ready", "1 while requests are served, as /readyz says", u8::from(is_ready));
    of_node(&mut text, app);
    cluster::of_cluster(&mut text, &app.node.known_status());
    of_datasets(&mut text, app);
    text.gauge("process_resident_memory_bytes", "Resident memory", resident_bytes());
    of_data_volume(&mut text, app);
    of_http(&mut text, &app.metrics);
    text.gauge("http_body_bytes", "Bodies held in memory", app.body_bytes.load(Ordering::Relaxed));
    text.gauge("scrape_duration_seconds", "What making this text took", scrape.elapsed().as_secs_f64());
    text.finish()
}

fn of_node(text: &mut Text, app: &App) {
    let node = app.node.statistics();
    text.gauge("databases_total", "Databases", node.databases);
    text.gauge("collections_total", "Collections", node.collections);
    text.gauge("open_databases_total", "Databases in use; all are", node.databases);
    text.gauge("open_collections_total", "Collections that hold records", node.open_collections);
    text.gauge("records_total", "Live records", node.records);
    text.gauge("records_deleted_total", "Deleted records that can be restored", node.deleted_records);
    text.gauge("storage_disk_bytes", "Bytes of logs and segments", node.log_bytes + node.segment_bytes);
    text.gauge("storage_wal_bytes", "Bytes of the log since its last checkpoint", node.log_bytes);
    text.gauge("storage_index_bytes", "Bytes of the indexes", node.index_bytes);
    text.counter(
        "group_divergence_total",
        "Copies that the hourly comparisons of this node's groups found wrong",
        app.node.divergences(),
    );
    let repairs = app.node.repair_statistics();
    text.gauge(
        "copies_out_of_order",
        "Copies here that are damaged, failed or cannot be opened",
        repairs.ailing,
    );
    text.counter("copies_failed_total", "Copies here that began to be out of order", repairs.failed);
    text.counter(
        "copies_started_over_total",
        "Damaged copies here that were set aside, to be rebuilt from others",
        repairs.started_over,
    );
    of_jobs(text, &node.jobs);
}

fn of_datasets(text: &mut Text, app: &App) {
    let catalogue = app.node.catalogue();
    let datasets = || catalogue.datasets();
    let shardsets = || datasets().flat_map(|dataset| &dataset.shardsets);
    let manifests = || shardsets().filter_map(|shardset| shardset.manifest);
    text.gauge("datasets_total", "Datasets", datasets().len() as u64);
    text.gauge("shardsets_total", "Shardsets", shardsets().count() as u64);
    let files: u64 = manifests().map(|manifest| u64::from(manifest.shard_count)).sum();
    text.gauge("shard_files_total", "Shard files that syncs have found", files);
    let rows: u64 = manifests().map(|manifest| manifest.total_samples).sum();
    text.gauge("shard_file_rows_total", "Rows of these files", rows);
    text.gauge(
        "iterations_total",
        "Iterations that are kept in the groups which this node leads, finished ones too",
        app.node.iterations_led() as u64,
    );
    let tasks = app.node.own_tasks();
    let ended =
        tasks.iter().filter(|(_, task)| ["failed", "aborted"].contains(&task.status.as_str())).count();
    text.family(
        "background_tasks",
        "gauge",
        "Syncs and preprocessings that run, or that failed or were aborted",
    );
    text.sample("background_tasks", "state=\"running\"", (tasks.len() - ended) as u64);
    text.sample("background_tasks", "state=\"failed\"", ended as u64);
    of_feed(text, &app.node.feed_statistics());
}

fn of_feed(text: &mut Text, feed: &FeedStatistics) {
    text.gauge("feed_sessions", "Ranks of iterations that are being fed", feed.sessions);
    text.counter("batches_granted_total", "Batches handed out", feed.batches_granted);
    text.counter("batches_returned_total", "Batches whose answer did not leave", feed.batches_returned);
    text.counter("batches_failed_total", "Failures told instead of a batch", feed.batches_failed);
    text.gauge("feed_ready_bytes", "Batches made ahead", feed.ready_bytes);
    text.gauge("feed_kept_bytes", "Batches kept that user code made", feed.kept_bytes);
    text.gauge("feed_chunk_bytes", "Decoded chunks of shard files in memory", feed.chunk_bytes);
    text.counter("feed_chunk_hits_total", "Chunks that were there when asked for", feed.chunk_hits);
    text.counter("feed_chunk_reads_total", "Chunks read and decoded", feed.chunk_reads);
    text.gauge("shard_cache_bytes", "Downloaded shard files on the disk", feed.file_cache_bytes);
    text.counter("shard_cache_hits_total", "Files that were there when asked for", feed.file_cache_hits);
    text.counter("shard_downloads_total", "Files downloaded", feed.downloads);
}

fn of_jobs(text: &mut Text, jobs: &JobStatistics) {
    text.family("index_builds_total", "counter", "Index builds, by what became of them");
    for (status, count) in [
        ("started", jobs.builds_started),
        ("completed", jobs.builds_completed),
        ("failed", jobs.builds_failed),
    ] {
        text.sample("index_builds_total", &format!("status=\"{status}\""), count);
    }
    let running = u64::from(jobs.build_rows > 0);
    let progress = jobs.build_rows_done as f64 / jobs.build_rows.max(1) as f64;
    text.gauge("index_builds_in_progress", "Index builds under way", running);
    text.gauge("index_build_current_vectors", "Vectors of the build under way", jobs.build_rows);
    text.gauge("index_build_last_vectors", "Vectors of the last finished build", jobs.last_build_rows);
    text.family("index_build_progress_ratio", "gauge", "How far the build under way is");
    text.sample("index_build_progress_ratio", "scope=\"current\"", progress);
    let total = jobs.total_build.as_secs_f64();
    text.counter("index_build_duration_seconds_sum", "Time taken by finished builds", total);
    text.counter("index_build_duration_seconds_count", "Finished builds", jobs.builds_completed);
    let last = jobs.last_build.as_secs_f64();
    text.gauge("index_build_last_duration_seconds", "Time taken by the last finished build", last);
    text.counter("merges_total", "Merges of segments", jobs.merges_completed);
    text.counter("checkpoints_total", "Checkpoints", jobs.checkpoints_completed);
    text.counter("jobs_failed_total", "Background jobs that failed", jobs.jobs_failed);
}

fn of_http(text: &mut Text, metrics: &Metrics) {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let by_class: Vec<u64> = metrics.by_class.iter().map(load).collect();
    text.counter("http_requests_total", "Requests answered", by_class.iter().sum::<u64>());
    text.family("http_requests_by_status_total", "counter", "Requests answered, by class of status");
    for (class, count) in by_class.iter().enumerate() {
        text.sample("http_requests_by_status_total", &format!("status_class=\"{}xx\"", class + 1), *count);
    }
    let (client, server) = (by_class[3], by_class[4]);
    text.counter("http_request_errors_total", "Requests answered with an error", client + server);
    text.family("http_request_errors_by_kind_total", "counter", "Requests answered with an error, by kind");
    for (kind, count) in [
        ("client_4xx", client),
        ("server_5xx", server),
        ("unauthorized", load(&metrics.unauthorized)),
        ("overloaded", load(&metrics.overloaded)),
        ("handler_failure", load(&metrics.abandoned)),
    ] {
        text.sample("http_request_errors_by_kind_total", &format!("kind=\"{kind}\""), count);
    }
    metrics.durations.write(text);
    text.gauge("http_requests_in_progress", "Requests under way", metrics.under_way());
    text.gauge("http_connections", "Connections of clients that are open", metrics.connections());
    text.gauge("peer_connections", "Connections of other nodes that are open", load(&metrics.peers));
    text.counter("http_connections_total", "Connections accepted", load(&metrics.connections_accepted));
    text.counter("http_connections_refused_total", "Connections refused", load(&metrics.connections_refused));
    by_route(text, metrics);
}

fn by_route(text: &mut Text, metrics: &Metrics) {
    let named = || {
        let none = std::iter::once((NO_ROUTE, "", "(none)"));
        let routes = crate::routes::all().iter();
        let routes = routes.map(|route| (route.index, route.method.name(), route.path)).chain(none);
        let counters = routes.map(|(index, method, path)| ((method, path), &metrics.by_route[index]));
        counters.filter(|(_, counters)| counters.requests.load(Ordering::Relaxed) > 0)
    };
    type Read = fn(&RouteCounters) -> f64;
    let families: [(&str, &str, Read); 3] = [
        ("http_requests_by_route_total", "Requests answered, by route", |route| {
            route.requests.load(Ordering::Relaxed) as f64
        }),
        ("http_request_errors_by_route_total", "Requests answered with an error, by route", |route| {
            route.failed.load(Ordering::Relaxed) as f64
        }),
        ("http_request_seconds_by_route_total", "Time taken by requests, by route", |route| {
            route.micros.load(Ordering::Relaxed) as f64 / 1e6
        }),
    ];
    for (name, help, read) in families {
        text.family(name, "counter", help);
        for ((method, path), counters) in named() {
            text.sample(name, &format!("method=\"{method}\",route=\"{path}\""), read(counters));
        }
    }
}

/// Of the file system that holds the data directory; nothing where the system does not tell.
fn of_data_volume(text: &mut Text, app: &App) {
    let Ok(volume) = rustix::fs::statvfs(app.node.data_dir()) else { return };
    let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
    text.gauge("data_volume_bytes", "Size of the data directory's file system", bytes(volume.f_blocks));
    text.gauge("data_volume_free_bytes", "What is free of it for this process", bytes(volume.f_bavail));
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("");
    let kilobytes: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    kilobytes * 1024
}

#[cfg(test)]
mod tests;
