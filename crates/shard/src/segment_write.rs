//! Writes a sealed segment from rows of other segments: all rows of a frozen growing one (sealing, which keeps row
//! numbers), or the rows that are not dead of several (merging, which sorts them by order of insertion).

use crate::error::Damage;
use crate::folder::SegmentFolder;
use crate::id_table;
use crate::schema::Schema;
use crate::sealed::Sealed;
use crate::segment::Segment;
use crate::segment_file::{Header, Section, SegmentFileWriter};
use lavandin_storage::{Directory, StorageError};
use lavandin_types::{CollectionId, RecordIdRef, SegmentId};
use lavandin_vector::fields::write_section;

/// A row of one of the inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub segment: u32,
    pub row: u32,
}

/// The rows a new segment takes, in its order.
pub(crate) struct Plan<'a> {
    pub inputs: &'a [Segment],
    pub rows: Vec<Source>,
}

/// A row that a merge left out.
pub(crate) const DROPPED: u32 = u32::MAX;

impl<'a> Plan<'a> {
    /// All rows of one segment, under their numbers.
    pub(crate) fn seal(inputs: &'a [Segment; 1]) -> Self {
        let rows = (0..inputs[0].len).map(|row| Source { segment: 0, row }).collect();
        Self { inputs, rows }
    }

    /// The rows that are not dead, in the order of insertion.
    pub(crate) fn merge(inputs: &'a [Segment]) -> Self {
        let mut rows = Vec::new();
        for (index, segment) in inputs.iter().enumerate() {
            let kept = (0..segment.len).filter(|row| !segment.dead.contains(*row));
            rows.extend(kept.map(|row| Source { segment: index as u32, row }));
        }
        rows.sort_by_key(|source| inputs[source.segment as usize].rows.ordinal(source.row));
        Self { inputs, rows }
    }

    /// For each input, the new number of each of its rows, or `DROPPED`.
    pub(crate) fn new_rows(&self) -> Vec<Vec<u32>> {
        let mut maps: Vec<Vec<u32>> =
            self.inputs.iter().map(|segment| vec![DROPPED; segment.len as usize]).collect();
        for (new, source) in self.rows.iter().enumerate() {
            maps[source.segment as usize][source.row as usize] = new as u32;
        }
        maps
    }

    fn id(&self, source: &Source) -> RecordIdRef<'a> {
        self.inputs[source.segment as usize].rows.id(source.row)
    }
}

/// Writes, syncs and opens the segment; its directory entry is durable on return. On failure no file stays.
pub(crate) fn write(
    folder: &SegmentFolder,
    id: SegmentId,
    collection: CollectionId,
    schema: &Schema,
    plan: &Plan<'_>,
) -> Result<Sealed, Damage> {
    let name = folder.rows_path(id);
    let header = Header {
        segment: id,
        collection,
        rows: plan.rows.len() as u32,
        dim: schema.dim,
        element: schema.element,
    };
    let written = write_file(&*folder.directory, &name, &header, plan).and_then(|()| folder.sync());
    let opened = written.map_err(|error| Damage::new(&name, error)).and_then(|()| Sealed::open(folder, id));
    match &opened {
        Ok(sealed) => sealed.trust(),
        Err(_) => remove(folder, id),
    }
    opened
}

/// Removes a segment's files, where they are: what stays is removed by the next start.
pub(crate) fn remove(folder: &SegmentFolder, id: SegmentId) {
    let _ = folder.directory.remove(&folder.rows_path(id));
    let _ = folder.directory.remove(&folder.graph_path(id));
}

fn write_file(
    directory: &dyn Directory,
    name: &str,
    header: &Header,
    plan: &Plan<'_>,
) -> Result<(), StorageError> {
    let mut file = SegmentFileWriter::create(directory, name, header)?;
    let inputs = plan.inputs;
    let rows_of = |source: &Source| &inputs[source.segment as usize].rows;
    let mut sink = file.begin(Section::Vectors)?;
    for source in &plan.rows {
        sink.write(crate::digest::row_bytes(&rows_of(source).vector(source.row)))?;
    }
    sink.end();
    let mut sink = file.begin(Section::Codes)?;
    for source in &plan.rows {
        sink.write(rows_of(source).code(source.row).0)?;
    }
    sink.end();
    let mut sink = file.begin(Section::CodeMeta)?;
    for source in &plan.rows {
        sink.write(bytemuck::bytes_of(&rows_of(source).code(source.row).1))?;
    }
    sink.end();
    write_ids(&mut file, plan)?;
    let mut sink = file.begin(Section::Ordinals)?;
    for source in &plan.rows {
        sink.write(&rows_of(source).ordinal(source.row).to_le_bytes())?;
    }
    sink.end();
    let is_dead = |source: &Source| inputs[source.segment as usize].dead.contains(source.row);
    let found = (0..).zip(&plan.rows).filter(|(_, source)| !is_dead(source));
    let slots =
        id_table::build(header.rows, found.map(|(row, source)| (row, id_table::hash_id(plan.id(source)))));
    file.section(Section::IdTable, std::iter::once(bytemuck::cast_slice(&slots)))?;
    let fields = plan.rows.iter().map(|source| rows_of(source).fields(source.row));
    let fields = write_section(fields);
    file.section(Section::Fields, std::iter::once(fields.as_slice()))?;
    file.finish()
}

/// The four id sections. Integer ids stand in the id column themselves, string ids by their number there.
fn write_ids(file: &mut SegmentFileWriter, plan: &Plan<'_>) -> Result<(), StorageError> {
    let mut strings = 0u64;
    let mut sink = file.begin(Section::Ids)?;
    for source in &plan.rows {
        let bits = match plan.id(source) {
            RecordIdRef::Int(value) => value,
            RecordIdRef::Str(_) => {
                strings += 1;
                strings - 1
            }
        };
        sink.write(&bits.to_le_bytes())?;
    }
    sink.end();
    let texts = || {
        plan.rows.iter().filter_map(|source| match plan.id(source) {
            RecordIdRef::Str(text) => Some(text),
            RecordIdRef::Int(_) => None,
        })
    };
    let mut sink = file.begin(Section::IdKinds)?;
    if strings > 0 {
        for source in &plan.rows {
            sink.write(&[u8::from(matches!(plan.id(source), RecordIdRef::Str(_)))])?;
        }
    }
    sink.end();
    let mut sink = file.begin(Section::IdOffsets)?;
    if strings > 0 {
        let mut offset = 0u64;
        sink.write(&offset.to_le_bytes())?;
        for text in texts() {
            offset += text.len() as u64;
            sink.write(&offset.to_le_bytes())?;
        }
    }
    sink.end();
    file.section(Section::IdText, texts().map(str::as_bytes))
}

#[cfg(test)]
mod tests;
