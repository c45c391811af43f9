//! A server that does no work: reads a request, writes a fixed reply. One thread a connection, no dependencies.
//!
//! It speaks just enough of the LynseDB HTTP API for the client to open the collection `bench`/`plain` and to search
//! it through the binary endpoint, and to believe that it stores what it is sent. Built by bench.py with `rustc -O`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let port = arguments.iter().position(|a| a == "--port").map(|at| arguments[at + 1].clone()).expect("--port N");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || drop(serve(stream)));
    }
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or("").to_owned();
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let (kind, reply) = reply(path.split('?').next().unwrap_or(""));
        let mut whole = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", reply.len()).into_bytes();
        whole.extend_from_slice(&reply);
        writer.write_all(&whole)?;
    }
}

fn reply(path: &str) -> (&'static str, Vec<u8>) {
    if path == "/search_binary" {
        return ("application/octet-stream", hits());
    }
    let params = match path {
        "/list_databases" => r#"{"databases":["bench"]}"#,
        "/add" => r#"{"ids":[]}"#,
        "/bulk_add_binary" => r#"{"ids":[0]}"#,
        "/collection_shape" => r#"{"shape":[0,128]}"#,
        "/required_collection" => r#"{"config":{"integer_id_routing":null}}"#,
        "/is_collection_exists" => r#"{"exists":true}"#,
        "/get_collection_config" => r#"{"config":{"dim":128,"dtypes":"float32","integer_id_routing":"internal"}}"#,
        "/index_mode" => r#"{"index_mode":"HNSW-L2"}"#,
        _ => "{}",
    };
    ("application/json", format!(r#"{{"status":"success","params":{params}}}"#).into_bytes())
}

/// Ten hits without fields.
fn hits() -> Vec<u8> {
    let mut block = 10u32.to_le_bytes().to_vec();
    (0..10u64).for_each(|id| block.extend_from_slice(&id.to_le_bytes()));
    (0..10u8).for_each(|rank| block.extend_from_slice(&f32::from(rank).to_le_bytes()));
    block.extend_from_slice(&0u32.to_le_bytes());
    block
}
