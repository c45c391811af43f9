//! The files that a snapshot brings along: which ones a payload needs, holding them while they are sent, and checking
//! what arrived.
//!
//! A file's *checksum* is the XXH3-128 of the part of it that holds the checksums of the rest: header, table and footer
//! of a segment's rows, the header of a graph. So telling two files apart costs no full read, and a file is what its
//! checksum says once `SegmentFile::check` has read it.
//!
//! Holding a file is mapping it: it may be renamed, replaced and removed meanwhile, and its bytes stay until the handle
//! is dropped. Nobody who removes files has to know of it.

use crate::checkpoint::Parsed;
use crate::error::Damage;
use crate::folder::{SegmentFolder, graph_file_name, rows_file_name, segment_folder};
use crate::graph_file::GRAPH_HEADER_BYTES;
use crate::segment_file::Sections;
use lavandin_storage::{Directory, Region};
use lavandin_types::{SegmentId, SequenceNumber};
use lavandin_vector::graph::GraphRef;
use std::collections::BTreeSet;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// What a file of a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    Rows,
    /// Derived from the rows: a copy without it builds it again.
    Graph,
}

/// A file of a segment, as another copy can ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    pub segment: SegmentId,
    pub kind: FileKind,
    pub bytes: u64,
    pub checksum: u128,
}

/// A file whose bytes stay readable until this is dropped, whatever becomes of its name.
#[derive(Clone)]
pub struct HeldFile {
    pub file: SegmentFile,
    region: Region,
}

/// What a payload says of its files.
pub struct SnapshotFiles {
    /// The number of their folder.
    pub folder: SequenceNumber,
    segments: BTreeSet<SegmentId>,
}

/// Takes hold of every file that a state opened from the payload needs.
pub fn hold_files(directory: &Arc<dyn Directory>, payload: &[u8]) -> Result<Vec<HeldFile>, Damage> {
    let parsed = Parsed::read(payload)?;
    let folder = SegmentFolder::new(Arc::clone(directory), parsed.folder);
    let mut held = Vec::new();
    for segment in parsed.segments() {
        let path = folder.rows_path(segment);
        let region = directory.map(&path).map_err(|error| Damage::new(&path, error))?;
        let rows = HeldFile::new(segment, FileKind::Rows, region);
        held.push(rows.ok_or_else(|| Damage::new(&path, "header or section table"))?);
        // One that is missing or damaged is built again.
        let graph = directory.map(&folder.graph_path(segment)).ok();
        held.extend(graph.and_then(|region| HeldFile::new(segment, FileKind::Graph, region)));
    }
    Ok(held)
}

impl HeldFile {
    fn new(segment: SegmentId, kind: FileKind, region: Region) -> Option<Self> {
        let file =
            SegmentFile { segment, kind, bytes: region.len() as u64, checksum: checksum(kind, &region)? };
        Some(Self { file, region })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.region
    }
}

impl SegmentFile {
    /// Its path in a group's directory, where its folder has that number.
    pub fn path(&self, folder: SequenceNumber) -> String {
        let name = match self.kind {
            FileKind::Rows => rows_file_name(self.segment),
            FileKind::Graph => graph_file_name(self.segment),
        };
        format!("{}/{name}", segment_folder(folder))
    }

    /// Reads all of a file against its checksum; `false` if it is not the one that is meant, or is damaged.
    pub fn check(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes.len() as u64
            && checksum(self.kind, bytes) == Some(self.checksum)
            && match self.kind {
                FileKind::Rows => Sections::read(bytes).is_some_and(|(header, sections)| {
                    header.segment == self.segment && sections.are_intact(bytes)
                }),
                FileKind::Graph => GraphRef::open(bytes).is_ok_and(|graph| graph.verify().is_ok()),
            }
    }
}

impl SnapshotFiles {
    pub fn read(payload: &[u8]) -> Result<Self, Damage> {
        let parsed = Parsed::read(payload)?;
        Ok(Self { folder: parsed.folder, segments: parsed.segments().collect() })
    }

    /// Whether `files` are the rows of each segment, and graphs of some, each once.
    pub fn are(&self, files: &[SegmentFile]) -> bool {
        let of = |kind| {
            let files = files.iter().filter(move |file| file.kind == kind);
            (files.clone().count(), files.map(|file| file.segment).collect::<BTreeSet<_>>())
        };
        let ((rows_count, rows), (graphs_count, graphs)) = (of(FileKind::Rows), of(FileKind::Graph));
        rows == self.segments
            && rows_count == rows.len()
            && graphs.is_subset(&rows)
            && graphs_count == graphs.len()
    }
}

fn checksum(kind: FileKind, bytes: &[u8]) -> Option<u128> {
    match kind {
        FileKind::Rows => Sections::frame(bytes).map(|frame| xxh3_128(&frame)),
        FileKind::Graph => {
            GraphRef::open(bytes).ok()?;
            bytes.get(..GRAPH_HEADER_BYTES).map(xxh3_128)
        }
    }
}
