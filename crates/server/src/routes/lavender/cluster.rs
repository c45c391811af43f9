//! The cluster's endpoints as the documents of Lavender Data have them.
//!
//! Whoever asks for a change proves to know the cluster's secret by a signature that is good once (`lavandin_peer::sign`): a
//! key of clients neither suffices nor is needed. Nodes themselves speak to each other otherwise; these calls are for
//! people and programs that run a cluster.

use super::{Done, json, not_found, null};
use crate::auth::now_s;
use crate::http::{ApiError, Call};
use crate::routes::{Form, Input, Output, required, routes};
use axum::http::StatusCode;
use lavandin_node::{ClusterStatus, MemberChange};
use lavandin_peer::{HEADER_MAC, HEADER_NONCE, HEADER_TIME, Signature, SignedRequest, Trust, Verifier};
use lavandin_types::ErrorCode;
use lavandin_wire::lavender::{self as wire, phrase};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NODE_URL: &[crate::routes::Value] =
    &[required("node_url", Form::Text, "Where the other nodes reach it")];
const NODE: &[crate::routes::Value] = &[
    required("node_url", Form::Text, "Where it is reached"),
    required(
        "last_heartbeat",
        Form::Number,
        "When it was last heard of, in seconds since 1970; null if it was not",
    ),
    required("is_head", Form::Boolean, "Whether it does the chores of the cluster"),
];
const FEEDING: &[crate::routes::Value] = &[
    required("node", Form::Integer, "Its number"),
    required("uri", Form::Text, "Where it is reached"),
    required("error", Form::TextOrNull, "Why it could not be asked; the rest is empty then"),
    required("ranks", Form::ListOf("Rank"), "The ranks whose batches it makes"),
    required("ready_bytes", Form::Integer, "Bytes of batches made ahead"),
    required("chunk_bytes", Form::Integer, "Bytes of decoded pieces of shard files in memory"),
    required("file_cache_bytes", Form::Integer, "Bytes of copies of shard files on the disk"),
    required(
        "made_for_others",
        Form::Integer,
        "Batches put through user code for other nodes since its start",
    ),
    required(
        "made_by_others",
        Form::Integer,
        "Batches put through user code by other nodes for it since its start",
    ),
];
/// A body is read before it is known who sent it.
const BODY_BYTES_MAX: u64 = 4 << 10;
/// How long the leader of the metadata is waited for.
const STATUS_MAX: Duration = Duration::from_secs(2);

routes! { "cluster":
    Get "/cluster/feeding" Read feeding, "What each node feeds at the moment", Input::Nothing => Output::List(FEEDING);
    Get "/cluster/nodes" Read nodes, "The nodes of the cluster", Input::Nothing => Output::List(NODE);
    Post "/cluster/register" Signed register, "Take an empty node in", Input::Json(NODE_URL) => Output::Null;
    Post "/cluster/heartbeat" Signed heartbeat, "Whether a node is a member", Input::Json(NODE_URL) => Output::Null;
    Post "/cluster/deregister" Signed deregister, "Remove a node once its copies are elsewhere", Input::Json(NODE_URL) => Output::Null;
    Post "/cluster/sync" Change gone, "Gone: nodes share one catalogue", Input::Nothing => Output::Refusal;
    Post "/cluster/sync-changes" Change gone, "Gone: nodes share one catalogue", Input::Nothing => Output::Refusal;
}

/// Checks the signatures of requests. Made anew when the node is opened again, it refuses what the one before may have taken.
pub(crate) struct Signatures {
    /// None without a secret.
    verifier: Option<Mutex<Verifier>>,
}

impl Signatures {
    pub(crate) fn new(trust: &Trust) -> Self {
        let verifier = match trust {
            Trust::Secret(secret) => Some(Mutex::new(Verifier::new(secret.request_key(), now_s()))),
            Trust::Loopback => None,
        };
        Self { verifier }
    }
}

async fn nodes(call: Call) -> Done {
    check_is_of_cluster(&call)?;
    let status = call.app.node.cluster_status(STATUS_MAX).await;
    json(serde_json::to_vec(&listed(&status, now())).unwrap_or_default())
}

async fn feeding(call: Call) -> Done {
    let nodes = call.app.node.feeding(STATUS_MAX).await;
    json(serde_json::to_vec(&nodes).unwrap_or_default())
}

fn listed(status: &ClusterStatus, now: f64) -> Vec<wire::ClusterNode> {
    let head = status.leader.as_ref().map(|leader| leader.node);
    let nodes = status.nodes.iter().filter(|node| !node.uri.is_empty() && node.state != "lost");
    let listed = nodes.map(|node| wire::ClusterNode {
        node_url: node.uri.clone(),
        last_heartbeat: node.silent_seconds.map(|silent| now - silent),
        is_head: Some(node.node) == head,
    });
    listed.collect()
}

async fn register(mut call: Call) -> Done {
    let uri = signed_node_url(&mut call).await?;
    call.app.node.change_members(&call.context()?, MemberChange::AddNode { uri }).await?;
    null()
}

async fn heartbeat(mut call: Call) -> Done {
    let uri = signed_node_url(&mut call).await?;
    match call.app.node.has_member(&uri) {
        true => null(),
        false => Err(not_found("no node of the cluster is there; register it")),
    }
}

async fn deregister(mut call: Call) -> Done {
    let node = signed_node_url(&mut call).await?;
    let change = MemberChange::Remove { node, group: None, fewer_copies: false };
    call.app.node.change_members(&call.context()?, change).await?;
    null()
}

async fn gone(_: Call) -> Done {
    let text = "nodes share one catalogue, so there is nothing to send: leave this call out";
    Err(ApiError::new(ErrorCode::InvalidArgument, text).with_status(StatusCode::GONE))
}

/// The published clients look for this text under a status from 400 on.
fn check_is_of_cluster(call: &Call) -> Result<(), ApiError> {
    call.app.node.check_joined()?;
    match call.app.node.is_alone() {
        true => Err(ApiError::invalid(phrase::CLUSTER_NOT_ENABLED).with_status(StatusCode::UNAUTHORIZED)),
        false => Ok(()),
    }
}

async fn signed_node_url(call: &mut Call) -> Result<String, ApiError> {
    check_is_of_cluster(call)?;
    let bytes = call.json_bytes_within(BODY_BYTES_MAX).await?;
    let refuse = |code, text: String| Err(ApiError::new(code, text));
    let Some(verifier) = &call.app.signatures.verifier else {
        let text = "this call is signed with the cluster's secret, and the nodes have none: start them with --cluster-secret";
        return refuse(ErrorCode::Unauthorized, text.to_owned());
    };
    let header = |name| {
        call.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let signature =
        Signature { time: header(HEADER_TIME), nonce: header(HEADER_NONCE), mac: header(HEADER_MAC) };
    let path = call.parts.uri.path_and_query().map_or("", |path| path.as_str());
    let audience = call.app.node.address();
    let request =
        SignedRequest { method: call.parts.method.as_str(), audience: &audience, path, body: &bytes };
    let mut verifier = verifier.lock().unwrap_or_else(PoisonError::into_inner);
    match verifier.verify(now_s(), &request, &signature) {
        Ok(()) => Ok(wire::parse::<wire::NodeUrl>(&bytes)?.node_url),
        Err(error) => refuse(error.code(), format!("Invalid cluster auth: {error}")),
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
