//! Whether a request to preprocess can be carried out, before anything is begun.

use crate::datasets::iterations::{Function, IterationOptions};
use crate::datasets::preprocess::PreprocessRequest;
use crate::datasets::preprocess::scratch::Scratch;
use crate::datasets::preview::left_join::LeftJoin;
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{DatasetInfo, JobSource, ShardsetInfo};
use lavandin_feed::location::{Location, LocationError, Scheme};
use lavandin_feed::python::Kind;
use lavandin_types::ShardsetId;
use std::fs;
use std::sync::Arc;

/// Put into a directory and removed again, to see that it can be written. No listing shows it.
const PROBE: &str = ".lavandin-probe";

impl Node {
    /// Refuses functions that are not there, parameters that they do not take, and dependencies that are missing.
    pub(super) async fn check_preprocessing(
        &self,
        context: &CallContext,
        options: &IterationOptions,
    ) -> Result<(), NodeError> {
        let (runtime, options) = (Arc::clone(&self.datasets), options.clone());
        self.blocking(context, move || check_functions(&runtime, &options)).await?
    }

    /// Refuses a location that cannot be written.
    pub(super) async fn check_target(&self, target: &Location) -> Result<(), NodeError> {
        match target.scheme() {
            Scheme::S3 => {}
            Scheme::File => self.probe(target, &Scratch::new(self.data_dir())?).await?,
            other => return Err(LocationError::ReadOnly { scheme: other.name() }.into()),
        }
        match self.datasets.stores.list(target).await {
            Ok(_) => Ok(()),
            // A bucket has no directories: what is not there yet is nothing to be kept.
            Err(LocationError::Empty { .. } | LocationError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens what is to be read, and refuses feature shardsets without a file for each of the main one.
    pub(super) async fn check_sources(
        &self,
        context: &CallContext,
        (dataset, sources): (Arc<DatasetInfo>, Vec<JobSource>),
        options: IterationOptions,
    ) -> Result<(), NodeError> {
        let runtime = Arc::clone(&self.datasets);
        let open = move || {
            LeftJoin::open_sources(&runtime, &dataset, &sources, options).and_then(|join| same_files(&join))
        };
        self.blocking(context, open).await?
    }

    async fn probe(&self, target: &Location, scratch: &Scratch) -> Result<(), NodeError> {
        let probe = target.join(PROBE)?;
        let source = scratch.file(PROBE);
        fs::write(&source, b"").map_err(|error| scratch.failed(&error))?;
        self.datasets.stores.put(&probe, &source).await?;
        if let Some(path) = probe.file_path() {
            // An empty hidden file that stays harms nobody.
            drop(fs::remove_file(path));
        }
        Ok(())
    }
}

/// Refuses functions that this node does not have, parameters that they do not take, and dependencies that are missing.
/// Blocks.
pub(super) fn check_functions(runtime: &DatasetRuntime, options: &IterationOptions) -> Result<(), NodeError> {
    let (collater, preprocessors) = (&options.collater, &options.preprocessors);
    if collater.is_none() && preprocessors.is_empty() {
        return Ok(());
    }
    let registry = runtime.python.registry();
    let known = |kind, function: &Function| registry.check(kind, &function.name, &function.params);
    collater.iter().try_for_each(|function| known(Kind::Collater, function))?;
    preprocessors.iter().try_for_each(|function| known(Kind::Preprocessor, function))?;
    let names: Vec<_> = preprocessors.iter().map(|function| function.name.as_str()).collect();
    Ok(registry.check_dependencies(&names)?)
}

/// The manifests of these shardsets, the main one's first.
pub(super) fn sources(dataset: &DatasetInfo, chosen: &[ShardsetId]) -> Result<Vec<JobSource>, NodeError> {
    let main = dataset.main_shardset_of(chosen).ok_or(NodeError::Internal("no main shardset"))?;
    let others = dataset.shardsets.iter().filter(|other| other.id != main.id && chosen.contains(&other.id));
    let source = |shardset: &ShardsetInfo| {
        let manifest = shardset.manifest?;
        Some(JobSource { shardset: shardset.id, version: manifest.version, hash: manifest.hash })
    };
    Ok(std::iter::once(main).chain(others).filter_map(source).collect())
}

/// The shardsets to read: by default all but one that lies where is written to. Unknown ids are passed over unless nothing is
/// left.
pub(super) fn chosen(
    dataset: &DatasetInfo,
    request: &PreprocessRequest,
) -> Result<Vec<ShardsetId>, NodeError> {
    let wanted = request.shardsets.as_deref().unwrap_or_default();
    let is_target = |shardset: &ShardsetInfo| is_same_place(&shardset.location, &request.location);
    let is_wanted = |shardset: &&ShardsetInfo| match wanted.is_empty() {
        true => !is_target(shardset),
        false => wanted.contains(&shardset.id.to_string()),
    };
    let chosen: Vec<&ShardsetInfo> = dataset.shardsets.iter().filter(is_wanted).collect();
    if request.overwrite && chosen.iter().any(|shardset| is_target(shardset)) {
        let text = "what is read would be written over: leave the shardset at shardset_location out of source_shardset_ids";
        return Err(NodeError::Refused(text.to_owned()));
    }
    let chosen: Vec<ShardsetId> = chosen.into_iter().map(|shardset| shardset.id).collect();
    match (chosen.is_empty(), wanted.is_empty()) {
        (false, _) => Ok(chosen),
        (true, true) => Err(NodeError::Refused("Dataset has no shardsets".to_owned())),
        (true, false) => {
            let text = format!("No shardsets found for the provided shardset ids: {}", wanted.join(", "));
            Err(NodeError::Refused(text))
        }
    }
}

/// Whether two locations are the same directory, as far as their texts tell.
pub(super) fn is_same_place(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (Location::parse(one), Location::parse(other)) else { return one == other };
    match (one.file_path(), other.file_path()) {
        // Paths are compared part by part.
        (Some(one), Some(other)) => one == other,
        _ => one.as_str().trim_end_matches('/') == other.as_str().trim_end_matches('/'),
    }
}

/// Refuses shardsets of whose files nothing is known: their columns would be missing.
pub(super) fn all_synced(dataset: &DatasetInfo, chosen: &[ShardsetId]) -> Result<(), NodeError> {
    for id in chosen {
        let shardset = dataset.shardset(*id)?;
        if shardset.manifest.is_none() {
            let text = format!(
                "shardset {id} at {} has no files yet: its last sync did not end well; sync it again, or leave it out \
                 of source_shardset_ids",
                shardset.location
            );
            return Err(NodeError::Refused(text));
        }
    }
    Ok(())
}

/// Refuses feature shardsets without a file for each of the main one.
pub(super) fn same_files(join: &LeftJoin) -> Result<(), NodeError> {
    match join.shorter().first() {
        None => Ok(()),
        Some((shardset, files)) => {
            let text = format!(
                "shardset {shardset} has {files} shard files and the main shardset {}: add the missing ones and sync it, \
                 or leave it out of source_shardset_ids",
                join.files()
            );
            Err(NodeError::Refused(text))
        }
    }
}
