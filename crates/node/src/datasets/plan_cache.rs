//! What the sessions of an iteration share: its files with their chunks, its columns, and what user code it runs.

use crate::datasets::file_finder::WantedFile;
use crate::datasets::files::FileError;
use crate::datasets::iterations::{Function, IterationOptions, Settings};
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::steps::Cursors;
use crate::datasets::user_code::call;
use crate::error::NodeError;
use arrow::datatypes::Schema;
use lavandin_cluster::DatasetInfo;
use lavandin_feed::cache::ChunkKey;
use lavandin_feed::format::{ColumnSpec, Format, ReaderPlan, ShardReader};
use lavandin_feed::location::LocalFile;
use lavandin_feed::manifest::{Manifest, ShardFile};
use lavandin_feed::python::Call;
use lavandin_feed::rows::{JoinPlan, JoinedColumns, NullAs, Place};
use lavandin_feed::uid_index::UidIndex;
use lavandin_plan::iterations::Outline;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// Files that are tried for their columns' types.
const SCHEMA_FILES_MAX: usize = 8;

pub(crate) struct IterationPlan {
    outline: Arc<Outline>,
    settings: Settings,
    uid_column: String,
    main: PlanShardset,
    joined: Vec<PlanShardset>,
    columns: JoinPlan,
    filters: Vec<Call>,
    categorizer: Option<Call>,
    collater: Option<Call>,
    preprocessors: Vec<Call>,
    work_hash: [u8; 32],
    /// Where batches are steps.
    cursors: Option<Cursors>,
}

/// A shardset's files, ready to be read.
pub(crate) struct PlanShardset {
    pub(crate) files: Vec<PlanFile>,
    pub(crate) columns_hash: u64,
}

pub(crate) struct PlanFile {
    wanted: WantedFile,
    format: Format,
    plan: ReaderPlan,
    /// The first row of each chunk, and the end.
    starts: Vec<u32>,
    uid_index: String,
    uids: OnceLock<UidIndex>,
}

impl PlanFile {
    fn new(runtime: &DatasetRuntime, file: &ShardFile, columns: &[ColumnSpec]) -> Result<Self, NodeError> {
        let mut starts = vec![0_u32];
        for chunk in file.chunks.iter() {
            starts.push(starts[starts.len() - 1].saturating_add(chunk.rows));
        }
        let index = match file.member_index.as_str() {
            "" => None,
            name => Some(runtime.manifests.load_index(name)?.into()),
        };
        Ok(Self {
            wanted: WantedFile::of(file)?,
            format: file.format,
            plan: file.reader_plan(columns.to_vec(), index),
            starts,
            uid_index: file.uid_index.clone(),
            uids: OnceLock::new(),
        })
    }

    /// Where a row of the file is.
    pub(crate) fn place(&self, file: u32, row: u32) -> Option<Place> {
        let chunk = self.starts.partition_point(|start| *start <= row).checked_sub(1)?;
        let end = *self.starts.get(chunk + 1)?;
        (row < end).then(|| Place { file, chunk: chunk as u32, row: row - self.starts[chunk] })
    }

    /// The uid index, read and checked once.
    pub(crate) fn uids(&self, runtime: &DatasetRuntime) -> Result<&UidIndex, String> {
        if let Some(known) = self.uids.get() {
            return Ok(known);
        }
        let bytes = runtime.manifests.load_index(&self.uid_index).map_err(|error| error.to_string())?;
        let opened = UidIndex::new(bytes.into(), &self.uid_index).map_err(|error| error.to_string())?;
        Ok(self.uids.get_or_init(|| opened))
    }

    /// What tells its content from all others.
    pub(crate) fn fingerprint(&self) -> u128 {
        self.wanted.fingerprint
    }

    /// The file on this machine, as it was synced. Blocks.
    pub(crate) fn local(&self, runtime: &DatasetRuntime) -> Result<LocalFile, FileError> {
        runtime.nearest(&self.wanted)
    }

    pub(crate) fn reader(&self, local: &LocalFile) -> Result<ShardReader, FileError> {
        ShardReader::open(&local.path, self.format, &self.plan).map_err(|error| FileError(error.to_string()))
    }
}

impl PlanShardset {
    fn new(runtime: &DatasetRuntime, manifest: &Manifest) -> Result<Self, NodeError> {
        let columns = &manifest.columns;
        let files = manifest.files.iter().map(|file| PlanFile::new(runtime, file, columns));
        let files = files.collect::<Result<_, _>>()?;
        let names: Vec<_> =
            columns.iter().map(|column| format!("{}\0{}", column.name, column.type_text)).collect();
        Ok(Self { files, columns_hash: ChunkKey::columns_hash(&names) })
    }

    /// The Arrow types of the columns, from the first file that can be read; what is wrong with others is told sample by
    /// sample. Blocks.
    fn schema(&self, runtime: &DatasetRuntime) -> Result<Schema, NodeError> {
        let mut first_error = None;
        for file in self.files.iter().take(SCHEMA_FILES_MAX) {
            let read = || Ok(Schema::clone(file.reader(&file.local(runtime)?)?.schema()));
            match read() {
                Ok(schema) => return Ok(schema),
                Err(FileError(error)) => first_error.get_or_insert(error),
            };
        }
        first_error.map_or(Ok(Schema::empty()), |error| Err(NodeError::Refused(error)))
    }
}

impl IterationPlan {
    /// Opens manifests and the first file of each shardset. Blocks.
    pub(crate) fn open(
        runtime: &DatasetRuntime,
        dataset: &DatasetInfo,
        outline: Arc<Outline>,
    ) -> Result<Self, NodeError> {
        let settings = DatasetRuntime::settings(&outline.definition);
        let mut shardsets = Vec::new();
        for used in &outline.definition.shardsets {
            let manifest =
                runtime.manifests.load(used.shardset, used.manifest_version, used.manifest_hash)?;
            shardsets.push((PlanShardset::new(runtime, &manifest)?, manifest.columns.clone()));
        }
        let mut shardsets = shardsets.into_iter();
        let (main, _) = shardsets.next().ok_or(NodeError::Internal("an iteration without shardsets"))?;
        let main_schema = main.schema(runtime)?;
        let (mut joined, mut joined_columns) = (Vec::new(), Vec::new());
        for (shardset, columns) in shardsets {
            let schema = shardset.schema(runtime)?;
            let null = |name: &str| {
                let known = columns.iter().find(|column| column.name == *name);
                known.map_or(NullAs::None, |column| NullAs::of_type(&column.type_text))
            };
            let columns = schema.fields().iter().map(|field| (field.as_ref().clone(), null(field.name())));
            joined_columns.push(JoinedColumns { columns: columns.collect() });
            joined.push(shardset);
        }
        let uid_column = dataset.uid_column_name.clone();
        let columns = JoinPlan::new(&uid_column, &main_schema, &joined_columns);
        let options = &settings.options;
        let calls = |functions: &[Function]| functions.iter().map(call).collect();
        Ok(Self {
            filters: calls(&options.filters),
            categorizer: options.categorizer.as_ref().map(call),
            collater: options.collater.as_ref().map(call),
            preprocessors: calls(&options.preprocessors),
            work_hash: work_hash(&outline, options)?,
            cursors: match options.selects() {
                true => None,
                false => Cursors::of(&outline, options.shares.as_ref()),
            },
            outline,
            settings,
            uid_column,
            main,
            joined,
            columns,
        })
    }

    pub(crate) fn outline(&self) -> &Arc<Outline> {
        &self.outline
    }

    pub(crate) fn main(&self) -> &PlanShardset {
        &self.main
    }

    pub(crate) fn joined(&self) -> &[PlanShardset] {
        &self.joined
    }

    pub(crate) fn columns(&self) -> &JoinPlan {
        &self.columns
    }

    pub(crate) fn filters(&self) -> &[Call] {
        &self.filters
    }

    pub(crate) fn categorizer(&self) -> Option<&Call> {
        self.categorizer.as_ref()
    }

    pub(crate) fn collater(&self) -> Option<&Call> {
        self.collater.as_ref()
    }

    pub(crate) fn preprocessors(&self) -> &[Call] {
        &self.preprocessors
    }

    pub(crate) fn uid_column(&self) -> &str {
        &self.uid_column
    }

    /// Samples of a batch; 1 for single samples.
    pub(crate) fn batch_size(&self) -> usize {
        self.outline.definition.batch_size.max(1) as usize
    }

    pub(crate) fn is_single(&self) -> bool {
        self.outline.definition.batch_size == 0
    }

    pub(crate) fn drop_last(&self) -> bool {
        self.outline.definition.drop_last
    }

    /// The cursors, where a batch is what a rank gets at a step.
    pub(crate) fn cursors(&self) -> Option<&Cursors> {
        self.cursors.as_ref()
    }

    /// Whether samples are left out or sorted before they make a batch.
    pub(crate) fn selects(&self) -> bool {
        !self.filters.is_empty() || self.categorizer.is_some() || !self.joined.is_empty()
    }

    /// Whether blocks may be taken before somebody waits for them: only if no other rank would miss them. Where nobody
    /// said how many ranks there are, those that have come so far count.
    pub(crate) fn takes_ahead(&self, runtime: &DatasetRuntime) -> bool {
        let come = || runtime.iterations.rank_count_blocking(self.outline.id).is_ok_and(|come| come <= 1);
        self.settings.world_size.map_or_else(come, |ranks| ranks <= 1)
            && self.outline.definition.replication_groups.is_none()
    }

    /// A hash of the data and of what user code is to do with it.
    pub(crate) fn work_hash(&self) -> [u8; 32] {
        self.work_hash
    }

    /// Whether user code works on whole batches.
    pub(crate) fn processes(&self) -> bool {
        self.collater.is_some() || !self.preprocessors.is_empty()
    }

    /// Where a sample is, by its number.
    pub(crate) fn place(&self, number: u64) -> Option<Place> {
        let (shard, row) = self.outline.rows.locate(self.outline.row_of(number)?)?;
        self.main.files.get(shard as usize)?.place(shard, row)
    }
}

fn work_hash(outline: &Outline, options: &IterationOptions) -> Result<[u8; 32], NodeError> {
    let mut hash = Sha256::new();
    for used in &outline.definition.shardsets {
        hash.update(used.shardset.to_bytes());
        hash.update(used.manifest_hash.to_le_bytes());
    }
    let work = serde_json::to_vec(&(&options.collater, &options.preprocessors));
    hash.update(work.map_err(|_| NodeError::Internal("an iteration's options cannot be written down"))?);
    Ok(hash.finalize().into())
}
