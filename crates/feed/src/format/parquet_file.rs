//! Parquet: a chunk is a row group, or a slice of one that is large when decoded.
//!
//! 1. Opening reads the footer and derives what each column is in memory; strings and binary are asked for as views.
//! 2. A whole row group is read with one call per wanted column; a slice reads the pages that it needs, walking over
//!    the headers of those before it.
//! 3. Pages pass [`super::parquet_pages`], which refuses what would make the decoder reserve memory at its word.

use super::chunk_file::{ChunkFile, OpenFile};
use super::parquet_pages::{GroupPages, PageBytes};
use super::views::{conform_batch, memory_schema, physical};
use super::{Chunk, ColumnSpec, FormatError, ReadChunk, ReaderPlan, pyarrow_type};
use crate::inspect::{ChunkSink, Scanned};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use std::sync::Arc;

/// Row groups that take more than this when decoded are read in slices.
const GROUP_BYTES: u64 = 64 << 20;
const SLICE_ROWS: u64 = 1 << 16;
/// A first read of this many bytes at the file's end usually holds the whole footer.
const TAIL_BYTES: u64 = 64 << 10;
const FOOTER_BYTES: usize = 8;

/// A file's footer, and the schema in it.
struct Opened {
    metadata: Arc<ParquetMetaData>,
    schema: Schema,
}

/// How the wanted columns are read.
struct Projection {
    levels: FieldLevels,
    /// For each column of the plan, its place in what the decoder returns.
    order: Vec<usize>,
    /// The leaves that are read.
    leaves: Vec<usize>,
}

pub(super) struct ParquetSource {
    file: ChunkFile,
    opened: Opened,
    projection: Projection,
    schema: SchemaRef,
}

impl ParquetSource {
    pub(super) fn open(file: ChunkFile, plan: &ReaderPlan) -> Result<Self, FormatError> {
        let opened = Opened::read(&file.open()?)?;
        let names: Vec<&str> = plan.columns.iter().map(|column| column.name.as_str()).collect();
        let projection = opened.project(file.name(), &names)?;
        let schema = memory_schema(file.name(), &plan.columns)?;
        Ok(Self { file, opened, projection, schema })
    }
}

impl ReadChunk for ParquetSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn read(&self, chunk: &Chunk) -> Result<RecordBatch, FormatError> {
        let open = self.file.open()?;
        let batch = self.opened.read_chunk(&open, &self.projection, chunk)?;
        let arrays = self.projection.order.iter().map(|place| Arc::clone(batch.column(*place))).collect();
        conform_batch(self.file.name(), &self.schema, batch.num_rows(), arrays)
    }
}

/// Reads all rows of the wanted columns once, or of all columns where none are named.
pub(super) fn scan(
    file: &ChunkFile,
    wanted: &[ColumnSpec],
    sink: &mut ChunkSink<'_>,
) -> Result<Scanned, FormatError> {
    let open = file.open()?;
    let opened = Opened::read(&open)?;
    let mut names: Vec<&str> = wanted.iter().map(|column| column.name.as_str()).collect();
    if names.is_empty() {
        names = opened.schema.fields().iter().map(|field| field.name().as_str()).collect();
    }
    let projection = opened.project(file.name(), &names)?;
    let columns = opened.column_specs(&names);
    let schema = memory_schema(file.name(), &columns)?;
    for chunk in opened.chunks(file.name())? {
        let batch = opened.read_chunk(&open, &projection, &chunk)?;
        let arrays = projection.order.iter().map(|place| Arc::clone(batch.column(*place))).collect();
        let batch = conform_batch(file.name(), &schema, batch.num_rows(), arrays)?;
        if batch.num_rows() != chunk.rows as usize {
            let detail = format!("row group {} has fewer rows than its footer says", chunk.place);
            return Err(FormatError::damaged(file.name(), detail));
        }
        sink(chunk, batch)?;
    }
    Ok(Scanned { columns, index: None })
}

impl Opened {
    fn read(open: &OpenFile) -> Result<Self, FormatError> {
        let name = open.name();
        let tail_bytes = open.bytes().min(TAIL_BYTES);
        let mut tail = open.read(open.bytes() - tail_bytes, tail_bytes)?;
        let footer_bytes = footer_bytes(name, &tail)?;
        if footer_bytes > tail.len() {
            let wanted = footer_bytes as u64;
            let start = open.bytes().checked_sub(wanted).ok_or_else(|| too_short(name))?;
            tail = open.read(start, wanted)?;
        }
        let footer = &tail[tail.len() - footer_bytes..tail.len() - FOOTER_BYTES];
        let metadata = ParquetMetaDataReader::decode_metadata(footer).map_err(|error| failed(name, error))?;
        let file_metadata = metadata.file_metadata();
        let schema =
            parquet_to_arrow_schema(file_metadata.schema_descr(), file_metadata.key_value_metadata());
        let schema = schema.map_err(|error| failed(name, error))?;
        Ok(Self { metadata: Arc::new(metadata), schema })
    }

    /// The columns as the file has them.
    fn column_specs(&self, names: &[&str]) -> Vec<ColumnSpec> {
        let field = |name: &&str| self.schema.field_with_name(name).ok();
        let fields = names.iter().filter_map(field);
        fields.map(|field| ColumnSpec::new(field.name(), pyarrow_type(field.data_type()))).collect()
    }

    fn project(&self, name: &str, columns: &[&str]) -> Result<Projection, FormatError> {
        let mut roots = Vec::with_capacity(columns.len());
        for column in columns {
            let place =
                self.schema.fields().iter().position(|field| field.name() == column).ok_or_else(|| {
                    FormatError::missing_column(
                        name,
                        column,
                        self.schema.fields().iter().map(|field| field.name().as_str()),
                    )
                })?;
            roots.push(place);
        }
        let in_file_order = |place: usize| roots.iter().filter(|other| **other < place).count();
        let order = roots.iter().map(|place| in_file_order(*place)).collect();
        let descriptor = self.metadata.file_metadata().schema_descr();
        let leaves = (0..descriptor.num_columns())
            .filter(|leaf| roots.contains(&descriptor.get_column_root_idx(*leaf)));
        let leaves = leaves.collect();
        let view = |field: &Arc<Field>| {
            Arc::new(Field::new(field.name(), physical(field.data_type()), field.is_nullable()))
        };
        let hint: Fields = self.schema.fields().iter().map(view).collect();
        let mask = ProjectionMask::roots(descriptor, roots.iter().copied());
        let levels = parquet_to_arrow_field_levels(descriptor, mask, Some(&hint));
        let levels = levels.map_err(|error| failed(name, error))?;
        Ok(Projection { levels, order, leaves })
    }

    /// The file's chunks: row groups without rows are left out.
    fn chunks(&self, name: &str) -> Result<Vec<Chunk>, FormatError> {
        let mut chunks = Vec::with_capacity(self.metadata.num_row_groups());
        let mut total: u64 = 0;
        for (place, group) in self.metadata.row_groups().iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).map_err(|_| {
                FormatError::damaged(name, format!("row group {place} has a negative number of rows"))
            })?;
            total = total.saturating_add(rows);
            if total > u64::from(u32::MAX) {
                return Err(FormatError::too_large(name, format!("it has more than {} rows", u32::MAX)));
            }
            let slice = slice_rows(group, rows);
            let mut first = 0;
            while first < rows {
                let rows = slice.min(rows - first);
                let rows = u32::try_from(rows).expect("the total was checked against it");
                chunks.push(Chunk { rows, place: place as u64, span: first });
                first += u64::from(rows);
            }
        }
        Ok(chunks)
    }

    fn read_chunk(
        &self,
        open: &OpenFile,
        projection: &Projection,
        chunk: &Chunk,
    ) -> Result<RecordBatch, FormatError> {
        let name = open.name();
        let place = usize::try_from(chunk.place).unwrap_or(usize::MAX);
        let Some(group) = self.metadata.row_groups().get(place) else {
            let detail = format!("it has no row group {place} any more");
            return Err(FormatError::Changed { file: name.to_owned(), detail });
        };
        let group_rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let whole = chunk.span == 0 && u64::from(chunk.rows) == group_rows;
        if chunk.span + u64::from(chunk.rows) > group_rows {
            let detail = format!("row group {place} has {group_rows} rows, fewer than recorded");
            return Err(FormatError::Changed { file: name.to_owned(), detail });
        }
        let pages =
            GroupPages::new(Arc::clone(&self.metadata), place, column_bytes(open, group, projection, whole)?);
        let rows = chunk.rows as usize;
        let skipped = usize::try_from(chunk.span).expect("it is below the rows of a file, a u32");
        let selection = RowSelection::from(vec![RowSelector::skip(skipped), RowSelector::select(rows)]);
        let reader = ParquetRecordBatchReader::try_new_with_row_groups(
            &projection.levels,
            &pages,
            rows,
            (!whole).then_some(selection),
        );
        let batch = reader.map_err(|error| failed(name, error))?.next().transpose();
        let batch = batch.map_err(|error| FormatError::damaged(name, error))?;
        batch.ok_or_else(|| FormatError::damaged(name, format!("row group {place} ends early")))
    }
}

/// Where the pages of each wanted leaf come from.
fn column_bytes(
    open: &OpenFile,
    group: &RowGroupMetaData,
    projection: &Projection,
    whole: bool,
) -> Result<Vec<Option<PageBytes>>, FormatError> {
    let mut columns = vec![None; group.num_columns()];
    for leaf in &projection.leaves {
        let column = group.column(*leaf);
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else {
            return Err(FormatError::damaged(open.name(), "a column begins or ends before the file"));
        };
        columns[*leaf] = Some(match whole {
            true => PageBytes::Memory { start, bytes: open.read_bytes(start, length)? },
            false => PageBytes::File { open: open.clone(), start, end: start.saturating_add(length) },
        });
    }
    Ok(columns)
}

/// The footer's length, its own eight bytes included, from the last bytes of the file.
fn footer_bytes(name: &str, tail: &[u8]) -> Result<usize, FormatError> {
    let Some((_, [l0, l1, l2, l3, magic @ ..])) = tail.split_last_chunk::<FOOTER_BYTES>() else {
        return Err(too_short(name));
    };
    match magic {
        b"PAR1" => {}
        b"PARE" => {
            let detail = "it is encrypted".to_owned();
            return Err(FormatError::Unsupported { file: name.to_owned(), detail });
        }
        _ => return Err(FormatError::truncated(name, "it does not end as a parquet file does")),
    }
    Ok(u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize + FOOTER_BYTES)
}

fn too_short(name: &str) -> FormatError {
    FormatError::truncated(name, "it is shorter than its own footer")
}

fn failed(name: &str, error: ParquetError) -> FormatError {
    match error {
        ParquetError::NYI(detail) => FormatError::Unsupported { file: name.to_owned(), detail },
        error => FormatError::damaged(name, error),
    }
}

/// Rows of a chunk of this row group.
fn slice_rows(group: &RowGroupMetaData, rows: u64) -> u64 {
    let encoded: u64 =
        group.columns().iter().map(|column| u64::try_from(column.uncompressed_size()).unwrap_or(0)).sum();
    let per_row: u64 = group.columns().iter().map(|column| value_bytes(column.column_descr())).sum();
    let decoded = encoded.max(rows.saturating_mul(per_row));
    if decoded <= GROUP_BYTES {
        return rows.max(1);
    }
    let share = u128::from(rows) * u128::from(GROUP_BYTES) / u128::from(decoded);
    u64::try_from(share).unwrap_or(SLICE_ROWS).clamp(1, SLICE_ROWS)
}

/// What a value takes in memory, at the least.
fn value_bytes(column: &parquet::schema::types::ColumnDescriptor) -> u64 {
    match column.physical_type() {
        PhysicalType::BOOLEAN => 1,
        PhysicalType::INT32 | PhysicalType::FLOAT => 4,
        PhysicalType::INT64 | PhysicalType::DOUBLE | PhysicalType::INT96 => 8,
        PhysicalType::BYTE_ARRAY => 16,
        PhysicalType::FIXED_LEN_BYTE_ARRAY => u64::try_from(column.type_length()).unwrap_or(0).max(1),
    }
}
