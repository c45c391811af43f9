//! Rows of a dataset in file order, with the columns that other shardsets add: for previews and preprocessing.
//!
//! Unlike in iterations every row of the main shardset stays: where a feature shardset has no row of its uid, or no file
//! of its index, the columns are null, and become what their type says (`NullAs`). A file that cannot be read is an error.
//! Invariants: what the shardsets' manifests named when this was opened is read, whatever is synced later.

use crate::datasets::files::FileError;
use crate::datasets::iterations::{IterationOptions, Settings};
use crate::datasets::plan_cache::{IterationPlan, PlanFile, PlanShardset};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::user_code::Attempt;
use crate::error::NodeError;
use arrow::array::RecordBatch;
use lavandin_cluster::{DatasetInfo, JobSource, ManifestRef};
use lavandin_feed::cache::ChunkKey;
use lavandin_feed::python::BatchReply;
use lavandin_feed::rows::{Chunks, PartRows, Place};
use lavandin_feed::uid_index::UidColumn;
use lavandin_plan::iterations::{Definition, Outline, ShardsetVersion};
use lavandin_plan::{Order, ShardRows};
use lavandin_types::{IterationId, ShardsetId};
use std::ops::Range;
use std::sync::Arc;

/// Shardsets as their last syncs left them.
pub(crate) struct LeftJoin {
    plan: IterationPlan,
    rows: ShardRows,
    /// In the order of the plan, the main one first.
    shardsets: Vec<ShardsetId>,
}

impl LeftJoin {
    /// Opens the manifests of the chosen shardsets, the main one of them first; `options` has the user code that
    /// [`Self::process`] runs. Shardsets that no sync has ended for are left out, but for the main one. Blocks.
    pub(crate) fn open(
        runtime: &DatasetRuntime,
        dataset: &DatasetInfo,
        chosen: &[ShardsetId],
        options: IterationOptions,
    ) -> Result<Self, NodeError> {
        let refused = |text: &str| NodeError::Refused(text.to_owned());
        let main = dataset.main_shardset_of(chosen).ok_or_else(|| refused("Dataset has no shardsets"))?;
        let manifest = main.manifest.ok_or_else(|| {
            NodeError::Refused(format!(
                "shardset {} at {} has no files yet: its first sync is under way or has failed; try again when it is synced",
                main.id, main.location
            ))
        })?;
        let others =
            dataset.shardsets.iter().filter(|other| other.id != main.id && chosen.contains(&other.id));
        let main = version(main.id, manifest);
        let others = others.filter_map(|other| Some(version(other.id, other.manifest?)));
        Self::open_used(runtime, dataset, std::iter::once(main).chain(others).collect(), options)
    }

    /// The same of what a job reads. Blocks.
    pub(crate) fn open_sources(
        runtime: &DatasetRuntime,
        dataset: &DatasetInfo,
        sources: &[JobSource],
        options: IterationOptions,
    ) -> Result<Self, NodeError> {
        let used = |source: &JobSource| ShardsetVersion {
            shardset: source.shardset,
            manifest_version: source.version,
            manifest_hash: source.hash,
        };
        Self::open_used(runtime, dataset, sources.iter().map(used).collect(), options)
    }

    fn open_used(
        runtime: &DatasetRuntime,
        dataset: &DatasetInfo,
        used: Vec<ShardsetVersion>,
        options: IterationOptions,
    ) -> Result<Self, NodeError> {
        let main = used.first().ok_or(NodeError::Internal("nothing to join"))?;
        let manifest = runtime.manifests.load(main.shardset, main.manifest_version, main.manifest_hash)?;
        let rows = ShardRows::new(manifest.files.iter().map(|file| file.rows).collect());
        let shardsets = used.iter().map(|used| used.shardset).collect();
        let id = IterationId::new(0, [0; 20]);
        let outline = Outline::new(id, dataset.id, rows.clone(), definition(used, options)?)?;
        Ok(Self { plan: IterationPlan::open(runtime, dataset, Arc::new(outline))?, rows, shardsets })
    }

    /// Samples of the main shardset.
    pub(crate) fn total(&self) -> u64 {
        self.rows.total()
    }

    /// Files of the main shardset.
    pub(crate) fn files(&self) -> u32 {
        self.rows.shards()
    }

    /// The samples of a file of the main shardset.
    pub(crate) fn samples_of(&self, file: u32) -> Range<u64> {
        self.rows.start(file)..self.rows.start(file.saturating_add(1))
    }

    /// The feature shardsets that have fewer files than the main one, with how many they have.
    pub(crate) fn shorter(&self) -> Vec<(ShardsetId, usize)> {
        let files = self.plan.joined().iter().map(|shardset| shardset.files.len());
        let of_features = self.shardsets.iter().skip(1).copied().zip(files);
        of_features.filter(|(_, files)| *files < self.files() as usize).collect()
    }

    /// The rows of these samples; what lies past the end is left out. Blocks.
    pub(crate) fn read(
        &self,
        runtime: &DatasetRuntime,
        samples: Range<u64>,
    ) -> Result<RecordBatch, NodeError> {
        let places: Vec<Place> = samples.map_while(|index| self.plan.place(index)).collect();
        let main = read_chunks(runtime, self.plan.main(), &places)?;
        let mut parts = vec![(places.iter().copied().map(Some).collect::<Vec<_>>(), main)];
        for shardset in self.plan.joined() {
            let found = self.find(runtime, shardset, &places, &parts[0].1)?;
            parts.push(found);
        }
        let parts: Vec<_> = parts.iter().map(|(places, chunks)| PartRows { places, chunks }).collect();
        Ok(self.plan.columns().gather(&parts)?)
    }

    /// Collates and preprocesses rows; `None` if no user code is asked for. The error is for people. Blocks.
    pub(crate) fn process(
        &self,
        runtime: &DatasetRuntime,
        rows: &RecordBatch,
    ) -> Result<Option<BatchReply>, String> {
        let attempt = Attempt { arrow: true, retries: 0, no_cache: true };
        self.plan.process(runtime, (rows, &[]), attempt)
    }

    /// Where a feature shardset has the rows of samples, and the chunks they are in.
    fn find(
        &self,
        runtime: &DatasetRuntime,
        shardset: &PlanShardset,
        places: &[Place],
        main: &Chunks<FileError>,
    ) -> Result<(Vec<Option<Place>>, Chunks<FileError>), NodeError> {
        // Rows whose uid has the same hash: mostly one, rarely none.
        let mut candidates: Vec<(usize, Place)> = Vec::with_capacity(places.len());
        let mut uids = Uids::new(self.plan.uid_column());
        for (sample, place) in places.iter().enumerate() {
            let Some(file) = shardset.files.get(place.file as usize) else { continue };
            if let Some(uid) = uids.get(main, *place)? {
                let index = file.uids(runtime).map_err(NodeError::Refused)?;
                let rows = index.rows(uid).filter_map(|row| file.place(place.file, row));
                candidates.extend(rows.map(|found| (sample, found)));
            }
        }
        let all: Vec<Place> = candidates.iter().map(|(_, found)| *found).collect();
        let chunks = read_chunks(runtime, shardset, &all)?;
        let mut found = vec![None; places.len()];
        let mut others = Uids::new(self.plan.uid_column());
        for (sample, candidate) in candidates {
            let uid = uids.get(main, places[sample])?;
            if found[sample].is_none() && uid.is_some() && others.get(&chunks, candidate)? == uid {
                found[sample] = Some(candidate);
            }
        }
        drop(others);
        Ok((found, chunks))
    }
}

/// The texts of uids, one after another.
struct Uids<'a> {
    column: &'a str,
    chunk: Option<((u32, u32), Option<UidColumn<'a>>)>,
    text: String,
}

impl<'a> Uids<'a> {
    fn new(column: &'a str) -> Self {
        Self { column, chunk: None, text: String::new() }
    }

    fn get(&mut self, chunks: &'a Chunks<FileError>, place: Place) -> Result<Option<&str>, NodeError> {
        let key = (place.file, place.chunk);
        if self.chunk.as_ref().is_none_or(|(known, _)| *known != key) {
            let column = chunks.batch(place)?.column_by_name(self.column);
            self.chunk = Some((key, column.and_then(UidColumn::new)));
        }
        let Some((_, Some(uids))) = &self.chunk else { return Ok(None) };
        let is_there = (place.row as usize) < uids.len() && uids.write(place.row as usize, &mut self.text);
        Ok(is_there.then_some(self.text.as_str()))
    }
}

fn version(shardset: ShardsetId, manifest: ManifestRef) -> ShardsetVersion {
    ShardsetVersion { shardset, manifest_version: manifest.version, manifest_hash: manifest.hash }
}

/// That of an iteration which nobody can ask for: it says what to read and which user code to run.
fn definition(shardsets: Vec<ShardsetVersion>, options: IterationOptions) -> Result<Definition, NodeError> {
    let settings = serde_json::to_string(&Settings { options, world_size: None });
    let settings = settings.map_err(|_| NodeError::Internal("functions cannot be written down"))?;
    Ok(Definition {
        config_hash: [0; 32],
        shardsets,
        batch_size: 1,
        drop_last: false,
        order: Order::Sequential,
        replication_groups: None,
        shares: None,
        filters: None,
        categorizer: None,
        collater: None,
        preprocessors: None,
        settings: Some(settings),
    })
}

/// The chunks of places, all of them readable.
fn read_chunks(
    runtime: &DatasetRuntime,
    shardset: &PlanShardset,
    places: &[Place],
) -> Result<Chunks<FileError>, NodeError> {
    let chunks =
        Chunks::read(places.iter().copied(), |file, chunk| match shardset.files.get(file as usize) {
            Some(file) => read_chunk(runtime, file, chunk, shardset.columns_hash),
            None => Err(FileError("it is in no file of the manifest".to_owned())),
        });
    match places.iter().find_map(|place| chunks.failure(*place)) {
        Some(error) => Err(NodeError::Refused(error.to_string())),
        None => Ok(chunks),
    }
}

fn read_chunk(
    runtime: &DatasetRuntime,
    file: &PlanFile,
    chunk: u32,
    columns: u64,
) -> Result<Arc<RecordBatch>, FileError> {
    let key = ChunkKey { file: file.fingerprint(), chunk, columns };
    runtime.chunks.get_or_read(key, || {
        let reader = file.reader(&file.local(runtime)?)?;
        reader.read_chunk(chunk as usize).map_err(|error| FileError(error.to_string()))
    })
}
