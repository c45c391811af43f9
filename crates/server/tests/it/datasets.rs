//! The dataset wing: how its errors look, and one epoch over a file, with the command-line client.

use crate::program::{PROGRAM, Server, poll};
use serde_json::{Value, json};
use std::process::Command;

/// Checks that a reply is an error as the dataset wing's look; its `detail`.
fn detail(reply: &crate::program::Reply, status: u16, code: &str) -> Value {
    let mut body = reply.json();
    assert_eq!((reply.status, &body["code"]), (status, &json!(code)), "{body}");
    assert_eq!(body["request_id"].as_str(), reply.header("x-request-id"), "{body}");
    assert!(body["error"].is_null(), "{body}");
    body["detail"].take()
}

#[test]
fn errors_have_a_detail() {
    let server = Server::start_with(&["--json-limit-mb", "1"]);
    for (path, text) in [
        ("/datasets/ds-none", "Dataset not found"),
        ("/datasets/ds-loyw3v28777777777777", "Dataset not found"),
        ("/datasets/ds-none/shardsets/ss-none", "Shardset not found"),
        ("/iterations/it-none", "Iteration not found"),
        ("/iterations/it-none/progress", "Iteration not initialized"),
        ("/iterations/it-none/next", "Iteration not initialized"),
        ("/files/none", "Not Found"),
        ("/datasets/ds-none/nowhere", "Not Found"),
    ] {
        assert_eq!(detail(&server.get(path), 404, "not_found"), text, "{path}");
    }
    let reply = server.get("/datasets?name=x");
    assert_eq!((reply.status, reply.header("location")), (307, Some("/datasets/?name=x")));
    let reply = server.send("DELETE", "/datasets/", &[], b"");
    let text = detail(&reply, 405, "invalid_argument");
    assert_eq!(text, "/datasets/ takes GET, POST, not DELETE");
    assert_eq!(reply.header("allow"), Some("GET, POST"));
    let faults = detail(&server.post("/datasets/", &json!({"name": 5})), 422, "invalid_argument");
    assert_eq!((&faults[0]["loc"], &faults[0]["type"]), (&json!(["body", "name"]), &json!("string_type")));
    assert_eq!(
        (&faults[1]["loc"], &faults[1]["msg"]),
        (&json!(["body", "uid_column_name"]), &json!("Field required"))
    );
    let large = vec![b' '; (1 << 20) + 1];
    let text = detail(&server.send("POST", "/datasets/", &[], &large), 413, "payload_too_large");
    assert!(text.as_str().unwrap().contains("1048577"), "{text}");
    let reply = server.send("POST", "/datasets/", &[("content-type", "text/plain")], b"{}");
    assert!(detail(&reply, 400, "invalid_argument").as_str().unwrap().contains("text/plain"));
    let dataset = json!({"name": "d", "uid_column_name": "id"});
    assert_eq!(server.post("/datasets/", &dataset).status, 200);
    let text = detail(&server.post("/datasets/", &dataset), 409, "already_exists");
    assert_eq!(text, "Dataset name must be unique");
    let location = json!({"name": "e", "uid_column_name": "id", "shardset_location": "nothing"});
    detail(&server.post("/datasets/", &location), 400, "invalid_argument");
    assert_eq!(server.get("/datasets/?name=e").json(), json!([]), "created with its shardset or not at all");
}

#[test]
fn the_other_wing_s_errors_are_as_they_were() {
    let server = Server::start();
    assert_eq!(server.get("/nowhere").error(404, "not_found"), "there is no endpoint /nowhere");
    server.get("/keys/none").error(405, "invalid_argument");
}

#[test]
fn a_node_alone_has_no_cluster() {
    let server = Server::start();
    assert_eq!(detail(&server.get("/cluster/nodes"), 401, "invalid_argument"), "Cluster not enabled");
    let reply = server.post("/cluster/sync", &json!({}));
    assert!(detail(&reply, 410, "invalid_argument").as_str().unwrap().contains("leave this call out"));
}

#[test]
fn what_is_not_there_yet_is_told() {
    let server = Server::start();
    let dataset = server.post("/datasets/", &json!({"name": "d", "uid_column_name": "id"})).json();
    let body = json!({"dataset_id": dataset["id"], "where": "n > 1"});
    let text = detail(&server.post("/iterations/", &body), 501, "not_implemented");
    assert!(text.as_str().unwrap().contains("where"), "{text}");
}

#[test]
fn a_file_becomes_batches() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.csv"), "id,text\n1,one\n2,two\n3,three\n").unwrap();
    let server = Server::start();
    let client = |arguments: &str| -> Result<Value, String> {
        let mut command = Command::new(PROGRAM);
        command.args(["client", "--api-url", &format!("http://{}", server.address)]);
        // A plain address needs no root certificates.
        command.env_clear().env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
        let done = command.args(arguments.split(' ')).output().unwrap();
        match done.status.code() {
            Some(0) => Ok(serde_json::from_slice(&done.stdout).unwrap()),
            _ => Err(String::from_utf8(done.stderr).unwrap()),
        }
    };
    let location = format!("file://{}", directory.path().display());
    let create = format!("datasets create --name d --uid-column-name id --shardset-location {location}");
    let dataset = client(&create).unwrap()["id"].as_str().unwrap().to_owned();
    let found = poll(|| {
        let dataset = client("datasets get --name d").unwrap();
        (dataset["shardsets"][0]["total_samples"] == 3).then_some(dataset)
    });
    assert_eq!(found["id"].as_str(), Some(dataset.as_str()));
    let body = json!({"dataset_id": dataset, "batch_size": 2});
    let iteration = server.post("/iterations/", &body).json()["id"].as_str().unwrap().to_owned();
    let first = client(&format!("iterations next {iteration}")).unwrap();
    assert_eq!((&first["id"], &first["text"]), (&json!(["1", "2"]), &json!(["one", "two"])));
    assert_eq!(first["_lavender_data_indices"], json!([0, 1]));
    let arrow = [("accept", "application/vnd.apache.arrow.stream")];
    let second = server.send("GET", &format!("/iterations/{iteration}/next"), &arrow, b"");
    assert_eq!((second.status, second.header("content-type")), (200, Some(arrow[0].1)));
    assert_eq!(&second.body[..4], &[0xff; 4], "the continuation mark of an Arrow stream");
    let end = client(&format!("iterations next {iteration}")).unwrap_err();
    assert!(end.contains("No more indices to pop"), "{end}");
    assert_eq!(client(&format!("iterations complete-index {iteration} 1")), Ok(Value::Null));
    let progress = client(&format!("iterations get-progress {iteration}")).unwrap();
    assert_eq!((&progress["total"], &progress["completed"]), (&json!(3), &json!(1)));
    let missing = client("datasets get --name none").unwrap_err();
    assert_eq!(missing, "lavandin: there is no dataset named \"none\"\n");
}

#[test]
fn a_file_that_has_gone_is_failed_samples_and_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("a.csv", "id\n1\n2\n"), ("b.csv", "id\n3\n4\n")] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let server = Server::start();
    let location = format!("file://{}", directory.path().display());
    let dataset = json!({"name": "d", "uid_column_name": "id", "shardset_location": location});
    let dataset = server.post("/datasets/", &dataset).json();
    let iteration =
        server.post("/iterations/", &json!({"dataset_id": dataset["id"], "batch_size": 2})).json();
    std::fs::remove_file(directory.path().join("b.csv")).unwrap();
    let path = format!("/iterations/{}", iteration["id"].as_str().unwrap());
    let next = || server.get(&format!("{path}/next"));
    assert_eq!(next().status, 200);
    let reply = next();
    let text = detail(&reply, 500, "internal_error");
    assert!(text.as_str().unwrap().contains("b.csv"), "{text}");
    assert_eq!(reply.header("x-lavender-data-error"), Some("SAMPLE_PROCESSING_ERROR"));
    assert_eq!(server.logged("samples_failed")["level"], "WARN");
    assert!(!server.has_logged("request_failed"), "it is no failure of this program");
    let end = poll(|| Some(next()).filter(|reply| reply.status != 500));
    assert_eq!(detail(&end, 400, "invalid_argument"), "No more indices to pop");
    assert_eq!(server.get(&format!("{path}/progress")).json()["failed"], 2);
}
