//! One answer from the answers of a collection's groups. Pure.
//!
//! Records and hits carry their place in the collection's order of insertion, which all its groups share; so what is
//! merged here is what one group would have answered.

use lavandin_shard::{Hit, Outcome, Record, SearchProfile, Which};
use lavandin_types::Metric;
use std::cmp::Ordering;

/// The hits of each query, nearest first, at most `k`.
pub(crate) fn hits(metric: Metric, k: usize, groups: Vec<Vec<Vec<Hit>>>) -> Vec<Vec<Hit>> {
    let count = groups.iter().map(Vec::len).max().unwrap_or(0);
    let mut queries: Vec<Vec<Hit>> = vec![Vec::new(); count];
    for group in groups {
        for (query, hits) in queries.iter_mut().zip(group) {
            query.extend(hits);
        }
    }
    for hits in &mut queries {
        hits.sort_by(|a, b| nearer(metric, a, b));
        hits.truncate(k);
    }
    queries
}

fn nearer(metric: Metric, a: &Hit, b: &Hit) -> Ordering {
    let by_score = match metric.higher_is_better() {
        true => b.score.total_cmp(&a.score),
        false => a.score.total_cmp(&b.score),
    };
    by_score.then(a.place.cmp(&b.place)).then_with(|| a.id.cmp(&b.id))
}

/// How a search over several groups was answered: sums, and the longest of the times, since they run beside each other.
pub(crate) fn profiles(parts: impl IntoIterator<Item = SearchProfile>) -> SearchProfile {
    let mut all = SearchProfile::default();
    let mut ways: Vec<String> = Vec::new();
    for part in parts {
        all.total_vectors += part.total_vectors;
        all.scanned_vectors += part.scanned_vectors;
        all.filter_matches = match (all.filter_matches, part.filter_matches) {
            (None, other) | (other, None) => other,
            (Some(a), Some(b)) => Some(a + b),
        };
        all.filter_us = all.filter_us.max(part.filter_us);
        all.search_us = all.search_us.max(part.search_us);
        all.rerank_us = all.rerank_us.max(part.rerank_us);
        all.total_us = all.total_us.max(part.total_us);
        all.explain.extend(part.explain);
        for way in part.path.split('+').filter(|way| !way.is_empty()) {
            if !ways.iter().any(|known| known == way) {
                ways.push(way.to_owned());
            }
        }
    }
    all.path = ways.join("+");
    all
}

/// Records in the order of insertion, cut to what was asked for. Those asked for by id come back in the order asked,
/// which the caller restores: it knows who has which.
pub(crate) fn records(which: &Which, groups: Vec<Vec<Record>>) -> Vec<Record> {
    let mut all: Vec<Record> = groups.into_iter().flatten().collect();
    all.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.id.cmp(&b.id)));
    match which {
        Which::First(count) => all.truncate(*count),
        Which::Last(count) => drop(all.drain(..all.len().saturating_sub(*count))),
        Which::All | Which::Ids(_) | Which::Matching(_) => {}
    }
    all
}

/// What a change did in all.
pub(crate) fn outcomes(parts: impl IntoIterator<Item = Outcome>) -> Outcome {
    Outcome::Count(parts.into_iter().map(|part| part.count()).sum())
}

#[cfg(test)]
mod tests;
