//! The bytes of a graph: what is searched is what is stored. The layout is in docs/formats/graph.md.
//!
//! ```text
//! header, 128 bytes | entry points | terms | neighbours        each part padded to whole cache lines
//! ```
//!
//! Invariants: `GraphRef::open` checks the header, its checksum and all lengths, and touches no other byte, so that
//! opening a mapped file costs one page. Searches treat every neighbour that is not a row as absent; `verify` checks
//! everything. A row's neighbours fill whole cache lines and start at one.

use std::io;

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_64;

use lavandin_types::Metric;

use super::key::ROWS_MAX;
use super::parameters::{DEGREE_MAX, Parameters};
use super::space::Term;
use super::{GraphError, walk};
use crate::screen::prefetch_bytes;

const MAGIC: [u8; 8] = *b"LAVGRAPH";

const VERSION: u32 = 1;

/// Cache line: parts and rows of neighbours start at multiples of it.
const LINE: usize = 64;

/// Neighbours are padded to whole lines with this, which is no row.
pub(super) const NONE: u32 = u32::MAX;

/// The most entry points.
pub(super) const ENTRIES_MAX: usize = 64;

// Numbers are read in place.
const _: () = assert!(cfg!(target_endian = "little"), "the graph format is little-endian");

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
struct Header {
    magic: [u8; 8],
    version: u32,
    metric: u32,
    dim: u32,
    rows: u32,
    degree: u32,
    entries: u32,
    beam: u32,
    alpha: f32,
    body_bytes: u64,
    body_hash: u64,
    reserved: [u8; 64],
    header_hash: u64,
}

const HEADER_BYTES: usize = size_of::<Header>();

const _: () = assert!(HEADER_BYTES == 128);

/// One cache line of bytes: what makes the parts of an owned graph aligned.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([u8; LINE]);

/// A graph in memory: the bytes of its file.
#[derive(Clone)]
pub struct Graph {
    lines: Vec<Line>,
}

/// A graph over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct GraphRef<'a> {
    header: Header,
    pub(super) metric: Metric,
    body: &'a [u8],
    pub(super) entries: &'a [u32],
    pub(super) terms: &'a [Term],
    /// `words_of(degree)` words a row.
    pub(super) neighbours: &'a [u32],
}

/// What a graph is made of.
pub(super) struct Parts<'a> {
    pub(super) metric: Metric,
    pub(super) dim: usize,
    pub(super) parameters: Parameters,
    pub(super) entries: &'a [u32],
    pub(super) terms: &'a [Term],
    /// `words_of(degree)` words a row, padded with `NONE`.
    pub(super) neighbours: &'a [u32],
}

/// Words from one row of neighbours to the next.
pub(super) const fn words_of(degree: u32) -> usize {
    (degree as usize).next_multiple_of(LINE / size_of::<u32>())
}

/// Where the parts of a body end, each padded to whole lines.
struct Layout {
    entries_end: usize,
    terms_end: usize,
    neighbours_end: usize,
}

impl Layout {
    /// `None` for lengths that no memory holds.
    fn new(entries: usize, rows: usize, degree: u32) -> Option<Self> {
        let pad = |bytes: usize| bytes.checked_next_multiple_of(LINE);
        let entries_end = pad(entries.checked_mul(size_of::<u32>())?)?;
        let terms_end = entries_end.checked_add(pad(rows.checked_mul(size_of::<Term>())?)?)?;
        let neighbours = rows.checked_mul(words_of(degree))?.checked_mul(size_of::<u32>())?;
        Some(Self { entries_end, terms_end, neighbours_end: terms_end.checked_add(neighbours)? })
    }
}

impl Graph {
    pub(super) fn new(parts: &Parts<'_>) -> Self {
        let Parameters { degree, beam, alpha } = parts.parameters;
        let rows = parts.terms.len();
        let layout = Layout::new(parts.entries.len(), rows, degree).expect("the parts are in memory");
        let mut lines = vec![Line([0; LINE]); (HEADER_BYTES + layout.neighbours_end) / LINE];
        let (head, body) = bytemuck::cast_slice_mut::<Line, u8>(&mut lines).split_at_mut(HEADER_BYTES);
        fill(&mut body[..layout.entries_end], bytemuck::cast_slice(parts.entries));
        fill(&mut body[layout.entries_end..layout.terms_end], bytemuck::cast_slice(parts.terms));
        fill(&mut body[layout.terms_end..], bytemuck::cast_slice(parts.neighbours));
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            metric: u32::from(parts.metric.to_byte()),
            dim: parts.dim as u32,
            rows: rows as u32,
            degree,
            entries: parts.entries.len() as u32,
            beam,
            alpha,
            body_bytes: body.len() as u64,
            body_hash: xxh3_64(body),
            reserved: [0; 64],
            header_hash: 0,
        };
        header.header_hash = hash_of(&header);
        head.copy_from_slice(bytemuck::bytes_of(&header));
        Self { lines }
    }

    /// The bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }

    /// Writes the bytes of the file. Syncing it is the caller's affair.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(self.as_bytes())
    }

    /// What is searched.
    pub fn view(&self) -> GraphRef<'_> {
        GraphRef::open(self.as_bytes()).expect("a built graph has a right header")
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("bytes", &self.as_bytes().len()).finish_non_exhaustive()
    }
}

impl<'a> GraphRef<'a> {
    /// A graph over the bytes of a file, which must start at a multiple of 8 (a mapping does).
    pub fn open(bytes: &'a [u8]) -> Result<Self, GraphError> {
        let (head, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(GraphError::NotAGraph)?;
        let header: Header = bytemuck::pod_read_unaligned(head);
        if header.magic != MAGIC {
            return Err(GraphError::NotAGraph);
        }
        if header.version != VERSION {
            return Err(GraphError::Version { found: header.version, known: VERSION });
        }
        if header.header_hash != hash_of(&header) {
            return Err(GraphError::Damaged("header checksum"));
        }
        let metric = u8::try_from(header.metric).ok().and_then(Metric::from_byte);
        let metric = metric.filter(|metric| is_supported(*metric));
        let metric = metric.ok_or(GraphError::Damaged("unknown metric"))?;
        let (rows, entries) = (header.rows as usize, header.entries as usize);
        let bounded = header.rows <= ROWS_MAX && entries <= ENTRIES_MAX && entries <= rows;
        if !bounded || !(1..=DEGREE_MAX).contains(&header.degree) || (rows > 0 && entries == 0) {
            return Err(GraphError::Damaged("counts"));
        }
        let layout = Layout::new(entries, rows, header.degree).ok_or(GraphError::Damaged("counts"))?;
        if body.len() != layout.neighbours_end || header.body_bytes != body.len() as u64 {
            return Err(GraphError::Damaged("length"));
        }
        let part =
            |range| bytemuck::try_cast_slice(&body[range]).map_err(|_| GraphError::Damaged("alignment"));
        let entry_bytes = entries * size_of::<u32>();
        let term_bytes = layout.entries_end + rows * size_of::<Term>();
        let terms = bytemuck::try_cast_slice(&body[layout.entries_end..term_bytes]);
        Ok(Self {
            header,
            metric,
            body,
            entries: part(0..entry_bytes)?,
            terms: terms.map_err(|_| GraphError::Damaged("alignment"))?,
            neighbours: part(layout.terms_end..layout.neighbours_end)?,
        })
    }

    /// The XXH3-64 of what follows the header, as that says.
    pub fn body_hash(&self) -> u64 {
        self.header.body_hash
    }

    /// Reads everything: the body against its checksum, and that every neighbour is a row.
    pub fn verify(&self) -> Result<(), GraphError> {
        if xxh3_64(self.body) != self.header.body_hash {
            return Err(GraphError::Damaged("body checksum"));
        }
        let rows = self.header.rows;
        if self.entries.iter().any(|entry| *entry >= rows) {
            return Err(GraphError::Damaged("an entry point is no row"));
        }
        if self.neighbours.iter().any(|neighbour| *neighbour >= rows && *neighbour != NONE) {
            return Err(GraphError::Damaged("a neighbour is no row"));
        }
        Ok(())
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    pub fn rows(&self) -> u32 {
        self.header.rows
    }

    pub fn dim(&self) -> usize {
        self.header.dim as usize
    }

    /// With what the graph was built.
    pub fn parameters(&self) -> Parameters {
        let Header { degree, beam, alpha, .. } = self.header;
        Parameters { degree, beam, alpha }
    }

    /// The neighbours of a row, without padding.
    pub fn neighbours_of(&self, row: u32) -> impl Iterator<Item = u32> + use<'a> {
        let rows = self.header.rows;
        self.words(row).iter().copied().filter(move |neighbour| *neighbour < rows)
    }

    #[inline(always)]
    fn words(&self, row: u32) -> &'a [u32] {
        let words = words_of(self.header.degree);
        let start = row as usize * words;
        &self.neighbours[start..start + words]
    }
}

impl walk::Links for GraphRef<'_> {
    fn rows(&self) -> u32 {
        self.header.rows
    }

    #[inline(always)]
    fn neighbours<'a>(&'a self, row: u32, _buffer: &'a mut Vec<u32>) -> &'a [u32] {
        self.words(row)
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        prefetch_bytes(self.words(row));
    }
}

/// Whether there are graphs for the metric.
pub(super) fn is_supported(metric: Metric) -> bool {
    matches!(metric, Metric::Ip | Metric::L2 | Metric::Cosine)
}

fn fill(part: &mut [u8], bytes: &[u8]) {
    part[..bytes.len()].copy_from_slice(bytes);
}

fn hash_of(header: &Header) -> u64 {
    xxh3_64(&bytemuck::bytes_of(header)[..HEADER_BYTES - size_of::<u64>()])
}

#[cfg(test)]
mod tests;
