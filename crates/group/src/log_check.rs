//! Reading what a copy keeps on its disk besides its consumer's files against its checksums: the log, and the
//! checkpoints.
//!
//! The log is read up to where it was written when the check began, beside its writer and on another thread. What a
//! checkpoint or a fork removes meanwhile looks like damage, so who finds some begins again before believing it.

use crate::checkpoint;
use crate::error::GroupError;
use crate::log::verify;
use lavandin_storage::wal::LogReader;
use lavandin_storage::{Directory, read_checked};
use lavandin_types::GroupId;

/// One pass over a log.
pub struct LogCheck {
    group: GroupId,
    reader: Option<LogReader>,
}

impl LogCheck {
    pub(crate) fn new(group: GroupId, reader: Option<LogReader>) -> Self {
        Self { group, reader }
    }

    /// Reads records until `bytes_max` is reached or passed; how many bytes they were, `None` at the end.
    pub fn read(&mut self, bytes_max: u64) -> Result<Option<u64>, GroupError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut read = 0;
        while read < bytes_max {
            let Some(frame) = reader.next_frame()? else {
                self.reader = None;
                break;
            };
            verify(self.group, frame.head.sequence, frame.head.hash, frame.payload)?;
            read += u64::from(frame.head.bytes);
        }
        Ok(Some(read))
    }
}

/// Reads the checkpoints that are there.
pub fn check_checkpoints(directory: &dyn Directory) -> Result<(), GroupError> {
    for name in checkpoint::names(directory)? {
        match read_checked(directory, &name) {
            // A newer one took its place.
            Err(error) if error.is_not_found() => {}
            read => drop(read?),
        }
    }
    Ok(())
}
