//! Starting, stopping, starting again; the quickstart.

use crate::program::{PROGRAM, Server, connect};
use serde_json::json;
use std::io::{Read, Write};
use std::process::Command;

#[test]
fn a_stop_is_clean_and_the_data_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(directory.path(), &[]);
    server.make("docs", 2);
    server.ask("/add", "docs", json!({"ids": ["a"], "vectors": [[1, 2]], "fields": [{"t": "x"}]}));
    server.ask("/build_index", "docs", json!({"index_mode": "FLAT-L2"}));
    let mut idle = connect(&server.address);
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).unwrap();
    server.signal("TERM");
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert_eq!(server.wait(), Some(0), "an idle connection must not hold the stop up");
    let server = Server::start_on(directory.path(), &[]);
    let found = server.ask("/search", "docs", json!({"vector": [1, 2], "return_fields": true}));
    assert_eq!((&found["items"]["ids"], &found["items"]["fields"]), (&json!(["a"]), &json!([{"t": "x"}])));
    assert_eq!(server.ask("/index_mode", "docs", json!({}))["index_mode"], "FLAT-L2");
}

#[test]
fn acknowledged_writes_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(directory.path(), &[]);
    server.make("docs", 2);
    server.ask("/add", "docs", json!({"ids": [1, 2], "vectors": [[1, 2], [3, 4]]}));
    server.ask("/delete", "docs", json!({"ids": [1]}));
    server.signal("KILL");
    server.wait();
    let server = Server::start_on(directory.path(), &[]);
    assert_eq!(server.ask("/list_deleted_ids", "docs", json!({}))["ids"], json!([1]));
    assert_eq!(server.ask("/is_id_exists", "docs", json!({"id": 2}))["is_id_exists"], true);
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_on(directory.path(), &[]);
    let second = Command::new(PROGRAM)
        .args(["serve", "--port", "0", "--data-dir"])
        .arg(directory.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another process") && said.lines().count() == 1, "{said}");
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn a_taken_port_is_named() {
    let server = Server::start();
    let (_, port) = server.address.split_once(':').unwrap();
    let directory = tempfile::tempdir().unwrap();
    let second = Command::new(PROGRAM)
        .args(["serve", "--port", port, "--data-dir"])
        .arg(directory.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains(&format!("cannot listen on 127.0.0.1:{port}")));
}

#[test]
fn variables_configure_and_mistakes_end_with_2() {
    let checked = Command::new(PROGRAM)
        .args(["serve", "--check-config"])
        .env_clear()
        .envs([("LYNSE_PORT", "1234"), ("LAVANDIN_HOST", "127.0.0.2")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.contains("port = 1234  # the variable LYNSE_PORT"), "{said}");
    let wrong = Command::new(PROGRAM).args(["serve", "--port", "x"]).env_clear().output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let coordinator =
        Command::new(PROGRAM).args(["serve", "--role", "coordinator"]).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&coordinator.stderr);
    assert_eq!(coordinator.status.code(), Some(2));
    assert!(said.contains("Pass --cluster-config, or pass --metadata-owners explicitly"), "{said}");
}

#[test]
fn a_flag_of_coordinators_ends_the_start_of_another_node() {
    let flags = ["serve", "--port", "0", "--cluster-config", "cluster.json"];
    let output = Command::new(PROGRAM).args(flags).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--cluster-config") && said.lines().count() == 1, "{said}");
}

#[test]
fn wrong_directories_are_one_sentence() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("data");
    for command in ["serve", "quickstart"] {
        let output = Command::new(PROGRAM)
            .args([command, "--port", "0", "--data-dir"])
            .arg(&inside)
            .env_clear()
            .output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let names_it = said.contains(&inside.display().to_string());
        assert!(said.starts_with("lavandin: ") && said.lines().count() == 1 && names_it, "{said}");
    }
}

#[test]
fn the_quickstart_tours_twice() {
    let directory = tempfile::tempdir().unwrap();
    let tour = || {
        let output = Command::new(PROGRAM)
            .args(["quickstart", "--port", "0", "--exit", "--data-dir"])
            .arg(directory.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let first = tour();
    for words in [
        "Loading WordNet glosses [####",
        "Building the index",
        "hartebeest",
        "where lex = 'noun.food'",
        "curl -s http",
    ] {
        assert!(first.contains(words), "no {words:?} in\n{first}");
    }
    let second = tour();
    assert!(
        second.contains("Found 2500 records of an earlier start.") && second.contains("hartebeest"),
        "{second}"
    );
}
