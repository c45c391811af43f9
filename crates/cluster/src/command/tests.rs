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

#[test]
fn version_1_stays_readable() {
    for json in VERSION_1 {
        let stored = [&[1], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
        if !matches!(command, Command::PutApiKey { .. }) {
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
    assert_eq!(code(&bytes(3, VERSION_1[3])), ErrorCode::Unavailable);
    assert_eq!(code(&bytes(1, r#"{"invent":{}}"#)), ErrorCode::DataCorrupt);
    assert_eq!(code(&bytes(1, r#"{"drop_database":{"name":"db","force":true}}"#)), ErrorCode::DataCorrupt);
    assert_eq!(code(&[]), ErrorCode::DataCorrupt);
}
