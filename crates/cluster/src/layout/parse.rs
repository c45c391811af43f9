//! Reading `cluster.json`.

use super::{GroupLayout, LayoutError, ReplicaLayout, StaticLayout, plain};
use crate::bucket::BUCKET_COUNT;
use crate::error::NameKind;
use crate::limit;
use crate::name::check_name;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Rest = BTreeMap<String, Value>;

#[derive(Deserialize)]
struct File {
    bucket_count: Option<u16>,
    write_mirror_replicas: Option<bool>,
    shard_groups: Option<Vec<Group>>,
    shards: Option<Vec<Group>>,
    state_path: Option<String>,
    shard_api_key: Option<String>,
    metadata_owners: Option<Owners>,
    metadata: Option<Metadata>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
struct Group {
    name: Option<String>,
    primary: String,
    #[serde(default)]
    replicas: Vec<Replica>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a replica is a URI or an object with the key \"uri\"")]
enum Replica {
    Uri(String),
    Object {
        uri: String,
        state: Option<String>,
        #[serde(flatten)]
        rest: Rest,
    },
}

#[derive(Deserialize)]
struct Metadata {
    owners: Option<Owners>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "metadata owners are a URI or a list of URIs")]
enum Owners {
    One(String),
    Many(Vec<String>),
}

impl StaticLayout {
    /// Reads a configuration. The sentences beside the layout are warnings: keys that mean nothing here.
    pub fn parse(json: &str) -> Result<(Self, Vec<String>), LayoutError> {
        let file: File = serde_json::from_str(json)
            .map_err(|error| LayoutError::Malformed { reason: error.to_string() })?;
        let mut warnings = Vec::new();
        warn_of_rest("cluster config", &file.rest, &mut warnings);
        if file.shard_groups.is_some() && file.shards.is_some() {
            warnings.push("cluster config: \"shards\" is ignored beside \"shard_groups\"".to_owned());
        }
        let listed = file.shard_groups.or(file.shards).unwrap_or_default();
        if listed.is_empty() {
            return Err(LayoutError::NoGroups);
        }
        let mut groups = Vec::new();
        for (index, group) in listed.into_iter().enumerate() {
            groups.push(read_group(index, group, &mut warnings)?);
        }
        if let Some(metadata) = &file.metadata {
            warn_of_rest("cluster config: metadata", &metadata.rest, &mut warnings);
        }
        let owners = match file.metadata_owners.or(file.metadata.and_then(|metadata| metadata.owners)) {
            None => Vec::new(),
            Some(Owners::One(uri)) => vec![uri],
            Some(Owners::Many(uris)) => uris,
        };
        let layout = Self {
            groups,
            bucket_count: file.bucket_count.unwrap_or(BUCKET_COUNT),
            write_mirror_replicas: file.write_mirror_replicas.unwrap_or(true),
            owners: owners.iter().map(|uri| plain(uri).to_owned()).collect(),
            state_path: file.state_path,
            shard_api_key: file.shard_api_key,
        };
        check(&layout, &mut warnings)?;
        Ok((layout, warnings))
    }
}

fn read_group(index: usize, group: Group, warnings: &mut Vec<String>) -> Result<GroupLayout, LayoutError> {
    let name = group.name.unwrap_or_else(|| format!("sg{index}"));
    check_name(NameKind::Group, &name).map_err(|_| LayoutError::NotAName { name: name.clone() })?;
    warn_of_rest(&format!("cluster config: group {name}"), &group.rest, warnings);
    let mut replicas = Vec::new();
    for replica in group.replicas {
        let (uri, state) = match replica {
            Replica::Uri(uri) => (uri, None),
            Replica::Object { uri, state, rest } => {
                warn_of_rest(&format!("cluster config: group {name}: replica {uri}"), &rest, warnings);
                (uri, state)
            }
        };
        let uri = read_uri(&name, &uri)?;
        let stale = match state.as_deref() {
            None | Some("active") => false,
            Some("stale") => true,
            Some(other) => return Err(LayoutError::UnknownState { uri, state: other.to_owned() }),
        };
        replicas.push(ReplicaLayout { uri, stale });
    }
    let primary = read_uri(&name, &group.primary)?;
    Ok(GroupLayout { name, primary, replicas })
}

fn read_uri(group: &str, uri: &str) -> Result<String, LayoutError> {
    let not_a_uri = || LayoutError::NotAUri { place: format!("group {group:?}"), uri: uri.to_owned() };
    node_uri(uri).ok_or_else(not_a_uri)
}

/// The URI of a node as the catalogue has it, if it is one: http or https, a host, a port.
pub fn node_uri(uri: &str) -> Option<String> {
    let plain_uri = plain(uri);
    let authority = ["http://", "https://"].iter().find_map(|scheme| plain_uri.strip_prefix(scheme))?;
    let (host, port) = match authority.rsplit_once(':') {
        Some(parts) if !authority.ends_with(']') => parts,
        _ => (authority, "80"),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let fits = !host.is_empty() && host.bytes().all(is_host) && plain_uri.len() <= limit::ADDRESS_BYTES_MAX;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    (fits && is_port).then(|| plain_uri.to_owned())
}

/// What is wrong with the parts together.
fn check(layout: &StaticLayout, warnings: &mut Vec<String>) -> Result<(), LayoutError> {
    if layout.bucket_count == 0 {
        return Err(LayoutError::NoBuckets);
    }
    let counts = [
        ("shard groups", layout.groups.len(), limit::GROUPS_MAX),
        ("nodes", layout.node_count(), limit::NODES_MAX),
    ];
    let largest = layout.groups.iter().map(|group| group.uris().count()).max().unwrap_or(0);
    let copies = [("copies of one group", largest, limit::COPIES_MAX)];
    for (what, got, max) in counts.into_iter().chain(copies) {
        if got > max {
            return Err(LayoutError::TooMany { what: what.to_owned(), got, max });
        }
    }
    let (mut names, mut homes) = (BTreeSet::new(), BTreeMap::new());
    for group in &layout.groups {
        if !names.insert(&group.name) {
            return Err(LayoutError::NameTwice { name: group.name.clone() });
        }
        let mut uris = BTreeSet::new();
        for uri in group.uris() {
            if !uris.insert(uri) {
                return Err(LayoutError::CopyTwice { group: group.name.clone(), uri: uri.to_owned() });
            }
            if let Some(other) = homes.insert(uri, &group.name) {
                warnings.push(format!(
                    "cluster config: {uri} is in the groups {other} and {}: both stop with it",
                    group.name
                ));
            }
        }
    }
    layout.owner_nodes(&layout.owners).map(drop)
}

fn warn_of_rest(place: &str, rest: &Rest, warnings: &mut Vec<String>) {
    warnings.extend(rest.keys().map(|key| format!("{place}: the key {key:?} is unknown and ignored")));
}
