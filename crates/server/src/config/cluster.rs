//! What the settings of a cluster come to: who this process is in it, whom it trusts, and whom it asks.
//!
//! A coordinator has a `cluster.json`, or owners of the metadata, or both; flags and variables count before the file.
//! Everybody else is a data node, which a coordinator may adopt, or which is told of a head.

use super::{Resolved, ServerConfig};
use anyhow::{Context, Result, bail};
use lavandin_node::{ClusterSettings, HeadSettings, LayoutError, NodeRole, StaticLayout};
use lavandin_peer::{ClusterSecret, Protocols, Trust};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a coordinator's cache is if nothing else is said.
const STATE_FILE: &str = "cluster_state.cache.json";
/// A `cluster.json` of the largest cluster has some 100 KB.
const CONFIG_BYTES_MAX: u64 = 4 << 20;
const URI_BYTES_MAX: usize = 512;
/// What a cluster is told when it is formed, by a coordinator or by a head.
pub(super) const OF_WHOEVER_FORMS: [&str; 3] = ["health_interval_secs", "health_failures", "min_insync"];
/// The range of the time after which a node counts as dead.
const DETECTION_MS: std::ops::RangeInclusive<f64> = 0.0..=600_000.0;
/// The shortest such time: elections take about that long.
const DETECTION_MS_MIN: u64 = 1_000;
/// How long a head may be waited for.
const JOIN_WAIT_S: std::ops::RangeInclusive<f64> = 0.0..=86_400.0;
const ALL_ADDRESSES: &str = "0.0.0.0";
/// Copies that a group may have.
const COPIES_MAX: u64 = 16;

/// Two numbers, `1-2`: what the process says to speak in the place of what it does speak, so that a test has two
/// releases without building two. Not a setting: a release that differs in more than its number is not that.
const PROTOCOLS_VARIABLE: &str = "LAVANDIN_TEST_PROTOCOLS";

/// What the process is in its cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterConfig {
    /// Without the address, as long as the port is not known, and without the contacts of the cache.
    pub(crate) settings: ClusterSettings,
    /// A coordinator's own name, where it was given.
    pub(crate) coordinator_id: Option<String>,
    /// The coordinator's cache; `None` of a data node.
    pub(crate) state_file: Option<PathBuf>,
    /// What `cluster.json` has that means nothing.
    pub(crate) warnings: Vec<String>,
}

impl Resolved {
    pub(super) fn cluster(&self) -> Result<ClusterConfig> {
        let role = self.role();
        let settings =
            ClusterSettings { role, advertised: self.uri("advertise")?, ..ClusterSettings::default() };
        match role {
            NodeRole::Data => Ok(ClusterConfig {
                settings: ClusterSettings {
                    trust: trust(self.secret("api_key")),
                    head: self.head()?,
                    detection_ms: self.detection_ms()?,
                    min_in_sync: self.min_in_sync()?,
                    ..settings
                },
                coordinator_id: None,
                state_file: None,
                warnings: Vec::new(),
            }),
            NodeRole::Coordinator => self.coordinator(settings),
        }
    }

    /// What proves that a node is one of the cluster; `key` is the setting that LynseDB has for it.
    fn secret(&self, key: &str) -> Option<&str> {
        self.text("cluster_secret").or(self.text(key))
    }

    /// How a node without a cluster comes to one, if it is to.
    fn head(&self) -> Result<Option<HeadSettings>> {
        let Some(uri) = self.uri("head_url")? else { return Ok(None) };
        if self.given("advertise").is_none() {
            bail!(
                "head_url is set and advertise is not: set --advertise to the URI under which other nodes reach this one"
            );
        }
        let copies = self.integer("replication_factor");
        if copies > COPIES_MAX {
            bail!("replication_factor is {copies}, more than the {COPIES_MAX} copies that a group may have");
        }
        Ok(Some(HeadSettings { uri, join_wait: self.join_wait()?, copies: copies as u32 }))
    }

    fn join_wait(&self) -> Result<Option<Duration>> {
        let text = self.text("join_wait").unwrap_or_default().trim();
        if text == "forever" {
            return Ok(None);
        }
        let seconds = text.parse::<f64>().ok().filter(|seconds| JOIN_WAIT_S.contains(seconds));
        let seconds = seconds.with_context(|| {
            format!(
                "join_wait is {text:?}, and neither forever nor a number of seconds up to {}",
                JOIN_WAIT_S.end()
            )
        })?;
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    /// Where to listen if nothing is said: a node that others reach from elsewhere listens on all addresses.
    pub(super) fn host(&self, cluster: &ClusterSettings) -> String {
        let is_reached_here = |uri: &String| {
            let authority = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest);
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        let is_member = cluster.head.is_some() && self.given("host").is_none();
        match cluster.advertised.as_ref().filter(|_| is_member) {
            Some(uri) if !is_reached_here(uri) => ALL_ADDRESSES.to_owned(),
            _ => self.text("host").unwrap_or_default().to_owned(),
        }
    }

    fn coordinator(&self, settings: ClusterSettings) -> Result<ClusterConfig> {
        if let Some((_, source)) = self.given("head_url").filter(|(_, source)| !source.is_variable()) {
            bail!(
                "{source}: head_url is for data nodes; tell a coordinator of its cluster by --metadata-owners"
            );
        }
        let (layout, warnings) = match self.text("cluster_config") {
            Some(path) => read_layout(Path::new(path)).map(|(layout, warnings)| (Some(layout), warnings))?,
            None => (None, Vec::new()),
        };
        let owners = self.owners(layout.as_ref())?;
        if layout.is_none() && owners.is_empty() {
            bail!(
                "the coordinator does not know its cluster. Pass --cluster-config, or pass --metadata-owners explicitly \
                 when no config is available."
            );
        }
        let in_layout = |part: fn(&StaticLayout) -> Option<&String>| layout.as_ref().and_then(part);
        let key = self.secret("shard_api_key");
        let key = key.or(in_layout(|layout| layout.shard_api_key.as_ref()).map(String::as_str));
        let state_file = self.text("cluster_state");
        let state_file = state_file.or(in_layout(|layout| layout.state_path.as_ref()).map(String::as_str));
        Ok(ClusterConfig {
            coordinator_id: self.text("coordinator_id").map(str::to_owned),
            state_file: Some(state_file.unwrap_or(STATE_FILE).into()),
            warnings,
            settings: ClusterSettings {
                trust: trust(key),
                advertised: self.uri("coordinator_uri")?.or(settings.advertised),
                detection_ms: self.detection_ms()?,
                min_in_sync: self.min_in_sync()?,
                contacts: owners.clone(),
                owners,
                layout,
                ..settings
            },
        })
    }

    /// Given by flag, else by the layout: none, one, or three and more.
    fn owners(&self, layout: Option<&StaticLayout>) -> Result<Vec<String>> {
        let Some((text, source)) = self.given("metadata_owners") else {
            return Ok(layout.map(|layout| layout.owners.clone()).unwrap_or_default());
        };
        let named = text.split(',').map(str::trim).filter(|uri| !uri.is_empty());
        let owners = named.map(plain_uri).collect::<Result<Vec<_>>>().with_context(|| source.to_string())?;
        let checked = match layout {
            Some(layout) => layout.owner_nodes(&owners).map(drop),
            None => check_owners(&owners),
        };
        checked.with_context(|| source.to_string())?;
        Ok(owners)
    }

    fn uri(&self, key: &str) -> Result<Option<String>> {
        let Some((text, source)) = self.given(key) else { return Ok(None) };
        plain_uri(text).with_context(|| source.to_string()).map(Some)
    }

    fn min_in_sync(&self) -> Result<u32> {
        let copies = self.integer("min_insync");
        if copies > COPIES_MAX {
            bail!("min_insync is {copies}, more than the {COPIES_MAX} copies that a group may have");
        }
        Ok(copies as u32)
    }

    fn detection_ms(&self) -> Result<u64> {
        let interval_s: f64 =
            self.text("health_interval_secs").and_then(|text| text.trim().parse().ok()).unwrap_or(1.0);
        let ms = interval_s * 1000.0 * self.integer("health_failures") as f64;
        if !DETECTION_MS.contains(&ms) {
            bail!(
                "health_interval_secs times health_failures is more than 600 s; a node must count as dead before that"
            );
        }
        Ok((ms.round() as u64).max(DETECTION_MS_MIN))
    }
}

impl ServerConfig {
    /// Takes over what a test wants the process to say that it speaks.
    pub(crate) fn with_test_protocols(mut self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        if let Some(text) = variable(PROTOCOLS_VARIABLE) {
            let numbers = text.split_once('-').and_then(|(lowest, highest)| {
                Some(Protocols { lowest: lowest.parse().ok()?, highest: highest.parse().ok()? })
            });
            let are_range = |range: &Protocols| (1..=range.highest).contains(&range.lowest);
            self.cluster.settings.protocols = numbers.filter(are_range).with_context(|| {
                format!("{PROTOCOLS_VARIABLE} is {text:?}, and not two numbers such as 1-2")
            })?;
        }
        Ok(self)
    }

    pub(crate) fn is_coordinator(&self) -> bool {
        self.cluster.settings.role == NodeRole::Coordinator
    }

    pub(crate) fn role_name(&self) -> &'static str {
        match self.cluster.settings.role {
            NodeRole::Data => "data",
            NodeRole::Coordinator => "coordinator",
        }
    }

    /// Where this server is reached on its own machine, or from elsewhere if its host is an address of the machine.
    pub(crate) fn own_uri(&self) -> String {
        let ip = self.host.parse::<IpAddr>().ok();
        match ip {
            Some(ip) if ip.is_unspecified() => format!("http://127.0.0.1:{}", self.port),
            Some(ip) => format!("http://{}", SocketAddr::new(ip, self.port)),
            None => format!("http://{}:{}", self.host, self.port),
        }
    }
}

/// A file's name with more behind it.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn trust(key: Option<&str>) -> Trust {
    key.map_or(Trust::Loopback, |key| Trust::Secret(ClusterSecret::new(key.as_bytes())))
}

fn read_layout(path: &Path) -> Result<(StaticLayout, Vec<String>)> {
    let shown = path.display();
    let cannot = || format!("cannot read the cluster config {shown}");
    let bytes = std::fs::metadata(path).with_context(cannot)?.len();
    if bytes > CONFIG_BYTES_MAX {
        bail!("the cluster config {shown} has {bytes} bytes, more than the {CONFIG_BYTES_MAX} allowed");
    }
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    StaticLayout::parse(&text).with_context(|| format!("in {shown}"))
}

/// A URI of a node without a slash at its end.
fn plain_uri(text: &str) -> Result<String> {
    let uri = text.trim().trim_end_matches('/');
    let authority = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if !authority.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain))
        || uri.len() > URI_BYTES_MAX
    {
        bail!("{text:?} is not a URI of the form http://host:port");
    }
    Ok(uri.to_owned())
}

/// Owners without a layout to find them in.
fn check_owners(owners: &[String]) -> Result<(), LayoutError> {
    if let Some(twice) = owners.iter().enumerate().find(|(index, uri)| owners[..*index].contains(uri)) {
        return Err(LayoutError::OwnerTwice { uri: twice.1.clone() });
    }
    if owners.len() == 2 { Err(LayoutError::TwoOwners) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
