//! Index definitions: into the catalogue, then into the group's log, then built by jobs.

use crate::databases::schema_of;
use crate::driver::Event;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{Command, IndexDefinition, Reply};
use lavandin_shard::{Rejection, Request};
use lavandin_types::{BuildParameters, CollectionId, IndexFamily, IndexMode, Metric, Quantizer, RequestId};
use tokio::sync::oneshot;

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
        let info = self.lookup(database, name)?;
        check_available(&mode)?;
        if mode.metric == Metric::Haversine && info.dim != 2 && info.dim != 0 {
            return Err(NodeError::haversine(info.dim));
        }
        let records = self.reader.view(info.id).map_or(0, |view| view.statistics().live);
        if mode.family != IndexFamily::Flat && records == 0 {
            return Err(NodeError::EmptyCollection(name.to_owned(), mode.family.label()));
        }
        let other = other.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let index = IndexDefinition { mode: mode.as_str().to_owned(), build: parameters, other };
        if mode.wants_graph() {
            // Sealed and merged first, so that one graph is built over all rows instead of one over each part.
            self.group.ask(context, |answer| Event::Checkpoint { answer }).await?;
            self.group.send(Event::WantMerge { collection: info.id })?;
            self.wait_for_jobs(info.id).await?;
        }
        self.set_index(context, info.id, Some(index)).await?;
        if mode.wants_graph() { self.wait_for_jobs(info.id).await } else { Ok(()) }
    }

    /// Goes back to exact scans by inner product.
    pub async fn remove_index(
        &self,
        context: &CallContext,
        database: &str,
        name: &str,
    ) -> Result<(), NodeError> {
        let id = self.lookup(database, name)?.id;
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
        self.log_schema(context, &info).await
    }

    /// Logs the catalogue's schema of a collection that the engine knows under an older one.
    async fn log_schema(
        &self,
        context: &CallContext,
        info: &lavandin_cluster::CollectionInfo,
    ) -> Result<(), NodeError> {
        let known = self.reader.view(info.id).map(|view| view.schema().version);
        let Some(schema) = schema_of(info).filter(|schema| Some(schema.version) > known) else {
            return Ok(());
        };
        let unnamed = CallContext { request_id: RequestId::NONE, ..*context };
        match self.propose(&unnamed, Request::SetSchema { collection: info.id, schema }).await {
            // Not open yet: its first write brings the schema along.
            Err(NodeError::Rejected(Rejection::UnknownCollection)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Waits until the collection's merges and graph builds are done. Bounded by the work, not by a call's deadline: the
    /// client waits for its index, and gives up by hanging up.
    async fn wait_for_jobs(&self, collection: CollectionId) -> Result<(), NodeError> {
        let (answer, complete) = oneshot::channel();
        self.group.send(Event::AwaitIndex { collection, answer })?;
        complete.await.unwrap_or(Err(NodeError::Stopping))
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
