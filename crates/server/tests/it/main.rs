//! Black-box tests of the program: each starts it on a directory and a port of its own and speaks HTTP to it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod binary;
mod datasets;
mod errors;
mod keys;
mod life;
mod limits;
mod program;
mod records;
mod status;
