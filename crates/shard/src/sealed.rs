//! A sealed segment: immutable rows in one memory-mapped file, and beside it, when one is built, its graph.
//!
//! Bytes of a `.rows` file (docs/formats/segment.md):
//!
//! ```text
//! header   64 bytes: magic, version, segment, collection, rows, dim, element
//! sections each at a multiple of 64, in the order of `Section`
//! table    for each section: u64 kind, u64 offset, u64 length, u64 XXH3-64 of its bytes
//! footer   u64 table offset, u64 section count, u64 XXH3-64 of header and table, magic
//! ```
//!
//! Opening checks header, table and the small sections (ids, ordinals, id table: some 22 bytes a row). The large ones
//! (vectors, codes, fields) are checked once, before the first use of the segment (`verify`), so that a restart
//! costs no full read. Nothing of a segment that failed its check is ever served.

use crate::error::Damage;
use crate::filter_cache::FilterCache;
use crate::folder::{SegmentFolder, graph_file_name};
use crate::graph_file::GraphFile;
use crate::id_table;
use crate::schema::IndexSpec;
use crate::segment_file::{Header, Parts, Section, Sections};
use lavandin_filter::Columns;
use lavandin_storage::Region;
use lavandin_types::{ElementType, RecordIdRef, SegmentId};
use lavandin_vector::block::{Block, Codes, Elements, Row};
use lavandin_vector::codes::{CodeMeta, stride_for};
use lavandin_vector::fields::SealedFields;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// One sealed segment, shared by every view that holds it.
pub(crate) struct Sealed {
    pub(crate) id: SegmentId,
    /// The file's path in the group's directory.
    path: String,
    pub(crate) rows: u32,
    pub(crate) element: ElementType,
    pub(crate) dim: usize,
    region: Region,
    sections: Sections,
    pub(crate) fields: SealedFields,
    pub(crate) filters: FilterCache,
    verified: OnceLock<Result<(), Damage>>,
    /// Absent until a job has built or loaded it.
    pub(crate) graph: arc_swap::ArcSwapOption<GraphFile>,
    /// A job is building the graph.
    pub(crate) graph_wanted: AtomicBool,
}

impl Sealed {
    /// Maps a segment's file and checks all but its large sections.
    pub(crate) fn open(folder: &SegmentFolder, id: SegmentId) -> Result<Self, Damage> {
        let name = folder.rows_path(id);
        let region = folder.directory.map(&name).map_err(|error| Damage::new(&name, error))?;
        let (header, sections) = Sections::read(&region)
            .filter(|(header, _)| header.segment == id)
            .ok_or_else(|| Damage::new(&name, "header or section table"))?;
        let sealed = Self::assemble(region, header, sections, folder)
            .ok_or_else(|| Damage::new(&name, "section lengths"))?
            .map_err(|error| Damage::new(&name, error))?;
        for section in [
            Section::Ids,
            Section::IdKinds,
            Section::IdOffsets,
            Section::IdText,
            Section::Ordinals,
            Section::IdTable,
        ] {
            sealed.check(section)?;
        }
        sealed.check_ids().ok_or_else(|| Damage::new(&name, "id columns"))?;
        Ok(sealed)
    }

    fn assemble(
        region: Region,
        header: Header,
        sections: Sections,
        folder: &SegmentFolder,
    ) -> Option<Result<Self, String>> {
        let rows = header.rows as usize;
        let dim = header.dim as usize;
        let expected = [
            (Section::Vectors, rows.checked_mul(dim)?.checked_mul(header.element.size())?),
            (Section::Codes, rows.checked_mul(stride_for(dim))?),
            (Section::CodeMeta, rows.checked_mul(size_of::<CodeMeta>())?),
            (Section::Ids, rows.checked_mul(8)?),
            (Section::Ordinals, rows.checked_mul(8)?),
            (Section::IdTable, id_table::slot_count(header.rows).checked_mul(4)?),
        ];
        let fits = expected.iter().all(|(section, length)| sections.range(*section).len() == *length)
            && sections.range(Section::IdOffsets).len().is_multiple_of(8);
        if !fits {
            return None;
        }
        let fields = match SealedFields::open(region.slice(sections.range(Section::Fields))) {
            Ok(fields) if fields.rows() == header.rows => fields,
            Ok(_) => return None,
            Err(error) => return Some(Err(error.to_string())),
        };
        Some(Ok(Self {
            id: header.segment,
            path: folder.rows_path(header.segment),
            rows: header.rows,
            element: header.element,
            dim,
            region,
            sections,
            fields,
            filters: FilterCache::default(),
            verified: OnceLock::new(),
            graph: arc_swap::ArcSwapOption::empty(),
            graph_wanted: AtomicBool::new(false),
        }))
    }

    /// Checks the large sections, once; later calls give the first one's answer.
    pub(crate) fn verify(&self) -> Result<(), Damage> {
        let check = || {
            self.check(Section::Vectors)?;
            self.check(Section::Codes)?;
            self.check(Section::CodeMeta)?;
            self.check(Section::Fields)?;
            if self.graph.load().as_ref().is_some_and(|graph| !graph.is_intact()) {
                tracing::warn!(segment = %self.id, "the saved graph is damaged and will be built again");
                self.graph.store(None);
            }
            Ok(())
        };
        self.verified.get_or_init(check).clone()
    }

    /// Spares the check of bytes that this process has just written and synced.
    pub(crate) fn trust(&self) {
        let _ = self.verified.set(Ok(()));
    }

    fn check(&self, section: Section) -> Result<(), Damage> {
        if self.sections.is_intact(&self.region, section) {
            return Ok(());
        }
        Err(Damage::new(&self.path, format!("checksum of the {section:?} section")))
    }

    /// That every string id lies in the text section, so that reads need not check.
    fn check_ids(&self) -> Option<()> {
        let kinds = self.section(Section::IdKinds);
        if kinds.is_empty() {
            return Some(());
        }
        let offsets = self.offsets();
        let text = self.section(Section::IdText);
        let numbers = kinds.len() == self.rows as usize
            && kinds
                .iter()
                .zip(self.ids())
                .all(|(kind, bits)| *kind == 0 || *bits < (offsets.len() as u64).saturating_sub(1));
        let texts = offsets.windows(2).all(|pair| {
            let text = text.get(pair[0] as usize..pair[1] as usize);
            text.is_some_and(|text| std::str::from_utf8(text).is_ok())
        });
        (numbers && texts).then_some(())
    }

    pub(crate) fn id(&self, row: u32) -> RecordIdRef<'_> {
        let bits = self.ids()[row as usize];
        let kinds = self.section(Section::IdKinds);
        if kinds.get(row as usize).is_none_or(|kind| *kind == 0) {
            return RecordIdRef::Int(bits);
        }
        let offsets = self.offsets();
        let range = offsets[bits as usize] as usize..offsets[bits as usize + 1] as usize;
        let text = &self.section(Section::IdText)[range];
        RecordIdRef::Str(std::str::from_utf8(text).expect("checked when the segment was opened"))
    }

    pub(crate) fn ordinal(&self, row: u32) -> u64 {
        self.cast::<u64>(Section::Ordinals)[row as usize]
    }

    pub(crate) fn vector(&self, row: u32) -> Row<'_> {
        self.elements().row(row as usize, self.dim)
    }

    pub(crate) fn code(&self, row: u32) -> (&[u8], CodeMeta) {
        let stride = stride_for(self.dim);
        let start = row as usize * stride;
        (&self.section(Section::Codes)[start..start + stride], self.meta()[row as usize])
    }

    pub(crate) fn block(&self) -> Block<'_> {
        let stride = stride_for(self.dim);
        Block {
            first_row: 0,
            rows: self.rows,
            dim: self.dim,
            elements: self.elements(),
            codes: Codes { bytes: self.section(Section::Codes), stride, meta: self.meta() },
        }
    }

    /// The first row of `id` that `accept` takes.
    pub(crate) fn find(&self, id: RecordIdRef<'_>, mut accept: impl FnMut(u32) -> bool) -> Option<u32> {
        id_table::candidates(self.cast::<u32>(Section::IdTable), id_table::hash_id(id))
            .find(|row| *row < self.rows && self.id(*row) == id && accept(*row))
    }

    /// The file's path, and all that it holds.
    pub(crate) fn file_parts(&self) -> (&str, Parts) {
        (&self.path, self.sections.parts())
    }

    /// The path of its graph's file.
    pub(crate) fn graph_path(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{}", graph_file_name(self.id))
    }

    /// Lets go of a graph whose file was found damaged, if it is the present one: a job builds another.
    pub(crate) fn drop_graph(&self, damaged: &Arc<GraphFile>) {
        let present = self.graph.load_full();
        if present.is_some_and(|present| Arc::ptr_eq(&present, damaged)) {
            self.graph.store(None);
        }
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.region.len() as u64
    }

    /// Whether the segment carries the graph that an index asks for.
    pub(crate) fn has_graph_for(&self, index: &IndexSpec) -> bool {
        self.graph.load().as_ref().is_some_and(|graph| graph.fits(index))
    }

    /// Claims the graph's build for the caller; false if another job has it.
    pub(crate) fn claim_graph(&self) -> bool {
        !self.graph_wanted.swap(true, Ordering::AcqRel)
    }

    fn elements(&self) -> Elements<'_> {
        match self.element {
            ElementType::F32 => Elements::F32(self.cast(Section::Vectors)),
            ElementType::F16 => Elements::F16(self.cast(Section::Vectors)),
        }
    }

    fn meta(&self) -> &[CodeMeta] {
        self.cast(Section::CodeMeta)
    }

    fn ids(&self) -> &[u64] {
        self.cast(Section::Ids)
    }

    fn offsets(&self) -> &[u64] {
        self.cast(Section::IdOffsets)
    }

    fn section(&self, section: Section) -> &[u8] {
        &self.region[self.sections.range(section)]
    }

    fn cast<T: bytemuck::Pod>(&self, section: Section) -> &[T] {
        bytemuck::cast_slice(self.section(section))
    }
}
