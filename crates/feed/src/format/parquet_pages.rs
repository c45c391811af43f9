//! The pages of one row group, handed to the parquet decoder.
//!
//! The decoder reserves memory for a dictionary at its page's word, and an allocation that fails ends the process,
//! which no guard catches. So a page that promises more values than its bytes can hold is refused here.

use super::chunk_file::OpenFile;
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Type as PhysicalType;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::io::Read;
use std::sync::Arc;

/// Page headers are read in pieces of this size.
const HEADER_BYTES: u64 = 4 << 10;

/// Where the pages of one column come from. Offsets are those of the file.
#[derive(Clone)]
pub(super) enum PageBytes {
    Memory { start: u64, bytes: Bytes },
    File { open: OpenFile, start: u64, end: u64 },
}

impl PageBytes {
    fn read(&self, offset: u64, length: u64) -> Result<Bytes> {
        let beyond = || ParquetError::EOF(format!("a page's bytes {offset} + {length} are not its column's"));
        match self {
            Self::Memory { start, bytes } => {
                let from = offset.checked_sub(*start).ok_or_else(beyond)?;
                let to =
                    from.checked_add(length).filter(|to| *to <= bytes.len() as u64).ok_or_else(beyond)?;
                Ok(bytes.slice(usize::try_from(from)?..usize::try_from(to)?))
            }
            Self::File { open, start, end } => {
                if offset < *start || offset.checked_add(length).is_none_or(|to| to > *end) {
                    return Err(beyond());
                }
                open.read_bytes(offset, length).map_err(|error| ParquetError::External(Box::new(error)))
            }
        }
    }

    fn end(&self) -> u64 {
        match self {
            Self::Memory { start, bytes } => start.saturating_add(bytes.len() as u64),
            Self::File { end, .. } => *end,
        }
    }
}

impl Length for PageBytes {
    fn len(&self) -> u64 {
        self.end()
    }
}

impl ChunkReader for PageBytes {
    type T = PageCursor;

    fn get_read(&self, start: u64) -> Result<PageCursor> {
        Ok(PageCursor { source: self.clone(), offset: start, piece: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.read(start, length as u64)
    }
}

/// Reads a page's header.
pub(super) struct PageCursor {
    source: PageBytes,
    offset: u64,
    piece: Bytes,
}

impl Read for PageCursor {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.piece.is_empty() {
            let length = self.source.end().saturating_sub(self.offset).min(HEADER_BYTES);
            self.piece = self.source.read(self.offset, length).map_err(std::io::Error::other)?;
            self.offset += length;
        }
        let length = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

/// One row group and the bytes of its wanted columns.
pub(super) struct GroupPages {
    metadata: Arc<ParquetMetaData>,
    group: usize,
    columns: Vec<Option<PageBytes>>,
}

impl GroupPages {
    pub(super) fn new(metadata: Arc<ParquetMetaData>, group: usize, columns: Vec<Option<PageBytes>>) -> Self {
        Self { metadata, group, columns }
    }
}

impl RowGroups for GroupPages {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let bytes = self.columns.get(column).cloned().flatten();
        let bytes =
            bytes.ok_or_else(|| ParquetError::General(format!("column {column} was not asked for")))?;
        let chunk = self.metadata.row_group(self.group).column(column);
        let pages = SerializedPageReader::new(Arc::new(bytes), chunk, self.num_rows(), None)?;
        let pages = CheckedPages { pages, value_bytes_min: value_bytes_min(chunk) };
        Ok(Box::new(OneChunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The least that a value of a dictionary takes in its page.
fn value_bytes_min(chunk: &ColumnChunkMetaData) -> u64 {
    match chunk.column_type() {
        PhysicalType::BOOLEAN => 1,
        PhysicalType::INT32 | PhysicalType::FLOAT | PhysicalType::BYTE_ARRAY => 4,
        PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
        PhysicalType::INT96 => 12,
        PhysicalType::FIXED_LEN_BYTE_ARRAY => u64::try_from(chunk.column_descr().type_length()).unwrap_or(0),
    }
}

struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

struct CheckedPages {
    pages: SerializedPageReader<PageBytes>,
    value_bytes_min: u64,
}

impl CheckedPages {
    fn checked(&self, page: Page) -> Result<Page> {
        if let Page::DictionaryPage { buf, num_values, .. } = &page
            && u64::from(*num_values) * self.value_bytes_min > buf.len() as u64
        {
            let detail = format!("a dictionary of {} bytes says that it has {num_values} values", buf.len());
            return Err(ParquetError::General(detail));
        }
        Ok(page)
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.map(|page| self.checked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.pages.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> Result<Option<Page>> {
        let page = self.pages.take_deferred_dictionary()?;
        page.map(|page| self.checked(page)).transpose()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}
