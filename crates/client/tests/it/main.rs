//! Black-box tests against a server that answers with given bytes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod answers;
mod requests;
mod server;
