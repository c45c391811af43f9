//! Reads of a group's copy: from a view, on the calling task when short, else on the pool.

use crate::error::NodeError;
use crate::groups::LocalGroup;
use crate::node_statistics::CollectionStatistics;
use crate::options::CallContext;
use crate::reads::Search;
use lavandin_shard::{
    FieldKinds, Hit, ReadError, Record, SearchProfile, SearchRequest, SearchResult, View, Which,
};
use lavandin_types::{CollectionId, RecordId};
use std::sync::Arc;

/// Fewer queries than this are not worth a thread of their own.
const QUERIES_PER_PART_MIN: usize = 16;

impl LocalGroup {
    /// The fields that the group's records of a collection have had.
    pub(crate) fn field_kinds(&self, collection: CollectionId) -> Result<FieldKinds, NodeError> {
        let Some(view) = self.shard.view(collection) else { return Ok(FieldKinds::default()) };
        Ok(lavandin_shard::field_kinds(&view)?)
    }

    fn view(&self, collection: CollectionId, fields: Option<Arc<FieldKinds>>) -> Option<Arc<View>> {
        let view = self.shard.view(collection)?;
        Some(fields.map_or_else(|| Arc::clone(&view), |fields| Arc::new(view.knowing(fields))))
    }

    /// `None` where the group has nothing of the collection. A filter may name `fields` besides the group's own.
    pub(crate) async fn search(
        &self,
        context: &CallContext,
        collection: CollectionId,
        search: Search,
        fields: Option<Arc<FieldKinds>>,
    ) -> Result<Option<SearchResult>, NodeError> {
        let Some(view) = self.view(collection, fields) else { return Ok(None) };
        let (count, dim) = (search.count.max(1), view.schema().dim);
        if search.queries.len() != count * dim as usize {
            let got = search.queries.len() / count;
            return Err(ReadError::DimensionMismatch { expected: dim, got }.into());
        }
        let request = SearchRequest {
            queries: search.queries,
            // More are not there, and the engine takes the word for it.
            k: search.k.min(usize::try_from(view.statistics().live.max(1)).unwrap_or(usize::MAX)),
            filter: search.filter,
            probe: search.probe,
            with_fields: search.with_fields,
            use_graph: true,
            threads: 1,
        };
        self.run_search(context, view, request, count).await.map(Some)
    }

    pub(crate) async fn search_range(
        &self,
        context: &CallContext,
        collection: CollectionId,
        query: Vec<f32>,
        (threshold, max_results): (f32, usize),
    ) -> Result<Vec<Hit>, NodeError> {
        let Some(view) = self.shard.view(collection) else { return Ok(Vec::new()) };
        let bytes = view.scan_bytes();
        let run = move || lavandin_shard::search_range(&view, &query, threshold, max_results);
        Ok(self.pool.run(context, bytes, run).await??)
    }

    /// `None` where the group has nothing of the collection.
    pub(crate) async fn records(
        &self,
        context: &CallContext,
        collection: CollectionId,
        (which, fields): (Which, Option<Arc<FieldKinds>>),
        with_vectors: bool,
    ) -> Result<Option<Vec<Record>>, NodeError> {
        let Some(view) = self.view(collection, fields) else { return Ok(None) };
        let bytes = if let Which::Ids(ids) = &which { ids.len() as u64 * 1024 } else { view.scan_bytes() };
        let run = move || lavandin_shard::records(&view, &which, with_vectors);
        Ok(Some(self.pool.run(context, bytes, run).await??))
    }

    pub(crate) async fn deleted_ids(
        &self,
        context: &CallContext,
        collection: CollectionId,
    ) -> Result<Vec<RecordId>, NodeError> {
        let Some(view) = self.shard.view(collection) else { return Ok(Vec::new()) };
        let bytes = view.scan_bytes();
        self.pool.run(context, bytes, move || lavandin_shard::deleted_ids(&view)).await
    }

    pub(crate) fn contains(&self, collection: CollectionId, id: &RecordId) -> bool {
        self.shard.view(collection).is_some_and(|view| lavandin_shard::contains(&view, id))
    }

    pub(crate) fn collection_statistics(&self, collection: CollectionId) -> CollectionStatistics {
        let Some(view) = self.shard.view(collection) else { return CollectionStatistics::default() };
        let all = view.statistics();
        CollectionStatistics {
            rows: all.live + all.deleted,
            live: all.live,
            deleted: all.deleted,
            max_int_id: all.max_int,
            has_string_ids: all.has_strings,
            ever_written: all.ever_written,
            dim: all.dim,
            indexed_rows: all.indexed_rows,
            segments: all.segments,
            bytes: all.bytes,
        }
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

fn without_queries(request: &SearchRequest) -> SearchRequest {
    SearchRequest { queries: Vec::new(), filter: request.filter.clone(), ..*request }
}
