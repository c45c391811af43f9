//! The API key: checked on every request but those for open routes.
//!
//! Only the key's SHA-256 is kept. Digests are compared in constant time, so that a wrong key tells nothing about
//! the right one, its length included.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a 401 asks for.
pub(crate) const CHALLENGE: &str = "Bearer realm=\"lavandin\", Basic realm=\"lavandin\"";

/// The keys that are let in; none means that everyone is.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    digest: Option<[u8; 32]>,
}

impl Keys {
    pub(crate) fn new(key: Option<&str>) -> Self {
        Self { digest: key.map(|key| digest(key.as_bytes())) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.digest.is_none()
    }

    /// Whether a request with these headers may pass.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.digest else { return true };
        let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
        let Some((scheme, rest)) = split_scheme(value.as_bytes()) else { return false };
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return matches(rest, expected);
        }
        if scheme.eq_ignore_ascii_case(b"basic") {
            // Any user, the key as the password.
            let Ok(decoded) = STANDARD.decode(rest) else { return false };
            let Some(colon) = decoded.iter().position(|byte| *byte == b':') else { return false };
            return matches(&decoded[colon + 1..], expected);
        }
        false
    }
}

fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    Some((&value[..space], value[space + 1..].trim_ascii()))
}

fn matches(key: &[u8], expected: &[u8; 32]) -> bool {
    digest(key).ct_eq(expected).into()
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests;
