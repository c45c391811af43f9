//! Black-box tests: exchanges captured from the published client, and hostile bytes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod allocations;
mod captured;
mod hostile;
mod lavender;
