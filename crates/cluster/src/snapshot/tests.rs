use crate::{
    ApiKey, Catalogue, Command, DecodeError, KeyRole, ManifestChange, ManifestRef, NewColumn, NewDataset,
    NewShardset, NodeSeed, SNAPSHOT_VERSION,
};
use lavandin_types::{ClusterId, ColumnId, DatasetId, ElementType, ErrorCode, NodeId, ShardsetId, StoreId};

/// A snapshot as version 1 writes it. Every later program must read it; it is never edited.
const VERSION_1: &str = r#"{"cluster":"0000000000000000000000000000002a","last_collection":2,"last_node":1,"last_group":1,"last_table":1,"databases":["db","empty"],"collections":[{"id":2,"database":"db","name":"docs","dim":0,"element":"float16","description":"notes","index":null,"schema_version":1,"integer_ids":"unset","buckets":1}],"tables":[{"id":1,"pattern":[1]}],"nodes":[{"id":1,"store":"00000000000000000000000000000007","incarnation":1,"address":""}],"groups":[{"id":1,"name":"sg0","members":[1],"primary":1,"epoch":1,"version":1,"in_sync":[[1,1]]}],"keys":[]}"#;

/// Likewise of version 2, which added the datasets and the later parts of a key.
const VERSION_2: &str = r#"{"cluster":"0000000000000000000000000000002a","last_collection":2,"last_node":1,"last_group":1,"last_table":1,"databases":["db","empty"],"collections":[{"id":2,"database":"db","name":"docs","dim":0,"element":"float16","description":"notes","index":null,"schema_version":1,"integer_ids":"unset","buckets":1}],"tables":[{"id":1,"pattern":[1]}],"nodes":[{"id":1,"store":"00000000000000000000000000000007","incarnation":1,"address":""}],"groups":[{"id":1,"name":"sg0","members":[1],"primary":1,"epoch":1,"version":1,"in_sync":[[1,1]]}],"keys":[{"id":"la-1","secret_hash":"0101010101010101010101010101010101010101010101010101010101010101","role":"admin","note":null,"locked":false,"expires_at_s":9,"created_at_s":8}],"datasets":[{"id":"ds-rs000000000000000000","name":"photos","uid_column_name":"id","created_at_s":7,"group":1,"columns":[{"id":"dc-rs000000000000000000","shardset":"ss-rs000000000000000000","name":"id","type":"int64","description":"a number","created_at_s":8}],"shardsets":[{"id":"ss-rs000000000000000000","location":"file:///photos","is_main":true,"created_at_s":8,"manifest":{"version":1,"hash":"0000000000000000000000000000002a","shard_count":2,"total_samples":20,"bytes":300}}]}]}"#;

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

#[test]
fn version_1_stays_readable() {
    assert_eq!(Catalogue::decode(&bytes(1, VERSION_1)).unwrap(), small());
}

#[test]
fn version_2_stays_readable() {
    let stored = bytes(2, VERSION_2);
    assert_eq!(Catalogue::decode(&stored).unwrap(), with_a_dataset());
    assert_eq!(
        String::from_utf8(with_a_dataset().encode()),
        String::from_utf8(stored),
        "the bytes changed without a new version"
    );
    assert_eq!(Catalogue::decode(&Catalogue::default().encode()), Ok(Catalogue::default()));
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
    let table = crate::BucketTable::spread(&groups).unwrap();
    assert_eq!(super::shortest_pattern(table.owners()), groups);
    let mut moved = table.owners().to_vec();
    moved[4_095] = groups[2];
    assert_eq!(super::shortest_pattern(&moved), moved);
}
