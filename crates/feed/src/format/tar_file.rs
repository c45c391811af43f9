//! WebDataset tars: a row is a sample, with the column `__key__` and a binary column for each extension, null where a
//! sample has no such member. A sample's `json` member is also read: its keys become columns, if every sample of the
//! file has an object there, or if they are asked for. A key named like an extension is not; the member is.
//!
//! Members are read in runs: neighbours that are wanted go with one call, and the values are views into what was read.

use super::chunk_file::{ChunkFile, OpenFile};
use super::error::{CellError, shortened};
use super::json_rows::{JsonColumns, decode};
use super::jsonl_file::column_types;
use super::tar_index::{Member, TarIndex};
use super::text_window::{CHUNK_BYTES, CHUNK_ROWS};
use super::views::{conform_batch, memory_schema};
use super::{Chunk, ColumnSpec, ColumnType, FormatError, ReadChunk, ReaderPlan};
use crate::inspect::{ChunkSink, Scanned};
use arrow::array::{ArrayRef, BinaryViewArray, RecordBatch, StringViewBuilder, make_view, new_null_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{DataType, SchemaRef};
use std::ops::Range;
use std::sync::Arc;

const KEY: &str = "__key__";
const JSON: &str = "json";
/// Members that are not wanted are read over if they are smaller than this.
const GAP_BYTES: u64 = 64 << 10;
const RUN_BYTES_MAX: u64 = 256 << 20;

/// What a column of a plan is in this file.
enum TarColumn {
    Key,
    Extension(u32),
    /// An extension that no sample of this file has.
    Absent,
    /// A key of the json member: its place among those.
    Json(usize),
}

struct Columns {
    columns: Vec<TarColumn>,
    json: Vec<(String, ColumnType)>,
    schema: SchemaRef,
}

pub(super) struct TarSource {
    file: ChunkFile,
    index: TarIndex,
    columns: Columns,
}

impl TarSource {
    pub(super) fn open(file: ChunkFile, plan: &ReaderPlan) -> Result<Self, FormatError> {
        let index = match &plan.index {
            Some(bytes) => TarIndex::decode(bytes).map_err(|error| {
                FormatError::damaged(file.name(), format!("the index of its members: {error}"))
            })?,
            None => TarIndex::walk(&file.open()?)?,
        };
        let columns = Columns::new(file.name(), &index, &plan.columns)?;
        Ok(Self { file, index, columns })
    }
}

impl ReadChunk for TarSource {
    fn schema(&self) -> &SchemaRef {
        &self.columns.schema
    }

    fn read(&self, chunk: &Chunk) -> Result<RecordBatch, FormatError> {
        let samples = self.samples(chunk).ok_or_else(|| {
            let detail =
                format!("it has no sample {} any more", chunk.place.saturating_add(u64::from(chunk.rows)));
            FormatError::Changed { file: self.file.name().to_owned(), detail }
        })?;
        self.columns.read(&self.file.open()?, &self.index, samples)
    }
}

impl TarSource {
    fn samples(&self, chunk: &Chunk) -> Option<Range<usize>> {
        let start = usize::try_from(chunk.place).ok()?;
        let end = start.checked_add(chunk.rows as usize)?;
        (end <= self.index.samples()).then_some(start..end)
    }
}

/// Reads all rows of the wanted columns once, or of all columns where none are named.
pub(super) fn scan(
    file: &ChunkFile,
    wanted: &[ColumnSpec],
    sink: &mut ChunkSink<'_>,
) -> Result<Scanned, FormatError> {
    let open = file.open()?;
    let index = TarIndex::walk(&open)?;
    let specs = column_specs(&open, &index, wanted)?;
    let columns = Columns::new(file.name(), &index, &specs)?;
    let mut start = 0;
    while start < index.samples() {
        let end = chunk_end(&index, start);
        let batch = columns.read(&open, &index, start..end)?;
        let rows = u32::try_from(end - start).expect("a chunk has at most CHUNK_ROWS rows");
        sink(Chunk { rows, place: start as u64, span: 0 }, batch)?;
        start = end;
    }
    Ok(Scanned { columns: specs, index: Some(index.encode()) })
}

fn chunk_end(index: &TarIndex, start: usize) -> usize {
    let mut bytes = 0;
    let limit = index.samples().min(start + CHUNK_ROWS);
    for sample in start..limit {
        bytes += index.members(sample).iter().map(|member| member.bytes).sum::<u64>();
        if bytes >= CHUNK_BYTES as u64 {
            return sample + 1;
        }
    }
    limit
}

/// The columns of this file with their types: the wanted ones, or all.
fn column_specs(
    open: &OpenFile,
    index: &TarIndex,
    wanted: &[ColumnSpec],
) -> Result<Vec<ColumnSpec>, FormatError> {
    let is_member = |name: &str| name == KEY || index.extensions.iter().any(|extension| extension == name);
    let member = |name: &str| ColumnSpec::new(name, if name == KEY { "string" } else { "binary" });
    let is_json = |column: &&ColumnSpec| !is_member(&column.name) && column.type_text != "binary";
    let json_wanted: Vec<ColumnSpec> = wanted.iter().filter(is_json).cloned().collect();
    let json = match wanted.is_empty() || !json_wanted.is_empty() {
        true => json_specs(open, index, &json_wanted)?,
        false => Vec::new(),
    };
    if wanted.is_empty() {
        let mut specs = vec![member(KEY)];
        specs.extend(index.extensions.iter().map(|extension| member(extension)));
        specs.extend(json.into_iter().filter(|column| !is_member(&column.name)));
        return Ok(specs);
    }
    let spec = |column: &ColumnSpec| {
        let found = json.iter().find(|found| found.name == column.name);
        found.cloned().unwrap_or_else(|| member(&column.name))
    };
    Ok(wanted.iter().map(spec).collect())
}

/// The types of the json members' keys; none if nothing is wanted of them and not every sample has an object.
fn json_specs(
    open: &OpenFile,
    index: &TarIndex,
    wanted: &[ColumnSpec],
) -> Result<Vec<ColumnSpec>, FormatError> {
    let unsupported = |detail| FormatError::Unsupported { file: open.name().to_owned(), detail };
    let mut columns = JsonColumns::new(wanted).map_err(unsupported)?;
    let Some(json) = index.extensions.iter().position(|extension| extension == JSON) else {
        return Ok(if wanted.is_empty() { Vec::new() } else { columns.specs() });
    };
    let mut start = 0;
    while start < index.samples() {
        let end = chunk_end(index, start);
        let runs = Runs::read(open, index, start..end, |extension| extension as usize == json)?;
        for sample in start..end {
            let object = runs.member(index, sample, json);
            let absorbed = match object {
                Some(object) => columns.absorb(object),
                None if wanted.is_empty() => return Ok(Vec::new()),
                None => Ok(()),
            };
            match absorbed {
                Ok(()) => {}
                Err(_) if wanted.is_empty() => return Ok(Vec::new()),
                Err(detail) => return Err(bad_object(open.name(), index.key(sample), object, detail)),
            }
        }
        start = end;
    }
    Ok(columns.specs())
}

fn bad_object(file: &str, key: &str, object: Option<&[u8]>, detail: String) -> FormatError {
    CellError {
        file: file.to_owned(),
        place: format!("sample {key:?}"),
        column: JSON.to_owned(),
        cell: shortened(&String::from_utf8_lossy(object.unwrap_or_default())),
        wanted: format!("JSON object as the other samples have ({detail})"),
        advice: "correct it, or declare only the columns that are needed",
    }
    .into()
}

impl Columns {
    fn new(file: &str, index: &TarIndex, specs: &[ColumnSpec]) -> Result<Self, FormatError> {
        let schema = memory_schema(file, specs)?;
        let mut json = Vec::new();
        let mut columns = Vec::with_capacity(specs.len());
        for (place, column) in specs.iter().enumerate() {
            let extension = index.extensions.iter().position(|extension| *extension == column.name);
            columns.push(match extension {
                _ if column.name == KEY => TarColumn::Key,
                Some(extension) => TarColumn::Extension(u32::try_from(extension).unwrap_or(u32::MAX)),
                None if *schema.field(place).data_type() == DataType::BinaryView => TarColumn::Absent,
                None => {
                    json.extend(column_types(file, std::slice::from_ref(column))?);
                    TarColumn::Json(json.len() - 1)
                }
            });
        }
        Ok(Self { columns, json, schema })
    }

    fn read(
        &self,
        open: &OpenFile,
        index: &TarIndex,
        samples: Range<usize>,
    ) -> Result<RecordBatch, FormatError> {
        let json_extension = index.extensions.iter().position(|extension| extension == JSON);
        let wants_json = !self.json.is_empty();
        let wanted = |extension: u32| {
            (wants_json && json_extension == Some(extension as usize))
                || self
                    .columns
                    .iter()
                    .any(|column| matches!(column, TarColumn::Extension(one) if *one == extension))
        };
        let runs = Runs::read(open, index, samples.clone(), wanted)?;
        let mut objects: Vec<&[u8]> = Vec::new();
        if wants_json {
            let object =
                |sample| json_extension.and_then(|json| runs.member(index, sample, json)).unwrap_or(b"{}");
            objects = samples.clone().map(object).collect();
        }
        let json = decode(&objects, &self.json).map_err(|bad| {
            let sample = samples.start + bad.row;
            bad_object(open.name(), index.key(sample), objects.get(bad.row).copied(), bad.detail)
        })?;
        let array = |column: &TarColumn| match column {
            TarColumn::Key => keys(index, samples.clone()),
            TarColumn::Extension(extension) => runs.array(index, samples.clone(), *extension),
            TarColumn::Absent => new_null_array(&DataType::BinaryView, samples.len()),
            TarColumn::Json(place) => Arc::clone(&json[*place]),
        };
        let arrays = self.columns.iter().map(array).collect();
        conform_batch(open.name(), &self.schema, samples.len(), arrays)
    }
}

fn keys(index: &TarIndex, samples: Range<usize>) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(samples.len());
    samples.for_each(|sample| builder.append_value(index.key(sample)));
    Arc::new(builder.finish())
}

/// The wanted members of some samples, as they lie in the file.
struct Runs {
    /// Each run's place in the file, ascending.
    starts: Vec<u64>,
    buffers: Vec<Buffer>,
}

impl Runs {
    fn read(
        open: &OpenFile,
        index: &TarIndex,
        samples: Range<usize>,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Self, FormatError> {
        let members = samples.flat_map(|sample| index.members(sample));
        let mut members: Vec<&Member> = members.filter(|member| wanted(member.extension)).collect();
        members.sort_unstable_by_key(|member| member.offset);
        let mut runs: Vec<Range<u64>> = Vec::new();
        for member in members {
            let end = member.offset.saturating_add(member.bytes);
            match runs.last_mut() {
                Some(run)
                    if member.offset <= run.end.saturating_add(GAP_BYTES)
                        && end - run.start <= RUN_BYTES_MAX =>
                {
                    run.end = run.end.max(end);
                }
                _ => runs.push(member.offset..end),
            }
        }
        let mut read =
            Self { starts: Vec::with_capacity(runs.len()), buffers: Vec::with_capacity(runs.len()) };
        for run in runs {
            read.buffers.push(Buffer::from_vec(open.read(run.start, run.end - run.start)?));
            read.starts.push(run.start);
        }
        Ok(read)
    }

    /// The buffer of a member, and where it begins in it.
    fn place(&self, member: &Member) -> Option<(usize, usize)> {
        let run = self.starts.partition_point(|start| *start <= member.offset).checked_sub(1)?;
        let start = usize::try_from(member.offset - self.starts[run]).ok()?;
        (start as u64 + member.bytes <= self.buffers[run].len() as u64).then_some((run, start))
    }

    fn member(&self, index: &TarIndex, sample: usize, extension: usize) -> Option<&[u8]> {
        let member = index.members(sample).iter().find(|member| member.extension as usize == extension)?;
        let (run, start) = self.place(member)?;
        self.buffers[run].get(start..start + usize::try_from(member.bytes).ok()?)
    }

    fn array(&self, index: &TarIndex, samples: Range<usize>, extension: u32) -> ArrayRef {
        let mut views = Vec::with_capacity(samples.len());
        let mut valid = Vec::with_capacity(samples.len());
        for sample in samples {
            let member = index.members(sample).iter().find(|member| member.extension == extension);
            let view = member.and_then(|member| {
                let (run, start) = self.place(member)?;
                let bytes = &self.buffers[run][start..start + usize::try_from(member.bytes).ok()?];
                Some(make_view(bytes, u32::try_from(run).ok()?, u32::try_from(start).ok()?))
            });
            valid.push(view.is_some());
            views.push(view.unwrap_or(0));
        }
        let nulls = (!valid.iter().all(|valid| *valid)).then(|| NullBuffer::from(valid));
        let array = BinaryViewArray::try_new(views.into(), self.buffers.clone(), nulls);
        Arc::new(array.expect("every view lies in the buffer of its run"))
    }
}
