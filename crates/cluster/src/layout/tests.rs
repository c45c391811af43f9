use super::*;
use crate::catalogue::Catalogue;
use crate::command::Command;
use crate::node_info::{NodeRegistration, NodeRole};
use crate::options::OptionsChange;
use lavandin_types::StoreId;

/// The configuration of the documented quick start.
const QUICK_START: &str = r#"{
  "bucket_count": 4096,
  "write_mirror_replicas": true,
  "shard_groups": [
    {"name": "sg0", "primary": "http://127.0.0.1:7638", "replicas": ["http://127.0.0.1:7639"]},
    {"name": "sg1", "primary": "http://127.0.0.1:7640", "replicas": ["http://127.0.0.1:7641"]}
  ]
}"#;

fn parse(json: &str) -> StaticLayout {
    let (layout, warnings) = StaticLayout::parse(json).unwrap();
    assert_eq!(warnings, [] as [&str; 0]);
    layout
}

fn formed(layout: &StaticLayout) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let seed = layout.seed(ClusterId::new(1), &layout.owners, ClusterOptions::default()).unwrap();
    catalogue.apply(Command::FormLayout(seed)).unwrap();
    catalogue
}

#[test]
fn the_quick_start_becomes_a_cluster() {
    let layout = parse(QUICK_START);
    assert_eq!((layout.bucket_count, layout.write_mirror_replicas, layout.owners.len()), (4_096, true, 0));
    let expected = [7638, 7639, 7640, 7641].map(|port| format!("http://127.0.0.1:{port}"));
    assert_eq!(layout.nodes(), expected);
    assert_eq!(layout.node_at("http://127.0.0.1:7640/"), Some(NodeId::new(3)));
    let catalogue = formed(&layout);
    let groups: Vec<(String, u64, Vec<u64>)> = catalogue
        .groups()
        .map(|group| {
            (group.name.clone(), group.primary.get(), group.members.iter().map(|n| n.get()).collect())
        })
        .collect();
    assert_eq!(groups, [("sg0".to_owned(), 1, vec![1, 2]), ("sg1".to_owned(), 3, vec![3, 4])]);
    assert_eq!(layout.differences(&catalogue), [] as [&str; 0]);
}

#[test]
fn every_documented_key_is_read() {
    let layout = parse(
        r#"{"bucket_count": 64, "write_mirror_replicas": false, "state_path": "cache.json", "shard_api_key": "k",
            "metadata": {"owners": ["http://a:1/", "http://b:1", "http://c:1"]},
            "shards": [{"primary": " http://a:1/ ", "replicas": [{"uri": "http://b:1", "state": "active"},
                                                                {"uri": "http://c:1", "state": "stale"}]},
                       {"primary": "https://[::1]:7", "replicas": []}, {"primary": "http://e"}]}"#,
    );
    let names: Vec<&str> = layout.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["sg0", "sg1", "sg2"]);
    assert_eq!(layout.nodes(), ["http://a:1", "http://b:1", "http://c:1", "https://[::1]:7", "http://e"]);
    assert_eq!(layout.groups[0].replicas.iter().map(|r| r.stale).collect::<Vec<_>>(), [false, true]);
    assert_eq!(
        (layout.state_path.as_deref(), layout.shard_api_key.as_deref()),
        (Some("cache.json"), Some("k"))
    );
    assert_eq!(layout.owner_nodes(&layout.owners).unwrap(), [1, 2, 3].map(NodeId::new));
    let one = parse(r#"{"metadata_owners": "http://a:1", "shard_groups": [{"primary": "http://a:1"}]}"#);
    assert_eq!(one.owners, ["http://a:1"]);
    let mut catalogue = formed(&layout);
    assert_eq!(catalogue.options().owners.len(), 3);
    assert!(catalogue.groups().all(|group| !group.mirror));
    catalogue.apply(Command::CreateDatabase { name: "db".to_owned(), drop_if_exists: false }).unwrap();
    catalogue
        .apply(Command::CreateCollection {
            database: "db".to_owned(),
            name: "c".to_owned(),
            dim: 4,
            element: lavandin_types::ElementType::F32,
            description: None,
            drop_if_exists: false,
        })
        .unwrap();
    let table = catalogue.collection("db", "c").unwrap().buckets;
    assert_eq!(catalogue.bucket_table(table).unwrap().count(), 64);
    assert_eq!(Catalogue::decode(&catalogue.encode()), Ok(catalogue));
}

#[test]
fn what_means_nothing_is_a_warning() {
    let (_, warnings) = StaticLayout::parse(
        r#"{"bucket_cuont": 1, "metadata": {"ttl": 1}, "shards": [],
            "shard_groups": [{"primary": "http://a:1", "weight": 2, "replicas": [{"uri": "http://b:1", "zone": "z"}]},
                             {"primary": "http://b:1"}]}"#,
    )
    .unwrap();
    let expected = [
        "cluster config: the key \"bucket_cuont\" is unknown and ignored",
        "cluster config: \"shards\" is ignored beside \"shard_groups\"",
        "cluster config: group sg0: the key \"weight\" is unknown and ignored",
        "cluster config: group sg0: replica http://b:1: the key \"zone\" is unknown and ignored",
        "cluster config: metadata: the key \"ttl\" is unknown and ignored",
        "cluster config: http://b:1 is in the groups sg0 and sg1: both stop with it",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let group = |rest: &str| format!(r#"{{"shard_groups": [{{"primary": "http://a:1"{rest}}}]}}"#);
    let cases = [
        ("{}".to_owned(), "cluster config requires at least one shard group"),
        (r#"{"shard_groups": []}"#.to_owned(), "cluster config requires at least one shard group"),
        ("[".to_owned(), "cluster config is not valid JSON"),
        (r#"{"shard_groups": [{}]}"#.to_owned(), "missing field `primary`"),
        (group(r#", "replicas": [7]"#), "a replica is a URI or an object with the key \"uri\""),
        (group(r#", "replicas": ["b:1"]"#), "\"b:1\" is not a URI of the form http://host:port"),
        (group(r#", "replicas": ["http://b:0"]"#), "is not a URI"),
        (group(r#", "replicas": ["http://b/x:1"]"#), "is not a URI"),
        (group(r#", "replicas": ["http://a:1/"]"#), "lists http://a:1 twice"),
        (
            group(r#", "replicas": [{"uri": "http://b:1", "state": "dead"}]"#),
            "the state \"dead\" of http://b:1",
        ),
        (group(r#", "name": "a b""#), "\"a b\" is not a group name"),
        (
            r#"{"shards": [{"name": "x", "primary": "http://a:1"}, {"name": "x", "primary": "http://b:1"}]}"#
                .to_owned(),
            "two shard groups are named \"x\"",
        ),
        (r#"{"bucket_count": 0, "shards": [{"primary": "http://a:1"}]}"#.to_owned(), "bucket_count is 0"),
        (r#"{"bucket_count": 65536, "shards": [{"primary": "http://a:1"}]}"#.to_owned(), "65536"),
        (
            r#"{"metadata_owners": ["http://a:1", "http://b:1"],
                "shards": [{"primary": "http://a:1", "replicas": ["http://b:1"]}]}"#
                .to_owned(),
            "give one, or three and more",
        ),
        (
            r#"{"metadata_owners": "http://z:1", "shards": [{"primary": "http://a:1"}]}"#.to_owned(),
            "the metadata owner http://z:1 is not a node of any shard group",
        ),
    ];
    for (json, sentence) in cases {
        let error = StaticLayout::parse(&json).unwrap_err();
        assert!(error.to_string().contains(sentence), "{json}: {error}");
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
    let replicas: Vec<String> = (0..16).map(|index| format!("\"http://r{index}:1\"")).collect();
    let error =
        StaticLayout::parse(&group(&format!(r#", "replicas": [{}]"#, replicas.join(",")))).unwrap_err();
    assert!(error.to_string().contains("copies of one group: 17 is more than the 16 allowed"), "{error}");
}

#[test]
fn a_later_layout_is_compared_and_changes_nothing() {
    let mut catalogue = formed(&parse(QUICK_START));
    for id in 1..=4u64 {
        let address = format!("http://127.0.0.1:{}", 7637 + id);
        let registration =
            NodeRegistration { store: StoreId::new(id.into()), address, ..NodeRegistration::default() };
        catalogue.apply(Command::RegisterNode(registration)).unwrap();
    }
    let coordinator = NodeRegistration {
        store: StoreId::new(9),
        address: "http://127.0.0.1:7637".to_owned(),
        role: NodeRole::Coordinator,
        ..NodeRegistration::default()
    };
    catalogue.apply(Command::RegisterNode(coordinator)).unwrap();
    catalogue.apply(Command::SetClusterOptions(OptionsChange::default())).unwrap();
    assert_eq!(parse(QUICK_START).differences(&catalogue), [] as [&str; 0]);
    let later = parse(
        r#"{"bucket_count": 128, "write_mirror_replicas": false, "shard_groups": [
            {"name": "sg0", "primary": "http://127.0.0.1:7639", "replicas": ["http://127.0.0.1:7650"]},
            {"name": "sg2", "primary": "http://c:1", "replicas": ["http://d:1", "http://e:1"]}]}"#,
    );
    let expected = [
        "group sg0 has no copy on http://127.0.0.1:7650, which the cluster config lists; to add one: \
         lavandin cluster add-replica sg0 http://127.0.0.1:7650",
        "group sg0 has a copy on http://127.0.0.1:7638, which the cluster config does not list: that stays",
        "group sg2 of the cluster config is not in the metadata; to add it for collections to come: \
         lavandin cluster add-group sg2 --primary http://c:1 --replica http://d:1 --replica http://e:1",
        "group sg1 is in the metadata and not in the cluster config: it is served all the same",
        "the cluster config has a bucket_count of 128, the metadata 4096: that stays",
        "the cluster config has write_mirror_replicas false, the metadata true: that stays",
    ];
    assert_eq!(later.differences(&catalogue), expected);
}
