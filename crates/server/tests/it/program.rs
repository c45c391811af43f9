//! The program under test, and a client of a few lines.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lavandin");
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a directory of its own, stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    log: Arc<Mutex<Vec<String>>>,
    _directory: Option<tempfile::TempDir>,
}

/// A reply, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(directory.path(), flags);
        server._directory = Some(directory);
        server
    }

    pub(crate) fn start_on(directory: &Path, flags: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--port", "0", "--log-format", "json", "--data-dir"])
            .arg(directory)
            .args(flags)
            .env_clear()
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut seen = Vec::new();
        let address = lines.by_ref().find_map(|line| {
            seen.push(line.clone());
            let event: Value = serde_json::from_str(&line).ok()?;
            (event["event"] == "listening").then(|| event["address"].as_str().unwrap().replace("http://", ""))
        });
        let Some(address) = address else { panic!("the server did not start:\n{}", seen.join("\n")) };
        let log = Arc::new(Mutex::new(seen));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, address, log, _directory: None }
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        send(&self.address, method, path, headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Posts to a collection of the database `db` and returns `params` of the success.
    pub(crate) fn ask(&self, path: &str, collection: &str, mut body: Value) -> Value {
        body["database_name"] = json!("db");
        body["collection_name"] = json!(collection);
        self.post(path, &body).params()
    }

    pub(crate) fn octets(&self, path_and_query: &str, body: &[u8]) -> Reply {
        self.send("POST", path_and_query, &[("content-type", "application/octet-stream")], body)
    }

    /// Makes the database `db` and a collection.
    pub(crate) fn make(&self, collection: &str, dim: u32) {
        self.post("/create_database", &json!({"database_name": "db"})).params();
        self.ask("/required_collection", collection, json!({"dim": dim}));
    }

    /// The first log line of an event, waited for.
    pub(crate) fn logged(&self, event: &str) -> Value {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let lines = self.log.lock().unwrap().clone();
            let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(found) = parsed.into_iter().find(|line| line["event"] == event) {
                return found;
            }
            std::thread::yield_now();
        }
        panic!("no event {event} in {:?}", self.log.lock().unwrap());
    }

    /// Whether an event is among the log lines so far.
    pub(crate) fn has_logged(&self, event: &str) -> bool {
        let lines = self.log.lock().unwrap();
        let mut parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.any(|line| line["event"] == event)
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end; its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("the server did not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}{text}", self.head))
    }

    /// The parameters of a success.
    pub(crate) fn params(&self) -> Value {
        let mut body = self.json();
        assert_eq!((self.status, &body["status"]), (200, &json!("success")), "{body}");
        body["params"].take()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Checks that it is an error as every error looks; its message.
    pub(crate) fn error(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status, &body["code"]), (status, &json!(code)), "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{body}");
        body["error"].as_str().unwrap().to_owned()
    }
}

/// Asks until there is an answer.
pub(crate) fn poll<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = probe() {
            return found;
        }
        std::thread::yield_now();
    }
    panic!("not within {PATIENCE:?}");
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut stream = connect(address);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" || !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    read_reply(&bytes)
}

pub(crate) fn read_reply(bytes: &[u8]) -> Reply {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head, body: bytes[end..].to_vec() }
}
