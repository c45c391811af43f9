//! Samples for people to look at: read in the background, kept for a while, asked for by id.
//!
//! 1. Who asks for a preview gets its id at once; a blocking thread reads the rows, in file order, joined so that every row
//!    of the main shardset stays (`left_join`), and turns them into JSON (`feed::lavender::preview_row`).
//! 2. The table keeps what was made (`table`): an hour at most, within bounds, and not beyond a sync of the dataset.
//! 3. Bytes that begin like a known kind of file become files of their own in the data directory (`files`), under a name
//!    made of their content.
//!
//! Invariants: a preview shows one state of each shardset, and after a sync has ended the new one. Driven by the server.

pub(crate) mod left_join;

mod files;
mod table;

use crate::datasets::iterations::IterationOptions;
use crate::datasets::runtime::DatasetRuntime;
use crate::error::NodeError;
use crate::node::Node;
use files::{Keeper, PreviewFileTable};
use lavandin_consensus::Metadata;
use lavandin_feed::lavender::preview_row;
use lavandin_types::DatasetId;
use left_join::LeftJoin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use table::{Begun, Table};

/// Samples of one preview.
const SAMPLES_MAX: u64 = 1_000;
/// Bytes of one preview's JSON.
const PREVIEW_BYTES_MAX: usize = 32 << 20;

/// Some samples as JSON objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    pub samples: Vec<String>,
    /// Samples of the dataset.
    pub total: u64,
}

/// What has become of a preview.
#[derive(Clone, Debug)]
pub enum PreviewState {
    /// It is still being made, was never asked for, or is no longer kept.
    Unknown,
    /// Told once.
    Failed(String),
    Ready(Arc<Preview>),
}

/// All previews of a node.
#[derive(Default)]
pub(crate) struct Previews {
    table: Mutex<Table>,
    files: PreviewFileTable,
}

impl Previews {
    /// Forgets the previews of a dataset that has changed.
    pub(crate) fn forget(&self, dataset: DatasetId) {
        self.lock().forget(dataset);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Begins to read some samples; the id to ask for them with.
    pub async fn create_preview(
        &self,
        dataset: DatasetId,
        offset: u64,
        limit: u64,
    ) -> Result<String, NodeError> {
        let info = self.dataset(dataset).await?;
        if limit > SAMPLES_MAX {
            let text = format!("limit is {limit}, and a preview has {SAMPLES_MAX} samples at most");
            return Err(NodeError::Refused(text));
        }
        if info.shardsets.is_empty() {
            return Err(NodeError::Refused("Dataset has no shardsets".to_owned()));
        }
        let id = format!("{dataset}:{offset}:{limit}");
        match self.datasets.previews.lock().begin(&id, dataset, Instant::now()) {
            Begun::Known => return Ok(id),
            Begun::Full => return Err(NodeError::Overloaded),
            Begun::New => {}
        }
        let making = Making {
            runtime: Arc::clone(&self.datasets),
            metadata: self.metadata.clone(),
            id: id.clone(),
            dataset,
            range: (offset, limit),
            is_done: false,
        };
        self.datasets.handle.spawn_blocking(move || making.run());
        Ok(id)
    }

    /// What has become of a preview. One that another node was asked for is made here as well.
    pub async fn preview(&self, id: &str) -> PreviewState {
        let state = self.datasets.previews.lock().get(id, Instant::now());
        if let (PreviewState::Unknown, Some((dataset, offset, limit))) = (&state, parse_id(id))
            && !self.membership.is_alone()
        {
            drop(self.create_preview(dataset, offset, limit).await);
        }
        state
    }

    /// The content of a file that a preview names, and its type; `None` if there is none of that name. Blocks.
    pub fn preview_file(&self, name: &str) -> Option<(Vec<u8>, &'static str)> {
        files::read(&self.datasets.preview_dir, name)
    }
}

/// Dataset, offset and limit.
fn parse_id(id: &str) -> Option<(DatasetId, u64, u64)> {
    let mut parts = id.split(':');
    let id = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(id)
}

/// A preview that is being made; dropped before it is done it counts as failed.
struct Making {
    runtime: Arc<DatasetRuntime>,
    metadata: Metadata,
    id: String,
    dataset: DatasetId,
    range: (u64, u64),
    is_done: bool,
}

impl Making {
    fn run(mut self) {
        while !self.is_done {
            let made = self.read().map_err(|error| {
                tracing::warn!(event = "preview_failed", id = %self.id, %error, "a preview could not be made");
                error.to_string()
            });
            self.is_done = self.runtime.previews.lock().finish(&self.id, made, Instant::now());
        }
    }

    fn read(&self) -> Result<Preview, NodeError> {
        let info = Arc::clone(self.metadata.catalogue().dataset(self.dataset)?);
        let chosen: Vec<_> = info.shardsets.iter().map(|shardset| shardset.id).collect();
        let join = LeftJoin::open(&self.runtime, &info, &chosen, IterationOptions::default())?;
        let (total, (offset, limit)) = (join.total(), self.range);
        let rows = join.read(&self.runtime, offset..offset.saturating_add(limit).min(total).max(offset))?;
        let mut keeper = Keeper::new(&self.runtime, &self.runtime.previews.files);
        let (mut samples, mut bytes) = (Vec::with_capacity(rows.num_rows()), 0);
        for row in 0..rows.num_rows() {
            let mut text = Vec::new();
            preview_row(&rows, row, &mut keeper, &mut text)?;
            bytes += text.len();
            if bytes > PREVIEW_BYTES_MAX {
                let text = format!(
                    "the first {row} samples take {PREVIEW_BYTES_MAX} bytes; ask for fewer at a time"
                );
                return Err(NodeError::Refused(text));
            }
            // Texts of the files are UTF-8; whatever is not is shown as well as it can be.
            samples.push(
                String::from_utf8(text)
                    .unwrap_or_else(|text| String::from_utf8_lossy(text.as_bytes()).into_owned()),
            );
        }
        Ok(Preview { samples, total })
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.is_done {
            let made = || Err("making the preview panicked".to_owned());
            let mut table = self.runtime.previews.lock();
            // Also if it was to be made again.
            let _ = table.finish(&self.id, made(), Instant::now())
                || table.finish(&self.id, made(), Instant::now());
        }
    }
}
