//! Iterations: what is asked for, checked and written down; progress, completion, pushback.

use crate::datasets::manifests::{Named, Pins};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::steps::{ShareOptions, fixed_shares};
use crate::datasets::{random, unix_ms};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{DatasetInfo, ShardsetInfo};
use lavandin_feed::python::Kind;
use lavandin_plan::iterations::{
    self, Create, Definition, FixedShares, Join, Outcome, Outline, Progress, Request, ShardsetVersion,
};
use lavandin_plan::{LavenderShuffle, Order, ShardRows};
use lavandin_types::{DatasetId, IterationId, ShardsetId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Indices that one call may complete.
const COMPLETE_MAX: usize = 1 << 20;

/// A filter, categorizer, collater or preprocessor with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub name: String,
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// How the published client asks for a shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShuffleOptions {
    pub seed: u32,
    pub block_shards: u32,
}

/// Which sample comes when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    /// As the shuffle says.
    #[default]
    Lavender,
    Sequential,
    Windowed {
        seed: u64,
        epoch: u64,
        window_shards: u32,
    },
    Global {
        seed: u64,
        epoch: u64,
    },
}

/// What an iteration is made of, besides its dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IterationOptions {
    pub filters: Vec<Function>,
    pub categorizer: Option<Function>,
    pub collater: Option<Function>,
    pub preprocessors: Vec<Function>,
    pub order: OrderKind,
    pub shuffle: Option<ShuffleOptions>,
    /// 0 for single samples.
    pub batch_size: u32,
    pub drop_last: bool,
    pub replication_groups: Option<Vec<Vec<u32>>>,
    /// `None` if ranks take blocks as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<ShareOptions>,
}

impl IterationOptions {
    /// Whether samples are left out or sorted, so that a batch is not what a rank gets at a step.
    pub(crate) fn selects(&self) -> bool {
        !self.filters.is_empty() || self.categorizer.is_some()
    }
}

/// A wish for an iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct IterationRequest {
    pub dataset: String,
    /// Ids; empty for all.
    pub shardsets: Vec<String>,
    pub options: IterationOptions,
    pub rank: u32,
    pub world_size: Option<u32>,
    /// For how long others may join it.
    pub threshold_ms: u64,
}

/// An iteration as callers see it.
#[derive(Clone, Debug)]
pub struct IterationInfo {
    pub id: IterationId,
    pub dataset: DatasetId,
    /// Samples of the main shardset.
    pub total: u64,
    pub created_ms: u64,
    pub options: IterationOptions,
    /// The main one first.
    pub shardsets: Vec<ShardsetId>,
}

/// How far an iteration is.
#[derive(Clone, Debug)]
pub struct IterationProgress {
    pub total: u64,
    pub current: u64,
    pub in_progress: Vec<iterations::InProgress>,
    pub completed: u64,
    pub filtered: u64,
    pub failed: u64,
}

/// What the definition keeps besides its own fields, as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) options: IterationOptions,
    pub(crate) world_size: Option<u32>,
}

impl Node {
    /// All iterations, or those of a dataset; newest first.
    pub async fn iterations(
        &self,
        context: &CallContext,
        dataset: Option<DatasetId>,
    ) -> Result<Vec<IterationInfo>, NodeError> {
        let groups = &self.datasets.iterations;
        let infos = match dataset {
            None => groups.list_all(context).await?,
            Some(id) => match self.dataset(id).await {
                Ok(info) => groups.list(context, info.group, dataset).await?,
                // An unknown dataset has none.
                Err(NodeError::Catalogue(_) | NodeError::DatasetNotFound) => Vec::new(),
                Err(error) => return Err(error),
            },
        };
        Ok(infos.iter().map(described).collect())
    }

    pub async fn iteration(
        &self,
        context: &CallContext,
        id: IterationId,
    ) -> Result<IterationInfo, NodeError> {
        self.datasets.iterations.info(context, id).await.as_ref().map(described).map_err(Clone::clone)
    }

    /// How many iterations the groups have that this node leads.
    pub fn iterations_led(&self) -> usize {
        let led = self.groups.all().into_iter().filter(|group| group.check_primary().is_ok());
        led.map(|group| group.iterations.list(None).len()).sum()
    }

    pub async fn progress(
        &self,
        context: &CallContext,
        id: IterationId,
    ) -> Result<IterationProgress, NodeError> {
        let progress = self.datasets.iterations.progress(context, id).await?;
        let Progress { total, current, completed, filtered, failed, listed, .. } = progress;
        Ok(IterationProgress { total, current, in_progress: listed, completed, filtered, failed })
    }

    /// Samples are done; durable on return. Those that nobody has in progress are passed over.
    pub async fn complete(
        &self,
        context: &CallContext,
        iteration: IterationId,
        indices: Vec<u64>,
    ) -> Result<(), NodeError> {
        if indices.len() > COMPLETE_MAX {
            let text = format!("{} indices in one call; the limit is {COMPLETE_MAX}", indices.len());
            return Err(NodeError::Refused(text));
        }
        self.change_iteration(context, iteration, Request::Complete { iteration, indices }).await
    }

    async fn change_iteration(
        &self,
        context: &CallContext,
        iteration: IterationId,
        request: Request,
    ) -> Result<(), NodeError> {
        let groups = &self.datasets.iterations;
        let home = groups.home(context, iteration).await?;
        groups.propose(context, home, request).await.map(drop)
    }

    /// What is in progress will be handed out again, in the old order; durable on return.
    pub async fn pushback(&self, context: &CallContext, iteration: IterationId) -> Result<(), NodeError> {
        self.change_iteration(context, iteration, Request::Pushback { iteration }).await?;
        self.datasets.restart_sessions(iteration);
        Ok(())
    }

    /// Begins an iteration, or joins one of the same configuration; durable on return.
    pub async fn create_iteration(
        &self,
        context: &CallContext,
        request: IterationRequest,
    ) -> Result<IterationInfo, NodeError> {
        self.check_functions(context, &request.options).await?;
        let id: DatasetId = request.dataset.parse().map_err(|_| NodeError::DatasetNotFound)?;
        let dataset = self.dataset(id).await?;
        let chosen = chosen(&dataset, &request.shardsets)?;
        self.await_syncs(context, &chosen).await?;
        let (dataset, pins) = self.pinned_dataset(context, id, &chosen)?;
        if dataset.uid_column().is_none() {
            let text = format!(
                "uid column \"{}\" not found in dataset \"{}\"",
                dataset.uid_column_name, dataset.name
            );
            return Err(NodeError::Refused(text));
        }
        let shardsets = main_first(&dataset, &chosen)?;
        let rows = self.preflight(context, &shardsets).await?;
        let order = order_of(&request.options);
        order.check(&rows).map_err(|error| NodeError::Refused(error.to_string()))?;
        let manifest = shardsets.first().and_then(|main| main.manifest).map_or(0, |manifest| manifest.hash);
        let shares = fixed_shares(&request, order, (&rows, manifest))?;
        let definition = definition(&dataset, &shardsets, (order, shares), &request)?;
        let now_ms = unix_ms();
        let create = Create {
            id: IterationId::new(now_ms, random()?),
            dataset: dataset.id,
            definition,
            rows,
            join: Join {
                rank: request.rank,
                world_size: request.world_size,
                threshold_ms: request.threshold_ms,
            },
            now_ms,
        };
        let groups = &self.datasets.iterations;
        match groups.propose(context, dataset.group, Request::Create(Box::new(create))).await {
            Ok(Outcome::Iteration { id, .. }) => {
                groups.note_home(id, dataset.group);
                self.iteration(context, id).await
            }
            Ok(Outcome::Count(_)) => Err(NodeError::Internal("the group answered another request")),
            Err(error) => {
                if matches!(error, NodeError::OutcomeUnknown { .. } | NodeError::Deadline(_)) {
                    // It may be created yet: what it names stays until the next start.
                    std::mem::forget(pins);
                }
                Err(error)
            }
        }
    }

    /// A dataset with manifests that stay while the pins are held.
    pub(crate) fn pinned_dataset(
        &self,
        context: &CallContext,
        id: DatasetId,
        chosen: &[ShardsetId],
    ) -> Result<(Arc<DatasetInfo>, Pins), NodeError> {
        let named = |dataset: &DatasetInfo| -> Vec<Named> {
            let of_chosen = dataset.shardsets.iter().filter(|shardset| chosen.contains(&shardset.id));
            of_chosen.filter_map(|one| one.manifest.map(|now| (one.id, now.version, now.hash))).collect()
        };
        loop {
            context.check()?;
            let dataset = self.known_dataset(id)?;
            let manifests = named(&dataset);
            let pins = self.datasets.manifests.pin(manifests.clone());
            let dataset = self.known_dataset(id)?;
            // Else a sync came between, which may have begun to remove what it replaced.
            if named(&dataset) == manifests {
                return Ok((dataset, pins));
            }
        }
    }

    /// Refuses functions that are not there, and parameters that they do not take.
    async fn check_functions(
        &self,
        context: &CallContext,
        options: &IterationOptions,
    ) -> Result<(), NodeError> {
        let mut used: Vec<(Kind, Function)> = Vec::new();
        used.extend(options.filters.iter().cloned().map(|found| (Kind::Filter, found)));
        used.extend(options.categorizer.iter().cloned().map(|found| (Kind::Categorizer, found)));
        used.extend(options.collater.iter().cloned().map(|found| (Kind::Collater, found)));
        used.extend(options.preprocessors.iter().cloned().map(|found| (Kind::Preprocessor, found)));
        if used.is_empty() {
            return Ok(());
        }
        let runtime = Arc::clone(&self.datasets);
        let preprocessors: Vec<String> =
            options.preprocessors.iter().map(|function| function.name.clone()).collect();
        let check = move || {
            let registry = runtime.python.registry();
            for (kind, function) in &used {
                registry.check(*kind, &function.name, &function.params)?;
            }
            registry.check_dependencies(&preprocessors.iter().map(String::as_str).collect::<Vec<_>>())
        };
        Ok(self.blocking(context, check).await??)
    }
}

impl DatasetRuntime {
    /// What an iteration was asked for with.
    pub(crate) fn options(&self, outline: &Outline) -> IterationOptions {
        Self::settings(&outline.definition).options
    }

    /// The settings of an iteration.
    pub(crate) fn settings(definition: &Definition) -> Settings {
        let text = definition.settings.as_deref().unwrap_or("{}");
        // Written by `definition`; a later version's would be read as far as it is known.
        serde_json::from_str(text).unwrap_or_default()
    }
}

fn described(info: &iterations::IterationInfo) -> IterationInfo {
    IterationInfo {
        id: info.id,
        dataset: info.dataset,
        total: info.total,
        created_ms: info.created_ms,
        options: DatasetRuntime::settings(&info.definition).options,
        shardsets: info.definition.shardsets.iter().map(|used| used.shardset).collect(),
    }
}

/// The shardsets that an iteration reads. Unknown ids are passed over unless nothing is left.
fn chosen(dataset: &DatasetInfo, wanted: &[String]) -> Result<Vec<ShardsetId>, NodeError> {
    let known = dataset.shardsets.iter().map(|shardset| shardset.id);
    if wanted.is_empty() {
        let all: Vec<_> = known.collect();
        if all.is_empty() {
            let text = "No shardsets found for the dataset. Please create a shardset first.";
            return Err(NodeError::Refused(text.to_owned()));
        }
        return Ok(all);
    }
    let chosen: Vec<_> = known.filter(|id| wanted.contains(&id.to_string())).collect();
    if chosen.is_empty() {
        let text = format!("No shardsets found for the provided shardset ids: {}", wanted.join(", "));
        return Err(NodeError::Refused(text));
    }
    Ok(chosen)
}

/// The main shardset, then the others in the order of their creation. All of them must have been synced.
fn main_first<'a>(
    dataset: &'a DatasetInfo,
    chosen: &[ShardsetId],
) -> Result<Vec<&'a ShardsetInfo>, NodeError> {
    let main = dataset.main_shardset_of(chosen).map(|shardset| shardset.id);
    let mut shardsets = Vec::new();
    for id in main.into_iter().chain(chosen.iter().copied().filter(|id| Some(*id) != main)) {
        let shardset = dataset.shardset(id)?;
        if shardset.manifest.is_none() {
            let text = format!(
                "shardset {id} at {} has no files yet: its last sync did not end well (GET its sync status), so sync \
                 it again",
                shardset.location
            );
            return Err(NodeError::Refused(text));
        }
        shardsets.push(shardset);
    }
    Ok(shardsets)
}

fn order_of(options: &IterationOptions) -> Order {
    match options.order {
        OrderKind::Lavender => Order::Lavender {
            shuffle: options
                .shuffle
                .map(|shuffle| LavenderShuffle { seed: shuffle.seed, block_shards: shuffle.block_shards }),
        },
        OrderKind::Sequential => Order::Sequential,
        OrderKind::Windowed { seed, epoch, window_shards } => Order::Windowed { seed, epoch, window_shards },
        OrderKind::Global { seed, epoch } => Order::Global { seed, epoch },
    }
}

fn definition(
    dataset: &DatasetInfo,
    shardsets: &[&ShardsetInfo],
    (order, shares): (Order, Option<FixedShares>),
    request: &IterationRequest,
) -> Result<Definition, NodeError> {
    let options = &request.options;
    let not_json = |_| NodeError::Internal("an iteration's options cannot be written down");
    let shardsets: Vec<_> = shardsets
        .iter()
        .filter_map(|shardset| {
            let manifest = shardset.manifest?;
            Some(ShardsetVersion {
                shardset: shardset.id,
                manifest_version: manifest.version,
                manifest_hash: manifest.hash,
            })
        })
        .collect();
    let settings = Settings { options: options.clone(), world_size: request.world_size };
    // Everything that two ranks of one job have in common; another version of a shardset is another iteration.
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(options).map_err(not_json)?);
    hash.update(dataset.id.to_bytes());
    for used in &shardsets {
        hash.update(used.shardset.to_bytes());
        hash.update(used.manifest_hash.to_le_bytes());
    }
    if let Some(shares) = shares {
        hash.update(shares.lanes.get().to_le_bytes());
    }
    let text = |functions: &[Function]| serde_json::to_string(functions).map_err(not_json);
    let one = |function: &Option<Function>| {
        function.as_ref().map(serde_json::to_string).transpose().map_err(not_json)
    };
    Ok(Definition {
        config_hash: hash.finalize().into(),
        shardsets,
        batch_size: options.batch_size,
        drop_last: options.drop_last,
        order,
        replication_groups: options.replication_groups.clone(),
        shares,
        filters: Some(text(&options.filters)?),
        categorizer: one(&options.categorizer)?,
        collater: one(&options.collater)?,
        preprocessors: Some(text(&options.preprocessors)?),
        settings: Some(serde_json::to_string(&settings).map_err(not_json)?),
    })
}

/// Rows per file.
pub(crate) fn rows_of(rows: impl Iterator<Item = u32>) -> ShardRows {
    ShardRows::new(rows.collect())
}
