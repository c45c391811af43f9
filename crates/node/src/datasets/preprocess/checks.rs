//! Whether a request to preprocess can be carried out, before anything is begun.

use crate::datasets::iterations::{Function, IterationOptions};
use crate::datasets::preprocess::scratch::Scratch;
use crate::datasets::preview::left_join::LeftJoin;
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::DatasetInfo;
use lavandin_feed::location::{Location, LocationError, Scheme};
use lavandin_feed::python::{Kind, PythonError};
use lavandin_types::ShardsetId;
use std::collections::HashSet;
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
        let (collater, preprocessors) = (options.collater.clone(), options.preprocessors.clone());
        if collater.is_none() && preprocessors.is_empty() {
            return Ok(());
        }
        let runtime = Arc::clone(&self.datasets);
        let check = move || {
            let registry = runtime.python.registry();
            let known = |kind, function: &Function| registry.check(kind, &function.name, &function.params);
            collater.iter().try_for_each(|function| known(Kind::Collater, function))?;
            preprocessors.iter().try_for_each(|function| known(Kind::Preprocessor, function))?;
            let names: Vec<_> = preprocessors.iter().map(|function| function.name.as_str()).collect();
            registry.check_dependencies(&names)
        };
        self.blocking(context, check).await?.map_err(|error: PythonError| error.into())
    }

    /// The files that are to stay as they are; an error if the location cannot be written.
    pub(super) async fn existing_files(
        &self,
        target: &Location,
        scratch: &Scratch,
        overwrite: bool,
    ) -> Result<HashSet<String>, NodeError> {
        match target.scheme() {
            Scheme::S3 => {}
            Scheme::File => self.probe(target, scratch).await?,
            other => return Err(LocationError::ReadOnly { scheme: other.name() }.into()),
        }
        match self.datasets.stores.list(target).await {
            Ok(_) if overwrite => Ok(HashSet::new()),
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
            // A bucket has no directories: what is not there yet is nothing to be kept.
            Err(LocationError::Empty { .. } | LocationError::NotFound { .. }) => Ok(HashSet::new()),
            Err(error) => Err(error.into()),
        }
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

/// The shardsets to read. Unknown ids are passed over unless nothing is left.
pub(super) fn chosen(dataset: &DatasetInfo, wanted: &[String]) -> Result<Vec<ShardsetId>, NodeError> {
    let known = dataset.shardsets.iter().map(|shardset| shardset.id);
    let is_wanted = |id: &ShardsetId| wanted.is_empty() || wanted.contains(&id.to_string());
    let chosen: Vec<_> = known.filter(is_wanted).collect();
    match (chosen.is_empty(), wanted.is_empty()) {
        (false, _) => Ok(chosen),
        (true, true) => Err(NodeError::Refused("Dataset has no shardsets".to_owned())),
        (true, false) => {
            let text = format!("No shardsets found for the provided shardset ids: {}", wanted.join(", "));
            Err(NodeError::Refused(text))
        }
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
