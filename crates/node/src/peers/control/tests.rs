use super::*;
use serde_json::{Value, json};

fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// docs/formats/control-calls.md
#[test]
fn requests_are_written_as_documented() {
    assert_eq!(written(&ControlRequest::Identify), json!("identify"));
    assert_eq!(written(&ControlRequest::Status), json!("status"));
    let copy = CopyForm { group: 1, epoch: 2, sequence: 3, damaged: false, yields: true, rebuild: None };
    let heartbeat =
        ControlRequest::Heartbeat { node: 4, incarnation: 5, copies: vec![copy], stopping: false };
    let said = written(&heartbeat);
    assert_eq!(said["heartbeat"]["node"], 4);
    assert_eq!(said["heartbeat"]["incarnation"], 5);
    assert_eq!(said["heartbeat"]["stopping"], false);
    let copy = &said["heartbeat"]["copies"][0];
    assert_eq!((&copy["group"], &copy["epoch"], &copy["sequence"]), (&json!(1), &json!(2), &json!(3)));
    assert_eq!((&copy["damaged"], &copy["yields"]), (&json!(false), &json!(true)));
}

#[test]
fn replies_are_written_as_documented() {
    assert_eq!(written(&ControlReply::Adopted), json!("adopted"));
    assert_eq!(written(&ControlReply::Wait), json!("wait"));
    assert_eq!(written(&ControlReply::Superseded), json!("superseded"));
    assert_eq!(written(&ControlReply::Renewed { index: 7 }), json!({"renewed": {"index": 7}}));
    let leader = Some((1, "http://there:7638".to_owned()));
    assert_eq!(
        written(&ControlReply::Elsewhere { leader }),
        json!({"elsewhere": {"leader": [1, "http://there:7638"]}})
    );
    let refused = ControlReply::Refused(Refused { reason: "no".to_owned() });
    assert_eq!(written(&refused), json!({"refused": {"reason": "no"}}));
}

/// Programs of different versions speak to each other.
#[test]
fn what_is_new_is_ignored_and_what_is_missing_has_its_default() {
    let older = json!({"heartbeat": {"node": 1, "incarnation": 2, "copies": [{"group": 1, "epoch": 1, "sequence": 9}]}});
    let ControlRequest::Heartbeat { copies, stopping, .. } = serde_json::from_value(older).unwrap() else {
        panic!("another request")
    };
    assert!(!stopping && !copies[0].damaged && !copies[0].yields);
    let newer = json!({"renewed": {"index": 7, "later": true}});
    assert!(matches!(serde_json::from_value(newer).unwrap(), ControlReply::Renewed { index: 7 }));
    assert!(serde_json::from_value::<ControlRequest>(json!("unheard_of")).is_err());
}
