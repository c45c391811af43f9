//! Accepted exceptions to the rules of tidy, each with its reason.

use super::Rule;

/// One accepted breach.
pub(super) struct Exception {
    pub(super) rule: Rule,
    pub(super) place: &'static str,
    /// Why the rule would make this place worse; for whoever reads the list.
    #[expect(dead_code, reason = "the list is its only reader")]
    pub(super) reason: &'static str,
}

pub(super) const EXCEPTIONS: &[Exception] = &[];
