//! Where shard files are, and how their bytes get onto this machine: `file://`, `s3://`, `http(s)://` and `hf://`.
//!
//! Driven by `node`: it lists a shardset's directory at sync, asks for each file just before reading it, and puts the
//! files of a new shardset. A file of a store is downloaded once into a disk cache under a size cap; so is a local file of
//! another machine, by its content ([`Origin`]); a local file is used where it is. Invariants: what [`Stores::local`] hands out has the size and the version that were asked for and
//! is not evicted while its guard lives; names from listings never leave their directory; only failures that may pass
//! are retried; every listing, retry, wait and download has a bound. The environment is read by the caller (see
//! [`S3Settings::from_variables`]). Deliberately absent: file formats, which files make a shardset, deleting.

mod address;
mod answer;
mod cached_file;
mod disk_cache;
mod download;
mod error;
mod file_store;
mod fingerprint;
mod flights;
mod hf_store;
mod options;
mod origin;
mod remote;
mod retry;
mod s3_client;
mod s3_store;
mod s3_upload;
mod stores;
mod version;
mod web;
mod web_store;

pub use address::{Location, Scheme};
pub use error::LocationError;
pub use fingerprint::{Fingerprint, content_fingerprint};
pub use options::{HfSettings, S3Settings, StoreOptions};
pub use origin::{Body, Origin};
pub use stores::{CacheUse, LocalFile, Stores};
pub use version::{ENTRIES_MAX, Entry, Version};
