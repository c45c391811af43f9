//! Stored API keys: made on the command line or over HTTP, locked, removed, and beside the key of the command line.

use crate::program::{PROGRAM, Reply, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn keys(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("keys").args(arguments).arg("--data-dir").arg(directory).env_clear();
    command.output().unwrap()
}

/// What a successful `lavandin keys` printed.
fn keys_said(directory: &Path, arguments: &[&str]) -> String {
    let done = keys(directory, arguments);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// What a refused one said, in one line.
fn keys_refused(directory: &Path, arguments: &[&str]) -> String {
    let done = keys(directory, arguments);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    said
}

/// A new key: id and secret.
fn created(directory: &Path) -> (String, String) {
    let pair = keys_said(directory, &["create"]);
    let (id, secret) = pair.trim().split_once(':').unwrap();
    (id.to_owned(), secret.to_owned())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn ask(server: &Server, path: &str, authorization: &str) -> Reply {
    match authorization {
        "" => server.get(path),
        value => server.send("GET", path, &[("authorization", value)], b""),
    }
}

fn change(server: &Server, method: &str, path: &str, authorization: &str, body: &Value) -> Reply {
    let mut headers = vec![("content-type", "application/json")];
    if !authorization.is_empty() {
        headers.push(("authorization", authorization));
    }
    server.send(method, path, &headers, body.to_string().as_bytes())
}

/// Checks that a reply of the dataset wing refuses, with these words.
fn assert_refused(reply: &Reply, detail: &str) {
    let body = reply.json();
    assert_eq!((reply.status, &body["detail"]), (401, &json!(detail)), "{body}");
    assert_eq!((&body["code"], reply.header("www-authenticate")), (&json!("unauthorized"), Some("Basic")));
    assert_eq!(body["request_id"].as_str(), reply.header("x-request-id"));
}

#[test]
fn a_stored_key_is_wanted_in_both_wings() {
    let directory = tempfile::tempdir().unwrap();
    let (id, secret) = created(directory.path());
    let server = Server::start_on(directory.path(), &[]);
    assert_eq!(server.logged("listening")["key_required"], true);
    for path in ["/", "/version", "/healthz", "/readyz"] {
        assert_eq!(ask(&server, path, "Basic !!!").status, 200, "{path}");
    }
    let right = [basic(&id, &secret), format!("Bearer {id}:{secret}")];
    for authorization in &right {
        for path in ["/datasets/", "/registries/filters", "/list_databases", "/metrics", "/openapi.json"] {
            assert_eq!(ask(&server, path, authorization).status, 200, "{path} {authorization}");
        }
    }
    for (authorization, detail) in [
        (String::new(), "Not authenticated"),
        ("Digest x".to_owned(), "Not authenticated"),
        ("Basic !!!".to_owned(), "Invalid authentication credentials"),
        (basic(&id, "wrong"), "Invalid API key"),
        (basic("la-none", &secret), "Invalid API key"),
        (format!("Bearer {secret}"), "Invalid API key"),
    ] {
        assert_refused(&ask(&server, "/datasets/", &authorization), detail);
        assert_refused(&ask(&server, "/datasets/nowhere/at/all", &authorization), detail);
        ask(&server, "/list_databases", &authorization).error(401, "unauthorized");
    }
}

#[test]
fn the_command_locks_unlocks_lists_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let pair = keys_said(directory.path(), &["create", "--note", "for training", "--expires-in-days", "2"]);
    let (id, secret) = pair.trim().split_once(':').unwrap();
    let (other, other_secret) = created(directory.path());
    let listed = keys_said(directory.path(), &["list"]);
    assert!(!listed.contains(secret) && !listed.contains(&other_secret), "{listed}");
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = listed.iter().find(|key| key["id"] == id).unwrap();
    assert_eq!((&found["note"], &found["locked"]), (&json!("for training"), &json!(false)));
    let lifetime = found["expires_at_s"].as_u64().unwrap() - found["created_at_s"].as_u64().unwrap();
    assert_eq!((lifetime, listed.len()), (2 * 86_400, 2));

    let status_with = |key: &str, secret: &str| {
        let server = Server::start_on(directory.path(), &[]);
        let reply = ask(&server, "/datasets/", &basic(key, secret));
        (reply.status, reply.json().get("detail").cloned().unwrap_or_default())
    };
    assert_eq!(status_with(id, secret).0, 200);
    let shown: Value = serde_json::from_str(&keys_said(directory.path(), &["lock", id])).unwrap();
    assert_eq!((&shown["id"], &shown["locked"]), (&json!(id), &json!(true)));
    assert_eq!(status_with(id, secret), (401, json!("API key is locked")));
    assert_eq!(
        status_with(id, "wrong"),
        (401, json!("Invalid API key")),
        "only its holder learns of the lock"
    );
    keys_said(directory.path(), &["unlock", id]);
    assert_eq!(status_with(id, secret).0, 200);
    keys_said(directory.path(), &["delete", id]);
    assert_eq!(status_with(id, secret), (401, json!("Invalid API key")));
    keys_said(directory.path(), &["delete", &other]);
    assert_eq!(status_with(&other, &other_secret).0, 200, "without any key everyone is let in");
}

#[test]
fn the_command_says_why_it_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("nowhere");
    assert!(keys_refused(&missing, &["list"]).contains("there is no data directory"));
    assert!(!missing.exists());
    created(directory.path());
    for action in ["lock", "unlock", "delete"] {
        let said = keys_refused(directory.path(), &[action, "la-none"]);
        assert!(said.contains("there is no key \"la-none\""), "{said}");
    }
    let _server = Server::start_on(directory.path(), &[]);
    let said = keys_refused(directory.path(), &["create"]);
    assert!(said.contains("if a node runs on it, make keys through it: POST /keys"), "{said}");
}

#[test]
fn the_key_of_the_command_line_and_stored_ones_stand_beside_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let (id, secret) = created(directory.path());
    let server = Server::start_on(directory.path(), &["--api-key", "sesame"]);
    for right in [basic(&id, &secret), basic("anyone", "sesame"), "Bearer sesame".to_owned()] {
        assert_eq!(ask(&server, "/datasets/", &right).status, 200, "{right}");
    }
    assert_refused(&ask(&server, "/datasets/", &basic("anyone", &secret)), "Invalid API key");
}

#[test]
fn authentication_can_be_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    created(directory.path());
    let flags = ["--api-key", "sesame", "--disable-auth", "--host", "0.0.0.0"];
    let server = Server::start_on(directory.path(), &flags);
    assert_eq!(server.logged("open_to_all")["level"], "WARN");
    for authorization in ["", "Basic !!!", "Bearer wrong"] {
        assert_eq!(ask(&server, "/datasets/", authorization).status, 200, "{authorization}");
    }
}

#[test]
fn a_stored_key_is_as_good_as_a_flag_on_an_open_address() {
    let directory = tempfile::tempdir().unwrap();
    created(directory.path());
    let mut server = Server::start_on(directory.path(), &["--host", "0.0.0.0"]);
    server.signal("TERM");
    server.wait();
    assert_eq!(server.logged("stopped")["level"], "INFO");
    assert!(!server.has_logged("open_to_all"));
}

#[test]
fn keys_are_changed_while_the_node_runs() {
    let server = Server::start();
    let made = server.post("/keys", &json!({"note": "first"})).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let holder = format!("Bearer {key}");
    assert_refused(&server.get("/datasets/"), "Not authenticated");
    server.get("/keys").error(401, "unauthorized");
    let listed = ask(&server, "/keys", &holder).json();
    assert_eq!((&listed["keys"][0]["id"], &listed["keys"][0]["note"]), (&json!(id), &json!("first")));
    let ended = change(&server, "POST", "/keys", &holder, &json!({"expires_at_s": 1})).json();
    let ended = format!("Bearer {}", ended["key"].as_str().unwrap());
    assert_refused(&ask(&server, "/datasets/", &ended), "API key expired");
    let path = format!("/keys/{id}");
    let locked = change(&server, "PUT", &path, &holder, &json!({"locked": true}));
    assert_eq!((locked.status, &locked.json()["locked"]), (200, &json!(true)));
    assert_refused(&ask(&server, "/datasets/", &holder), "API key is locked");
    let audit = server.logged("audit");
    assert_eq!(
        (&audit["action"], &audit["id"], &audit["outcome"]),
        (&json!("create_key"), &json!(id), &json!("done"))
    );
}

#[test]
fn wrong_changes_of_keys_are_refused() {
    let server = Server::start();
    let made = server.post("/keys", &json!({})).json();
    let holder = format!("Bearer {}", made["key"].as_str().unwrap());
    for (method, path, body, status) in [
        ("PUT", "/keys/la-none", json!({"locked": true}), 404),
        ("DELETE", "/keys/la-none", json!(null), 404),
        ("POST", "/keys", json!({"not": "known"}), 400),
        ("POST", "/keys", json!({"expires_at_s": -1}), 400),
        ("PUT", "/keys/la-none", json!({}), 400),
    ] {
        let reply = change(&server, method, path, &holder, &body);
        reply.error(status, if status == 404 { "not_found" } else { "invalid_argument" });
    }
    let path = format!("/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(change(&server, "DELETE", &path, &holder, &json!(null)).status, 200);
    assert_eq!(server.get("/datasets/").status, 200, "the last key is gone");
}
