//! Names of requests: what `x-request-id` says. A client's own name is kept when it is sane.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name taken from a client.
const LENGTH_MAX: usize = 128;

/// Makes names that no other process on this host makes at the same time.
#[derive(Debug)]
pub(crate) struct RequestNames {
    process: u32,
    next: AtomicU64,
}

impl RequestNames {
    pub(crate) fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Start time and process id, mixed: different after a restart and beside another process.
        let mixed = (since_1970.as_nanos() as u64 ^ u64::from(std::process::id()) << 40)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { process: (mixed >> 32) as u32, next: AtomicU64::new(1) }
    }

    /// The client's name for the request, or a new one.
    pub(crate) fn name(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(value) = headers.get(X_REQUEST_ID).filter(|value| is_sane(value.as_bytes())) {
            return value.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:08x}-{number}", self.process);
        HeaderValue::try_from(text).expect("hex digits, a dash and decimal digits are valid in a header")
    }
}

fn is_sane(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !name.is_empty() && name.len() <= LENGTH_MAX && name.iter().all(is_plain)
}
