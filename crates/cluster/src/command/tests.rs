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

#[test]
fn version_1_stays_readable() {
    for json in VERSION_1 {
        let stored = [&[1], json.as_bytes()].concat();
        let command = Command::decode(&stored).unwrap();
        assert_eq!(command.encode(), stored, "the bytes changed without a new version");
        assert!(json.starts_with(&format!("{{\"{}\"", command.name())), "{json}");
    }
}

#[test]
fn unknown_commands_versions_and_fields_are_errors() {
    let bytes = |version, json: &str| [&[version], json.as_bytes()].concat();
    let code = |bytes: &[u8]| Command::decode(bytes).unwrap_err().code();
    assert_eq!(code(&bytes(0, VERSION_1[3])), ErrorCode::Unavailable);
    assert_eq!(code(&bytes(2, VERSION_1[3])), ErrorCode::Unavailable);
    assert_eq!(code(&bytes(1, r#"{"invent":{}}"#)), ErrorCode::DataCorrupt);
    assert_eq!(code(&bytes(1, r#"{"drop_database":{"name":"db","force":true}}"#)), ErrorCode::DataCorrupt);
    assert_eq!(code(&[]), ErrorCode::DataCorrupt);
}
