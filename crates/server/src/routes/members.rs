//! Changing the cluster's members. Each request begins a change, which the cluster then carries out by itself; how far it is,
//! `/cluster_info` tells. Asking again does no harm.

use crate::http::{ApiError, Call, reply};
use crate::routes::{Form, Input, Output, Value, optional, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::MemberChange;
use lavandin_wire::ReplyWriter;
use serde::Deserialize;

type Done = Result<Response<Body>, ApiError>;

const GROUP: Value = required("group", Form::Text, "The shard group, by name");
const NODE: Value = required("node", Form::Text, "The node, by URI or number");
const CHANGED: Output = Output::Params(&[
    required("message", Form::Text, "What was begun"),
    optional("node", Form::Integer, "The number of the node that it is about"),
]);

routes! { "members":
    Post "/cluster_members/add_node" Change add_node, "Take an empty data node in", Input::Json(&[
        required("uri", Form::Text, "Where the other nodes reach it: http://host:port"),
    ]) => CHANGED;
    Post "/cluster_members/add_group" Change add_group, "Add a shard group for collections to come", Input::Json(&[
        required("name", Form::Text, "Its name"),
        required("primary", Form::Text, "The node that leads it at first, by URI or number"),
        optional("replicas", Form::TextList, "The other nodes"),
    ]) => CHANGED;
    Post "/cluster_members/add_replica" Change add_replica, "Add a copy of a shard group", Input::Json(&[GROUP, NODE]) => CHANGED;
    Post "/cluster_members/replace" Change replace, "Move a node's copies to another node", Input::Json(&[
        required("old", Form::Text, "The node that has them, by URI or number"),
        required("new", Form::Text, "The node that gets them"),
        optional("group", Form::TextOrNull, "Only the copy of this group"),
    ]) => CHANGED;
    Post "/cluster_members/remove" Change remove, "Remove a node once its copies have moved to a spare one", Input::Json(&[
        NODE,
        optional("group", Form::TextOrNull, "Only remove its copy of this group; the node stays"),
        optional("fewer_copies", Form::Boolean, "Nobody takes its copies over; false by default"),
    ]) => CHANGED;
    Post "/cluster_members/force_promote" Change force_promote, "Make a copy the primary that may lack writes", Input::Json(&[
        GROUP, NODE,
    ]) => CHANGED;
    Post "/cluster_members/options" Change options, "Change what the cluster as a whole was told", Input::Json(&[
        optional("detection_ms", Form::Integer, "A node that is silent for so long is dead"),
        optional("min_insync", Form::Integer, "In-sync copies that a write needs"),
        optional("metadata_owners", Form::TextList, "The nodes that vote on the metadata; [] to have them chosen"),
    ]) => CHANGED;
}

/// A node's URI or its number, which may also be given as a number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a node is a URI or a number")]
enum NodeName {
    Text(String),
    Number(u64),
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        match name {
            NodeName::Text(text) => text,
            NodeName::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddNode {
    uri: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddGroup {
    name: String,
    primary: NodeName,
    #[serde(default)]
    replicas: Vec<NodeName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    group: String,
    node: NodeName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    old: NodeName,
    new: NodeName,
    group: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    node: NodeName,
    group: Option<String>,
    #[serde(default)]
    fewer_copies: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    detection_ms: Option<u64>,
    min_insync: Option<u32>,
    metadata_owners: Option<Vec<NodeName>>,
}

async fn add_node(mut call: Call) -> Done {
    let AddNode { uri } = parse(&mut call).await?;
    change(call, "add_node", MemberChange::AddNode { uri }).await
}

async fn add_group(mut call: Call) -> Done {
    let AddGroup { name, primary, replicas } = parse(&mut call).await?;
    let (primary, replicas) = (primary.into(), names(replicas));
    change(call, "add_group", MemberChange::AddGroup { name, primary, replicas }).await
}

async fn add_replica(mut call: Call) -> Done {
    let Copy { group, node } = parse(&mut call).await?;
    change(call, "add_replica", MemberChange::AddReplica { group, node: node.into() }).await
}

async fn replace(mut call: Call) -> Done {
    let Replace { old, new, group } = parse(&mut call).await?;
    change(call, "replace_node", MemberChange::Replace { old: old.into(), new: new.into(), group }).await
}

async fn remove(mut call: Call) -> Done {
    let Remove { node, group, fewer_copies } = parse(&mut call).await?;
    change(call, "remove_node", MemberChange::Remove { node: node.into(), group, fewer_copies }).await
}

async fn force_promote(mut call: Call) -> Done {
    let Copy { group, node } = parse(&mut call).await?;
    change(call, "force_promote", MemberChange::ForcePromote { group, node: node.into() }).await
}

async fn options(mut call: Call) -> Done {
    let Options { detection_ms, min_insync, metadata_owners } = parse(&mut call).await?;
    let owners = metadata_owners.map(names);
    change(call, "cluster_options", MemberChange::Options { detection_ms, min_in_sync: min_insync, owners })
        .await
}

fn names(nodes: Vec<NodeName>) -> Vec<String> {
    nodes.into_iter().map(String::from).collect()
}

async fn change(call: Call, action: &'static str, change: MemberChange) -> Done {
    let context = call.context()?;
    let subject = format!("{change:?}");
    let changed = call.app.node.change_members(&context, change).await;
    call.audit_key(action, &subject, &changed);
    let changed = changed?;
    Ok(reply(ReplyWriter::new().with("message", &changed.message).with("node", &changed.node)))
}

async fn parse<T: for<'de> Deserialize<'de>>(call: &mut Call) -> Result<T, ApiError> {
    let body = call.json_bytes().await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::invalid(format!("the body: {error}")))
}
