use crate::*;
use lavandin_types::{
    ClusterId, CollectionId, ColumnId, DatasetId, ElementType, ErrorCode, GroupId, NodeId, PrimaryEpoch,
    ShardsetId, StoreId,
};

/// A snapshot as version 1 writes it. Every later program must read it; it is never edited.
const VERSION_1: &str = r#"{"cluster":"0000000000000000000000000000002a","last_collection":2,"last_node":1,"last_group":1,"last_table":1,"databases":["db","empty"],"collections":[{"id":2,"database":"db","name":"docs","dim":0,"element":"float16","description":"notes","index":null,"schema_version":1,"integer_ids":"unset","buckets":1}],"tables":[{"id":1,"pattern":[1]}],"nodes":[{"id":1,"store":"00000000000000000000000000000007","incarnation":1,"address":""}],"groups":[{"id":1,"name":"sg0","members":[1],"primary":1,"epoch":1,"version":1,"in_sync":[[1,1]]}],"keys":[]}"#;

/// Likewise of version 2, which added the datasets and the later parts of a key.
const VERSION_2: &str = r#"{"cluster":"0000000000000000000000000000002a","last_collection":2,"last_node":1,"last_group":1,"last_table":1,"databases":["db","empty"],"collections":[{"id":2,"database":"db","name":"docs","dim":0,"element":"float16","description":"notes","index":null,"schema_version":1,"integer_ids":"unset","buckets":1}],"tables":[{"id":1,"pattern":[1]}],"nodes":[{"id":1,"store":"00000000000000000000000000000007","incarnation":1,"address":""}],"groups":[{"id":1,"name":"sg0","members":[1],"primary":1,"epoch":1,"version":1,"in_sync":[[1,1]]}],"keys":[{"id":"la-1","secret_hash":"0101010101010101010101010101010101010101010101010101010101010101","role":"admin","note":null,"locked":false,"expires_at_s":9,"created_at_s":8}],"datasets":[{"id":"ds-rs000000000000000000","name":"photos","uid_column_name":"id","created_at_s":7,"group":1,"columns":[{"id":"dc-rs000000000000000000","shardset":"ss-rs000000000000000000","name":"id","type":"int64","description":"a number","created_at_s":8}],"shardsets":[{"id":"ss-rs000000000000000000","location":"file:///photos","is_main":true,"created_at_s":8,"manifest":{"version":1,"hash":"0000000000000000000000000000002a","shard_count":2,"total_samples":20,"bytes":300}}]}]}"#;

/// Likewise of version 3, which added the shape of the cluster: members' states, options, chores, id ranges.
const VERSION_3: &str = r#"{"cluster":"0000000000000000000000000000002a","last_collection":1,"last_node":5,"last_group":1,"last_table":1,"databases":["db"],"collections":[{"id":1,"database":"db","name":"docs","dim":4,"element":"float32","description":null,"index":null,"schema_version":1,"integer_ids":"unset","buckets":1}],"tables":[{"id":1,"pattern":[1],"count":7}],"nodes":[{"id":1,"store":"00000000000000000000000000000001","incarnation":1,"address":"http://n1:1","role":"data","boot_id":"00000000000000000000000000000005","start_id":"00000000000000000000000000000001","protocol":1,"lost":false},{"id":2,"store":"00000000000000000000000000000002","incarnation":1,"address":"","role":"data","boot_id":"00000000000000000000000000000005","start_id":"00000000000000000000000000000002","protocol":1,"lost":true},{"id":3,"store":"00000000000000000000000000000003","incarnation":1,"address":"http://n3:1","role":"data","boot_id":"00000000000000000000000000000005","start_id":"00000000000000000000000000000003","protocol":1,"lost":false},{"id":4,"store":null,"incarnation":0,"address":"http://n4:1","role":"data","boot_id":"00000000000000000000000000000000","start_id":"00000000000000000000000000000000","protocol":0,"lost":false},{"id":5,"store":"00000000000000000000000000000014","incarnation":1,"address":"http://n2:1","role":"data","boot_id":"00000000000000000000000000000005","start_id":"00000000000000000000000000000014","protocol":1,"lost":false}],"groups":[{"id":1,"name":"sg0","members":[1,5,2,3,4],"primary":2,"epoch":2,"version":5,"in_sync":[[2,1]],"joiner":{"node":3,"incarnation":1},"stale":[[1,"former_primary"],[4,"added"],[5,"new_store"]],"leaving":[2],"rf":4,"mirror":true,"suspect":false,"unclean":[{"epoch":2,"primary":2}]}],"keys":[],"datasets":[],"options":{"detection_ms":3000,"min_in_sync":1,"voters_max":5,"owners":[4],"replace_after_ms":600000,"bucket_count":7,"mirror":true},"chores":{"node":3,"epoch":1},"id_ranges":[[1,11]]}"#;

fn bytes(version: u8, json: &str) -> Vec<u8> {
    [&[version], json.as_bytes()].concat()
}

fn small() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let node = NodeSeed { id: NodeId::new(1), store: StoreId::new(7), address: String::new() };
    let mut apply = |command| drop(catalogue.apply(command).unwrap());
    apply(Command::FormCluster { cluster: ClusterId::new(42), node });
    for name in ["db", "empty"] {
        apply(Command::CreateDatabase { name: name.to_owned(), drop_if_exists: false });
    }
    for _ in 0..2 {
        apply(Command::CreateCollection {
            database: "db".to_owned(),
            name: "docs".to_owned(),
            dim: 0,
            element: ElementType::F16,
            description: Some("notes".to_owned()),
            drop_if_exists: true,
        });
    }
    catalogue
}

/// What version 2 can hold besides.
fn with_a_dataset() -> Catalogue {
    let mut catalogue = small();
    let mut apply = |command| drop(catalogue.apply(command).unwrap());
    let (id, shardset) = (DatasetId::new(1_000, [0; 20]), ShardsetId::new(1_000, [0; 20]));
    let key = ApiKey {
        id: "la-1".to_owned(),
        secret_hash: [1; 32],
        role: KeyRole::Admin,
        note: None,
        locked: false,
        expires_at_s: Some(9),
        created_at_s: 8,
    };
    apply(Command::PutApiKey { key });
    let (name, uid_column_name) = ("photos".to_owned(), "id".to_owned());
    apply(Command::CreateDataset(NewDataset { id, name, uid_column_name, created_at_s: 7 }));
    let column = NewColumn {
        id: ColumnId::new(1_000, [0; 20]),
        name: "id".to_owned(),
        column_type: "int64".to_owned(),
        description: Some("a number".to_owned()),
    };
    apply(Command::CreateShardset(NewShardset {
        dataset: id,
        id: shardset,
        location: "file:///photos".to_owned(),
        columns: vec![column],
        created_at_s: 8,
    }));
    apply(Command::SetMainShardset { dataset: id, shardset, is_main: true });
    let manifest = ManifestRef { version: 1, hash: 42, shard_count: 2, total_samples: 20, bytes: 300 };
    apply(Command::SetManifest(ManifestChange { dataset: id, shardset, manifest, expected: 0 }));
    catalogue
}

/// What version 3 can hold besides: a group in each state that a member can have, and a lost node.
fn with_a_shape() -> Catalogue {
    let (group, node) = (GroupId::new(1), NodeId::new);
    let mut catalogue = Catalogue::default();
    let mut apply = |command| drop(catalogue.apply(command).unwrap());
    let members: Vec<NodeId> = (1..=4).map(node).collect();
    let options = ClusterOptions { bucket_count: 7, owners: vec![node(4)], ..ClusterOptions::default() };
    apply(Command::FormLayout(LayoutSeed {
        cluster: ClusterId::new(42),
        nodes: members.iter().map(|member| format!("http://{member}:1")).collect(),
        groups: vec![GroupSeed { name: "sg0".to_owned(), members, primary: node(1) }],
        options,
    }));
    let registration = |id: u64, store: u128| NodeRegistration {
        store: StoreId::new(store),
        address: format!("http://n{id}:1"),
        boot_id: BootId::new(5),
        start_id: StartId::new(store),
        protocol: 1,
        ..NodeRegistration::default()
    };
    for id in 1..=3 {
        apply(Command::RegisterNode(registration(id, id.into())));
    }
    let revision = |epoch, version| Revision { epoch: PrimaryEpoch::new(epoch), version };
    let expected = revision(1, 2);
    apply(Command::ForcePromote { group, expected, primary: node(2) });
    let expected = revision(2, 3);
    apply(Command::AddJoiner { group, expected, node: node(3), incarnation: 1 });
    apply(Command::RegisterNode(registration(2, 20)));
    apply(Command::CreateDatabase { name: "db".to_owned(), drop_if_exists: false });
    apply(Command::CreateCollection {
        database: "db".to_owned(),
        name: "docs".to_owned(),
        dim: 4,
        element: ElementType::F32,
        description: None,
        drop_if_exists: false,
    });
    let collection = CollectionId::new(1);
    apply(Command::LeaseIds { collection, node: node(1), count: 9, largest_known: Some(1) });
    apply(Command::AppointChores { node: node(3), expected: 0 });
    catalogue
}

#[test]
fn version_1_stays_readable() {
    assert_eq!(Catalogue::decode(&bytes(1, VERSION_1)).unwrap(), small());
}

#[test]
fn version_2_stays_readable() {
    assert_eq!(Catalogue::decode(&bytes(2, VERSION_2)).unwrap(), with_a_dataset());
}

#[test]
fn version_3_stays_readable() {
    let stored = bytes(3, VERSION_3);
    assert_eq!(
        String::from_utf8(with_a_shape().encode()),
        String::from_utf8(stored.clone()),
        "the bytes changed without a new version"
    );
    assert_eq!(Catalogue::decode(&stored).unwrap(), with_a_shape());
    for catalogue in [Catalogue::default(), small(), with_a_dataset()] {
        assert_eq!(Catalogue::decode(&catalogue.encode()), Ok(catalogue));
    }
}

/// Version 4 marks nodes that retire, and is written only where there is one.
#[test]
fn version_4_stays_readable() {
    let json = VERSION_3.replacen(r#""lost":false"#, r#""lost":false,"retiring":true"#, 1);
    let mut catalogue = with_a_shape();
    let mut retires = NodeInfo::clone(&catalogue.nodes[&NodeId::new(1)]);
    retires.retiring = true;
    catalogue.nodes.insert(retires.id, std::sync::Arc::new(retires));
    assert_eq!(catalogue.encode(), bytes(4, &json), "the bytes changed without a new version");
    assert_eq!(Catalogue::decode(&bytes(4, &json)).unwrap(), catalogue);
}

/// Version 5 says how many copies the cluster places; a cluster that places none is written as before.
#[test]
fn version_5_stays_readable() {
    let json = VERSION_3.replacen(r#""mirror":true}"#, r#""mirror":true,"copies":2}"#, 1);
    let mut catalogue = with_a_shape();
    catalogue.options.copies = 2;
    let written = catalogue.encode();
    assert_eq!(
        String::from_utf8(written),
        String::from_utf8(bytes(5, &json)),
        "the bytes changed without a new version"
    );
    assert_eq!(Catalogue::decode(&bytes(5, &json)).unwrap(), catalogue);
}

/// Contradictions in the shape of the cluster.
#[test]
fn groups_that_contradict_themselves_are_refused() {
    let breaks = [
        (r#""members":[1,5,2,3,4]"#, r#""members":[1,5,2,3,4,4]"#),
        (r#""members":[1,5,2,3,4]"#, r#""members":[1,5,2,3]"#),
        (r#""members":[1,5,2,3,4]"#, r#""members":[1,5,2,3,9]"#),
        (r#""primary":2,"epoch":2"#, r#""primary":1,"epoch":2"#),
        (r#""joiner":{"node":3,"incarnation":1}"#, r#""joiner":{"node":1,"incarnation":1}"#),
        (r#""leaving":[2]"#, r#""leaving":[9]"#),
        (r#""rf":4"#, r#""rf":0"#),
        (r#""suspect":false"#, r#""suspect":true"#),
        (r#""id_ranges":[[1,11]]"#, r#""id_ranges":[[9,11]]"#),
        (r#""id_ranges":[[1,11]]"#, r#""id_ranges":[[1,18446744073709551615]]"#),
        (r#""min_in_sync":1"#, r#""min_in_sync":0"#),
        (r#""count":7"#, r#""count":0"#),
        ("former_primary", "forgotten"),
    ];
    for (from, to) in breaks {
        let broken = VERSION_3.replace(from, to);
        assert_ne!(broken, VERSION_3, "{from}");
        let error = Catalogue::decode(&bytes(3, &broken)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DataCorrupt, "{to}: {error}");
    }
    let mut missing = with_a_shape();
    missing.nodes.remove(&NodeId::new(4));
    assert_eq!(Catalogue::decode(&missing.encode()).unwrap_err().code(), ErrorCode::DataCorrupt);
}

#[test]
fn bytes_that_are_no_snapshot_are_refused() {
    let empty = Catalogue::decode(&[]).unwrap_err();
    assert_eq!(
        (empty.clone(), empty.code()),
        (DecodeError::Empty { what: super::WHAT }, ErrorCode::DataCorrupt)
    );
    let newer = Catalogue::decode(&bytes(SNAPSHOT_VERSION + 1, VERSION_1)).unwrap_err();
    assert_eq!(newer.code(), ErrorCode::Unavailable);
    let breaks = [
        ("\"db\",", ""),
        ("\"buckets\":1", "\"buckets\":2"),
        ("\"last_collection\":2", "\"last_collection\":1"),
        ("\"pattern\":[1]", "\"pattern\":[]"),
        ("float16", "float99"),
        ("\"keys\":[]", "\"keys\":[],\"more\":1"),
        ("0000000000000000000000000000002a", "2a"),
    ];
    for (from, to) in breaks {
        let broken = VERSION_1.replace(from, to);
        assert_ne!(broken, VERSION_1);
        let error = Catalogue::decode(&bytes(1, &broken)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DataCorrupt, "{to}: {error}");
    }
    let breaks = [
        ("\"name\":\"photos\"", "\"named\":\"photos\""),
        ("\"shardset\":\"ss-rs0", "\"shardset\":\"ss-rs1"),
        ("\"group\":1,", ""),
    ];
    for (from, to) in breaks {
        let broken = VERSION_2.replace(from, to);
        assert_ne!(broken, VERSION_2);
        assert_eq!(Catalogue::decode(&bytes(2, &broken)).unwrap_err().code(), ErrorCode::DataCorrupt);
    }
    let (before, dataset) = VERSION_2.split_once("\"datasets\":[").unwrap();
    let dataset = dataset.strip_suffix("]}").unwrap();
    let column = dataset.split_once("\"columns\":[").unwrap().1.split_once(']').unwrap().0;
    let twice = dataset.replace(column, &format!("{column},{column}"));
    for datasets in [format!("{dataset},{dataset}"), twice] {
        let broken = format!("{before}\"datasets\":[{datasets}]}}");
        assert_eq!(Catalogue::decode(&bytes(2, &broken)).unwrap_err().code(), ErrorCode::DataCorrupt);
    }
    for end in 0..VERSION_1.len() {
        assert!(Catalogue::decode(&bytes(1, &VERSION_1[..end])).is_err());
    }
}

#[test]
fn patterns_are_as_short_as_possible() {
    let groups: Vec<_> = (1..=3).map(lavandin_types::GroupId::new).collect();
    let table = crate::BucketTable::spread(&groups, crate::BUCKET_COUNT).unwrap();
    assert_eq!(super::shortest_pattern(table.owners()), groups);
    let mut moved = table.owners().to_vec();
    moved[4_095] = groups[2];
    assert_eq!(super::shortest_pattern(&moved), moved);
}
