//! A client of the API of datasets and iterations, and of the cluster's, for the command line, tests and benchmarks.
//!
//! One method of [`Client`] is one request. Connections are kept and shared; a request has a time limit, is never
//! repeated by itself, and ends in the reply's struct of `lavandin_wire::lavender` or in a [`ClientError`] that says
//! what was asked of whom. It speaks to the published `lavender-data` 0.1.10 server as well.
//!
//! [`Blocking`] runs the same methods for callers without a runtime.
//!
//! Deliberately absent: retries and loops over batches (the caller knows what may be repeated), the vector side of
//! the API, and how replies are shown.

mod blocking;
mod client;
mod cluster;
mod datasets;
mod error;
mod iterations;
mod options;
mod transport;
mod verify;

pub use blocking::Blocking;
pub use client::Client;
pub use error::ClientError;
pub use iterations::{Batch, NextOptions, Submitted};
pub use options::ClientOptions;
