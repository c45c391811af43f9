//! A server that gives one answer to one request, and tells what it was asked.

use lavandin_client::{Blocking, ClientOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Once {
    url: String,
    thread: JoinHandle<Asked>,
}

impl Once {
    /// Answers with `status`, `headers` (each line with its end) and `body`; with nothing if `status` is empty.
    pub(crate) fn new(status: &str, headers: &str, body: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/", listener.local_addr().unwrap());
        let mut answer = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        let is_silent = status.is_empty();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let asked = read(&mut stream);
            if is_silent {
                // Held open until the client gives up.
                let _ = stream.read(&mut [0; 1]);
            } else {
                stream.write_all(&answer).unwrap();
            }
            asked
        });
        Self { url, thread }
    }

    pub(crate) fn json(body: &str) -> Self {
        Self::new("200 OK", "content-type: application/json\r\n", body.as_bytes())
    }

    pub(crate) fn client(&self, key: Option<&str>) -> Blocking {
        let options = ClientOptions {
            timeout: Duration::from_millis(300),
            ..ClientOptions::new(&self.url).with_key(key.map(str::to_owned))
        };
        Blocking::new(&options).unwrap()
    }

    pub(crate) fn asked(self) -> Asked {
        self.thread.join().unwrap()
    }
}

fn read(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let end = loop {
        let mut piece = [0; 4_096];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the client hung up");
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: Vec<_> = lines.map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut piece = vec![0; length - body.len()];
        let count = stream.read(&mut piece).unwrap();
        body.extend_from_slice(&piece[..count]);
    }
    Asked { line, headers, body: String::from_utf8(body).unwrap() }
}
