//! What a node is told of its cluster when it is opened, and what its operator is warned of.

use crate::config::ServerConfig;
use crate::state_cache::StateCache;
use lavandin_node::ClusterSettings;
use lavandin_peer::{PROTOCOLS, Protocols, Trust};
use std::net::{IpAddr, SocketAddr};

/// Fills in what the configuration leaves to the address that is listened on.
pub(super) fn prepare(config: &mut ServerConfig, ip: IpAddr) {
    for warning in &config.cluster.warnings {
        tracing::warn!(event = "cluster_config", "{warning}");
    }
    if config.is_coordinator() && config.cluster.settings.advertised.is_none() {
        let uri = config.own_uri();
        if ip.is_unspecified() {
            tracing::warn!(
                event = "address_guessed", %uri,
                "other machines are told to reach this coordinator at {uri}, where they will not find it: set --coordinator-uri"
            );
        }
        config.cluster.settings.advertised = Some(uri);
    }
    let Protocols { lowest, highest } = config.cluster.settings.protocols;
    if config.cluster.settings.protocols != PROTOCOLS {
        tracing::warn!(
            event = "test_protocols",
            lowest,
            highest,
            "THIS PROCESS SAYS TO SPEAK WHAT IT MAY NOT SPEAK, as tests of upgrades want it; never on data that matters"
        );
    }
    if matches!(config.cluster.settings.trust, Trust::Loopback) && !ip.is_loopback() {
        let flag = match (config.cluster.settings.head.is_some(), config.is_coordinator()) {
            (true, _) => "--cluster-secret",
            (_, true) => "--shard-api-key",
            _ => "--api-key",
        };
        tracing::warn!(
            event = "peers_on_this_machine_only",
            flag,
            "NODES OF OTHER MACHINES ARE REFUSED, for there is no secret that they could prove to know: for a cluster of \
             several machines give every node the same --cluster-secret, or every shard the same --api-key, and coordinators \
             that key as --shard-api-key"
        );
    }
}

/// What the node is opened with.
pub(super) fn settings(config: &ServerConfig, listening: SocketAddr) -> ClusterSettings {
    let mut settings = config.cluster.settings.clone();
    settings.listening = Some(listening);
    let cache = config.cluster.state_file.as_deref().map(StateCache::read).unwrap_or_default();
    for uri in cache.nodes {
        if !settings.contacts.contains(&uri) {
            settings.contacts.push(uri);
        }
    }
    settings
}
