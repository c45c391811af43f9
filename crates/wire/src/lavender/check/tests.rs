use crate::lavender::{CreateDataset, CreateIteration, CreateShardset, Invalid, SyncShardset, parse};
use serde_json::{Value, json};

fn iteration(fields: Value) -> Result<CreateIteration, Invalid> {
    let mut body = json!({ "dataset_id": "ds-1" });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    parse(body.to_string().as_bytes())
}

fn kinds(result: Result<CreateIteration, Invalid>) -> Vec<String> {
    let described = |fault: &crate::lavender::Fault| format!("{} {}", fault.kind, fault.loc.last().unwrap());
    result.unwrap_err().faults.iter().map(described).collect()
}

#[test]
fn null_and_absent_are_the_default() {
    let nulls = json!({
        "shardsets": null, "filters": null, "shuffle": null, "batch_size": null, "replication_pg": null,
        "order": null, "where": null, "in_order": null, "num_workers": 3,
    });
    let read = iteration(nulls).unwrap();
    assert_eq!(read, CreateIteration { dataset_id: "ds-1".to_owned(), ..CreateIteration::default() });
    assert_eq!(parse::<SyncShardset>(br#" {"overwrite": null} "#), Ok(SyncShardset { overwrite: false }));
}

#[test]
fn numbers_and_switches_may_be_text_and_the_other_way_round() {
    let read = iteration(json!({
        "shuffle": "Yes", "shuffle_seed": " +1_000 ", "batch_size": 1e3, "rank": true, "world_size": "-2.00",
        "wait_participant_threshold": "1e1", "cluster_sync": 0.0,
    }))
    .unwrap();
    assert_eq!((read.shuffle, read.shuffle_seed, read.batch_size), (Some(true), Some(1_000), Some(1_000)));
    assert_eq!((read.rank, read.world_size), (Some(1), Some(-2)));
    assert_eq!((read.wait_participant_threshold, read.cluster_sync), (Some(10.0), Some(false)));
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = kinds(iteration(json!({
        "batch_size": 1.5, "rank": "1__0", "world_size": 1e300, "shuffle_seed": "123456789012345678901234567890",
        "shuffle": "maybe", "filters": [{"name": "a", "params": {}}, {"name": 3}],
    })));
    assert_eq!(
        faults,
        [
            "string_type name",
            "missing params",
            "bool_parsing shuffle",
            "int_parsing_size shuffle_seed",
            "int_from_float batch_size",
            "int_parsing rank",
            "int_parsing_size world_size",
        ]
    );
}

#[test]
fn our_own_fields_are_read_and_checked() {
    let read = iteration(json!({
        "order": "windowed", "epoch": 3, "window_shards": "8", "drop_last": true, "mode": "static",
        "ending": "pad", "where": "id > 3", "cursor": "abc",
    }))
    .unwrap();
    let own = serde_json::to_value(&read.extension).unwrap();
    assert_eq!(own["order"], "windowed");
    assert_eq!(own["window_shards"], 8);
    assert_eq!(own["where"], "id > 3");
    let faults =
        iteration(json!({ "order": "shuffled", "mode": 3, "epoch": -1, "window_shards": 4294967296_u64 }))
            .unwrap_err()
            .faults;
    assert_eq!(faults[0].msg, "Input should be 'lavender', 'sequential', 'windowed' or 'global'");
    let kinds: Vec<_> = faults.iter().map(|fault| fault.kind.as_str()).collect();
    assert_eq!(kinds, ["literal_error", "greater_than_equal", "less_than_equal", "literal_error"]);
    // A published client asks for none, and sees none.
    let none = serde_json::to_value(iteration(json!({})).unwrap()).unwrap();
    assert_eq!(none.as_object().unwrap().len(), 15);
}

#[test]
fn text_that_is_no_json_is_told_with_its_place() {
    for (body, place) in
        [(r#"{"name": }"#, 9), (" {\n  \"name\": x}", 13), ("nonsense", 1), ("{\"a\":1} x", 8)]
    {
        let invalid = parse::<CreateDataset>(body.as_bytes()).unwrap_err();
        let told: Value = serde_json::from_slice(&invalid.to_json()).unwrap();
        assert_eq!(told["detail"][0]["type"], "json_invalid", "{body}");
        assert_eq!(told["detail"][0]["loc"], json!(["body", place]), "{body}");
        assert!(told["detail"][0]["ctx"]["error"].is_string());
    }
    assert!(parse::<CreateDataset>(b"{\"name\":\"\xff\"}").is_err());
    let deep = "[".repeat(100_000);
    assert!(parse::<CreateDataset>(deep.as_bytes()).is_err());
}

#[test]
fn what_is_told_of_the_input_is_bounded() {
    let text = "é".repeat(1_000_000);
    let columns: Vec<Value> = (0..1_000).map(|_| json!({ "description": text[..2_000] })).collect();
    let body = json!({ "location": [text], "columns": columns }).to_string();
    let told = parse::<CreateShardset>(body.as_bytes()).unwrap_err().to_json();
    assert!(told.len() < 100_000, "{} bytes", told.len());
}
