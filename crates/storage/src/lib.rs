//! Sync byte storage: a tree of named files behind one trait, checksummed small files, and the write-ahead log.
//!
//! - `directory`: the traits [`Directory`] and [`File`], and what a caller may rely on after a crash;
//! - `local`, `memory`, `faulty`: their implementations on a file system, in memory (with simulated power loss) and
//!   around another one (with injected failures);
//! - `region`: a whole immutable file as bytes;
//! - `checked`: small files replaced atomically and read back verified;
//! - `lock`: one process per data directory;
//! - `wal`: the segmented log of opaque frames;
//! - `conformance`: the suite that every implementation of [`Directory`] passes.
//!
//! Invariants: nothing is durable before the sync that the documentation names; no length that was read from a file
//! is believed before it is checked against the file; bytes from disk never panic. Deliberately absent: async, clocks,
//! caches, and any knowledge of what the bytes mean.

mod checked;
pub mod conformance;
mod directory;
mod durability;
mod error;
mod faulty;
mod local;
mod lock;
mod memory;
mod region;
pub mod wal;

pub use checked::{CHECKED_HEADER_BYTES, atomic_write, read_checked};
pub use directory::{Directory, File};
pub use durability::{Durability, UnknownDurability};
pub use error::{Operation, StorageError};
pub use faulty::{Calls, Fault, FaultyDirectory};
pub use local::{LocalDirectory, create_folders};
pub use lock::DataDirLock;
pub use memory::MemoryDirectory;
pub use region::Region;
