//! Searches and other reads of collections: each group that has a part is asked, and the answers are merged.

use crate::databases::metric_of;
use crate::error::NodeError;
use crate::groups::{Group, ask_each};
use crate::node::Node;
use crate::options::CallContext;
use crate::routing::{Layout, merge};
use lavandin_cluster::CollectionInfo;
use lavandin_shard::{FieldKinds, Hit, ReadError, Record, SearchProfile, SearchResult, Which};
use lavandin_types::{CollectionId, RecordId};
use std::collections::HashMap;
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
        let info = self.lookup(database, name).await?;
        let id = info.id;
        self.check_search(&search)?;
        check_dimension(&info, &search.queries, search.count)?;
        if search.count == 0 {
            check_filter(search.filter.as_deref())?;
            return Ok(SearchReply::default());
        }
        let groups = self.groups_of(&info)?;
        let (k, count, filter) = (search.k, search.count, search.filter.clone());
        let mut parts: Vec<SearchResult> = match &groups[..] {
            [only] => only.search(context, info.id, search, None).await?.into_iter().collect(),
            _ => {
                let fields = self.filter_fields(context, (&groups, id), filter.is_some()).await?;
                let answers = ask_each(&groups, |group| {
                    let (search, fields) = (search.clone(), fields.clone());
                    async move { group.search(context, id, search, fields).await }
                });
                answers.await?.into_iter().flatten().collect()
            }
        };
        match parts.len() {
            0 => {
                // Nothing was ever written. Filters are checked for form all the same.
                check_filter(filter.as_deref())?;
                let profile = SearchProfile { path: "flat".to_owned(), ..SearchProfile::default() };
                Ok(SearchReply { results: vec![Vec::new(); count], profile })
            }
            1 => {
                let SearchResult { hits, profile } = parts.swap_remove(0);
                Ok(SearchReply { results: hits, profile })
            }
            _ => {
                let (hits, profiles): (Vec<_>, Vec<_>) =
                    parts.into_iter().map(|part| (part.hits, part.profile)).unzip();
                let results = merge::hits(metric_of(&info), k, hits);
                Ok(SearchReply { results, profile: merge::profiles(profiles) })
            }
        }
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
        let info = self.lookup(database, name).await?;
        let id = info.id;
        check_dimension(&info, &query, 1)?;
        let groups = self.groups_of(&info)?;
        let limits = (threshold, max_results);
        let answers = ask_each(&groups, |group| {
            let query = query.clone();
            async move { Ok(vec![group.search_range(context, id, query, limits).await?]) }
        });
        let merged = merge::hits(metric_of(&info), max_results, answers.await?);
        Ok(merged.into_iter().flatten().collect())
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
        let info = self.lookup(database, name).await?;
        if let Which::Ids(ids) = which {
            return self.records_by_id(context, &info, ids, with_vectors).await;
        }
        let id = info.id;
        let groups = self.groups_of(&info)?;
        let filtered = groups.len() > 1 && matches!(which, Which::Matching(_));
        let fields = self.filter_fields(context, (&groups, id), filtered).await?;
        let answers = ask_each(&groups, |group| {
            let asked = (which.clone(), fields.clone());
            async move { group.records(context, id, asked, with_vectors).await }
        });
        let mut parts: Vec<Vec<Record>> = answers.await?.into_iter().flatten().collect();
        match (parts.len(), &which) {
            (0, Which::Matching(text)) => Ok(lavandin_shard::check_filter(text).map(|()| Vec::new())?),
            (1, _) => Ok(parts.swap_remove(0)),
            _ => Ok(merge::records(&which, parts)),
        }
    }

    /// In the order asked; an unknown or deleted id is an error that names it.
    async fn records_by_id(
        &self,
        context: &CallContext,
        info: &CollectionInfo,
        ids: Vec<RecordId>,
        with_vectors: bool,
    ) -> Result<Vec<Record>, NodeError> {
        let catalogue = self.metadata.catalogue();
        let layout = Layout::of(&catalogue, info)?;
        let (id, order) = (info.id, ids.clone());
        let asked = layout.split_ids(ids).into_iter().map(|(group, ids)| {
            let group = self.group(group);
            async move {
                let unknown = ids.first().cloned();
                match (group.records(context, id, (Which::Ids(ids), None), with_vectors).await?, unknown) {
                    (Some(records), _) => Ok::<_, NodeError>(records),
                    (None, Some(id)) => Err(ReadError::UnknownId(id).into()),
                    (None, None) => Ok(Vec::new()),
                }
            }
        });
        let parts: Vec<Vec<Record>> = futures_util::future::try_join_all(asked).await?;
        if parts.len() <= 1 {
            return Ok(parts.into_iter().flatten().collect());
        }
        let found: HashMap<RecordId, Record> =
            parts.into_iter().flatten().map(|record| (record.id.clone(), record)).collect();
        Ok(order.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    /// The ids of deleted records that can be restored.
    pub async fn deleted_ids(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<Vec<RecordId>, NodeError> {
        let info = self.lookup(database, name).await?;
        let (id, groups) = (info.id, self.groups_of(&info)?);
        let answers = ask_each(&groups, |group| async move { group.deleted_ids(context, id).await });
        let mut parts = answers.await?;
        if parts.len() == 1 {
            return Ok(parts.swap_remove(0));
        }
        let mut all: Vec<RecordId> = parts.into_iter().flatten().collect();
        all.sort_unstable();
        Ok(all)
    }

    /// Whether a live record has the id.
    pub async fn id_exists(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        id: RecordId,
    ) -> Result<bool, NodeError> {
        let info = self.lookup(database, name).await?;
        let catalogue = self.metadata.catalogue();
        let owner = Layout::of(&catalogue, &info)?.owner(id.as_ref());
        self.group(owner).contains(context, info.id, id).await
    }

    /// The names of all fields, in the order in which they first appeared.
    pub async fn field_names(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<Vec<String>, NodeError> {
        let info = self.lookup(database, name).await?;
        Ok(fields_over(context, &self.groups_of(&info)?, info.id).await?.names().collect())
    }

    /// What a filter may name in each group besides what that group has itself.
    async fn filter_fields(
        &self,
        context: &CallContext,
        (groups, collection): (&[Group], CollectionId),
        filtered: bool,
    ) -> Result<Option<Arc<FieldKinds>>, NodeError> {
        Ok(match filtered {
            true => Some(Arc::new(fields_over(context, groups, collection).await?)),
            false => None,
        })
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
}

/// The fields of a collection's records in all groups: what a filter may name, whichever group a record is in.
async fn fields_over(
    context: &CallContext,
    groups: &[Group],
    collection: CollectionId,
) -> Result<FieldKinds, NodeError> {
    let answers = ask_each(groups, |group| async move { group.field_kinds(context, collection).await });
    let mut all = FieldKinds::default();
    answers.await?.iter().for_each(|kinds| all.merge(kinds));
    Ok(all)
}

/// Refuses queries of another dimension than the collection's, once that is fixed.
fn check_dimension(info: &CollectionInfo, queries: &[f32], count: usize) -> Result<(), NodeError> {
    if info.dim > 0 && queries.len() != count * info.dim as usize {
        let got = queries.len().checked_div(count).unwrap_or(0);
        return Err(ReadError::DimensionMismatch { expected: info.dim, got }.into());
    }
    Ok(())
}

fn check_filter(text: Option<&str>) -> Result<(), NodeError> {
    Ok(text.map_or(Ok(()), lavandin_shard::check_filter)?)
}
