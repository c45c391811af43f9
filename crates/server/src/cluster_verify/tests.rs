use super::*;
use serde_json::json;

#[test]
fn a_line_for_each_copy_says_what_is_wrong_with_it() {
    let copy = |uri: &str, verdict: &str, collections: &[&str], reason: Value| json!({"uri": uri, "verdict": verdict, "collections": collections, "reason": reason});
    let copies = [
        copy("http://a", "primary", &[], Value::Null),
        copy("http://b", "differs", &["db/c", "db/d"], Value::Null),
        copy("http://c", "not_comparable", &["db/c"], json!("it was never there")),
    ];
    let found = json!({"wrong": true, "shard_groups": [
        {"group": "sg0", "records": 7, "collections": 2, "copies": copies},
    ]});
    let expected = "sg0: 7 records in 2 collections\n  http://a  primary\n  http://b  differs: db/c, db/d\n  \
                    http://c  not comparable: db/c (it was never there)\n";
    assert_eq!(table(&found), expected);
}
