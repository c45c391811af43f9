use super::*;
use crate::config::tests::{Case, case};
use std::net::Ipv4Addr;

/// The configuration of the documented quick start.
const QUICK_START: &str = r#"{
  "bucket_count": 4096,
  "write_mirror_replicas": true,
  "shard_groups": [
    {"name": "sg0", "primary": "http://127.0.0.1:7638", "replicas": ["http://127.0.0.1:7639"]},
    {"name": "sg1", "primary": "http://127.0.0.1:7640", "replicas": ["http://127.0.0.1:7641"]}
  ]
}"#;

struct File(tempfile::NamedTempFile);

impl File {
    fn of(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(file)
    }

    /// A coordinator that reads it.
    fn coordinator(&self) -> Case {
        coordinator().flag("cluster_config", &self.0.path().display().to_string())
    }
}

fn coordinator() -> Case {
    case().flag("role", "coordinator")
}

fn elsewhere() -> IpAddr {
    Ipv4Addr::new(10, 0, 0, 9).into()
}

#[test]
fn a_node_is_a_data_node_unless_it_is_told() {
    for case in [case(), case().flag("role", "shard"), case().variable("LYNSE_ROLE", "single")] {
        let config = case.config();
        let cluster = &config.cluster;
        assert_eq!((cluster.settings.role, cluster.state_file.as_ref()), (NodeRole::Data, None));
        assert_eq!(config.data_dir, Path::new("lavandin-data"));
        assert!(matches!(cluster.settings.trust, Trust::Loopback));
        assert!(cluster.settings.layout.is_none() && cluster.settings.advertised.is_none());
    }
    let settings = case().flag("advertise", "http://10.0.0.11:7638/").config().cluster.settings;
    assert_eq!(settings.advertised.as_deref(), Some("http://10.0.0.11:7638"));
    let settings = case().variable("LAVANDIN_ADVERTISE", "http://a:1").config().cluster.settings;
    assert_eq!(settings.advertised.as_deref(), Some("http://a:1"));
}

#[test]
fn a_data_node_may_be_told_of_a_head() {
    let member =
        || case().flag("head_url", "http://127.0.0.1:8000").flag("advertise", "http://127.0.0.1:8001/");
    let config = member().config();
    let settings = &config.cluster.settings;
    assert_eq!(settings.advertised.as_deref(), Some("http://127.0.0.1:8001"));
    assert!(matches!(settings.trust, Trust::Loopback));
    assert_eq!(config.host, "127.0.0.1");
    let head = |case: Case| case.config().cluster.settings.head.unwrap();
    assert_eq!(head(member().flag("join_wait", "forever")).join_wait, None);
    assert_eq!(head(member().flag("join_wait", "1.5")).join_wait, Some(Duration::from_millis(1500)));
    assert_eq!(head(member().flag("replication_factor", "3")).copies, 3);
    let quick = member()
        .flag("health_interval_secs", "0.5")
        .flag("health_failures", "2")
        .flag("min_insync", "2")
        .config();
    assert_eq!((quick.cluster.settings.detection_ms, quick.cluster.settings.min_in_sync), (1000, 2));
    let secret = member().flag("cluster_secret", "s").flag("api_key", "k").config();
    assert!(matches!(secret.cluster.settings.trust, Trust::Secret(_)));
    for (host, listens) in
        [("http://localhost:1", "127.0.0.1"), ("http://[::1]:1", "127.0.0.1"), ("http://a:1", "0.0.0.0")]
    {
        let config = case().flag("head_url", host).flag("advertise", host).config();
        assert_eq!(config.host, listens, "{host}");
    }
    let named =
        case().flag("head_url", "http://a:1").flag("advertise", "http://a:1").flag("host", "10.0.0.9");
    assert_eq!(named.config().host, "10.0.0.9");
    for (case, says) in [
        (case().flag("head_url", "http://a:1"), "set --advertise"),
        (case().flag("head_url", "a:1").flag("advertise", "http://a:1"), "not a URI"),
        (member().flag("join_wait", "soon"), "neither forever nor a number"),
        (member().flag("join_wait", "-1"), "neither forever nor a number"),
        (member().flag("replication_factor", "17"), "more than the 16"),
        (
            coordinator().flag("metadata_owners", "http://a:1").flag("head_url", "http://a:1"),
            "for data nodes",
        ),
    ] {
        let error = case.error();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_documented_coordinators_are_understood() {
    let file = File::of(QUICK_START);
    let config = file.coordinator().config();
    let settings = &config.cluster.settings;
    assert_eq!(settings.role, NodeRole::Coordinator);
    assert_eq!(settings.layout.as_ref().unwrap().node_count(), 4);
    assert_eq!((settings.detection_ms, settings.min_in_sync), (3_000, 1));
    assert!(settings.owners.is_empty() && settings.contacts.is_empty());
    assert_eq!(config.cluster.state_file.as_deref(), Some(Path::new("cluster_state.cache.json")));
    assert_eq!(config.data_dir, Path::new("cluster_state.cache.json.d"));
    let config = file
        .coordinator()
        .flag("cluster_state", "/var/c/state.json")
        .flag("shard_api_key", "k")
        .flag("health_interval_secs", "0.5")
        .flag("health_failures", "4")
        .flag("coordinator_uri", "http://node-a:7637/")
        .flag("coordinator_lease_secs", "2.5")
        .flag("coordinator_id", "a")
        .flag("min_insync", "2")
        .config();
    let settings = &config.cluster.settings;
    assert_eq!(config.data_dir, Path::new("/var/c/state.json.d"));
    assert_eq!((settings.detection_ms, settings.min_in_sync), (2_000, 2));
    assert_eq!(settings.advertised.as_deref(), Some("http://node-a:7637"));
    assert_eq!(config.cluster.coordinator_id.as_deref(), Some("a"));
    assert!(settings.trust.admits(elsewhere()).is_ok());
    let explicit = file.coordinator().flag("data_dir", "d").config();
    assert_eq!(explicit.data_dir, Path::new("d"));
}

#[test]
fn the_documented_variables_do_the_same() {
    let file = File::of(QUICK_START);
    let path: &'static str = file.0.path().display().to_string().leak();
    let config = case()
        .variable("LYNSE_ROLE", "coordinator")
        .variable("LYNSE_CLUSTER_CONFIG", path)
        .variable("LYNSE_CLUSTER_STATE", "s.json")
        .variable("LYNSE_SHARD_API_KEY", "k")
        .variable("LYNSE_CLUSTER_METADATA_OWNERS", "http://127.0.0.1:7638")
        .variable("LYNSE_COORDINATOR_URI", "http://node-a:7637")
        .variable("LYNSE_HEALTH_INTERVAL_SECS", "1.0")
        .variable("LYNSE_HEALTH_FAILURES", "5")
        .config();
    let settings = &config.cluster.settings;
    assert_eq!(settings.owners, ["http://127.0.0.1:7638"]);
    assert_eq!(settings.contacts, settings.owners);
    assert_eq!((settings.detection_ms, settings.advertised.as_deref()), (5_000, Some("http://node-a:7637")));
    assert!(matches!(settings.trust, Trust::Secret(_)));
}

#[test]
fn the_file_counts_where_no_flag_does() {
    let file = File::of(
        r#"{"shards": [{"primary": "http://a:1", "replicas": ["http://b:1", "http://c:1"]}], "shard_api_key": "k",
            "state_path": "from-file.json", "metadata_owners": ["http://a:1", "http://b:1", "http://c:1"], "extra": 1}"#,
    );
    let config = file.coordinator().config();
    let settings = &config.cluster.settings;
    assert_eq!((settings.owners.len(), settings.contacts.len()), (3, 3));
    assert!(matches!(settings.trust, Trust::Secret(_)));
    assert_eq!(config.cluster.state_file.as_deref(), Some(Path::new("from-file.json")));
    assert_eq!(config.cluster.warnings, ["cluster config: the key \"extra\" is unknown and ignored"]);
    let config =
        file.coordinator().flag("metadata_owners", "http://b:1/").flag("cluster_state", "flag.json").config();
    assert_eq!(config.cluster.settings.owners, ["http://b:1"]);
    assert_eq!(config.cluster.state_file.as_deref(), Some(Path::new("flag.json")));
}

#[test]
fn owners_alone_are_enough() {
    let three = "http://a:1, http://b:1,http://c:1";
    let settings = coordinator().flag("metadata_owners", three).config().cluster.settings;
    assert_eq!(settings.owners, ["http://a:1", "http://b:1", "http://c:1"]);
    assert_eq!(settings.contacts, settings.owners);
    assert!(settings.layout.is_none());
}

#[test]
fn mistakes_are_told() {
    let file = File::of(QUICK_START);
    let no_groups = File::of(r#"{"shard_groups": []}"#);
    let missing = coordinator().flag("cluster_config", "no-such.json");
    for (case, words) in [
        (
            coordinator(),
            "Pass --cluster-config, or pass --metadata-owners explicitly when no config is available.",
        ),
        (no_groups.coordinator(), "cluster config requires at least one shard group"),
        (missing, "cannot read the cluster config no-such.json"),
        (
            coordinator().flag("metadata_owners", "http://a:1,http://b:1"),
            "--metadata-owners: two metadata owners cannot",
        ),
        (coordinator().flag("metadata_owners", "http://a:1,http://a:1/"), "http://a:1 is given twice"),
        (coordinator().flag("metadata_owners", "a:1"), "--metadata-owners: \"a:1\" is not a URI of the form"),
        (
            file.coordinator().flag("metadata_owners", "http://x:1"),
            "http://x:1 is not a node of any shard group",
        ),
        (file.coordinator().flag("coordinator_uri", "node-a"), "--coordinator-uri: \"node-a\" is not a URI"),
        (file.coordinator().flag("health_failures", "601"), "is more than 600 s"),
        (file.coordinator().flag("min_insync", "17"), "min_insync is 17, more than the 16 copies"),
        (file.coordinator().flag("health_interval_secs", "0"), "expected a number above 0"),
        (case().flag("advertise", "http://a b"), "--advertise: \"http://a b\" is not a URI"),
    ] {
        let error = case.error();
        assert!(error.contains(words), "{error}\n  lacks {words}");
    }
    let short = file.coordinator().flag("health_interval_secs", "0.1").config();
    assert_eq!(short.cluster.settings.detection_ms, 1_000, "no shorter than elections take");
}

#[test]
fn the_key_of_the_shards_is_the_secret_of_their_peers() {
    let of_shard = case().flag("api_key", "k").config().cluster.settings.trust;
    assert!(of_shard.admits(elsewhere()).is_ok());
    let file = File::of(QUICK_START);
    // A coordinator's own key is for its clients.
    let open = file.coordinator().flag("api_key", "k").config();
    assert!(open.cluster.settings.trust.admits(elsewhere()).is_err());
    assert_eq!(open.api_key.as_deref(), Some("k"));
}

#[test]
fn the_own_uri_follows_from_host_and_port() {
    let uri = |host| case().flag("host", host).config().own_uri();
    assert_eq!(uri("127.0.0.1"), "http://127.0.0.1:7637");
    assert_eq!(uri("0.0.0.0"), "http://127.0.0.1:7637");
    assert_eq!(uri("::"), "http://127.0.0.1:7637");
    assert_eq!(uri("::1"), "http://[::1]:7637");
    assert_eq!(uri("node-a"), "http://node-a:7637");
}
