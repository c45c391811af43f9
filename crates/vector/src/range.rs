//! Range search: all rows within a threshold, best first, up to a number.

use crate::metric::score;
use crate::scan::{Found, Target, Wanted, scan};

/// The rows whose score is at least (inner product) or at most (any other metric) `threshold`, best first, at most
/// `max_results` of them. `threshold` is a score, as replies show it. Exact; panics like [`scan`].
pub fn range(target: &Target<'_>, query: &[f32], threshold: f32, max_results: usize) -> Found {
    let limit = score(target.metric, threshold);
    scan(target, query, Wanted { k: max_results, limit })
}

#[cfg(test)]
mod tests;
