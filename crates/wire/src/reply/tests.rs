use super::*;
use crate::FieldObject;
use lavandin_types::RecordIdRef::{Int, Str};

fn object(text: &str) -> Vec<u8> {
    serde_json::from_str::<FieldObject>(text).unwrap().0
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn replies_are_written_pair_by_pair() {
    let reply = ReplyWriter::of_collection("d\"", "c").with("shape", &(5, 4)).finish();
    assert_eq!(
        text(reply),
        r#"{"status":"success","params":{"database_name":"d\"","collection_name":"c","shape":[5,4]}}"#
    );
    assert_eq!(text(ReplyWriter::new().finish()), r#"{"status":"success","params":{}}"#);
}

#[test]
fn errors_carry_what_is_known() {
    let mut body = ErrorBody {
        message: "no such field",
        code: ErrorCode::InvalidArgument,
        request_id: "7",
        position: None,
        expected: None,
    };
    let plain = r#"{"error":"no such field","code":"invalid_argument","request_id":"7"}"#;
    assert_eq!(text(body.to_json()), plain);
    (body.position, body.expected) = (Some(3), Some("a field"));
    assert!(text(body.to_json()).ends_with(r#","position":3,"expected":"a field"}"#));
}

#[test]
fn hits_are_columns() {
    let fields = object(r#"{"t":"x"}"#);
    let hits = [
        HitRef { id: Str("a"), score: 0.1, fields: FieldsRef::from_stored(&fields) },
        HitRef { id: Int(7), score: f32::INFINITY, fields: FieldsRef::EMPTY },
    ];
    let json = |with_fields| {
        let hits =
            HitsJson { hits: hits.iter().copied(), k: Some(2), with_fields, extra: &[("index", "FLAT-IP")] };
        serde_json::to_string(&hits).unwrap()
    };
    assert_eq!(
        json(true),
        r#"{"k":2,"ids":["a",7],"scores":[0.1,null],"fields":[{"t":"x"},{}],"index":"FLAT-IP"}"#
    );
    assert_eq!(json(false), r#"{"k":2,"ids":["a",7],"scores":[0.1,null],"fields":[],"index":"FLAT-IP"}"#);
}

#[test]
fn records_have_three_shapes() {
    let fields = object(r#"{"id":"shadowed","n":1}"#);
    let records = [RecordRef { id: Int(1), vector: &[0.5, 1.0], fields: FieldsRef::from_stored(&fields) }];
    let records = records.iter().copied();
    let json = |records: RecordsJson<_>| serde_json::to_string(&records).unwrap();
    assert_eq!(json(RecordsJson::Columns(records.clone())), r#"[[[0.5,1.0]],[1],[{"id":"shadowed","n":1}]]"#);
    assert_eq!(json(RecordsJson::Rows(records.clone())), r#"[{"n":1,"id":1}]"#);
    assert_eq!(json(RecordsJson::Ids(records)), "[1]");
}
