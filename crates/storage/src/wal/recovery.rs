//! Opening a log: what is there, what is cut, what is reported.
//!
//! 1. Segment files are taken in the order of their names. Each but the last must be valid and reach the next one's
//!    first frame, for a segment is created only when all before it is durable.
//! 2. In the last one, the first position that holds no valid frame or mark ends the log, unless a mark that holds
//!    stands anywhere behind it: then all before that mark was there as a whole, and the log is damaged. A mark of
//!    durability, written after a sync, always holds; one that was written with its batch, under `Os`, holds until
//!    the machine is started again.
//! 3. What lies behind the end is cut. It was never acknowledged; or it was acknowledged under `Os` and the power
//!    went; or (the limit of this format) it is the last batch, whose mark went with the power *and* which is damaged
//!    besides.
//! 4. The last mark of durability and the frames behind it are valid but perhaps not on disk: a failed sync may have
//!    dropped them from the queue of dirty pages while readers still see them. They are written again, synced, and
//!    marked.

use super::frame::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, parse_segment_name, segment_name};
use super::segment::{Item, SegmentReader};
use super::{Active, FrameHead, Sealed};
use crate::{Directory, File, StorageError};
use lavandin_types::SequenceNumber;

/// Bytes copied at once when a tail is written again.
const COPY_BYTES: u64 = 1 << 20;

/// What was removed from the end of a log when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
}

/// A log as found.
pub(super) struct Recovered {
    pub(super) sealed: Vec<Sealed>,
    pub(super) active: Option<Active>,
    pub(super) cut: Option<Cut>,
}

type Check<'a> = &'a mut dyn FnMut(&FrameHead, &[u8]) -> bool;

pub(super) fn recover(
    directory: &dyn Directory,
    folder: &str,
    check: Check<'_>,
) -> Result<Recovered, StorageError> {
    directory.create_dir_all(folder)?;
    let names = directory.list(folder)?;
    let mut firsts: Vec<_> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    firsts.sort_unstable();
    let mut recovered = Recovered { sealed: Vec::new(), active: None, cut: None };
    let mut scans: Vec<Scan> = Vec::new();
    for first in &firsts {
        let scan = Scan::run(directory, folder, *first, check)?;
        if let Some(before) = scans.last() {
            before.must_reach(*first)?;
        }
        if scan.has_header {
            scans.push(scan);
            continue;
        }
        // Nothing is written behind a header that is not durable, and nothing is created behind such a segment.
        if Some(first) != firsts.last() || scan.reader.end > SEGMENT_HEADER_BYTES as u64 {
            return Err(scan.reader.damaged("segment header is not valid"));
        }
        directory.remove(&scan.reader.path)?;
        recovered.cut = Some(Cut { file: scan.reader.path, offset: 0, bytes: scan.reader.end });
    }
    let last = scans.pop();
    recovered.sealed = scans.iter().map(Scan::sealed).collect();
    if let Some(last) = last {
        let (active, cut) = last.settle(directory.power_cycle())?;
        recovered.active = Some(active);
        recovered.cut = cut.or(recovered.cut);
    }
    directory.sync_dir(folder)?;
    Ok(recovered)
}

/// One segment file, read up to its first invalid position.
struct Scan {
    reader: SegmentReader,
    has_header: bool,
    /// Where the last mark of durability begins; 0 if there is none.
    marked: u64,
    /// Why reading stopped before the file's end.
    stop: Option<&'static str>,
}

impl Scan {
    fn run(
        directory: &dyn Directory,
        folder: &str,
        first: SequenceNumber,
        check: Check<'_>,
    ) -> Result<Self, StorageError> {
        let path = format!("{folder}/{}", segment_name(first));
        let mut reader = SegmentReader::open(directory, path, first)?;
        let has_header = reader.read_header()?;
        let mut scan = Self { reader, has_header, marked: 0, stop: None };
        if !has_header {
            return Ok(scan);
        }
        loop {
            match scan.reader.next_item()? {
                Item::Frame(head) if check(&head, scan.reader.payload(&head)) => {}
                Item::Frame(head) => {
                    scan.reader.unread(&head);
                    scan.stop = Some("a payload differs from its hash");
                    break;
                }
                Item::Mark(mark) if mark.power_cycle.is_some() => {}
                Item::Mark(_) => scan.marked = scan.reader.position - FRAME_HEADER_BYTES as u64,
                Item::End => break,
                Item::Invalid(what) => {
                    scan.stop = Some(what);
                    break;
                }
            }
        }
        Ok(scan)
    }

    /// A segment that another one follows must hold every frame up to that. Only its last mark may be torn: it is
    /// written after the sync that the next segment's creation relies on.
    fn must_reach(&self, following: SequenceNumber) -> Result<(), StorageError> {
        let rest = self.reader.end - self.reader.position;
        if self.reader.next != following {
            return Err(self
                .reader
                .damaged(self.stop.unwrap_or("frames are missing before the next segment")));
        }
        match self.stop {
            Some(what) if rest > FRAME_HEADER_BYTES as u64 => Err(self.reader.damaged(what)),
            _ => Ok(()),
        }
    }

    fn sealed(&self) -> Sealed {
        Sealed { first: self.reader.first, bytes: self.reader.position }
    }

    /// Makes the last segment end at its last valid frame or mark, durably.
    fn settle(mut self, power_cycle: Option<u128>) -> Result<(Active, Option<Cut>), StorageError> {
        let mut cut = None;
        if let Some(what) = self.stop {
            if self.reader.has_mark_ahead(power_cycle)? {
                return Err(self.reader.damaged(what));
            }
            let SegmentReader { path, position, end, .. } = &self.reader;
            cut = Some(Cut { file: path.clone(), offset: *position, bytes: end - position });
        }
        let SegmentReader { first, position, next, file, .. } = self.reader;
        let mut active = Active { first, end: position, next, unsynced: false, file };
        if cut.is_some() {
            active.file.truncate(active.end)?;
        }
        rewrite(&mut *active.file, self.marked, active.end)?;
        active.file.sync()?;
        let ends_with_mark = self.marked + FRAME_HEADER_BYTES as u64 == active.end;
        if !ends_with_mark && active.first < active.next {
            // A disk that is full must not keep a log from opening; without the mark only less damage is noticed. The
            // next batch goes where a part of the mark may stand.
            let _ = active.mark();
        }
        Ok((active, cut))
    }
}

/// Writes bytes that are there once more, so that a sync covers them whatever became of an earlier one.
fn rewrite(file: &mut dyn File, from: u64, to: u64) -> Result<(), StorageError> {
    let mut buffer = vec![0; COPY_BYTES.min(to - from) as usize];
    let mut offset = from;
    while offset < to {
        let length = COPY_BYTES.min(to - offset) as usize;
        file.read_at(offset, &mut buffer[..length])?;
        file.write_at(offset, &buffer[..length])?;
        offset += length as u64;
    }
    Ok(())
}
