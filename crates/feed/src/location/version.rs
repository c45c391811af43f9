//! Which content of a file is meant, and what a listing says about it.

use super::error::LocationError;
use std::fmt;
use std::fs;
use std::time::UNIX_EPOCH;

/// Files in one directory, at most.
pub const ENTRIES_MAX: usize = 500_000;
/// Bytes of a file's name, at most: what file systems take.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a tag, at most; a longer one is treated as absent.
const TAG_BYTES_MAX: usize = 1024;

/// What tells one content of a file from the next without reading it. Parts that are not known are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    pub size: Option<u64>,
    /// Of stores the ETag without quotes, else the date of the last change; of local files `mtime-` and nanoseconds.
    pub tag: Option<String>,
}

impl Version {
    pub fn new(size: u64, tag: Option<String>) -> Self {
        Self { size: Some(size), tag }
    }

    /// Whether no part that both know differs.
    pub fn agrees_with(&self, other: &Self) -> bool {
        agree(self.size.as_ref(), other.size.as_ref()) && agree(self.tag.as_ref(), other.tag.as_ref())
    }

    /// What both together know; `self` wins.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self { size: self.size.or(other.size), tag: self.tag.clone().or_else(|| other.tag.clone()) }
    }

    pub(super) fn of_metadata(metadata: &fs::Metadata) -> Self {
        let modified = metadata.modified().ok();
        let tag = modified.map(|time| match time.duration_since(UNIX_EPOCH) {
            Ok(after) => format!("mtime-{}", after.as_nanos()),
            Err(before) => format!("mtime--{}", before.duration().as_nanos()),
        });
        Self::new(metadata.len(), tag)
    }
}

fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) => write!(f, "{size} bytes")?,
            None => f.write_str("any size")?,
        }
        match &self.tag {
            Some(tag) => write!(f, " with tag {tag:?}"),
            None => Ok(()),
        }
    }
}

/// One file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name within the directory: one path segment, not encoded.
    pub name: String,
    pub version: Version,
}

/// A listing under way: checks each name and bounds their number.
pub(super) struct Entries {
    directory: String,
    entries: Vec<Entry>,
    entries_max: usize,
}

impl Entries {
    pub(super) fn new(directory: &str, entries_max: usize) -> Self {
        Self { directory: directory.to_owned(), entries: Vec::new(), entries_max }
    }

    /// Adds a file. Hidden files (a leading `.`) are left out: they are never shard files, and ours in the making are
    /// among them.
    pub(super) fn push(&mut self, name: &str, version: Version) -> Result<(), LocationError> {
        if let Some(what) = bad_name(name) {
            return Err(LocationError::BadName {
                directory: self.directory.clone(),
                name: shortened(name),
                what,
            });
        }
        if name.starts_with('.') {
            return Ok(());
        }
        if self.entries.len() == self.entries_max {
            let directory = self.directory.clone();
            return Err(LocationError::TooManyEntries { directory, entries_max: self.entries_max });
        }
        self.entries.push(Entry { name: name.to_owned(), version });
        Ok(())
    }

    /// The files sorted by name, each once; no files are an error.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>, LocationError> {
        if self.entries.is_empty() {
            return Err(LocationError::Empty { directory: self.directory });
        }
        self.entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.entries.dedup_by(|one, other| one.name == other.name);
        Ok(self.entries)
    }
}

/// Why `name` cannot be the name of a file in a directory; `None` if it can.
pub(super) fn bad_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it names a directory"),
        _ if name.contains(['/', '\\']) => Some("it contains a path separator"),
        _ if name.chars().any(char::is_control) => Some("it contains a control character"),
        _ if name.len() > NAME_BYTES_MAX => Some("it is longer than 255 bytes"),
        _ => None,
    }
}

/// A name as it may appear in an error.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// An ETag header as a tag: without weakness and quotes.
pub(super) fn tag_of_etag(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("W/").unwrap_or(text);
    let text = text.trim_matches('"');
    (!text.is_empty() && text.len() <= TAG_BYTES_MAX).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
