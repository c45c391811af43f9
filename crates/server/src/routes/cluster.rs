//! How the cluster stands. Every node and coordinator answers, with what the leader of the metadata knows; where none
//! answers in time, with what it knows itself, and 200 all the same.

use crate::app::App;
use crate::http::{ApiError, Call, reply};
use crate::routes::{Form, Input, Output, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::{Catalogue, ClusterStatus, MetadataView, OwnerStatus};
use lavandin_wire::ReplyWriter;
use serde_json::{Map, Value, json};
use std::time::Duration;

type Done = Result<Response<Body>, ApiError>;

/// How long the leader of the metadata is waited for: a person waits too.
const LEADER_WAIT_MAX: Duration = Duration::from_secs(2);
/// Collections that one reply lists.
const COLLECTIONS_MAX: usize = 1_000;

routes! { "cluster":
    Get "/cluster_info" Read info, "Databases, collections, shard groups and nodes", Input::Nothing => Output::Params(&[
        required("meta_epoch", Form::Integer, "Rises with every change of the metadata"),
        required("bucket_count", Form::Integer, "Buckets of collections to come"),
        required("write_mirror_replicas", Form::Boolean, "Whether replicas take part in writes"),
        required("protocol", Form::Integer, "The highest protocol that all members speak"),
        required("databases", Form::TextList, "The databases"),
        required("collections", Form::Object, "By database/collection; the first 1,000"),
        required("shard_groups", Form::ListOf("ShardGroup"), "The shard groups"),
        required("nodes", Form::ListOf("ClusterNode"), "Data nodes and coordinators"),
        required("degraded", Form::TextList, "What is wrong, a sentence each; empty while all is well"),
        optional("cluster", Form::TextOrNull, "The cluster's id; null before it is formed"),
    ]);
    Get "/coordinator_status" Read coordinator, "Who does the chores, and how the metadata stands",
        Input::Nothing => Output::Params(&[
        required("role", Form::Text, "Of the node asked: leader, standby or, alone, single"),
        required("coordinator_id", Form::Text, "Its name"),
        required("coordinator_uri", Form::Text, "Where it is reached"),
        required("leader", Form::Object, "Who does the chores: leader_uri, lease_epoch; null while nobody knows"),
        required("lease_enabled", Form::Boolean, "Whether the chores move by themselves"),
        required("metadata", Form::Object, "mode (single or replicated), owners, quorum, degraded, reason"),
        required("degraded", Form::TextList, "What is wrong, a sentence each"),
    ]);
}

/// A client that was given no collection configuration asks here whether ids are allotted by the server; that the
/// reply is a success is the answer.
async fn info(call: Call) -> Done {
    let status = status_of(&call.app).await;
    let catalogue = call.app.node.catalogue();
    let names: Vec<&str> = catalogue.databases().map(|(name, _)| name).collect();
    let writer = ReplyWriter::new()
        .with("cluster", &status.cluster)
        .with("seen_by", &status.seen_by)
        .with("meta_epoch", &status.meta_epoch)
        .with("bucket_count", &status.bucket_count)
        .with("write_mirror_replicas", &status.write_mirror_replicas)
        .with("detection_ms", &status.detection_ms)
        .with("min_in_sync", &status.min_in_sync)
        .with("protocol", &status.protocol)
        .with("databases", &names)
        .with("collections", &collections(&catalogue))
        .with("shard_groups", &status.shard_groups)
        .with("nodes", &status.nodes)
        .with("degraded", &status.degraded);
    Ok(reply(writer))
}

async fn coordinator(call: Call) -> Done {
    let status = status_of(&call.app).await;
    let app = &call.app;
    let own = app.node.id().get();
    let uri = own_uri(app);
    let id = app.config.cluster.coordinator_id.as_ref().unwrap_or(&uri);
    let leader = status.leader.as_ref().map(|leader| {
        json!({"leader_id": leader.leader_uri, "leader_uri": leader.leader_uri, "lease_epoch": leader.lease_epoch})
    });
    let writer = ReplyWriter::new()
        .with("role", status.role_of(own))
        .with("coordinator_id", id)
        .with("coordinator_uri", &uri)
        .with("leader", &leader)
        .with("lease_enabled", &status.has_others())
        .with("metadata", &metadata(&status.metadata))
        .with("degraded", &status.degraded);
    Ok(reply(writer))
}

async fn status_of(app: &App) -> ClusterStatus {
    app.node.cluster_status(LEADER_WAIT_MAX).await.at(&own_uri(app))
}

/// Where the others reach this node; of a node alone, where it listens.
fn own_uri(app: &App) -> String {
    let catalogue = app.node.catalogue();
    let registered = catalogue.node(app.node.id()).filter(|node| !node.address.is_empty());
    let advertised = app.config.cluster.settings.advertised.as_ref();
    let known = registered.map(|node| &node.address).or(advertised);
    known.cloned().unwrap_or_else(|| app.config.own_uri())
}

fn collections(catalogue: &Catalogue) -> Map<String, Value> {
    let shown = catalogue.collections().take(COLLECTIONS_MAX).map(|info| {
        let table = catalogue.bucket_table(info.buckets);
        let groups = table.iter().flat_map(|table| table.groups());
        let names: Vec<&str> =
            groups.filter_map(|group| Some(catalogue.group(*group)?.name.as_str())).collect();
        let described = json!({
            "dim": info.dim,
            "description": info.description,
            "dtypes": info.element.name(),
            "index_mode": info.index.as_ref().map(|index| &index.mode),
            "next_id": catalogue.next_id(info.id),
            "bucket_count": table.map(|table| table.count()),
            "integer_id_routing": info.integer_ids.name(),
            "shard_groups": names,
        });
        (format!("{}/{}", info.database, info.name), described)
    });
    shown.collect()
}

/// With the owners as the documents have them: of one owner its URI, of several an object each.
fn metadata(view: &MetadataView) -> Value {
    let is_replicated = view.mode == "replicated";
    let owner = |owner: &OwnerStatus| match is_replicated {
        true => json!({
            "uri": owner.uri, "healthy": owner.healthy, "version": owner.version, "logical_version": owner.version,
            "error": owner.error,
        }),
        false => json!(owner.uri),
    };
    json!({
        "mode": view.mode,
        "replicated": is_replicated,
        "degraded": view.degraded,
        "reason": view.reason,
        "owners": view.owners.iter().map(owner).collect::<Vec<_>>(),
        "owner_count": view.owners.len(),
        "healthy_owners": view.healthy_owners,
        "quorum": view.quorum,
        "committed_version": view.committed_version,
        "term": view.term,
    })
}
