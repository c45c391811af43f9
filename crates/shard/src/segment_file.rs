//! The frame of a segment's file: header, section table, footer, checksums. See `sealed` for the bytes.

use lavandin_storage::{Directory, File, StorageError};
use lavandin_types::{CollectionId, ElementType, SegmentId};
use std::ops::Range;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: &[u8; 8] = b"LVNDSEG1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 32;
const FOOTER_BYTES: usize = 32;
const ALIGNMENT: u64 = 64;
const SECTION_COUNT: usize = 10;
/// Bytes gathered before they are handed to the file.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// What a segment's file holds, in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Vectors,
    Codes,
    CodeMeta,
    Ids,
    /// Empty where all ids are integers; else a byte a row, 1 for a string.
    IdKinds,
    /// Starts of string ids in the text, and one end.
    IdOffsets,
    IdText,
    Ordinals,
    IdTable,
    Fields,
}

impl Section {
    const ALL: [Self; SECTION_COUNT] = [
        Self::Vectors,
        Self::Codes,
        Self::CodeMeta,
        Self::Ids,
        Self::IdKinds,
        Self::IdOffsets,
        Self::IdText,
        Self::Ordinals,
        Self::IdTable,
        Self::Fields,
    ];
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub segment: SegmentId,
    pub collection: CollectionId,
    pub rows: u32,
    pub dim: u32,
    pub element: ElementType,
}

/// What a file holds: places that one XXH3-64 covers, one after the other, and that.
pub(crate) type Parts = Vec<(Vec<Range<usize>>, u64)>;

/// Where the sections lie, and their checksums.
pub(crate) struct Sections {
    entries: [(Range<usize>, u64); SECTION_COUNT],
    /// Header and table, and their checksum.
    frame: ([Range<usize>; 2], u64),
    /// The footer's place and checksum.
    footer: (Range<usize>, u64),
}

impl Sections {
    /// Reads and checks header, table and footer; every range is within the file and aligned.
    pub(crate) fn read(file: &[u8]) -> Option<(Header, Self)> {
        let footer = file.get(file.len().checked_sub(FOOTER_BYTES)?..)?;
        let word = |bytes: &[u8], index: usize| -> Option<u64> {
            Some(u64::from_le_bytes(bytes.get(index * 8..index * 8 + 8)?.try_into().ok()?))
        };
        let table_offset = usize::try_from(word(footer, 0)?).ok()?;
        let table_end = table_offset.checked_add(SECTION_COUNT * ENTRY_BYTES)?;
        let table = file.get(table_offset..table_end)?;
        let header_bytes = file.get(..HEADER_BYTES)?;
        let intact = &footer[24..] == MAGIC
            && word(footer, 1)? == SECTION_COUNT as u64
            && table_end + FOOTER_BYTES == file.len()
            && word(footer, 2)? == frame_hash(header_bytes, table);
        if !intact {
            return None;
        }
        let mut entries = std::array::from_fn(|_| (0..0, 0));
        for (index, entry) in table.chunks_exact(ENTRY_BYTES).enumerate() {
            let offset = usize::try_from(word(entry, 1)?).ok()?;
            let end = offset.checked_add(usize::try_from(word(entry, 2)?).ok()?)?;
            let placed = word(entry, 0)? == index as u64
                && end <= table_offset
                && offset.is_multiple_of(ALIGNMENT as usize);
            if !placed {
                return None;
            }
            entries[index] = (offset..end, word(entry, 3)?);
        }
        let frame = ([0..HEADER_BYTES, table_offset..table_end], frame_hash(header_bytes, table));
        let footer = (table_end..file.len(), xxh3_64(footer));
        Some((Header::decode(header_bytes)?, Self { entries, frame, footer }))
    }

    /// All that the file holds, as it was when it was read.
    pub(crate) fn parts(&self) -> Parts {
        let sections = self.entries.iter().map(|(range, hash)| (vec![range.clone()], *hash));
        let (frame, footer) =
            ((self.frame.0.to_vec(), self.frame.1), (vec![self.footer.0.clone()], self.footer.1));
        sections.chain([frame, footer]).collect()
    }

    /// Header, table and footer, which hold the checksums of all that is read; `None` if they are not intact.
    pub(crate) fn frame(file: &[u8]) -> Option<Vec<u8>> {
        Self::read(file)?;
        let tail = file.len() - FOOTER_BYTES - SECTION_COUNT * ENTRY_BYTES;
        Some([&file[..HEADER_BYTES], &file[tail..]].concat())
    }

    pub(crate) fn are_intact(&self, file: &[u8]) -> bool {
        Section::ALL.iter().all(|section| self.is_intact(file, *section))
    }

    pub(crate) fn range(&self, section: Section) -> Range<usize> {
        self.entries[section as usize].0.clone()
    }

    pub(crate) fn is_intact(&self, file: &[u8], section: Section) -> bool {
        let (range, hash) = &self.entries[section as usize];
        file.get(range.clone()).is_some_and(|bytes| xxh3_64(bytes) == *hash)
    }
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12] = self.element.to_byte();
        bytes[16..24].copy_from_slice(&self.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.collection.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.rows.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.dim.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| -> Option<[u8; 8]> { bytes.get(at..at + 8)?.try_into().ok() };
        let known = bytes.starts_with(MAGIC) && word(8)? == VERSION;
        let header = Self {
            segment: SegmentId::from_le_bytes(long(16)?),
            collection: CollectionId::from_le_bytes(long(24)?),
            rows: word(32)?,
            dim: word(36)?,
            element: ElementType::from_byte(bytes[12])?,
        };
        (known && header.dim > 0).then_some(header)
    }
}

/// Writes a segment's file, section after section in the order of `Section::ALL`; durable once `finish` returns.
pub(crate) struct SegmentFileWriter {
    file: Box<dyn File>,
    header: [u8; HEADER_BYTES],
    table: Vec<u8>,
    buffer: Vec<u8>,
    /// Where the buffer's first byte goes.
    position: u64,
}

impl SegmentFileWriter {
    pub(crate) fn create(
        directory: &dyn Directory,
        name: &str,
        header: &Header,
    ) -> Result<Self, StorageError> {
        let header = header.encode();
        let file = directory.create(name)?;
        Ok(Self { file, header, table: Vec::new(), buffer: header.to_vec(), position: 0 })
    }

    /// Writes the next section from its parts.
    pub(crate) fn section<'a>(
        &mut self,
        section: Section,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), StorageError> {
        let mut sink = self.begin(section)?;
        for part in parts {
            sink.write(part)?;
        }
        sink.end();
        Ok(())
    }

    /// Starts the next section, for a caller that makes its bytes as it goes.
    pub(crate) fn begin(&mut self, section: Section) -> Result<SectionSink<'_>, StorageError> {
        assert_eq!(self.table.len(), section as usize * ENTRY_BYTES, "sections are written in order");
        self.align()?;
        let start = self.end();
        Ok(SectionSink { writer: self, section, start, hash: Xxh3::new() })
    }

    /// Writes table and footer and syncs the file. The directory's entry is the caller's to sync.
    pub(crate) fn finish(mut self) -> Result<(), StorageError> {
        assert_eq!(self.table.len(), Section::ALL.len() * ENTRY_BYTES, "every section is written");
        self.align()?;
        let table_offset = self.end();
        let table = std::mem::take(&mut self.table);
        self.put(&table)?;
        let words = [table_offset, SECTION_COUNT as u64, frame_hash(&self.header, &table)];
        for word in words {
            self.put(&word.to_le_bytes())?;
        }
        self.put(MAGIC)?;
        self.flush()?;
        self.file.sync()
    }

    fn end(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    fn align(&mut self) -> Result<(), StorageError> {
        let padding = self.end().next_multiple_of(ALIGNMENT) - self.end();
        self.put(&[0; ALIGNMENT as usize][..padding as usize])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > WRITE_BUFFER_BYTES {
            self.file.write_at(self.position, bytes)?;
            self.position += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.write_at(self.position, &self.buffer)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// One section being written.
pub(crate) struct SectionSink<'a> {
    writer: &'a mut SegmentFileWriter,
    section: Section,
    start: u64,
    hash: Xxh3,
}

impl SectionSink<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.hash.update(bytes);
        self.writer.put(bytes)
    }

    pub(crate) fn end(self) {
        let length = self.writer.end() - self.start;
        for word in [self.section as u64, self.start, length, self.hash.digest()] {
            self.writer.table.extend_from_slice(&word.to_le_bytes());
        }
    }
}

fn frame_hash(header: &[u8], table: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(header);
    hash.update(table);
    hash.digest()
}
