//! Searching a view: which rows are allowed, the nearest of each segment, the nearest of all, their ids and fields.
//!
//! Ties in distance go to the record inserted first, so that the answer does not depend on how records happen to be
//! spread over segments.

use crate::engine::{self, Engine};
use crate::error::ReadError;
use crate::filtering::{self, Allowed};
use crate::request::{Hit, SearchProfile, SearchRequest};
use crate::view::View;
use lavandin_types::{FieldsRef, Metric};
use lavandin_vector::top_k::Neighbor;
use std::time::Instant;

/// What a search found, for each query in order, nearest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    pub hits: Vec<Vec<Hit>>,
    pub profile: SearchProfile,
}

/// A neighbour with the place it was found at.
#[derive(Clone, Copy)]
struct Candidate {
    distance: f32,
    ordinal: u64,
    segment: usize,
    row: u32,
}

/// Answers a search from one moment of the collection. CPU-bound; call it where that is fine.
pub fn search(view: &View, request: &SearchRequest) -> Result<SearchResult, ReadError> {
    let started = Instant::now();
    let metric = view.schema.metric();
    check_queries(view, &request.queries, metric)?;
    view.verify()?;
    let allowed = filtering::allowed(view, request.filter.as_deref())?;
    let filter_us = started.elapsed().as_micros() as u64;
    let dim = view.schema.dim as usize;
    let count = request.queries.len() / dim;
    let mut profile = SearchProfile {
        total_vectors: view.live,
        filter_matches: allowed.matches,
        filter_us,
        ..Default::default()
    };
    let searching = Instant::now();
    let mut found: Vec<Vec<Candidate>> = vec![Vec::new(); count];
    if request.k > 0 {
        for index in 0..view.segments.len() {
            let engine = Engine { view, index, allowed: allowed.rows[index].as_deref(), metric };
            let lists = engine.nearest(request, &mut profile);
            for (candidates, list) in found.iter_mut().zip(lists) {
                candidates.extend(list.iter().map(|neighbor| candidate(view, index, neighbor)));
            }
        }
    }
    profile.search_us = searching.elapsed().as_micros() as u64;
    let hits = found.into_iter().map(|candidates| best_hits(view, request, metric, candidates)).collect();
    profile.path = path(&profile, &allowed);
    profile.total_us = started.elapsed().as_micros() as u64;
    Ok(SearchResult { hits, profile })
}

/// All live records within `threshold` (a score: at least it for inner product, at most it for distances), nearest
/// first, at most `max_results`. Exact.
pub fn search_range(
    view: &View,
    query: &[f32],
    threshold: f32,
    max_results: usize,
) -> Result<Vec<Hit>, ReadError> {
    let metric = view.schema.metric();
    check_queries(view, query, metric)?;
    if query.len() != view.schema.dim as usize {
        return Err(ReadError::DimensionMismatch { expected: view.schema.dim, got: query.len() });
    }
    view.verify()?;
    let mut candidates = Vec::new();
    for (index, segment) in view.segments.iter().enumerate() {
        let limit = if metric.higher_is_better() { -threshold } else { threshold };
        let found = engine::within(segment, metric, query, limit, max_results);
        candidates.extend(found.iter().map(|neighbor| candidate(view, index, neighbor)));
    }
    sort(&mut candidates);
    candidates.truncate(max_results);
    Ok(candidates.iter().map(|candidate| hit(view, metric, candidate, false)).collect())
}

fn check_queries(view: &View, queries: &[f32], metric: Metric) -> Result<(), ReadError> {
    let dim = view.schema.dim as usize;
    if queries.is_empty() || !queries.len().is_multiple_of(dim) {
        return Err(ReadError::DimensionMismatch { expected: view.schema.dim, got: queries.len() });
    }
    for (query, numbers) in queries.chunks_exact(dim).enumerate() {
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(ReadError::NotFinite { query });
        }
        if metric == Metric::Cosine && numbers.iter().all(|number| *number == 0.0) {
            return Err(ReadError::ZeroVector { query });
        }
    }
    Ok(())
}

fn candidate(view: &View, segment: usize, neighbor: &Neighbor) -> Candidate {
    let ordinal = view.segments[segment].rows.ordinal(neighbor.row);
    Candidate { distance: neighbor.distance, ordinal, segment, row: neighbor.row }
}

fn sort(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.ordinal.cmp(&b.ordinal)));
}

fn best_hits(
    view: &View,
    request: &SearchRequest,
    metric: Metric,
    mut candidates: Vec<Candidate>,
) -> Vec<Hit> {
    sort(&mut candidates);
    candidates.truncate(request.k);
    candidates.iter().map(|candidate| hit(view, metric, candidate, request.with_fields)).collect()
}

fn hit(view: &View, metric: Metric, candidate: &Candidate, with_fields: bool) -> Hit {
    let rows = &view.segments[candidate.segment].rows;
    let fields = if with_fields {
        rows.fields(candidate.row).unwrap_or(FieldsRef::EMPTY).as_bytes().to_vec()
    } else {
        Vec::new()
    };
    // An inner product of zero is shown as 0, not as the -0 that negation makes of it.
    let score = if metric.higher_is_better() { 0.0 - candidate.distance } else { candidate.distance };
    Hit { id: rows.id(candidate.row).to_owned(), score, fields, place: candidate.ordinal }
}

/// The ways that segments were searched, each once.
fn path(profile: &SearchProfile, allowed: &Allowed) -> String {
    let filtered = if allowed.matches.is_some() { "_filtered" } else { "" };
    let mut ways: Vec<&str> = Vec::new();
    for line in &profile.explain {
        let way = if line.contains(engine::GRAPH) { "graph" } else { "flat" };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    if ways.is_empty() {
        ways.push("flat");
    }
    ways.iter().map(|way| format!("{way}{filtered}")).collect::<Vec<_>>().join("+")
}
