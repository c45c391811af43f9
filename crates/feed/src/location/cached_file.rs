//! The name of a file in the disk cache, which says all that is known about it, so that a restart needs no index:
//! `{url:32 hex}-{tag:16 hex}-{size hex}-{content:32 hex}-{serial hex}{extension}`. A download under way is called
//! `{serial hex}.part`.

use super::version::Version;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Ends the names of downloads under way.
pub(super) const PART_SUFFIX: &str = ".part";
const EXTENSION_BYTES_MAX: usize = 16;

/// Which content of which file: what the cache looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CacheKey {
    /// Hash of what tells the file from all others.
    pub(super) url: u128,
    /// Hash of the version's tag; 0 without one.
    pub(super) tag: u64,
    pub(super) size: u64,
}

impl CacheKey {
    /// The first key of a file, in order.
    pub(super) fn first(url: u128) -> Self {
        Self { url, tag: 0, size: 0 }
    }

    /// The last key of a file, in order.
    pub(super) fn last(url: u128) -> Self {
        Self { url, tag: u64::MAX, size: u64::MAX }
    }

    /// Whether this is a content of version `asked`. Without a tag of its own it is none of a version that has one.
    pub(super) fn is_of(&self, asked: &Version) -> bool {
        let has_size = asked.size.is_none_or(|size| size == self.size);
        has_size && asked.tag.as_deref().is_none_or(|tag| hash_of_tag(Some(tag)) == self.tag)
    }
}

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CachedName {
    pub(super) key: CacheKey,
    /// XXH3-128 of the content.
    pub(super) content: u128,
    /// Makes the name unique.
    pub(super) serial: u64,
    /// With its dot, or empty; for readers that go by it.
    pub(super) extension: String,
}

impl CachedName {
    pub(super) fn encode(&self) -> String {
        let Self { key, content, serial, extension } = self;
        format!("{:032x}-{:016x}-{:x}-{content:032x}-{serial:x}{extension}", key.url, key.tag, key.size)
    }

    /// `None` for a name that this cache did not make.
    pub(super) fn decode(name: &str) -> Option<Self> {
        let (stem, extension) = name.split_at(name.find('.').unwrap_or(name.len()));
        let mut parts = stem.split('-');
        let mut next = || parts.next();
        let (url, tag, size, content, serial) = (next()?, next()?, next()?, next()?, next()?);
        let decoded = Self {
            key: CacheKey {
                url: u128::from_str_radix(url, 16).ok()?,
                tag: u64::from_str_radix(tag, 16).ok()?,
                size: u64::from_str_radix(size, 16).ok()?,
            },
            content: u128::from_str_radix(content, 16).ok()?,
            serial: u64::from_str_radix(serial, 16).ok()?,
            extension: extension.to_owned(),
        };
        (decoded.encode() == name).then_some(decoded)
    }
}

pub(super) fn hash_of_url(identity: &str) -> u128 {
    xxh3_128(identity.as_bytes())
}

pub(super) fn hash_of_tag(tag: Option<&str>) -> u64 {
    tag.map_or(0, |tag| xxh3_64(tag.as_bytes()).max(1))
}

/// `.parquet` of `a.parquet`, `.csv.gz` of `a.csv.gz`; empty if there is none that is plain.
pub(super) fn extension_of(name: &str) -> String {
    let extension = name.find('.').map_or("", |dot| &name[dot..]);
    let last = name.rfind('.').map_or("", |dot| &name[dot..]);
    let is_plain = |text: &&str| {
        text.len() <= EXTENSION_BYTES_MAX
            && text.bytes().all(|byte| byte == b'.' || byte.is_ascii_alphanumeric())
    };
    let found = [extension, last].into_iter().find(is_plain).unwrap_or_default();
    if found.ends_with(PART_SUFFIX) { String::new() } else { found.to_owned() }
}

#[cfg(test)]
mod tests;
