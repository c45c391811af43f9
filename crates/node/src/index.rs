//! Index definitions: into the catalogue, then into the group's log, then built by jobs.

use crate::error::NodeError;
use crate::groups::ask_each;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{Command, IndexDefinition, Reply};
use lavandin_types::{BuildParameters, CollectionId, IndexFamily, IndexMode, Metric, Quantizer};

impl Node {
    /// Sets the collection's index and returns once every record written before is served by it. Searches and
    /// writes go on meanwhile. Asking again for what is there returns as soon as it is built.
    pub async fn build_index(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
        mode: IndexMode,
        parameters: BuildParameters,
        other: Vec<(String, u64)>,
    ) -> Result<(), NodeError> {
        let info = self.lookup(database, name).await?;
        check_available(&mode)?;
        if mode.metric == Metric::Haversine && info.dim != 2 && info.dim != 0 {
            return Err(NodeError::haversine(info.dim));
        }
        let (id, groups) = (info.id, self.groups_of(&info)?);
        let parts = ask_each(&groups, |group| async move { group.collection_statistics(context, id).await });
        let records: u64 = parts.await?.iter().map(|part| part.live).sum();
        if mode.family != IndexFamily::Flat && records == 0 {
            return Err(NodeError::EmptyCollection(name.to_owned(), mode.family.label()));
        }
        let other = other.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let index = IndexDefinition { mode: mode.as_str().to_owned(), build: parameters, other };
        if mode.wants_graph() {
            // Sealed and merged first, so that one graph is built over all rows instead of one over each part.
            ask_each(&groups, |group| async move { group.merge_all(context, id).await }).await?;
        }
        self.set_index(context, info.id, Some(index)).await?;
        if mode.wants_graph() {
            ask_each(&groups, |group| async move { group.wait_for_jobs(context, id).await }).await?;
        }
        Ok(())
    }

    /// Goes back to exact scans by inner product.
    pub async fn remove_index(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<(), NodeError> {
        let id = self.lookup(database, name).await?.id;
        self.set_index(context, id, None).await
    }

    async fn set_index(
        &self,
        context: &CallContext,
        collection: CollectionId,
        index: Option<IndexDefinition>,
    ) -> Result<(), NodeError> {
        let info = match self.command(context, Command::SetIndex { collection, index }).await? {
            Reply::Updated { info, .. } => info,
            _ => return Err(NodeError::Internal("the catalogue answered another command")),
        };
        let groups = self.groups_of(&info)?;
        ask_each(&groups, |group| async move { group.log_schema(context, collection).await }).await.map(drop)
    }
}

/// Refuses modes that exist in the API and not here yet.
fn check_available(mode: &IndexMode) -> Result<(), NodeError> {
    let family = match mode.family {
        IndexFamily::Flat | IndexFamily::Hnsw => None,
        IndexFamily::Ivf | IndexFamily::Spann | IndexFamily::DiskAnn => Some(mode.family.label()),
    };
    let quantizer = match mode.quantizer {
        Quantizer::None | Quantizer::Sq8 => None,
        Quantizer::Pq => Some("PQ"),
        Quantizer::RaBitQ => Some("RABITQ"),
        Quantizer::PolarVec => Some("POLARVEC"),
    };
    match family.or(quantizer) {
        Some(missing) => Err(NodeError::NotImplemented(format!("index mode {} ({missing})", mode.as_str()))),
        None => Ok(()),
    }
}
