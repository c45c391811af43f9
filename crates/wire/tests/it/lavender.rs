//! Exchanges of the published client and server of datasets: what that client sends is read, what that server
//! answers is written byte for byte, and its refusals of malformed requests are ours.

use lavandin_wire::lavender::sample::{self, Item};
use lavandin_wire::lavender::{self, Body, Invalid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const EXCHANGES: &str = include_str!("../fixtures/lavender-data-0.1.10-exchanges.jsonl");

#[derive(Deserialize)]
struct Exchange {
    method: String,
    path: String,
    request: String,
    status: u16,
    reply: String,
}

/// The kinds of routes, each with an id where the path has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Route {
    Version,
    Datasets,
    Dataset,
    Shardsets,
    Shardset,
    Shards,
    ShardStatistics,
    Sync,
    Previews,
    Preview,
    Statistics,
    Column,
    Preprocess,
    Iterations,
    Iteration,
    Next,
    NextPreview,
    Progress,
    Complete,
    Pushback,
    Tasks,
    Registry,
    Other,
}

impl Exchange {
    fn path_and_query(&self) -> (&str, &str) {
        self.path.split_once('?').unwrap_or((&self.path, ""))
    }

    fn route(&self) -> Route {
        let parts: Vec<&str> = self.path_and_query().0.split('/').skip(1).collect();
        match parts[..] {
            ["version"] => Route::Version,
            ["datasets", ""] => Route::Datasets,
            ["datasets", _] => Route::Dataset,
            ["datasets", _, "shardsets"] => Route::Shardsets,
            ["datasets", _, "shardsets", _] => Route::Shardset,
            ["datasets", _, "shardsets", _, "sync"] => Route::Sync,
            ["datasets", _, "shardsets", _, "shards"] => Route::Shards,
            ["datasets", _, "shardsets", _, "shards", _, "statistics"] => Route::ShardStatistics,
            ["datasets", _, "preview"] => Route::Previews,
            ["datasets", _, "preview", _] => Route::Preview,
            ["datasets", _, "statistics"] => Route::Statistics,
            ["datasets", _, "columns", _] => Route::Column,
            ["datasets", _, "preprocess"] => Route::Preprocess,
            ["iterations", ""] => Route::Iterations,
            ["iterations", _] => Route::Iteration,
            ["iterations", _, "next"] => Route::Next,
            ["iterations", _, "next-preview"] => Route::NextPreview,
            ["iterations", _, "progress"] => Route::Progress,
            ["iterations", _, "complete", _] => Route::Complete,
            ["iterations", _, "pushback"] => Route::Pushback,
            ["background-tasks", ""] => Route::Tasks,
            ["registries", _] => Route::Registry,
            _ => Route::Other,
        }
    }

    fn describe(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.request)
    }
}

fn exchanges() -> Vec<Exchange> {
    EXCHANGES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The bytes of a reply that is not text.
fn octets(exchange: &Exchange) -> Option<Vec<u8>> {
    let hex = exchange.reply.strip_prefix("HEX:")?;
    Some((0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect())
}

fn body<T: Body>(exchange: &Exchange) -> Result<(), Invalid> {
    lavender::parse::<T>(exchange.request.as_bytes()).map(drop)
}

/// What reading the request comes to; `None` where it has no parts to read.
fn read(exchange: &Exchange) -> Option<Result<(), Invalid>> {
    let (path, query) = exchange.path_and_query();
    Some(match (exchange.method.as_str(), exchange.route()) {
        ("GET", Route::Datasets) => lavender::DatasetsQuery::parse(query).map(drop),
        ("POST", Route::Datasets) => body::<lavender::CreateDataset>(exchange),
        ("POST", Route::Shardsets) => body::<lavender::CreateShardset>(exchange),
        ("PUT", Route::Shardset) => body::<lavender::UpdateShardset>(exchange),
        ("POST", Route::Sync) => body::<lavender::SyncShardset>(exchange),
        ("GET", Route::Shards) => lavender::PageQuery::parse(query).map(drop),
        ("POST", Route::Previews) => body::<lavender::CreatePreview>(exchange),
        ("PUT", Route::Column) => body::<lavender::UpdateColumn>(exchange),
        ("POST", Route::Preprocess) => body::<lavender::PreprocessDataset>(exchange),
        ("GET", Route::Iterations) => lavender::IterationsQuery::parse(query).map(drop),
        ("POST", Route::Iterations) => body::<lavender::CreateIteration>(exchange),
        (_, Route::Next) => lavender::NextQuery::parse(query).map(drop),
        (_, Route::Complete) => lavender::parse_index(path.rsplit('/').next().unwrap()).map(drop),
        _ => return None,
    })
}

#[test]
fn requests_are_read_or_refused_as_by_the_published_server() {
    let (mut accepted, mut refused) = (0, 0);
    for exchange in exchanges() {
        // Bodies of some exchanges were not recorded.
        let is_cut = exchange.status != 422 && exchange.request.is_empty() && exchange.method == "PUT";
        let Some(read) = read(&exchange).filter(|_| !is_cut) else { continue };
        if exchange.status == 422 {
            let invalid = read.expect_err(&exchange.describe());
            let ours: Value = serde_json::from_slice(&invalid.to_json()).unwrap();
            let theirs: Value = serde_json::from_str(&exchange.reply).unwrap();
            assert_eq!(ours, theirs, "{}", exchange.describe());
            refused += 1;
        } else if exchange.method != "POST" || !exchange.request.is_empty() {
            read.unwrap_or_else(|invalid| panic!("{}: {invalid}", exchange.describe()));
            accepted += 1;
        }
    }
    assert!(accepted > 35 && refused > 20, "only {accepted} accepted and {refused} refused");
}

fn same<T: Serialize + DeserializeOwned>(reply: &str) -> String {
    serde_json::to_string(&serde_json::from_str::<T>(reply).unwrap()).unwrap()
}

/// The reply through our types.
fn rewritten(exchange: &Exchange) -> Option<String> {
    use lavender as l;
    let reply = &exchange.reply;
    if exchange.status == 422 {
        return Some(same::<Invalid>(reply));
    }
    if exchange.status != 200 {
        return Some(same::<l::Detail>(reply));
    }
    Some(match (exchange.method.as_str(), exchange.route()) {
        (_, Route::Version) => same::<l::Version>(reply),
        ("GET", Route::Datasets) => same::<Vec<l::Dataset>>(reply),
        ("POST", Route::Datasets) | ("DELETE", Route::Dataset) => same::<l::Dataset>(reply),
        ("GET", Route::Dataset) => same::<l::DatasetFull>(reply),
        ("POST", Route::Shardsets | Route::Sync) | ("GET", Route::Shardset) => same::<l::ShardsetFull>(reply),
        ("PUT" | "DELETE", Route::Shardset) => same::<l::Shardset>(reply),
        ("GET", Route::Sync) => same::<Option<l::TaskStatus>>(reply),
        ("GET", Route::Shards) => same::<l::ShardPage>(reply),
        ("POST", Route::Previews) => same::<l::PreviewId>(reply),
        ("GET", Route::Preview) => same::<l::Preview>(reply),
        ("PUT", Route::Column) => same::<l::Column>(reply),
        ("POST", Route::Preprocess) => same::<l::TaskId>(reply),
        ("GET", Route::Iterations) => same::<Vec<l::Iteration>>(reply),
        ("POST", Route::Iterations) => same::<l::Iteration>(reply),
        ("GET", Route::Iteration) => same::<l::IterationFull>(reply),
        ("POST", Route::Next) => same::<l::CacheKey>(reply),
        ("GET", Route::NextPreview) => same::<l::Named<Value>>(reply),
        ("GET", Route::Progress) => same::<l::Progress>(reply),
        ("GET", Route::Tasks) => same::<Vec<l::TaskItem>>(reply),
        ("GET", Route::Registry) => same::<Vec<l::FuncSpec>>(reply),
        (_, Route::Complete | Route::Pushback) => same::<()>(reply),
        _ => return None,
    })
}

#[test]
fn replies_are_written_byte_for_byte() {
    let mut compared = 0;
    for exchange in exchanges() {
        if let Some(ours) = rewritten(&exchange) {
            // The input of a fault is told with the keys in order.
            if exchange.status != 422 {
                assert_eq!(ours, exchange.reply, "{}", exchange.describe());
            }
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} replies were compared");
}

#[test]
fn statistics_keep_their_meaning() {
    // The published server writes the fields of a categorical column in two orders.
    let mut compared = 0;
    for exchange in exchanges().iter().filter(|exchange| exchange.status == 200) {
        let ours = match exchange.route() {
            Route::ShardStatistics => same::<lavender::ShardStatistics>(&exchange.reply),
            Route::Statistics => same::<lavender::DatasetStatistics>(&exchange.reply),
            _ => continue,
        };
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&ours), value(&exchange.reply));
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn batches_are_decoded() {
    let mut decoded = 0;
    for exchange in exchanges() {
        let Some(bytes) = octets(&exchange) else { continue };
        let batch = sample::decode(&bytes).unwrap();
        let names: Vec<&str> = batch.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[names.len() - 2..], ["_lavender_data_indices", "_lavender_data_current"]);
        let (_, indices) = &batch.0[batch.0.len() - 2];
        assert!(matches!(indices, Item::List(_)), "{indices:?}");
        for end in 0..bytes.len() {
            assert!(sample::decode(&bytes[..end]).is_err());
        }
        decoded += 1;
    }
    assert!(decoded >= 3, "only {decoded} batches");
}

#[test]
fn damaged_bytes_never_panic() {
    for exchange in exchanges() {
        let body = exchange.request.as_bytes();
        for at in 0..body.len() {
            let mut damaged = body.to_vec();
            damaged[at] ^= 0x15;
            let request = String::from_utf8_lossy(&damaged).into_owned();
            for request in [request, String::from_utf8_lossy(&body[..at]).into_owned()] {
                let (method, path, reply) = (exchange.method.clone(), exchange.path.clone(), String::new());
                if let Some(Err(invalid)) = read(&Exchange { method, path, request, status: 0, reply }) {
                    assert!(!invalid.faults.is_empty());
                    serde_json::from_slice::<Value>(&invalid.to_json()).unwrap();
                }
            }
        }
        if let Some(bytes) = octets(&exchange) {
            for at in 0..bytes.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    let _ = sample::decode(&damaged);
                }
            }
        }
    }
}
