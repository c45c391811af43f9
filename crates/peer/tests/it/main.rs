//! Two nodes that talk: over pipes in memory with tokio's paused clock, and over TCP with a real HTTP server.

#![allow(clippy::unwrap_used, reason = "clippy allows it in test functions only, not in what they call")]

mod calls;
mod http;
mod lanes;
mod limits;
mod liveness;
mod pool;
mod rig;
mod wire;
