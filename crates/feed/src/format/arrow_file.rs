//! Arrow IPC: the file format (with a footer) and the stream format under the same name. A chunk is a record batch.
//!
//! 1. Opening reads the schema and all dictionaries; of a stream it walks over the headers of the messages.
//! 2. A record batch is read with one call and decoded in place: its buffers are those that were read, unless they
//!    are compressed.
//! 3. A compressed buffer states its own length; what it states is checked before memory is reserved for it.

use super::chunk_file::{ChunkFile, OpenFile, READ_BYTES_MAX};
use super::views::{conform_batch, memory_schema};
use super::{Chunk, ColumnSpec, FormatError, ReadChunk, ReaderPlan, pyarrow_type};
use crate::inspect::{ChunkSink, Scanned};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileDecoder;
use arrow::ipc::{Block, Message, MessageHeader, MetadataVersion, convert, root_as_footer, root_as_message};
use std::sync::Arc;

const MAGIC: &[u8; 6] = b"ARROW1";
/// The footer's length and the magic, at the file's end.
const TRAILER_BYTES: u64 = 10;
const CONTINUATION: u32 = 0xffff_ffff;

pub(super) struct ArrowSource {
    file: ChunkFile,
    opened: Opened,
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// A file's schema, dictionaries, and where its record batches are.
struct Opened {
    file_schema: SchemaRef,
    decoder: FileDecoder,
    batches: Vec<Piece>,
}

/// A message and its body.
#[derive(Clone, Copy)]
struct Piece {
    offset: u64,
    bytes: u64,
}

impl ArrowSource {
    pub(super) fn open(file: ChunkFile, plan: &ReaderPlan) -> Result<Self, FormatError> {
        let opened = Opened::read(&file.open()?)?;
        let names: Vec<&str> = plan.columns.iter().map(|column| column.name.as_str()).collect();
        let columns = opened.places(file.name(), &names)?;
        let schema = memory_schema(file.name(), &plan.columns)?;
        Ok(Self { file, opened, columns, schema })
    }
}

impl ReadChunk for ArrowSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn read(&self, chunk: &Chunk) -> Result<RecordBatch, FormatError> {
        let place = usize::try_from(chunk.place).unwrap_or(usize::MAX);
        let batch = self.opened.read_batch(&self.file.open()?, place)?;
        project(self.file.name(), &self.columns, &self.schema, &batch)
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
        names = opened.file_schema.fields().iter().map(|field| field.name().as_str()).collect();
    }
    let places = opened.places(file.name(), &names)?;
    let spec = |place: &usize| {
        let field = opened.file_schema.field(*place);
        ColumnSpec::new(field.name(), pyarrow_type(field.data_type()))
    };
    let columns: Vec<ColumnSpec> = places.iter().map(spec).collect();
    let schema = memory_schema(file.name(), &columns)?;
    for place in 0..opened.batches.len() {
        let batch = opened.read_batch(&open, place)?;
        let rows = u32::try_from(batch.num_rows())
            .map_err(|_| FormatError::too_large(file.name(), format!("record batch {place}")))?;
        if rows > 0 {
            let batch = project(file.name(), &places, &schema, &batch)?;
            sink(Chunk { rows, place: place as u64, span: 0 }, batch)?;
        }
    }
    Ok(Scanned { columns, index: None })
}

fn project(
    name: &str,
    places: &[usize],
    schema: &SchemaRef,
    batch: &RecordBatch,
) -> Result<RecordBatch, FormatError> {
    let arrays = places.iter().map(|place| Arc::clone(batch.column(*place))).collect();
    conform_batch(name, schema, batch.num_rows(), arrays)
}

impl Opened {
    fn read(open: &OpenFile) -> Result<Self, FormatError> {
        match open.read_up_to(0, MAGIC.len() as u64)?.as_slice() == MAGIC {
            true => Self::read_file(open),
            false => Self::read_stream(open),
        }
    }

    fn read_file(open: &OpenFile) -> Result<Self, FormatError> {
        let name = open.name();
        let trailer_start = open.bytes().checked_sub(TRAILER_BYTES).ok_or_else(|| no_end(name))?;
        let trailer = open.read(trailer_start, TRAILER_BYTES)?;
        if !trailer.ends_with(MAGIC) {
            return Err(no_end(name));
        }
        let length = u64::from(u32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]));
        let start = trailer_start.checked_sub(length).ok_or_else(|| no_end(name))?;
        let footer = open.read(start, length)?;
        let footer = root_as_footer(&footer).map_err(|error| FormatError::damaged(name, error))?;
        let schema = footer.schema().ok_or_else(|| FormatError::damaged(name, "it has no schema"))?;
        let schema = convert::try_fb_to_schema(schema).map_err(|error| FormatError::damaged(name, error))?;
        let schema = Arc::new(schema);
        let mut decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        for block in footer.dictionaries().iter().flatten() {
            let piece = Piece::of_block(name, block)?;
            read_dictionary(open, &mut decoder, piece)?;
        }
        let blocks = footer.recordBatches();
        let batches = blocks.iter().flatten().map(|block| Piece::of_block(name, block));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { file_schema: schema, decoder, batches })
    }

    fn read_stream(open: &OpenFile) -> Result<Self, FormatError> {
        let name = open.name();
        let not_arrow = || FormatError::damaged(name, "it is neither an Arrow file nor an Arrow stream");
        let (first, bytes) = read_header(open, 0)?.ok_or_else(not_arrow)?;
        let message = parse_message(name, &bytes)?;
        let schema = message.header_as_schema().ok_or_else(not_arrow)?;
        let schema = convert::try_fb_to_schema(schema).map_err(|error| FormatError::damaged(name, error))?;
        let schema = Arc::new(schema);
        let mut decoder = FileDecoder::new(Arc::clone(&schema), message.version());
        let mut dictionaries = Vec::new();
        let mut batches = Vec::new();
        let mut offset = first.bytes;
        while let Some((piece, bytes)) = read_header(open, offset)? {
            let message = parse_message(name, &bytes)?;
            match message.header_type() {
                MessageHeader::DictionaryBatch => {
                    let id = message.header_as_dictionary_batch().map(|dictionary| dictionary.id());
                    if dictionaries.contains(&id) {
                        let detail = "a dictionary that changes within a stream".to_owned();
                        return Err(FormatError::Unsupported { file: name.to_owned(), detail });
                    }
                    dictionaries.push(id);
                    read_dictionary(open, &mut decoder, piece)?;
                }
                MessageHeader::RecordBatch => batches.push(piece),
                _ => return Err(FormatError::damaged(name, "a message of it is of no known kind")),
            }
            offset = piece.offset + piece.bytes;
        }
        Ok(Self { file_schema: schema, decoder, batches })
    }

    fn places(&self, name: &str, columns: &[&str]) -> Result<Vec<usize>, FormatError> {
        let fields = self.file_schema.fields();
        let place = |column: &&str| {
            fields.iter().position(|field| field.name() == column).ok_or_else(|| {
                FormatError::missing_column(name, column, fields.iter().map(|field| field.name().as_str()))
            })
        };
        columns.iter().map(place).collect()
    }

    fn read_batch(&self, open: &OpenFile, place: usize) -> Result<RecordBatch, FormatError> {
        let name = open.name();
        let piece = *self.batches.get(place).ok_or_else(|| {
            let detail = format!("it has no record batch {place} any more");
            FormatError::Changed { file: name.to_owned(), detail }
        })?;
        let (block, buffer) = read_piece(open, piece)?;
        let batch = self.decoder.read_record_batch(&block, &buffer);
        let batch = batch.map_err(|error| FormatError::damaged(name, error))?;
        batch.ok_or_else(|| FormatError::damaged(name, format!("record batch {place} is none")))
    }
}

impl Piece {
    fn of_block(name: &str, block: &Block) -> Result<Self, FormatError> {
        let parts = (
            u64::try_from(block.offset()),
            u64::try_from(block.metaDataLength()),
            u64::try_from(block.bodyLength()),
        );
        match parts {
            (Ok(offset), Ok(head), Ok(body)) => Ok(Self { offset, bytes: head.saturating_add(body) }),
            _ => Err(FormatError::damaged(name, "its footer names a part before its beginning")),
        }
    }
}

fn no_end(name: &str) -> FormatError {
    FormatError::truncated(name, "it does not end as an Arrow file does")
}

/// Bytes before a message's metadata, and bytes of the metadata.
fn prefix(name: &str, bytes: &[u8]) -> Result<(u64, u64), FormatError> {
    let word = |place: usize| {
        let bytes: Option<[u8; 4]> = bytes.get(place..place + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or_else(|| FormatError::truncated(name, "a message has no length"))
    };
    match word(0)? {
        CONTINUATION => Ok((8, u64::from(word(4)?))),
        length => Ok((4, u64::from(length))),
    }
}

/// The message at `offset` of a stream, and its metadata; `None` at the stream's end.
fn read_header(open: &OpenFile, offset: u64) -> Result<Option<(Piece, Vec<u8>)>, FormatError> {
    if offset >= open.bytes() {
        return Ok(None);
    }
    let (before, length) = prefix(open.name(), &open.read_up_to(offset, 8)?)?;
    if length == 0 {
        return Ok(None);
    }
    let metadata = open.read(offset + before, length)?;
    let body = parse_message(open.name(), &metadata)?.bodyLength();
    let body = u64::try_from(body).map_err(|_| FormatError::damaged(open.name(), "a message has no body"))?;
    let bytes = before.saturating_add(length).saturating_add(body);
    if offset.saturating_add(bytes) > open.bytes() {
        return Err(FormatError::truncated(open.name(), "it ends within a message"));
    }
    Ok(Some((Piece { offset, bytes }, metadata)))
}

fn parse_message<'a>(name: &str, metadata: &'a [u8]) -> Result<Message<'a>, FormatError> {
    root_as_message(metadata).map_err(|error| FormatError::damaged(name, error))
}

fn read_dictionary(open: &OpenFile, decoder: &mut FileDecoder, piece: Piece) -> Result<(), FormatError> {
    let (block, buffer) = read_piece(open, piece)?;
    decoder.read_dictionary(&block, &buffer).map_err(|error| FormatError::damaged(open.name(), error))
}

/// A message with its body, checked as far as the decoder takes it at its word.
fn read_piece(open: &OpenFile, piece: Piece) -> Result<(Block, Buffer), FormatError> {
    let name = open.name();
    if piece.bytes > READ_BYTES_MAX {
        return Err(FormatError::too_large(name, format!("a record batch of {} bytes", piece.bytes)));
    }
    let buffer = Buffer::from_vec(open.read(piece.offset, piece.bytes)?);
    let (before, length) = prefix(name, &buffer)?;
    let head = before + length;
    let metadata =
        buffer.get(usize::try_from(before).unwrap_or(usize::MAX)..usize::try_from(head).unwrap_or(0));
    let metadata =
        metadata.ok_or_else(|| FormatError::damaged(name, "a message is longer than its place"))?;
    let message = parse_message(name, metadata)?;
    let body = piece.bytes - head;
    if message.bodyLength() < 0
        || message.bodyLength() as u64 > body
        || message.version() < MetadataVersion::V4
    {
        return Err(FormatError::damaged(name, "a message does not fit its place or is of an old version"));
    }
    check_lengths(name, &message, &buffer[usize::try_from(head).unwrap_or(usize::MAX)..])?;
    let head = i32::try_from(head).map_err(|_| FormatError::damaged(name, "a message's head is too long"))?;
    let offset = i64::try_from(piece.offset).unwrap_or(i64::MAX);
    Ok((Block::new(offset, head, i64::try_from(body).unwrap_or(0)), buffer))
}

fn check_lengths(name: &str, message: &Message<'_>, body: &[u8]) -> Result<(), FormatError> {
    let batch = message.header_as_record_batch();
    let batch =
        batch.or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    let batch = batch.ok_or_else(|| FormatError::damaged(name, "a message holds no rows"))?;
    if !(0..=i64::from(u32::MAX)).contains(&batch.length()) {
        return Err(FormatError::damaged(name, format!("a record batch of {} rows", batch.length())));
    }
    let compressed = batch.compression().is_some();
    let mut stated: u64 = 0;
    for buffer in batch.buffers().iter().flatten() {
        let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let bytes = range.and_then(|(offset, length)| body.get(offset..offset.checked_add(length)?));
        let bytes =
            bytes.ok_or_else(|| FormatError::damaged(name, "a buffer lies outside its record batch"))?;
        if compressed && let Some((length, _)) = bytes.split_first_chunk() {
            // Negative: the buffer is stored as it is.
            stated = stated.saturating_add(u64::try_from(i64::from_le_bytes(*length)).unwrap_or(0));
        }
    }
    match stated > READ_BYTES_MAX {
        true => Err(FormatError::too_large(name, format!("a record batch of {stated} bytes when unpacked"))),
        false => Ok(()),
    }
}
