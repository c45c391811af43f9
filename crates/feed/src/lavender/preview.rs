//! A row as JSON for people to look at.
//!
//! 1. Bytes (also those under `bytes` in a struct, as image datasets keep them) that begin like a known kind of file are
//!    handed to the caller, which keeps them and gives them a name: `file://<name>`. Others are `<bytes>`, none `""`.
//! 2. Other structs and maps are a string of their JSON, as the original shows them as strings.
//! 3. Text that begins like an address of a store or of the web is handed to the caller, which may sign it.
//! 4. Everything else is its JSON; NaN and the infinities, which JSON lacks, are null.

use super::EncodeError;
use super::Magic;
use super::blobs::Blobs;
use super::cells::{NoCells, Style, column_cells};
use super::sniff::sniff;
use super::text::{NonFinite, write_string};
use crate::format::cells_are_json;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field};

/// Keeps files and signs addresses for previews.
pub trait PreviewFiles {
    /// Keeps `content` and returns the name it can be fetched under; `None` if it cannot be kept.
    fn keep(&mut self, content: &[u8], kind: Magic) -> Option<String>;

    /// The address under which a browser can get `location` (`s3://…`, `hf://…`, `http(s)://…`).
    fn address(&mut self, location: &str) -> String {
        location.to_owned()
    }
}

/// Appends one row as a JSON object.
pub fn preview_row(
    batch: &RecordBatch,
    row: usize,
    files: &mut dyn PreviewFiles,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    out.push(b'{');
    for (place, (field, array)) in batch.schema_ref().fields().iter().zip(batch.columns()).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_string(field.name().as_bytes(), out);
        out.push(b':');
        // A slice of one row, so that a look at one does not cost a pass over all (dictionaries).
        preview_cell(field, array.slice(row, 1).as_ref(), files, out)
            .map_err(|_| EncodeError::TooDeep { key: field.name().clone() })?;
    }
    out.push(b'}');
    Ok(())
}

fn preview_cell(
    field: &Field,
    cell: &dyn Array,
    files: &mut dyn PreviewFiles,
    out: &mut Vec<u8>,
) -> Result<(), NoCells> {
    if cell.is_valid(0) && !cells_are_json(field) {
        match cell.data_type() {
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => {
                let blobs = Blobs::of(cell).ok_or(NoCells)?;
                let name = preview_bytes(blobs.get(0), files);
                write_string(name.as_deref().unwrap_or("<bytes>").as_bytes(), out);
                return Ok(());
            }
            DataType::Struct(_) => {
                let inner = cell.as_struct().column_by_name("bytes");
                let name = inner.filter(|bytes| bytes.is_valid(0)).and_then(|bytes| {
                    let content = Blobs::of(bytes)?.get(0);
                    if content.is_empty() { None } else { preview_bytes(content, files) }
                });
                if let Some(name) = name {
                    write_string(name.as_bytes(), out);
                    return Ok(());
                }
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let text = Blobs::of(cell).ok_or(NoCells)?.get(0);
                let text = String::from_utf8_lossy(text);
                let is_address = |scheme: &&str| text.starts_with(scheme);
                if ["s3://", "hf://", "http://", "https://"].iter().any(is_address) {
                    write_string(files.address(&text).as_bytes(), out);
                    return Ok(());
                }
            }
            _ => {}
        }
    }
    let style = Style { json_lists: true, non_finite: NonFinite::Null, depth: 0 };
    let mut text = Vec::new();
    column_cells(field, cell, style)?.json(0, &mut text);
    if text.starts_with(b"{") {
        write_string(&text, out);
    } else {
        out.extend_from_slice(&text);
    }
    Ok(())
}

/// What stands for some bytes; `None` if their kind is unknown or they could not be kept.
fn preview_bytes(content: &[u8], files: &mut dyn PreviewFiles) -> Option<String> {
    if content.is_empty() {
        return Some(String::new());
    }
    let name = files.keep(content, sniff(content)?)?;
    Some(format!("file://{name}"))
}

#[cfg(test)]
mod tests;
