//! Files that previews show: bytes of samples, kept in the data directory under names made of their content.
//!
//! `<32 hexadecimal digits of the content's SHA-256>.<ending of its kind>`. Written beside and renamed, so that a reader
//! sees a file whole; never changed; under a cap of bytes, the ones written longest ago go first. A preview that outlives
//! its file shows a name under which there is nothing.

use crate::datasets::runtime::DatasetRuntime;
use lavandin_feed::lavender::{Magic, PreviewFiles, sniff};
use lavandin_feed::location::Location;
use sha2::{Digest, Sha256};
use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Bytes of one file.
const FILE_BYTES_MAX: usize = 64 << 20;
/// Bytes of all files.
const FILES_BYTES_MAX: u64 = 1 << 30;
/// Number of all files.
const FILES_MAX: usize = 100_000;
const HASH_DIGITS: usize = 32;
const ENDING_MAX: usize = 8;
const UNFINISHED: &str = "part";
/// How long signed addresses are valid: longer than a preview is kept.
const ADDRESS_VALID: Duration = Duration::from_secs(2 * 60 * 60);

/// What is in the directory, once somebody has looked.
#[derive(Default)]
pub(super) struct PreviewFileTable {
    files: Mutex<Option<Files>>,
}

#[derive(Default)]
struct Files {
    names: HashSet<String>,
    /// Names and sizes, the oldest first.
    by_age: VecDeque<(String, u64)>,
    bytes: u64,
    bytes_max: u64,
}

/// Keeps the files of one preview.
pub(super) struct Keeper<'a> {
    runtime: &'a DatasetRuntime,
    table: &'a PreviewFileTable,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(runtime: &'a DatasetRuntime, table: &'a PreviewFileTable) -> Self {
        Self { runtime, table }
    }
}

impl PreviewFiles for Keeper<'_> {
    fn keep(&mut self, content: &[u8], kind: Magic) -> Option<String> {
        if content.len() > FILE_BYTES_MAX {
            return None;
        }
        let kept = self.table.keep(&self.runtime.preview_dir, content, kind);
        kept.inspect_err(|error| tracing::warn!(event = "preview_file_failed", %error, "a file of a preview cannot be kept"))
            .ok()
    }

    fn address(&mut self, location: &str) -> String {
        // Text that only begins like a location is shown as it is, as is one that needs no signature.
        let signed = Location::parse(location).ok().and_then(|parsed| {
            let url = self.runtime.stores.url(&parsed, ADDRESS_VALID);
            self.runtime.handle.block_on(url).ok().flatten()
        });
        signed.unwrap_or_else(|| location.to_owned())
    }
}

impl PreviewFileTable {
    fn keep(&self, directory: &Path, content: &[u8], kind: Magic) -> io::Result<String> {
        let name = name_of(content, kind.extension);
        let mut guard = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match &mut *guard {
            Some(files) => files,
            none => none.insert(Files::open(directory, FILES_BYTES_MAX)?),
        };
        files.keep(directory, &name, content)?;
        Ok(name)
    }
}

impl Files {
    /// What an earlier run has left.
    fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_name(&name) {
                let metadata = entry.metadata()?;
                let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((written, name, metadata.len()));
            } else if name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        found.sort_unstable();
        let mut files = Self { bytes_max, ..Self::default() };
        for (_, name, bytes) in found {
            files.add(name, bytes);
        }
        Ok(files)
    }

    fn keep(&mut self, directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
        // One that somebody removed is written again.
        if self.names.contains(name) && directory.join(name).exists() {
            return Ok(());
        }
        let unfinished = directory.join(format!("{name}.{UNFINISHED}"));
        fs::write(&unfinished, content)?;
        fs::rename(&unfinished, directory.join(name))?;
        if !self.names.contains(name) {
            self.add(name.to_owned(), content.len() as u64);
        }
        while self.by_age.len() > 1 && (self.bytes > self.bytes_max || self.by_age.len() > FILES_MAX) {
            let Some((oldest, bytes)) = self.by_age.pop_front() else { break };
            match fs::remove_file(directory.join(&oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.names.remove(&oldest);
            self.bytes -= bytes;
        }
        Ok(())
    }

    fn add(&mut self, name: String, bytes: u64) {
        self.bytes += bytes;
        self.names.insert(name.clone());
        self.by_age.push_back((name, bytes));
    }
}

/// The content of a kept file, and its type. Names of anything else are refused before the disk is asked.
pub(super) fn read(directory: &Path, name: &str) -> Option<(Vec<u8>, &'static str)> {
    if !is_name(name) {
        return None;
    }
    let content = fs::read(directory.join(name)).ok()?;
    // Only what was recognized was kept.
    let kind = sniff(&content)?;
    Some((content, kind.mime))
}

fn name_of(content: &[u8], ending: &str) -> String {
    let hash = Sha256::digest(content);
    let mut name = String::with_capacity(HASH_DIGITS + 1 + ending.len());
    for byte in hash.iter().take(HASH_DIGITS / 2) {
        // Writing to a String does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push('.');
    name.push_str(ending);
    name
}

/// Whether this is a name as [`name_of`] makes them.
fn is_name(name: &str) -> bool {
    let Some((hash, ending)) = name.split_once('.') else { return false };
    let is_hash =
        hash.len() == HASH_DIGITS && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_ending = (1..=ENDING_MAX).contains(&ending.len())
        && ending.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && ending != UNFINISHED;
    is_hash && is_ending
}

#[cfg(test)]
mod tests;
