use super::*;

fn matches(line: &str) -> Result<ArgMatches, clap::Error> {
    command().try_get_matches_from(line.split_whitespace())
}

fn request(line: &str) -> Value {
    let matches = matches(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let (action, flags) = matches.subcommand().unwrap();
    Value::Object(body_of(action, flags))
}

#[test]
fn commands_become_requests() {
    assert_eq!(request("cluster add-node http://h:1 --json"), json!({"uri": "http://h:1"}));
    assert_eq!(
        request("cluster add-group sg2 --primary http://h:1 --replica http://h:2 --replica 3"),
        json!({"name": "sg2", "primary": "http://h:1", "replicas": ["http://h:2", "3"]})
    );
    assert_eq!(request("cluster add-replica sg0 4 --wait"), json!({"group": "sg0", "node": "4"}));
    assert_eq!(request("cluster replace 1 http://h:5 --wait=9"), json!({"old": "1", "new": "http://h:5"}));
    assert_eq!(
        request("cluster remove 1 --group sg0 --url http://h:1"),
        json!({"node": "1", "group": "sg0", "fewer_copies": false})
    );
    assert_eq!(request("cluster force-promote sg0 2"), json!({"group": "sg0", "node": "2"}));
    assert_eq!(
        request("cluster options --min-insync 2 --detection-secs 1.5 --choose-metadata-owners"),
        json!({"min_insync": 2, "detection_ms": 1500, "metadata_owners": []})
    );
}

#[test]
fn wrong_lines_are_refused() {
    for line in
        ["cluster", "cluster add-replica sg0", "cluster add-group sg0", "cluster remove", "cluster status x"]
    {
        assert!(matches(line).is_err(), "{line}");
    }
}

/// What the cluster recommends about its configuration must be commands.
#[test]
fn recommended_commands_exist() {
    for line in [
        "cluster add-group sg1 --primary http://h:1 --replica http://h:2",
        "cluster add-replica sg0 http://h:1",
    ] {
        assert!(matches(line).is_ok(), "{line}");
    }
}

fn moving() -> Value {
    json!({
        "cluster": "00ff",
        "protocol": 1,
        "shard_groups": [{
            "name": "sg0", "primary": "http://h:1", "writable": true, "primary_leaving": true,
            "replicas": [
                {"uri": "http://h:2", "state": "active", "lag": 0},
                {"uri": "http://h:3", "state": "stale", "joining": true, "lag": 50, "progress": 0.5, "reason": "it is catching up"},
            ],
        }],
        "nodes": [
            {"node": 1, "uri": "http://h:1", "role": "data", "state": "up", "copies": 1, "retiring": true, "protocol": 1},
            {"node": 4, "uri": "http://h:4", "role": "data", "state": "up", "copies": 0, "protocol": 2},
            {"node": 5, "uri": "http://h:5", "role": "data", "state": "down", "copies": 1, "last_error": "refused"},
        ],
        "degraded": ["something"],
    })
}

#[test]
fn what_is_under_way_is_told() {
    assert_eq!(
        under_way(&moving()),
        [
            "group sg0: the primary on http://h:1 is to go",
            "group sg0: the copy on http://h:3 is catching up (50 %)",
            "http://h:1 is to be removed; it holds 1 copies",
        ]
    );
    assert_eq!(under_way(&json!({})), [] as [&str; 0]);
}

#[test]
fn the_status_is_a_table() {
    let text = table::status(&moving(), &json!({"healthy_owners": 3, "owner_count": 3}));
    let expected = "\
cluster 00ff; metadata: 3 of 3 owners healthy

GROUP  COPY        ROLE     STATE           LAG  NOTE
sg0    http://h:1  primary  writable             leaving
sg0    http://h:2  replica  active          0
sg0    http://h:3  replica  joining (50 %)  50   it is catching up

NODE  URI         ROLE  STATE  COPIES  NOTE
1     http://h:1  data  up     1       retiring
4     http://h:4  data  up     0       spare; protocol 2
5     http://h:5  data  down   1       refused

";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("degraded: something\n"), "{text}");
}

#[test]
fn what_is_fed_is_a_table_too() {
    let mut info = moving();
    info["feeding"] = json!([
        {"node": 1, "uri": "http://h:1", "error": null, "ranks": [
            {"iteration": "it-a", "rank": 0, "ready": 3, "in_work": 2, "batches_per_second": 12.34, "why_waiting": null},
            {"iteration": "it-a", "rank": 1, "ready": 0, "in_work": 0, "batches_per_second": 0.0, "why_waiting": "the rank has everything"},
        ]},
        {"node": 4, "uri": "http://h:4", "error": "no answer", "ranks": []},
    ]);
    let text = table::status(&info, &json!({"healthy_owners": 3, "owner_count": 3}));
    let expected = "
ITERATION  RANK  NODE        BATCHES/S  READY  NOTE
it-a       0     http://h:1  12.3       3 + 2
it-a       1     http://h:1  0.0        0      the rank has everything

";
    assert!(text.contains(expected), "{text}");
}
