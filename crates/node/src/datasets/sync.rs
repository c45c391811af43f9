//! Finding the shard files of a shardset, reading what is new or changed, and writing the manifest of what is there.
//!
//! A cluster's syncs run on the node that does its chores (`chores`).
//!
//! 1. List the directory, on all nodes (`listings`); files of unknown formats are passed over.
//! 2. Inspect each file that is not known at its present version (with `overwrite`: each file), several at a time on all nodes
//!    that have it (`inspection`): rows, chunks, columns, statistics, uids, fingerprint. The first file settles the columns' types where none were
//!    declared. What was inspected is kept, so that a sync that was cut short goes on where it was.
//! 3. Write the manifest, here and on the members of the dataset's group (`manifest_keeper`), and make the catalogue name
//!    it: a compare-and-set, so that of two syncs one wins.
//!
//! A file that cannot be read fails the sync with a sentence that names it, and nothing changes.

use crate::datasets::catalogue::{ColumnSpec, NewShardsetRequest};
use crate::datasets::inspection::{Inspected, InspectedFiles, Reading};
use crate::datasets::listings::{Found, Listing};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::tasks::{Progress, RunningTask};
use crate::datasets::{random, unix_ms};
use crate::error::NodeError;
use crate::node::Node;
use crate::options::CallContext;
use lavandin_cluster::{DatasetInfo, ManifestChange, ShardsetInfo};
use lavandin_feed::format;
use lavandin_feed::inspect::InspectOptions;
use lavandin_feed::location::{Fingerprint, Location, Version};
use lavandin_feed::manifest::{Manifest, ShardFile};
use lavandin_feed::statistics::StatisticsKind;
use lavandin_plan::ShardRows;
use lavandin_types::{DatasetId, ShardFileId, ShardsetId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long the catalogue's part of a sync may take.
const CATALOGUE_TIMEOUT: Duration = Duration::from_secs(60);

impl Node {
    /// Adds a shardset and begins its first sync. Without columns they are taken from the first file, which must then
    /// be there.
    pub async fn create_shardset(
        &self,
        context: &CallContext,
        dataset: DatasetId,
        request: NewShardsetRequest,
    ) -> Result<(Arc<DatasetInfo>, ShardsetId), NodeError> {
        let info = self.dataset(dataset).await?;
        let mut names: Vec<&String> = request.columns.iter().map(|column| &column.name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(NodeError::Refused("column names must be unique".to_owned()));
        }
        let location = Location::parse(&request.location).map_err(|error| no_shards(&error.to_string()))?;
        let found = match self.datasets.list_shards(&location, |_| None).await {
            Ok(listing) => listing.files,
            // A place for files to come.
            Err(_) if !request.columns.is_empty() => Vec::new(),
            Err(error) => return Err(no_shards(&error.to_string())),
        };
        if found.is_empty() && request.columns.is_empty() {
            return Err(no_shards(
                "none of its files has the name of a shard file: .parquet, .csv, .jsonl, .arrow, .tar",
            ));
        }
        let has_files = !found.is_empty();
        let columns = if request.columns.is_empty() {
            self.columns_of_first(context, &info, found).await?
        } else {
            request.columns
        };
        let (info, shardset) = self.add_shardset(context, dataset, &request.location, columns).await?;
        if has_files {
            self.sync_shardset(context, (dataset, shardset), true).await?;
        }
        Ok((info, shardset))
    }

    async fn columns_of_first(
        &self,
        context: &CallContext,
        dataset: &DatasetInfo,
        found: Vec<Found>,
    ) -> Result<Vec<ColumnSpec>, NodeError> {
        let runtime = Arc::clone(&self.datasets);
        let uid = dataset.uid_column_name.clone();
        let columns = self
            .blocking(context, move || {
                let first = found.first().ok_or(NodeError::Internal("no first file"))?;
                let options = InspectOptions { uid_column: Some(&uid), ..InspectOptions::default() };
                let unreadable =
                    |error: NodeError| NodeError::Refused(format!("Failed to inspect shard: {error}"));
                Ok::<_, NodeError>(runtime.inspect(first, &options).map_err(unreadable)?.inspection.columns)
            })
            .await??;
        let spec = |column: format::ColumnSpec| ColumnSpec {
            name: column.name,
            column_type: column.type_text,
            description: None,
        };
        Ok(columns.into_iter().map(spec).collect())
    }

    /// Begins to sync a shardset here; refused while it is being synced.
    pub(crate) fn start_sync(
        &self,
        (dataset, shardset): (DatasetId, ShardsetId),
        overwrite: bool,
    ) -> Result<(), NodeError> {
        self.known_dataset(dataset)?.shardset(shardset)?;
        let Some(task) = self.datasets.tasks.start(&task_name(shardset), "list") else {
            let text = "Shardset is already being synced. Please wait for the sync to complete.";
            return Err(NodeError::Refused(text.to_owned()));
        };
        let node = self.arc().ok_or(NodeError::Stopping)?;
        self.datasets.handle.spawn(async move { node.run_sync(task, (dataset, shardset), overwrite).await });
        Ok(())
    }

    async fn run_sync(
        self: Arc<Self>,
        task: RunningTask,
        (dataset, shardset): (DatasetId, ShardsetId),
        overwrite: bool,
    ) {
        let progress = task.progress();
        let outcome = self.sync(&progress, (dataset, shardset), overwrite).await;
        if let Err(error) = &outcome {
            tracing::warn!(event = "sync_failed", %shardset, %error, "a shardset could not be synced");
        }
        task.end(outcome.map_err(|error| error.to_string()));
    }

    async fn sync(
        &self,
        progress: &Arc<Progress>,
        (dataset, shardset): (DatasetId, ShardsetId),
        overwrite: bool,
    ) -> Result<(), NodeError> {
        let info = self.known_dataset(dataset)?;
        let known = info.shardset(shardset)?.clone();
        let old = match self.manifest(&info, shardset).await {
            // It is written anew.
            Err(_) if overwrite => None,
            old => old?,
        };
        let found = self.found(&known, old.as_deref()).await?;
        let (runtime, job_progress) = (Arc::clone(&self.datasets), Arc::clone(progress));
        let job_info = Arc::clone(&info);
        let job = tokio::task::spawn_blocking(move || {
            runtime.manifest_of(&job_progress, &job_info, &known, found, overwrite)
        });
        let made = job.await.map_err(|_| NodeError::Internal("a sync panicked"))??;
        let Some(Synced { manifest, reference, replaces }) = made else { return Ok(()) };
        let context = CallContext::new(CATALOGUE_TIMEOUT);
        let columns = manifest.columns.iter().map(|column| ColumnSpec {
            name: column.name.clone(),
            column_type: column.type_text.clone(),
            description: None,
        });
        self.add_columns(&context, (dataset, shardset), columns.collect()).await?;
        let change = ManifestChange { dataset, shardset, manifest: reference, expected: replaces };
        self.spread_manifest(info.group, shardset, reference).await?;
        self.set_manifest(&CallContext::new(CATALOGUE_TIMEOUT), change).await?;
        self.datasets.previews.forget(dataset);
        self.sweep_if_alone().await;
        Ok(())
    }

    /// The files of a shardset. What an earlier sync found, and nobody lists who could be asked, may be on a node that could
    /// not.
    async fn found(&self, shardset: &ShardsetInfo, old: Option<&Manifest>) -> Result<Vec<Found>, NodeError> {
        let versions: HashMap<&str, Version> = match old {
            Some(old) => {
                let known = old.files.iter();
                known.filter_map(|file| Some((file.name.as_str(), Identity::parse(file)?.version))).collect()
            }
            None => HashMap::new(),
        };
        let directory = Location::parse(&shardset.location)?;
        let Listing { files, silent } =
            self.datasets.list_shards(&directory, |name| versions.get(name).cloned()).await?;
        if let (false, Some(old)) = (silent.is_empty(), old) {
            let listed: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
            if let Some(file) = old.files.iter().find(|file| !listed.contains(file.name.as_str())) {
                let text = format!(
                    "shard file {} is on no node that could be asked, and may be on another ({}): sync again when it is back",
                    file.location,
                    silent.join("; ")
                );
                return Err(NodeError::Unavailable(text));
            }
        }
        Ok(files)
    }
}

/// A location that gives no columns, and why.
fn no_shards(reason: &str) -> NodeError {
    let text = "No shards found in location. Please either specify columns or provide a valid location with at least \
                one shard.";
    NodeError::Refused(format!("{text} ({reason})"))
}

/// What a sync came to.
struct Synced {
    manifest: Manifest,
    reference: lavandin_cluster::ManifestRef,
    replaces: u64,
}

pub(crate) fn task_name(shardset: ShardsetId) -> String {
    format!("sync-{shardset}")
}

impl DatasetRuntime {
    /// The manifest of what was found, stored; `None` if nothing has changed. Blocks.
    fn manifest_of(
        &self,
        progress: &Progress,
        dataset: &DatasetInfo,
        shardset: &ShardsetInfo,
        found: Vec<Found>,
        overwrite: bool,
    ) -> Result<Option<Synced>, NodeError> {
        let old = shardset.manifest.map(|old| self.manifests.load(shardset.id, old.version, old.hash));
        let old = match old.transpose() {
            Err(_) if overwrite => None,
            old => old?,
        };
        let known: HashMap<&str, &ShardFile> = match &old {
            Some(old) => old.files.iter().map(|file| (file.name.as_str(), file)).collect(),
            None => HashMap::new(),
        };
        let mut files: Vec<Option<ShardFile>> = Vec::with_capacity(found.len());
        for (index, found) in found.iter().enumerate() {
            let file = known.get(found.name.as_str()).filter(|file| {
                !overwrite && Identity::parse(file).is_some_and(|known| known.version == found.version)
            });
            files.push(file.map(|file| ShardFile { index: index as u32, ..ShardFile::clone(file) }));
        }
        let is_same = files.iter().all(Option::is_some)
            && old.as_ref().is_some_and(|old| old.files.len() == files.len());
        if is_same {
            return Ok(None);
        }
        let declared = dataset
            .columns_of(shardset.id)
            .map(|column| format::ColumnSpec::new(column.name.clone(), column.column_type.clone()));
        let replaces = shardset.manifest.map_or(0, |old| old.version);
        let work = Work {
            shardset: shardset.id,
            progress,
            found: &found,
            uid_column: &dataset.uid_column_name,
            declared: declared.collect(),
            old: old.as_deref(),
        };
        let (columns, inspected) = self.inspect_new(&work, &files)?;
        progress.step("reflect", files.len() as u64);
        let mut indexes = Vec::new();
        for (_, inspected) in &inspected {
            indexes.push(inspected.inspection.uid_index.clone().unwrap_or_default());
            indexes.push(inspected.inspection.member_index.clone().unwrap_or_default());
        }
        let version = self.manifests.next_version(shardset.id, replaces)?;
        let names = self.manifests.store_indexes(shardset.id, version, &indexes)?;
        drop(indexes);
        for ((at, inspected), names) in inspected.into_iter().zip(names.chunks_exact(2)) {
            files[at] = Some(shard_file((at, &found[at]), inspected, &columns, names)?);
        }
        let files = files.into_iter().flatten().collect();
        let manifest = Manifest::new(shardset.id, version, columns, files);
        let reference = self.manifests.store(shardset.id, version, &manifest)?;
        Ok(Some(Synced { manifest, reference, replaces }))
    }

    /// Inspects the files that are not there yet; the columns that all files settle on.
    fn inspect_new(
        &self,
        work: &Work<'_>,
        files: &[Option<ShardFile>],
    ) -> Result<(Vec<format::ColumnSpec>, InspectedFiles), NodeError> {
        let missing: Vec<usize> = (0..files.len()).filter(|at| files[*at].is_none()).collect();
        work.progress.step("inspect", files.len() as u64);
        (missing.len()..files.len()).for_each(|_| work.progress.advance());
        let mut inspected = Vec::with_capacity(missing.len());
        let old = work.old.filter(|_| missing.len() < files.len());
        let (mut columns, mut kinds) =
            old.map_or_else(|| (Vec::new(), Vec::new()), |old| (old.columns.clone(), old.kinds()));
        let mut others = missing.as_slice();
        // The first file settles the types for the others.
        if let (true, Some((&first, rest))) = (columns.is_empty(), missing.split_first()) {
            let options = work.options(&[], &[]);
            let made = self.inspect(&work.found[first], &options)?;
            work.progress.advance();
            columns.clone_from(&made.inspection.columns);
            kinds =
                made.inspection.statistics.iter().map(|(name, found)| (name.clone(), found.kind())).collect();
            inspected.push((first, made));
            others = rest;
        }
        let options = work.options(&columns, &kinds);
        let (shardset, found, progress) = (work.shardset, work.found, work.progress);
        let reading = Reading { shardset, found, options: &options, progress };
        for (at, made) in self.inspect_all(&reading, others)? {
            let file = work.found[at].location.shown();
            format::merge_columns(work.found[at].format, &mut columns, &made.inspection.columns, &file)?;
            inspected.push((at, made));
        }
        Ok((columns, inspected))
    }
}

/// What a sync works on.
struct Work<'a> {
    shardset: ShardsetId,
    progress: &'a Progress,
    found: &'a [Found],
    uid_column: &'a str,
    declared: Vec<format::ColumnSpec>,
    old: Option<&'a Manifest>,
}

impl Work<'_> {
    fn options<'b>(
        &'b self,
        earlier: &'b [format::ColumnSpec],
        kinds: &'b [(String, StatisticsKind)],
    ) -> InspectOptions<'b> {
        InspectOptions { declared: &self.declared, earlier, uid_column: Some(self.uid_column), kinds }
    }
}

/// What a manifest tells a file's content by: its fingerprint, and the tag that its store or file system gives it.
pub(crate) struct Identity {
    pub(crate) fingerprint: u128,
    pub(crate) version: Version,
}

impl Identity {
    fn text(fingerprint: Fingerprint, version: &Version) -> String {
        match &version.tag {
            Some(tag) => format!("{fingerprint} {tag}"),
            None => fingerprint.to_string(),
        }
    }

    /// `None` if no version of this program wrote it.
    pub(crate) fn parse(file: &ShardFile) -> Option<Self> {
        let (fingerprint, tag) = match file.fingerprint.split_once(' ') {
            Some((fingerprint, tag)) => (fingerprint, Some(tag.to_owned())),
            None => (file.fingerprint.as_str(), None),
        };
        let fingerprint = u128::from_str_radix(fingerprint, 16).ok()?;
        Some(Self { fingerprint, version: Version::new(file.bytes, tag) })
    }
}

pub(crate) fn shard_file(
    (at, found): (usize, &Found),
    inspected: Inspected,
    columns: &[format::ColumnSpec],
    names: &[String],
) -> Result<ShardFile, NodeError> {
    let now = unix_ms();
    let Inspected { inspection, fingerprint, version } = inspected;
    Ok(ShardFile {
        id: ShardFileId::new(now, random()?),
        index: at as u32,
        name: found.name.clone(),
        location: found.location.as_str().to_owned(),
        format: found.format,
        bytes: inspection.bytes,
        rows: inspection.rows,
        created_at_s: now / 1000,
        chunks: inspection.chunks.into(),
        fingerprint: Identity::text(fingerprint, &version),
        statistics: ShardFile::statistics_of(columns, inspection.statistics),
        uid_index: names[0].clone(),
        member_index: names[1].clone(),
    })
}

impl Node {
    /// Makes sure that every file of these shardsets is on some node as it was synced. The rows of the first shardset's files.
    pub(crate) async fn preflight(
        &self,
        context: &CallContext,
        shardsets: &[&ShardsetInfo],
    ) -> Result<ShardRows, NodeError> {
        let mut rows = None;
        for shardset in shardsets {
            let known = shardset.manifest.ok_or(NodeError::Internal("a shardset without a manifest"))?;
            let (runtime, id) = (Arc::clone(&self.datasets), shardset.id);
            let load = move || runtime.manifests.load(id, known.version, known.hash);
            let manifest = self.blocking(context, load).await??;
            if !manifest.files.is_empty() {
                let directory = Location::parse(&shardset.location)?;
                let named = (id, known.version, known.hash);
                self.datasets.check_present(&directory, (named, &manifest)).await?;
            }
            rows.get_or_insert_with(|| {
                crate::datasets::iterations::rows_of(manifest.files.iter().map(|file| file.rows))
            });
        }
        rows.ok_or(NodeError::Internal("an iteration without shardsets"))
    }
}
