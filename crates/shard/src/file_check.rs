//! The files that a view's readers rely on, read anew from the disk against the checksums that they had when they were
//! opened: a piece at a time, so that whoever does it can hold back.
//!
//! They are read as files, not through the mappings: a sector that the disk does not give back is then an error and not
//! the end of the process. What the system keeps in memory of a file is not read from the disk again.
//!
//! A damaged graph is let go of here, and built again by a job; damaged rows are for the caller to see to.

use crate::error::Damage;
use crate::graph_file::GraphFile;
use crate::sealed::Sealed;
use crate::segment::Rows;
use crate::view::View;
use lavandin_storage::{Directory, File};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// One file's check.
pub struct FileCheck {
    directory: Arc<dyn Directory>,
    sealed: Arc<Sealed>,
    /// The file is this graph of the segment; else it has the rows.
    graph: Option<Arc<GraphFile>>,
    path: String,
    file: Option<Box<dyn File>>,
    /// Places that one checksum covers, and that checksum.
    parts: VecDeque<(VecDeque<Range<usize>>, u64)>,
    hash: Xxh3,
    buffer: Vec<u8>,
}

impl View {
    /// A check of each file.
    pub fn file_checks(&self, directory: &Arc<dyn Directory>) -> Vec<FileCheck> {
        let sealed = self.segments.iter().filter_map(|segment| match &segment.rows {
            Rows::Sealed(sealed) => Some(sealed),
            Rows::Growing(_) => None,
        });
        let both = |sealed: &Arc<Sealed>| {
            let graph = sealed.graph.load_full();
            let graph = graph.map(|graph| FileCheck::new(directory, sealed, Some(graph)));
            std::iter::once(FileCheck::new(directory, sealed, None)).chain(graph)
        };
        sealed.flat_map(both).collect()
    }
}

impl FileCheck {
    fn new(directory: &Arc<dyn Directory>, sealed: &Arc<Sealed>, graph: Option<Arc<GraphFile>>) -> Self {
        let (path, parts) = match &graph {
            Some(graph) => (sealed.graph_path(), graph.parts()),
            None => {
                let (path, parts) = sealed.file_parts();
                (path.to_owned(), parts)
            }
        };
        Self {
            directory: Arc::clone(directory),
            sealed: Arc::clone(sealed),
            graph,
            path,
            file: None,
            parts: parts.into_iter().map(|(places, hash)| (places.into(), hash)).collect(),
            hash: Xxh3::new(),
            buffer: Vec::new(),
        }
    }

    /// Reads at most `bytes_max` bytes; how many it read, `None` once the file is known to be whole, or is a graph that
    /// will be built again.
    pub fn read(&mut self, bytes_max: usize) -> Result<Option<u64>, Damage> {
        match self.read_piece(bytes_max) {
            Err(damage) => match &self.graph {
                None => Err(damage),
                Some(graph) => {
                    tracing::warn!(event = "graph_damaged", %damage, "a saved graph is damaged and will be built again");
                    self.sealed.drop_graph(graph);
                    self.parts.clear();
                    Ok(None)
                }
            },
            read => read,
        }
    }

    /// Whether a view relies on the file: one that no view does is removed.
    pub fn is_needed_by(&self, view: &View) -> bool {
        view.segments.iter().any(|segment| match &segment.rows {
            Rows::Sealed(sealed) => Arc::ptr_eq(sealed, &self.sealed),
            Rows::Growing(_) => false,
        })
    }

    /// Whether the file is there under its name, as far as the disk tells. A graph's need not be.
    pub fn is_present(&self) -> bool {
        self.graph.is_some() || self.directory.exists(&self.path).unwrap_or(true)
    }

    /// In the group's directory.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn read_piece(&mut self, bytes_max: usize) -> Result<Option<u64>, Damage> {
        let Some((places, expected)) = self.parts.front_mut() else { return Ok(None) };
        let failed = |error| Damage::new(&self.path, error);
        let Some(place) = places.front_mut() else {
            if self.hash.digest() != *expected {
                return Err(Damage::new(&self.path, "its bytes are not those that were written"));
            }
            self.hash.reset();
            self.parts.pop_front();
            return Ok(Some(0));
        };
        let file = match &mut self.file {
            Some(file) => file,
            unopened => unopened.insert(self.directory.open(&self.path).map_err(failed)?),
        };
        let length = place.len().min(bytes_max.max(1));
        self.buffer.resize(length, 0);
        file.read_at(place.start as u64, &mut self.buffer).map_err(failed)?;
        self.hash.update(&self.buffer);
        place.start += length;
        if place.start >= place.end {
            places.pop_front();
        }
        Ok(Some(length as u64))
    }
}
