//! A segment's graph index in its file beside the rows (docs/formats/graph.md).
//!
//! The file is derived data: one that is missing, damaged or of another metric is built again from the rows. It is
//! mapped and searched in place.

use crate::error::Damage;
use crate::folder::SegmentFolder;
use crate::jobs::JobContext;
use crate::schema::IndexSpec;
use crate::sealed::Sealed;
use crate::segment_file::Parts;
use lavandin_storage::{Directory, Region, StorageError};
use lavandin_vector::graph::{GraphBuilder, GraphRef, Parameters};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a graph's header (docs/formats/graph.md), which holds the checksum of the rest.
pub(crate) const GRAPH_HEADER_BYTES: usize = 128;

/// A mapped graph.
pub(crate) struct GraphFile {
    region: Region,
    /// Of the header, as it was when the file was mapped.
    header_hash: u64,
}

/// A graph whose links a new one starts from: row `i` of it is row `new_rows[i]` of the new segment.
pub(crate) struct Base<'a> {
    pub graph: Arc<GraphFile>,
    pub new_rows: &'a [u32],
}

impl GraphFile {
    fn open(folder: &SegmentFolder, sealed: &Sealed) -> Result<Self, Damage> {
        let name = folder.graph_path(sealed.id);
        let region = folder.directory.map(&name).map_err(|error| Damage::new(&name, error))?;
        let graph = GraphRef::open(&region).map_err(|error| Damage::new(&name, error))?;
        if graph.rows() != sealed.rows || graph.dim() != sealed.dim {
            return Err(Damage::new(&name, "it belongs to another segment"));
        }
        let header_hash = xxh3_64(&region[..GRAPH_HEADER_BYTES]);
        Ok(Self { region, header_hash })
    }

    /// All that the file holds.
    pub(crate) fn parts(&self) -> Parts {
        let (header, body) = (0..GRAPH_HEADER_BYTES, GRAPH_HEADER_BYTES..self.region.len());
        vec![(vec![header], self.header_hash), (vec![body], self.graph().body_hash())]
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.region.len() as u64
    }

    pub(crate) fn graph(&self) -> GraphRef<'_> {
        GraphRef::open(&self.region).expect("the header was read when the file was mapped")
    }

    /// Reads all of it against its checksum.
    pub(crate) fn is_intact(&self) -> bool {
        self.graph().verify().is_ok()
    }

    /// Whether it is what an index asks for.
    pub(crate) fn fits(&self, index: &IndexSpec) -> bool {
        let graph = self.graph();
        graph.metric() == index.mode.metric && graph.parameters() == Parameters::from(&index.parameters)
    }
}

/// Attaches the graph that an earlier life of the process saved, if there is one.
pub(crate) fn attach_saved(folder: &SegmentFolder, sealed: &Sealed) {
    if !folder.directory.exists(&folder.graph_path(sealed.id)).unwrap_or(false) {
        return;
    }
    match GraphFile::open(folder, sealed) {
        Ok(graph) => sealed.graph.store(Some(Arc::new(graph))),
        Err(damage) => tracing::warn!(%damage, "the graph will be built again"),
    }
}

/// Builds and saves a segment's graph; durable on return. It replaces an earlier one.
pub(crate) fn build(
    folder: &SegmentFolder,
    sealed: &Sealed,
    index: &IndexSpec,
    base: Option<&Base<'_>>,
    context: &JobContext<'_>,
) -> Result<GraphFile, Damage> {
    let name = folder.graph_path(sealed.id);
    let failed = |error: &dyn std::fmt::Display| Damage::new(&name, error);
    let block = sealed.block();
    let builder = GraphBuilder::new(block, index.mode.metric, Parameters::from(&index.parameters));
    let mut builder = builder.map_err(|error| failed(&error))?;
    if let Some(base) = base {
        builder = builder.reusing(base.graph.graph(), base.new_rows);
    }
    let graph = builder.build(context.threads, context.cancel, context.progress);
    let graph = graph.map_err(|error| failed(&error))?;
    save(folder, &name, graph.as_bytes()).map_err(|error| failed(&error))?;
    drop(graph);
    GraphFile::open(folder, sealed)
}

/// The name has a whole graph at any time, or none: a snapshot may be taken of it meanwhile.
fn save(folder: &SegmentFolder, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    let temporary = format!("{name}.tmp");
    let written = write(&*folder.directory, &temporary, bytes)
        .and_then(|()| folder.directory.rename(&temporary, name))
        .and_then(|()| folder.sync());
    if written.is_err() {
        // A part of a graph is of no use, and a full disk needs the space. What cannot be removed is not used either.
        drop(folder.directory.remove(&temporary));
    }
    written
}

fn write(directory: &dyn Directory, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    if directory.exists(name)? {
        directory.remove(name)?;
    }
    let mut file = directory.create(name)?;
    file.write_at(0, bytes)?;
    file.sync()
}
