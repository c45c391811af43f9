//! Searches and other reads: from a view, on the calling task when short, else on the pool.

use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_shard::{Hit, Record, SearchProfile, SearchRequest, SearchResult, View, Which};
use lavandin_types::RecordId;
use std::sync::Arc;

/// A search of one or more queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    /// One query after the other.
    pub queries: Vec<f32>,
    /// How many queries there are.
    pub count: usize,
    pub k: usize,
    /// A filter's text.
    pub filter: Option<String>,
    /// Beam or probe width; 0 leaves it to the index.
    pub probe: u32,
    pub with_fields: bool,
}

/// The hits of each query, nearest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchReply {
    pub results: Vec<Vec<Hit>>,
    pub profile: SearchProfile,
}

impl Node {
    /// The `k` nearest records of each query. Exact unless the collection has an HNSW index.
    pub async fn search(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        search: Search,
    ) -> Result<SearchReply, NodeError> {
        let info = self.lookup(database, name)?;
        self.check_search(&search)?;
        let Some(view) = self.reader.view(info.id) else {
            return empty(&search, info.dim);
        };
        let dim = view.schema().dim;
        if search.queries.len() != search.count * dim as usize {
            let got = search.queries.len().checked_div(search.count).unwrap_or(0);
            return Err(lavandin_shard::ReadError::DimensionMismatch { expected: dim, got }.into());
        }
        if search.count == 0 {
            return Ok(SearchReply::default());
        }
        let request = SearchRequest {
            queries: search.queries,
            k: search.k,
            filter: search.filter,
            probe: search.probe,
            with_fields: search.with_fields,
            use_graph: true,
            threads: 1,
        };
        let result = self.run_search(context, view, request, search.count).await?;
        Ok(SearchReply { results: result.hits, profile: result.profile })
    }

    /// The live records within a threshold, nearest first, at most `max_results`. Exact.
    pub async fn search_range(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        query: Vec<f32>,
        threshold: f32,
        max_results: usize,
    ) -> Result<Vec<Hit>, NodeError> {
        let info = self.lookup(database, name)?;
        let Some(view) = self.reader.view(info.id) else {
            if info.dim > 0 && query.len() != info.dim as usize {
                let (expected, got) = (info.dim, query.len());
                return Err(lavandin_shard::ReadError::DimensionMismatch { expected, got }.into());
            }
            return Ok(Vec::new());
        };
        let bytes = view.scan_bytes();
        let run = move || lavandin_shard::search_range(&view, &query, threshold, max_results);
        Ok(self.pool.run(context, bytes, run).await??)
    }

    /// Records by id, by filter, or from either end.
    pub async fn records(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        which: Which,
        with_vectors: bool,
    ) -> Result<Vec<Record>, NodeError> {
        let info = self.lookup(database, name)?;
        let Some(view) = self.reader.view(info.id) else {
            return match which {
                Which::Ids(ids) if !ids.is_empty() => {
                    Err(lavandin_shard::ReadError::UnknownId(ids[0].clone()).into())
                }
                Which::Matching(text) => Ok(lavandin_shard::check_filter(&text).map(|()| Vec::new())?),
                _ => Ok(Vec::new()),
            };
        };
        let bytes = if let Which::Ids(ids) = &which { ids.len() as u64 * 1024 } else { view.scan_bytes() };
        let run = move || lavandin_shard::records(&view, &which, with_vectors);
        Ok(self.pool.run(context, bytes, run).await??)
    }

    /// The ids of deleted records that can be restored.
    pub async fn deleted_ids(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<Vec<RecordId>, NodeError> {
        let info = self.lookup(database, name)?;
        let Some(view) = self.reader.view(info.id) else {
            return Ok(Vec::new());
        };
        let bytes = view.scan_bytes();
        self.pool.run(context, bytes, move || lavandin_shard::deleted_ids(&view)).await
    }

    /// Whether a live record has the id.
    pub async fn id_exists(
        &self,
        _context: &CallContext,
        database: &str,
        name: &str,
        id: RecordId,
    ) -> Result<bool, NodeError> {
        let info = self.lookup(database, name)?;
        Ok(self.reader.view(info.id).is_some_and(|view| lavandin_shard::contains(&view, &id)))
    }

    /// The names of all fields, in the order in which they first appeared.
    pub fn field_names(&self, database: &str, name: &str) -> Result<Vec<String>, NodeError> {
        let info = self.lookup(database, name)?;
        match self.reader.view(info.id) {
            Some(view) => Ok(lavandin_shard::field_names(&view)?),
            None => Ok(Vec::new()),
        }
    }

    fn check_search(&self, search: &Search) -> Result<(), NodeError> {
        let limits = &self.options.limits;
        if limits.top_k_max > 0 && search.k > limits.top_k_max {
            let text = format!("k {} exceeds the limit of {}", search.k, limits.top_k_max);
            return Err(NodeError::Invalid(text));
        }
        if limits.batch_vectors_max > 0 && search.count > limits.batch_vectors_max {
            let limit = limits.batch_vectors_max;
            let text = format!("{} queries in one request; the limit is {limit}, so split it", search.count);
            return Err(NodeError::Invalid(text));
        }
        Ok(())
    }

    /// Short searches in place; long ones on the pool, many queries split over its threads.
    async fn run_search(
        &self,
        context: &CallContext,
        view: Arc<View>,
        mut request: SearchRequest,
        count: usize,
    ) -> Result<SearchResult, NodeError> {
        let bytes = view.search_bytes(&request).saturating_mul(count as u64);
        let parts = self.pool.threads.min(count.div_ceil(QUERIES_PER_PART_MIN));
        if parts <= 1 {
            let spare = self.pool.take_spare(bytes);
            request.threads += spare.as_ref().map_or(0, |permit| permit.num_permits());
            let run = move || {
                let result = lavandin_shard::search(&view, &request);
                drop(spare);
                result
            };
            return Ok(self.pool.run(context, bytes, run).await??);
        }
        let dim = view.schema().dim as usize;
        let per_part = count.div_ceil(parts);
        let pieces: Vec<SearchRequest> = request
            .queries
            .chunks(per_part * dim)
            .map(|queries| SearchRequest { queries: queries.to_vec(), ..without_queries(&request) })
            .collect();
        let mut whole = SearchResult::default();
        let mut running = Vec::new();
        for piece in pieces {
            let view = Arc::clone(&view);
            let share = bytes / parts as u64;
            // Started together, so that the pool's threads run beside each other.
            running
                .push(self.pool.start(context, share, move || lavandin_shard::search(&view, &piece)).await?);
        }
        for part in running {
            let part = part.wait(context).await??;
            whole.profile.scanned_vectors += part.profile.scanned_vectors;
            let scanned = whole.profile.scanned_vectors;
            whole.profile = SearchProfile { scanned_vectors: scanned, ..part.profile };
            whole.hits.extend(part.hits);
        }
        Ok(whole)
    }
}

/// Fewer queries than this are not worth a thread of their own.
const QUERIES_PER_PART_MIN: usize = 16;

fn without_queries(request: &SearchRequest) -> SearchRequest {
    SearchRequest { queries: Vec::new(), filter: request.filter.clone(), ..*request }
}

/// The answer of a collection that nothing was ever written to. Filters are checked for form all the same.
fn empty(search: &Search, dim: u32) -> Result<SearchReply, NodeError> {
    if let Some(text) = &search.filter {
        lavandin_shard::check_filter(text)?;
    }
    if dim > 0 && search.queries.len() != search.count * dim as usize {
        let got = search.queries.len().checked_div(search.count).unwrap_or(0);
        return Err(lavandin_shard::ReadError::DimensionMismatch { expected: dim, got }.into());
    }
    let profile = SearchProfile { path: "flat".to_owned(), ..SearchProfile::default() };
    Ok(SearchReply { results: vec![Vec::new(); search.count], profile })
}
