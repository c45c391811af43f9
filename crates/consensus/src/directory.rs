//! The identity of a metadata directory: drawn at random when its file is made, and gone with it.
//!
//! A voter that lost its file has forgotten its votes and its log; were it to answer under its old number, two leaders
//! of one term could be elected and acknowledged commands be lost. So the membership names for each node the
//! directory that counts, every message names the directory it is meant for, and any other refuses it (the directory
//! id of Kafka's KIP-853). A store id would not do: it survives the loss of this one file.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Names one metadata file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryId(u128);

impl DirectoryId {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        // All zeros mean "none" in a message.
        Ok(Self(u128::from_le_bytes(bytes).max(1)))
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// The id in these bytes; `None` for zeros.
    pub(crate) fn from_le_bytes(bytes: [u8; 16]) -> Option<Self> {
        Some(Self(u128::from_le_bytes(bytes))).filter(|id| id.0 != 0)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for DirectoryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DirectoryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u128::from_str_radix(&text, 16).ok().filter(|value| digits && *value != 0);
        value.map(Self).ok_or_else(|| de::Error::custom("a directory id is 32 hex digits"))
    }
}
