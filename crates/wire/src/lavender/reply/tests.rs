use super::*;
use crate::lavender::extension::{Mode, OrderName};

fn iteration() -> Iteration {
    Iteration {
        id: "it-1".to_owned(),
        dataset_id: "ds-1".to_owned(),
        total: 10,
        filters: None,
        categorizer: None,
        collater: None,
        preprocessors: None,
        shuffle: true,
        shuffle_seed: Some(7),
        shuffle_block_size: Some(2),
        batch_size: 4,
        replication_pg: Some(vec![vec![0, 1]]),
        created_at: Timestamp::from_unix_s(0),
        extension: IterationExtension::default(),
    }
}

#[test]
fn our_own_fields_show_only_where_they_were_asked_for() {
    let plain = String::from_utf8(iteration().to_json()).unwrap();
    assert!(plain.ends_with(r#""created_at":"1970-01-01T00:00:00"}"#), "{plain}");
    let (order, mode) = (Some(OrderName::Global), Some(Mode::Static));
    let extension = IterationExtension { order, mode, ..IterationExtension::default() };
    let extended = Iteration { extension, ..iteration() };
    let text = String::from_utf8(extended.to_json()).unwrap();
    assert!(text.ends_with(r#","order":"global","mode":"static"}"#), "{text}");
    assert_eq!(serde_json::from_str::<Iteration>(&text).unwrap(), extended);
}

#[test]
fn named_values_keep_their_order_and_unknown_fields_are_skipped() {
    let text = r#"{"z":1,"a":[1,2],"m":{}}"#;
    let named: Named<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(String::from_utf8(json(&named)).unwrap(), text);
    let detail: Detail = serde_json::from_str(r#"{"code":3,"detail":"x"}"#).unwrap();
    assert_eq!(detail.detail, "x");
}

#[test]
fn numbers_that_do_not_exist_are_null() {
    let text = r#"{"type":"numeric","histogram":{"hist":[],"bin_edges":[]},"nan_count":2,"max":null,"min":null,"mean":null,"median":null,"std":null}"#;
    let read: crate::lavender::ColumnStatistics = serde_json::from_str(text).unwrap();
    assert_eq!(String::from_utf8(json(&read)).unwrap(), text);
}
