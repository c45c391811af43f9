//! Limits and times. The defaults suit machines in one rack; each number is a bound that something waits for.

use crate::identity::Protocols;
use std::time::Duration;

/// How a side shows that it lives, and when it takes the other for dead.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// Whoever has sent nothing for this long sends a sign of life.
    pub sign_every: Duration,
    /// Whoever has received nothing for this long ends the connection. At least twice the other side's `sign_every`.
    pub dead_after: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { sign_every: Duration::from_millis(250), dead_after: Duration::from_secs(1) }
    }
}

/// Of the side that takes connections. All numbers are for one connection.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    pub protocols: Protocols,
    pub liveness: Liveness,
    /// For everything before the first frame.
    pub handshake_max: Duration,
    /// Calls between their first frame and the last frame of their answer, at least 2. At the limit no more is read.
    pub calls_max: usize,
    /// Bytes of requests of more than one frame, from their first frame to the last of their answer. At the limit no
    /// more is read. At least [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX).
    pub bytes_max: u32,
    /// After a stop was wanted, for the calls under way.
    pub drain_max: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            protocols: crate::frame::PROTOCOLS,
            liveness: Liveness::default(),
            handshake_max: Duration::from_secs(5),
            calls_max: 256,
            bytes_max: 96 << 20,
            drain_max: Duration::from_secs(5),
        }
    }
}

/// Of the side that makes connections.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    pub protocols: Protocols,
    pub liveness: Liveness,
    /// For everything before the first frame.
    pub connect_max: Duration,
    /// The pause after a failed attempt doubles from `backoff_first` to `backoff_max`; up to half of it is chance. A node that
    /// comes back is reached after `backoff_max`, so what it has to know does not wait for longer.
    pub backoff_first: Duration,
    pub backoff_max: Duration,
    /// Calls under way on one connection; one more is an error at once, so that calls go in the order they are made.
    pub calls_max: usize,
    /// Bytes of requests under way on one connection; a call that exceeds it is an error at once.
    pub bytes_max: usize,
    /// Seeds the chance in the pauses.
    pub seed: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            protocols: crate::frame::PROTOCOLS,
            liveness: Liveness::default(),
            connect_max: Duration::from_secs(2),
            backoff_first: Duration::from_millis(50),
            backoff_max: Duration::from_millis(250),
            calls_max: 1024,
            bytes_max: 256 << 20,
            seed: 0,
        }
    }
}
