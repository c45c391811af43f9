//! The text of a location, and what it means.

use super::error::LocationError;
use super::version::bad_name;
use reqwest::Url;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a location, at most.
const TEXT_BYTES_MAX: usize = 4096;

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    File,
    S3,
    Http,
    Https,
    Hf,
}

impl Scheme {
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::S3 => "s3",
            Self::Http => "http",
            Self::Https => "https",
            Self::Hf => "hf",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let all = [Self::File, Self::S3, Self::Http, Self::Https, Self::Hf];
        all.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }
}

/// Where a directory or a file is. Keeps the text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    text: String,
    scheme: Scheme,
    place: Place,
}

/// A location taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Absolute; `..` and links are not resolved.
    File(PathBuf),
    /// `key` has no leading or trailing `/`; it is empty for the whole bucket.
    S3 {
        bucket: String,
        key: String,
    },
    Web(Url),
    /// `repository` is `organisation/name` of a dataset; `path` is empty for its root.
    Hf {
        repository: String,
        path: String,
    },
}

impl Location {
    /// Parses a location. A relative `file://` path is relative to the process' working directory.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let malformed = |what: &str| LocationError::Malformed { text: redacted(text), what: what.to_owned() };
        if text.len() > TEXT_BYTES_MAX {
            let what = "it is longer than 4096 bytes".to_owned();
            return Err(LocationError::Malformed { text: text.chars().take(100).collect(), what });
        }
        if text.chars().any(char::is_control) {
            return Err(malformed("it contains a control character"));
        }
        let Some((name, rest)) = text.split_once("://") else {
            return Err(LocationError::NoScheme { text: text.to_owned() });
        };
        let Some(scheme) = Scheme::of_name(name) else {
            return Err(LocationError::UnknownScheme { text: redacted(text), scheme: name.to_owned() });
        };
        let place = match scheme {
            Scheme::File => parse_file(rest),
            Scheme::S3 => parse_s3(rest),
            Scheme::Http | Scheme::Https => parse_web(text),
            Scheme::Hf => parse_hf(rest),
        };
        Ok(Self { text: text.to_owned(), scheme, place: place.map_err(|what| malformed(&what))? })
    }

    /// The file `name` in this directory. `name` is one path segment, not encoded.
    pub fn join(&self, name: &str) -> Result<Self, LocationError> {
        if let Some(what) = bad_name(name) {
            return Err(LocationError::BadName { directory: self.shown(), name: name.to_owned(), what });
        }
        let segment = match self.scheme {
            Scheme::Http | Scheme::Https => percent_encoded(name),
            _ => name.to_owned(),
        };
        let slash = if self.text.ends_with('/') { "" } else { "/" };
        Self::parse(&format!("{}{slash}{segment}", self.text))
    }

    /// The text as it was given. May hold a password: use [`Location::shown`] or `Display` for people.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The text for messages and logs: without user and password of a URL.
    pub fn shown(&self) -> String {
        redacted(&self.text)
    }

    /// The last path segment, not encoded; empty for the root of a store.
    pub fn name(&self) -> String {
        let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        match &self.place {
            Place::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Place::S3 { key, .. } => last(key),
            Place::Web(url) => percent_decoded(&last(url.path())),
            Place::Hf { path, .. } => last(path),
        }
    }

    /// The path of a `file://` location, absolute.
    pub fn file_path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

/// For people: see [`Location::shown`].
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

fn parse_file(rest: &str) -> Result<Place, String> {
    if rest.is_empty() {
        return Err("a path follows file://, for example file:///data/train".to_owned());
    }
    // Not resolved further: `..` after a link means the link's target, which only the file system knows.
    let path =
        std::path::absolute(rest).map_err(|error| format!("the working directory is unknown: {error}"))?;
    Ok(Place::File(path))
}

fn parse_s3(rest: &str) -> Result<Place, String> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("a bucket follows s3://, for example s3://bucket/train".to_owned());
    }
    if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err(format!("{bucket:?} is not the name of a bucket"));
    }
    Ok(Place::S3 { bucket: bucket.to_owned(), key: checked_path(key)? })
}

fn parse_web(text: &str) -> Result<Place, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a location has neither query nor fragment; write ? as %3F and # as %23".to_owned());
    }
    Ok(Place::Web(url))
}

fn parse_hf(rest: &str) -> Result<Place, String> {
    let mut parts = rest.splitn(3, '/');
    let (organisation, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !is_hf_name(organisation) || !is_hf_name(name) {
        return Err(
            "a dataset repository follows hf://, for example hf://organisation/repository/train".to_owned()
        );
    }
    let path = checked_path(parts.next().unwrap_or_default())?;
    Ok(Place::Hf { repository: format!("{organisation}/{name}"), path })
}

fn is_hf_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name != "." && name != ".." && name.bytes().all(letters)
}

/// A path within a store, without the slashes around it.
fn checked_path(path: &str) -> Result<String, String> {
    let path = path.trim_matches('/');
    match path.split('/').find(|segment| matches!(*segment, "." | "..")) {
        Some(segment) => Err(format!("a path in a store has no {segment:?}")),
        None if path.contains("//") => Err("its path has an empty segment".to_owned()),
        None => Ok(path.to_owned()),
    }
}

/// `text` without what stands between `://` and `@`.
fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match (scheme.eq_ignore_ascii_case("file"), authority.rfind('@')) {
        (false, Some(at)) => format!("{scheme}://…{}", &rest[at..]),
        _ => text.to_owned(),
    }
}

/// One path segment for a URL: everything but unreserved characters is encoded.
pub(super) fn percent_encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(byte as char),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn percent_decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let digits = (byte == b'%').then(|| segment.get(place + 1..place + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                place += 3;
            }
            None => {
                out.push(byte);
                place += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
