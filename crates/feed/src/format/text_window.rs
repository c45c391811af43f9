//! A text file read front to back, with what is not used yet kept for the next chunk.

use super::FormatError;
use super::chunk_file::OpenFile;

/// A chunk of a text file ends at the record that reaches this size,
pub(crate) const CHUNK_BYTES: usize = 32 << 20;
/// or at this many rows.
pub(crate) const CHUNK_ROWS: usize = 1 << 16;
/// A longer record is refused.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;
/// What is read at once at first; more if a chunk needs it.
const STEP_BYTES: usize = 4 << 20;

pub(crate) struct TextWindow {
    open: OpenFile,
    /// Where `bytes` begins in the file.
    offset: u64,
    bytes: Vec<u8>,
}

impl TextWindow {
    pub(crate) fn new(open: OpenFile) -> Self {
        Self { open, offset: 0, bytes: Vec::new() }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the window reaches to the end of the file.
    pub(crate) fn at_end(&self) -> bool {
        self.offset + self.bytes.len() as u64 >= self.open.bytes()
    }

    /// Drops what is used, and reads a first piece if little is left.
    pub(crate) fn advance(&mut self, used: usize) -> Result<(), FormatError> {
        self.bytes.drain(..used);
        self.offset += used as u64;
        match self.bytes.len() < STEP_BYTES {
            true => self.extend(STEP_BYTES),
            false => Ok(()),
        }
    }

    /// Twice as much, up to what one chunk and one record can take. Nothing changes at the end of the file.
    pub(crate) fn grow(&mut self) -> Result<(), FormatError> {
        const WINDOW_BYTES_MAX: usize = CHUNK_BYTES + RECORD_BYTES_MAX;
        let more = self.bytes.len().max(STEP_BYTES).min(WINDOW_BYTES_MAX.saturating_sub(self.bytes.len()));
        if more == 0 {
            let detail = format!("a record at byte {} has more than {RECORD_BYTES_MAX} bytes", self.offset);
            return Err(FormatError::too_large(self.open.name(), detail));
        }
        self.extend(more)
    }

    fn extend(&mut self, length: usize) -> Result<(), FormatError> {
        let end = self.offset + self.bytes.len() as u64;
        let more = self.open.read_up_to(end, length as u64)?;
        if self.bytes.is_empty() {
            self.bytes = more;
        } else {
            self.bytes.extend_from_slice(&more);
        }
        Ok(())
    }
}
