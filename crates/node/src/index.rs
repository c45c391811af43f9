//! Index definitions: into the catalogue, then into the group's log, then built by jobs.

use crate::databases::schema_of;
use crate::driver::Event;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{Command, IndexDefinition, Reply};
use lavandin_shard::Request;
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
            let text = format!("the haversine metric requires dimension 2, the collection has {}", info.dim);
            return Err(NodeError::Invalid(text));
        }
        let records = self.reader.view(info.id).map_or(0, |view| view.statistics().live);
        if mode.family != IndexFamily::Flat && records == 0 {
            return Err(NodeError::EmptyCollection(name.to_owned(), mode.family.label()));
        }
        let other = other.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        let index = IndexDefinition { mode: mode.as_str().to_owned(), build: parameters, other };
        if mode.wants_graph() {
            // Sealed and merged first, so that one graph is built over all rows instead of one over each part.
            self.ask(context, |answer| Event::Checkpoint { answer }).await?;
            self.send(Event::WantMerge { collection: info.id })?;
            self.wait_for_jobs(info.id).await?;
        }
        self.set_index(context, info.id, Some(index)).await?;
        self.wait_for_jobs(info.id).await
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
        let Some(view) = self.reader.view(info.id) else {
            // Its first write will bring the schema along.
            return Ok(());
        };
        match schema_of(info) {
            Some(schema) if schema.version > view.schema().version => {
                let unnamed = CallContext { request_id: RequestId::NONE, ..*context };
                let request = Request::SetSchema { collection: info.id, schema };
                self.propose(&unnamed, request).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Waits until the collection's merges and graph builds are done. Bounded by the work, not by a call's deadline: the
    /// client waits for its index, and gives up by hanging up.
    async fn wait_for_jobs(&self, collection: CollectionId) -> Result<(), NodeError> {
        let mut progress = self.progress.clone();
        loop {
            progress.borrow_and_update();
            let failures = self.failed_jobs();
            let (answer, complete) = oneshot::channel();
            self.send(Event::IsIndexComplete { collection, answer })?;
            if complete.await.map_err(|_| NodeError::Stopping)? {
                return Ok(());
            }
            progress.changed().await.map_err(|_| NodeError::Stopping)?;
            if self.failed_jobs() > failures {
                return Err(NodeError::Internal(
                    "building the index failed; the node's log says why, and it will be tried again",
                ));
            }
        }
    }
}

/// Brings the engine in line with the catalogue after a crash between the two: records of dropped collections go, and
/// index changes are logged.
pub(crate) async fn reconcile(node: &Node) -> Result<(), NodeError> {
    let context = CallContext::new(node.options.request_timeout);
    let catalogue = node.metadata.catalogue();
    for id in node.reader.collections() {
        match catalogue.collection_by_id(id) {
            Ok(info) => node.log_schema(&context, info).await?,
            Err(_) => node.drop_data(&context, [id]).await?,
        }
    }
    Ok(())
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
