//! A batch from the maker's rows to the bytes of an answer: through user code, into a layout, or a failure instead.

use crate::datasets::batch_cache::reply_bytes;
use crate::datasets::draft_exchange::DraftForm;
use crate::datasets::next::{BatchFormat, NextOptions};
use crate::datasets::plan_cache::IterationPlan;
use crate::datasets::runtime::DatasetRuntime;
use crate::datasets::session::Session;
use crate::datasets::unix_ms;
use crate::datasets::user_code::Attempt;
use crate::error::NodeError;
use arrow::array::{ArrayData, RecordBatch};
use arrow::datatypes::Schema;
use bytes::Bytes;
use lavandin_feed::cache::held_bytes;
use lavandin_feed::ipc::{self, BlobForm, StreamFormat};
use lavandin_feed::lavender::{self, Layout, ListForm, Source as Item, Tail};
use lavandin_feed::python::{BatchReply, Entry};
use lavandin_plan::Cursor;
use lavandin_plan::iterations::{Grant, Owner, Places};
use lavandin_types::IterationId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What a batch takes besides its content, about.
const OWN_BYTES: u64 = 512;
/// Segments of more bytes than this may be views into chunks.
const VIEW_BYTES_MIN: usize = 4096;

/// What the calls of a session want; the latest counts for what is made ahead.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    arrow: AtomicBool,
    retries: AtomicU32,
    no_cache: AtomicBool,
}

impl Wishes {
    /// Whether what was made before is not what is wanted now: it has another layout, failed after fewer tries, or may come
    /// from the cache.
    pub(crate) fn set(&self, options: NextOptions) -> bool {
        let is_arrow = options.format == BatchFormat::Arrow;
        let more_tries = self.retries.swap(options.retries, Ordering::Relaxed) < options.retries;
        let fresh = !self.no_cache.swap(options.no_cache, Ordering::Relaxed) && options.no_cache;
        self.arrow.swap(is_arrow, Ordering::Relaxed) != is_arrow || more_tries || fresh
    }

    pub(crate) fn no_cache(&self) -> bool {
        self.no_cache.load(Ordering::Relaxed)
    }

    fn format(&self) -> BatchFormat {
        if self.arrow.load(Ordering::Relaxed) { BatchFormat::Arrow } else { BatchFormat::Lavender }
    }

    pub(crate) fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// What was made: a batch, a failure, or what was filtered out behind the last batch.
pub(crate) struct Made {
    /// The rank's number for it.
    pub(crate) number: u64,
    pub(super) walk_generation: u64,
    /// The step that it is of, and where an epoch goes on after it, if batches are steps.
    pub(super) step: Option<u64>,
    pub(super) cursor: Option<Cursor>,
    pub(super) samples: Places,
    pub(super) filtered: Places,
    pub(super) failed: Places,
    pub(super) content: Content,
    pub(super) bytes: u64,
}

pub(super) enum Content {
    /// In the Lavender layout.
    Encoded(Vec<Bytes>),
    Rows(BatchRows),
    Failure(String),
    Rest,
}

/// A batch whose layout is still open.
pub(crate) struct BatchRows {
    indices: Vec<u64>,
    rows: RecordBatch,
    single: bool,
    processed: Option<BatchReply>,
}

impl BatchRows {
    pub(super) fn new(
        indices: Vec<u64>,
        rows: RecordBatch,
        single: bool,
        processed: Option<BatchReply>,
    ) -> Self {
        Self { indices, rows, single, processed }
    }

    /// In the Lavender layout.
    pub(super) fn encode(&self, current: u64) -> Result<Vec<Bytes>, NodeError> {
        let tail = Tail { indices: &self.indices, current };
        encode_lavender(&self.rows, self.processed.as_ref(), tail, self.single)
    }

    /// The memory that it keeps, chunks of which it has views included.
    fn bytes(&self) -> u64 {
        held_bytes(&self.rows) + self.processed.as_ref().map_or(0, reply_bytes)
    }
}

/// A batch of rows that user code has not seen yet.
pub(crate) struct Draft {
    pub(super) runtime: Arc<DatasetRuntime>,
    pub(super) plan: Arc<IterationPlan>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) rows: RecordBatch,
    pub(super) indices: Vec<u64>,
    /// Without content.
    pub(super) made: Made,
}

impl Draft {
    /// What it takes in memory, before user code adds to it.
    pub(crate) fn bytes(&self) -> u64 {
        held_bytes(&self.rows)
    }

    /// Through user code, and into the layout that is wanted, by another node if this one has enough to do. Blocks; what goes
    /// wrong is a failure of all its samples.
    pub(crate) fn finish(self) -> Made {
        let runtime = Arc::clone(&self.runtime);
        if let Some(form) = self.form()
            && let Some(bytes) = runtime.draft_exchange.ask(&runtime, &form)
        {
            let length = bytes.len() as u64;
            return self.made.with(Content::Encoded(vec![bytes]), length);
        }
        let _busy = runtime.draft_exchange.begin();
        self.finish_here()
    }

    /// As another node is asked for it; `None` for what stays here.
    fn form(&self) -> Option<DraftForm> {
        (self.wishes.format() == BatchFormat::Lavender && self.plan.processes()).then(|| DraftForm {
            iteration: self.plan.outline().id.to_string(),
            indices: self.indices.clone(),
            current: self.made.current(),
            retries: self.wishes.retries(),
            no_cache: self.wishes.no_cache(),
        })
    }

    fn finish_here(self) -> Made {
        let Self { runtime, plan, wishes, rows, indices, made } = self;
        let is_arrow = wishes.format() == BatchFormat::Arrow;
        let attempt = Attempt { arrow: is_arrow, retries: wishes.retries(), no_cache: wishes.no_cache() };
        let processed = match plan.process(&runtime, (&rows, &indices), attempt) {
            Ok(processed) => processed,
            Err(message) => return made.failed(format!("Failed to process samples {indices:?}: {message}")),
        };
        let rows = BatchRows { indices, rows, single: plan.is_single(), processed };
        if is_arrow {
            let bytes = rows.bytes();
            return made.with(Content::Rows(rows), bytes);
        }
        match rows.encode(made.current()) {
            Ok(segments) => {
                let bytes = segment_bytes(&segments, &rows.rows);
                made.with(Content::Encoded(segments), bytes)
            }
            Err(error) => made.failed(error.to_string()),
        }
    }
}

impl Made {
    /// Nothing yet.
    pub(super) fn new(number: u64, walk_generation: u64) -> Self {
        let (samples, filtered, failed) = (Places::new(), Places::new(), Places::new());
        Self {
            number,
            walk_generation,
            step: None,
            cursor: None,
            samples,
            filtered,
            failed,
            content: Content::Rest,
            bytes: OWN_BYTES,
        }
    }

    /// The number that clients are told: the step, where batches are steps, so that it is the same however often one is made.
    pub(super) fn current(&self) -> u64 {
        self.step.unwrap_or(self.number)
    }

    pub(super) fn with(self, content: Content, bytes: u64) -> Self {
        Self { content, bytes: bytes + OWN_BYTES, ..self }
    }

    /// The samples have failed instead.
    fn failed(mut self, message: String) -> Self {
        self.failed = std::mem::take(&mut self.samples);
        self.with(Content::Failure(message), 0)
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn failure(&self) -> Option<String> {
        match &self.content {
            Content::Failure(message) => Some(message.clone()),
            _ => None,
        }
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_rest(&self) -> bool {
        matches!(self.content, Content::Rest)
    }

    /// What the log is to say of it.
    pub(crate) fn grant(
        &mut self,
        session: &Session,
        (iteration, rank): (IterationId, u32),
        owner: Owner,
    ) -> Grant {
        Grant {
            iteration,
            rank,
            number: self.number,
            generation: self.walk_generation,
            samples: std::mem::take(&mut self.samples),
            filtered: std::mem::take(&mut self.filtered),
            failed: std::mem::take(&mut self.failed),
            delivered: session.delivered.take(),
            now_ms: unix_ms(),
            owner,
        }
    }

    /// The bytes of one batch in the Lavender layout.
    fn encode(&mut self) -> Result<Vec<Bytes>, NodeError> {
        let number = self.number;
        match &mut self.content {
            Content::Encoded(segments) => Ok(std::mem::take(segments)),
            Content::Rows(rows) => rows.encode(number),
            Content::Failure(_) | Content::Rest => Ok(Vec::new()),
        }
    }
}

/// The bytes of batches that go out together. Several only as an Arrow stream.
pub(crate) fn encode(mut made: Vec<Made>, format: BatchFormat) -> Result<Vec<Bytes>, NodeError> {
    match (made.as_mut_slice(), format) {
        ([one], BatchFormat::Lavender) => one.encode(),
        _ => encode_arrow(&made),
    }
}

fn encode_lavender(
    rows: &RecordBatch,
    processed: Option<&BatchReply>,
    tail: Tail<'_>,
    single: bool,
) -> Result<Vec<Bytes>, NodeError> {
    let layout = Layout { single, lists: ListForm::Json };
    let Some(processed) = processed else { return Ok(lavender::encode_batch(rows, tail, layout)?) };
    let mut sources = Vec::with_capacity(processed.entries.len());
    for (key, entry) in &processed.entries {
        let source = match entry {
            Entry::Column(name) => {
                let (at, field) = rows.schema_ref().column_with_name(name).ok_or(NO_COLUMN)?;
                Item::Column { field, array: &**rows.column(at) }
            }
            Entry::Item(bytes) => Item::Encoded(bytes.clone()),
            Entry::Array(field, array) => Item::Column { field, array: &**array },
        };
        sources.push((key.as_str(), source));
    }
    Ok(lavender::encode(&sources, tail, layout)?)
}

fn encode_arrow(made: &[Made]) -> Result<Vec<Bytes>, NodeError> {
    let mut format: Option<StreamFormat> = None;
    let mut segments = Vec::new();
    for one in made {
        let (indices, rows, processed) = match &one.content {
            Content::Rows(BatchRows { indices, rows, processed, .. }) => (indices, rows, processed),
            Content::Encoded(_) => return Err(OTHER_LAYOUT),
            Content::Failure(_) | Content::Rest => continue,
        };
        let rows = match processed {
            None => rows.clone(),
            Some(processed) => arrow_rows(rows, processed)?,
        };
        if format.is_none() {
            let new = StreamFormat::new(rows.schema_ref(), BlobForm::Offsets)?;
            segments.push(new.schema_message());
            format = Some(new);
        }
        if let Some(format) = &format {
            segments.extend(format.batch(&rows, Tail { indices, current: one.number })?);
        }
    }
    segments.push(Bytes::from_static(&ipc::END));
    Ok(segments)
}

/// What user code made, as columns.
fn arrow_rows(rows: &RecordBatch, processed: &BatchReply) -> Result<RecordBatch, NodeError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (key, entry) in &processed.entries {
        let (field, column) = match entry {
            Entry::Column(name) => {
                let (at, field) = rows.schema_ref().column_with_name(name).ok_or(NO_COLUMN)?;
                (field.clone(), Arc::clone(rows.column(at)))
            }
            Entry::Array(field, array) => (field.as_ref().clone(), Arc::clone(array)),
            Entry::Item(_) => return Err(OTHER_LAYOUT),
        };
        fields.push(field.with_name(key));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| NodeError::Refused(format!("the batch of user code is no table: {error}")))
}

const OTHER_LAYOUT: NodeError = NodeError::Internal("a batch was made in another layout; ask again");
const NO_COLUMN: NodeError = NodeError::Internal("user code named a column that is not in its batch");

/// The memory that encoded segments keep: their own, and whole buffers of rows that large ones are views into.
fn segment_bytes(segments: &[Bytes], rows: &RecordBatch) -> u64 {
    let own: u64 = segments.iter().map(|segment| segment.len() as u64).sum();
    let may_view = |segment: &&Bytes| segment.len() > VIEW_BYTES_MIN;
    if !segments.iter().any(|segment| may_view(&segment)) {
        return own;
    }
    let mut buffers = BTreeMap::new();
    rows.columns().iter().for_each(|column| buffers_of(&column.to_data(), &mut buffers));
    let viewed = |segment: &Bytes| {
        let start = segment.as_ptr() as usize;
        let (buffer, length) = buffers.range(..=start).next_back()?;
        (start < buffer + length).then_some((*buffer, *length))
    };
    let viewed: BTreeSet<_> = segments.iter().filter(may_view).filter_map(viewed).collect();
    own + viewed.iter().map(|(_, length)| *length as u64).sum::<u64>()
}

/// The buffers of an array, by address: their lengths.
fn buffers_of(data: &ArrayData, found: &mut BTreeMap<usize, usize>) {
    found.extend(data.buffers().iter().map(|buffer| (buffer.as_ptr() as usize, buffer.len())));
    data.child_data().iter().for_each(|child| buffers_of(child, found));
}
