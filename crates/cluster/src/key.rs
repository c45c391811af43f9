//! API keys as the catalogue holds them.

use crate::form;
use crate::limit;
use serde::{Deserialize, Serialize};

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    Admin,
    Write,
    Read,
}

/// An API key. The secret itself is never stored, only its SHA-256.
///
/// Nothing here reads a clock: whoever checks a key compares `expires_at_s` with its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What a client sends before the colon: `la-…`.
    pub id: String,
    #[serde(with = "form::digest")]
    pub secret_hash: [u8; 32],
    pub role: KeyRole,
    #[serde(default)]
    pub note: Option<String>,
    /// A locked key is refused until it is unlocked.
    #[serde(default)]
    pub locked: bool,
    /// Seconds since 1970; `None` for never.
    #[serde(default)]
    pub expires_at_s: Option<u64>,
    #[serde(default)]
    pub created_at_s: u64,
}

impl ApiKey {
    /// Whether it has expired by then.
    pub fn is_expired(&self, now_s: u64) -> bool {
        self.expires_at_s.is_some_and(|end| end <= now_s)
    }

    pub(crate) fn weight(&self) -> u64 {
        let note = self.note.as_ref().map_or(0, String::len);
        limit::ENTRY_WEIGHT + (self.id.len() + note) as u64
    }
}
