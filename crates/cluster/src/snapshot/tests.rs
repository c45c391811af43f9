use crate::{Catalogue, Command, DecodeError, NodeSeed, SNAPSHOT_VERSION};
use lavandin_types::{ClusterId, ElementType, ErrorCode, NodeId, StoreId};

/// A snapshot as version 1 writes it. Every later program must read it; it is never edited.
const VERSION_1: &str = r#"{"cluster":"0000000000000000000000000000002a","last_collection":2,"last_node":1,"last_group":1,"last_table":1,"databases":["db","empty"],"collections":[{"id":2,"database":"db","name":"docs","dim":0,"element":"float16","description":"notes","index":null,"schema_version":1,"integer_ids":"unset","buckets":1}],"tables":[{"id":1,"pattern":[1]}],"nodes":[{"id":1,"store":"00000000000000000000000000000007","incarnation":1,"address":""}],"groups":[{"id":1,"name":"sg0","members":[1],"primary":1,"epoch":1,"version":1,"in_sync":[[1,1]]}],"keys":[]}"#;

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

#[test]
fn version_1_stays_readable() {
    let stored = bytes(1, VERSION_1);
    assert_eq!(Catalogue::decode(&stored).unwrap(), small());
    assert_eq!(small().encode(), stored, "the bytes changed without a new version");
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
