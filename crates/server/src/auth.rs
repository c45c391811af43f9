//! API keys: checked on every request but those for open routes.
//!
//! There is the key of the command line, and there are keys in the catalogue, made by `lavandin keys create`; once one
//! of either exists, every request wants one (SETTLED 24). Only SHA-256 digests of secrets are kept. They are compared
//! in constant time, so that a wrong key tells nothing about the right one, its length included.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lavandin_node::{ApiKey, Catalogue};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};
use subtle::ConstantTimeEq;

/// What a 401 asks for.
pub(crate) const CHALLENGE: &str = "Bearer realm=\"lavandin\", Basic realm=\"lavandin\"";

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It carries no key.
    Missing,
    /// Its header cannot be read.
    Malformed,
    Wrong,
    Expired,
    Locked,
}

/// Who is let in.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Of the key of the command line.
    digest: Option<[u8; 32]>,
    disabled: bool,
}

/// What a request shows.
enum Shown {
    /// A text that is a key, or `id:secret`.
    Bearer(Vec<u8>),
    User {
        name: Vec<u8>,
        password: Vec<u8>,
    },
}

impl Keys {
    pub(crate) fn new(key: Option<&str>, disabled: bool) -> Self {
        Self { digest: key.map(|key| digest(key.as_bytes())), disabled }
    }

    /// Whether requests need a key.
    pub(crate) fn are_wanted(&self, catalogue: &Catalogue) -> bool {
        !self.disabled && (self.digest.is_some() || catalogue.keys().len() > 0)
    }

    /// Lets a request with these headers pass, or says why not.
    pub(crate) fn admit(&self, headers: &HeaderMap, catalogue: &Catalogue) -> Result<(), Refusal> {
        if !self.are_wanted(catalogue) {
            return Ok(());
        }
        let shown = Shown::of(headers)?;
        if self.digest.is_some_and(|expected| shown.is_plain(&expected)) {
            return Ok(());
        }
        let (id, secret) = shown.id_and_secret().ok_or(Refusal::Wrong)?;
        let key = std::str::from_utf8(id).ok().and_then(|id| catalogue.key(id)).ok_or(Refusal::Wrong)?;
        check(key, secret, now_s())
    }
}

fn check(key: &ApiKey, secret: &[u8], now_s: u64) -> Result<(), Refusal> {
    // The secret first: a locked or expired key tells so only to whoever holds it.
    if !matches(secret, &key.secret_hash) {
        return Err(Refusal::Wrong);
    }
    if key.locked {
        return Err(Refusal::Locked);
    }
    if key.is_expired(now_s) { Err(Refusal::Expired) } else { Ok(()) }
}

impl Shown {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(header::AUTHORIZATION).ok_or(Refusal::Missing)?;
        let (scheme, rest) = split_scheme(value.as_bytes()).ok_or(Refusal::Missing)?;
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return Ok(Self::Bearer(rest.to_vec()));
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Err(Refusal::Missing);
        }
        let decoded = STANDARD.decode(rest).map_err(|_| Refusal::Malformed)?;
        let colon = decoded.iter().position(|byte| *byte == b':').ok_or(Refusal::Malformed)?;
        Ok(Self::User { name: decoded[..colon].to_vec(), password: decoded[colon + 1..].to_vec() })
    }

    /// Whether it is the key of the command line: itself, or any user with it as the password.
    fn is_plain(&self, expected: &[u8; 32]) -> bool {
        match self {
            Self::Bearer(key) => matches(key, expected),
            Self::User { name, password } => {
                // A key may have a colon of its own, which clients split at.
                matches(password, expected) || matches(&[name, &b":"[..], password].concat(), expected)
            }
        }
    }

    fn id_and_secret(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Self::Bearer(key) => {
                let colon = key.iter().position(|byte| *byte == b':')?;
                Some((&key[..colon], &key[colon + 1..]))
            }
            Self::User { name, password } => Some((name, password)),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    Some((&value[..space], value[space + 1..].trim_ascii()))
}

fn matches(key: &[u8], expected: &[u8; 32]) -> bool {
    digest(key).ct_eq(expected).into()
}

pub(crate) fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests;
