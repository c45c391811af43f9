use super::*;
use lavandin_types::ErrorCode;

/// Commands as version 1 writes them. Every later program must read them; they are never edited.
const VERSION_1: &[&str] = &[
    r#"{"form_cluster":{"cluster":"0000000000000000000000000000002a","node":{"id":1,"store":"00000000000000000000000000000007","address":""}}}"#,
    r#"{"register_node":{"store":"00000000000000000000000000000007","address":"host:1"}}"#,
    r#"{"create_database":{"name":"db","drop_if_exists":false}}"#,
    r#"{"drop_database":{"name":"db"}}"#,
    r#"{"create_collection":{"database":"db","name":"docs","dim":384,"element":"float32","description":null,"drop_if_exists":true}}"#,
    r#"{"drop_collection":{"database":"db","name":"docs"}}"#,
    r#"{"set_description":{"collection":3,"description":"notes"}}"#,
    r#"{"fix_dimension":{"collection":3,"dim":384}}"#,
    r#"{"set_index":{"collection":3,"index":{"mode":"HNSW-L2","m":16,"ef_construction":null,"ef_search":null,"other":{"alpha":"1.2"}}}}"#,
    r#"{"set_integer_id_form":{"collection":3,"form":"external"}}"#,
    r#"{"put_api_key":{"key":{"id":"k","secret_hash":"0101010101010101010101010101010101010101010101010101010101010101","role":"admin"}}}"#,
    r#"{"remove_api_key":{"id":"k"}}"#,
];

/// What version 2 added; likewise never edited.
const VERSION_2: &[&str] = &[
    r#"{"put_api_key":{"key":{"id":"la-mwp3phyivqbyh062c1js","secret_hash":"0101010101010101010101010101010101010101010101010101010101010101","role":"admin","note":"trainer","locked":true,"expires_at_s":2000000000,"created_at_s":1900000000}}}"#,
    r#"{"create_dataset":{"id":"ds-mwp3phyivqbyh062c1js","name":"photos","uid_column_name":"id","created_at_s":1900000000}}"#,
    r#"{"delete_dataset":{"dataset":"ds-mwp3phyivqbyh062c1js"}}"#,
    r#"{"create_shardset":{"dataset":"ds-mwp3phyivqbyh062c1js","id":"ss-mwp3pi2kpsbtgtmkdlhm","location":"s3://bucket/photos","columns":[{"id":"dc-mwp3pi2su9c6u1g4cfdm","name":"id","type":"int64","description":null},{"id":"dc-mwp3pi2szznisbo49v7p","name":"caption","type":"string","description":"in English"}],"created_at_s":1900000001}}"#,
    r#"{"delete_shardset":{"dataset":"ds-mwp3phyivqbyh062c1js","shardset":"ss-mwp3pi2kpsbtgtmkdlhm"}}"#,
    r#"{"set_main_shardset":{"dataset":"ds-mwp3phyivqbyh062c1js","shardset":"ss-mwp3pi2kpsbtgtmkdlhm","is_main":true}}"#,
    r#"{"update_column":{"dataset":"ds-mwp3phyivqbyh062c1js","column":"dc-mwp3pi2su9c6u1g4cfdm","name":null,"type":"int32","description":"a number"}}"#,
    r#"{"set_manifest":{"dataset":"ds-mwp3phyivqbyh062c1js","shardset":"ss-mwp3pi2kpsbtgtmkdlhm","manifest":{"version":2,"hash":"0000000000000000000000000000002a","shard_count":10,"total_samples":100,"bytes":22810},"expected":1}}"#,
    r#"{"add_columns":{"dataset":"ds-mwp3phyivqbyh062c1js","shardset":"ss-mwp3pi2kpsbtgtmkdlhm","columns":[{"id":"dc-mwp3pi2swkcptlkhipo3","name":"width","type":"int64","description":null}],"created_at_s":1900000002}}"#,
];

/// What version 3 added; likewise never edited.
const VERSION_3: &[&str] = &[
    r#"{"form_layout":{"cluster":"0000000000000000000000000000002a","nodes":["http://a:1","http://b:1"],"groups":[{"name":"sg0","members":[1,2],"primary":1}],"options":{"detection_ms":3000,"min_in_sync":1,"voters_max":5,"owners":[1],"replace_after_ms":600000,"bucket_count":4096,"mirror":true}}}"#,
    r#"{"register_node":{"store":"00000000000000000000000000000007","address":"http://a:1","role":"coordinator","boot_id":"00000000000000000000000000000008","start_id":"00000000000000000000000000000009","protocol":1,"intact":[1,2]}}"#,
    r#"{"register_node":{"store":"00000000000000000000000000000007","address":"http://a:1","role":"data","boot_id":"00000000000000000000000000000000","start_id":"00000000000000000000000000000000","protocol":0,"intact":null}}"#,
    r#"{"remove_node":{"node":3}}"#,
    r#"{"shrink_group":{"group":1,"expected":{"epoch":2,"version":5},"remove":3,"reason":"missed_write"}}"#,
    r#"{"shrink_group":{"group":1,"expected":{"epoch":2,"version":5},"remove":3,"reason":"damaged"}}"#,
    r#"{"add_joiner":{"group":1,"expected":{"epoch":2,"version":5},"node":3,"incarnation":4}}"#,
    r#"{"drop_joiner":{"group":1,"expected":{"epoch":2,"version":5}}}"#,
    r#"{"grow_group":{"group":1,"expected":{"epoch":2,"version":5},"node":3,"incarnation":4}}"#,
    r#"{"promote":{"group":1,"expected":{"epoch":2,"version":5},"primary":3}}"#,
    r#"{"force_promote":{"group":1,"expected":{"epoch":2,"version":5},"primary":3}}"#,
    r#"{"add_group":{"name":"sg1","members":[3,4],"primary":3}}"#,
    r#"{"add_replica":{"group":1,"node":3,"replaces":null}}"#,
    r#"{"add_replica":{"group":1,"node":3,"replaces":2}}"#,
    r#"{"remove_replica":{"group":1,"node":3}}"#,
    r#"{"lease_ids":{"collection":6,"node":3,"count":1000,"largest_known":41}}"#,
    r#"{"lease_ids":{"collection":6,"node":3,"count":1000,"largest_known":null}}"#,
    r#"{"set_cluster_options":{"detection_ms":5000,"min_in_sync":null,"voters_max":3,"owners":[1,2,3],"replace_after_ms":null}}"#,
    r#"{"appoint_chores":{"node":3,"expected":7}}"#,
];

#[test]
fn version_3_stays_readable() {
    for json in VERSION_3 {
        let stored = [&[3], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert_eq!(command.encode(), stored, "the bytes changed without a new version");
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
    }
}

/// What version 4 added; likewise never edited.
const VERSION_4: &[&str] = &[
    r#"{"move_copies":{"from":3,"to":4,"retires":false}}"#,
    r#"{"move_copies":{"from":3,"to":null,"retires":true}}"#,
];

#[test]
fn version_4_stays_readable() {
    for json in VERSION_4 {
        let stored = [&[4], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert_eq!(command.encode(), stored, "the bytes changed without a new version");
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
    }
}

/// What version 5 added; likewise never edited.
const VERSION_5: &[&str] = &[
    r#"{"extend_layout":{"cluster":"0000000000000000000000000000002a","nodes":["http://a:1","http://b:1"],"groups":[{"name":"sg0","members":[1,2],"primary":1}],"options":{"detection_ms":3000,"min_in_sync":1,"voters_max":5,"owners":[1],"replace_after_ms":600000,"bucket_count":4096,"mirror":true}}}"#,
];

#[test]
fn version_5_stays_readable() {
    for json in VERSION_5 {
        let stored = [&[5], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert_eq!(command.encode(), stored, "the bytes changed without a new version");
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
    }
}

/// What version 6 added: `copies` among the options. Likewise never edited.
const VERSION_6: &[&str] = &[
    r#"{"form_layout":{"cluster":"0000000000000000000000000000002a","nodes":["http://a:1"],"groups":[{"name":"sg0","members":[1],"primary":1}],"options":{"detection_ms":3000,"min_in_sync":1,"voters_max":5,"owners":[],"replace_after_ms":600000,"bucket_count":4096,"mirror":true,"copies":2}}}"#,
    r#"{"extend_layout":{"cluster":"0000000000000000000000000000002a","nodes":["http://a:1"],"groups":[{"name":"sg0","members":[1],"primary":1}],"options":{"detection_ms":3000,"min_in_sync":1,"voters_max":5,"owners":[],"replace_after_ms":600000,"bucket_count":4096,"mirror":true,"copies":2}}}"#,
];

#[test]
fn version_6_stays_readable() {
    for json in VERSION_6 {
        let stored = [&[6], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert_eq!(command.encode(), stored, "the bytes changed without a new version");
    }
}

#[test]
fn a_registration_of_version_1_says_nothing_more() {
    let Ok(Command::RegisterNode(new)) = Command::decode(&[&[1], VERSION_1[1].as_bytes()].concat()) else {
        panic!()
    };
    let (store, address) = (StoreId::new(7), "host:1".to_owned());
    assert_eq!(new, NodeRegistration { store, address, ..NodeRegistration::default() });
}

#[test]
fn version_1_stays_readable() {
    for json in VERSION_1 {
        let stored = [&[1], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
        // Two commands have more parts since, and are written in a later version.
        if !matches!(command, Command::PutApiKey { .. } | Command::RegisterNode(_)) {
            assert_eq!(command.encode(), stored, "the bytes changed without a new version");
        }
    }
}

#[test]
fn version_2_stays_readable() {
    for json in VERSION_2 {
        let stored = [&[2], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert_eq!(command.encode(), stored, "the bytes changed without a new version");
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
    }
}

#[test]
fn keys_of_version_1_are_open_and_without_an_end() {
    let json = VERSION_1.iter().find(|json| json.starts_with("{\"put_api_key\"")).unwrap();
    let Ok(Command::PutApiKey { key }) = Command::decode(&[&[1], json.as_bytes()].concat()) else { panic!() };
    assert_eq!((key.note, key.locked, key.expires_at_s, key.created_at_s), (None, false, None, 0));
}

#[test]
fn texts_that_are_no_ids_are_errors() {
    let breaks = [
        ("ds-mwp3phyivqbyh062c1js", "ss-mwp3phyivqbyh062c1js"),
        ("0000002a", "2a"),
        ("\"version\":2", "\"version\":-2"),
    ];
    for (from, to) in breaks {
        let broken = VERSION_2[7].replace(from, to);
        let error = Command::decode(&[&[2], broken.as_bytes()].concat()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DataCorrupt, "{to}: {error}");
    }
}

#[test]
fn unknown_commands_versions_and_fields_are_errors() {
    let bytes = |version, json: &str| [&[version], json.as_bytes()].concat();
    let code = |bytes: &[u8]| Command::decode(bytes).unwrap_err().code();
    assert_eq!(code(&bytes(0, VERSION_1[3])), ErrorCode::Unavailable);
    assert_eq!(code(&bytes(COMMAND_VERSION + 1, VERSION_1[3])), ErrorCode::Unavailable);
    assert_eq!(code(&bytes(1, r#"{"invent":{}}"#)), ErrorCode::DataCorrupt);
    assert_eq!(code(&bytes(1, r#"{"drop_database":{"name":"db","force":true}}"#)), ErrorCode::DataCorrupt);
    assert_eq!(code(&[]), ErrorCode::DataCorrupt);
}
