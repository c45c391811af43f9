//! The rule for names: `[A-Za-z0-9._-]{1,128}` without `..`, as the HTTP API has it. Such a name is also a safe
//! part of a URL.

use crate::error::{CatalogueError, NameKind};
use crate::limit;

/// Refuses a name that breaks the rule, saying how.
pub fn check_name(kind: NameKind, name: &str) -> Result<(), CatalogueError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=limit::NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(allowed) && !name.contains("..") {
        return Ok(());
    }
    let shown: String = name.chars().take(limit::NAME_BYTES_MAX).collect();
    Err(CatalogueError::InvalidName { kind, name: shown })
}

/// Refuses a description that is too long.
pub fn check_description(description: &str) -> Result<(), CatalogueError> {
    let chars = description.chars().count();
    if chars > limit::DESCRIPTION_CHARS_MAX {
        return Err(CatalogueError::DescriptionTooLong { chars: chars as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
