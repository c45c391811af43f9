//! The types that are sent for the types that are held.

use super::BlobForm;
use arrow::datatypes::{DataType, FieldRef};
use std::sync::Arc;

/// Types nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// The type of a column on the wire; `None` if it is nested too deeply.
pub(super) fn sent_type(held: &DataType, form: BlobForm, depth: usize) -> Option<DataType> {
    use DataType as T;
    if depth > DEPTH_MAX {
        return None;
    }
    let inner = |field: &FieldRef| -> Option<FieldRef> {
        let sent = sent_type(field.data_type(), form, depth + 1)?;
        Some(Arc::new(field.as_ref().clone().with_data_type(sent)))
    };
    Some(match (held, form) {
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, BlobForm::Views) => T::Utf8View,
        (T::Utf8 | T::Utf8View, BlobForm::Offsets) => T::Utf8,
        (T::Binary | T::LargeBinary | T::BinaryView, BlobForm::Views) => T::BinaryView,
        (T::Binary | T::LargeBinary | T::BinaryView, BlobForm::Offsets) => T::LargeBinary,
        (T::Dictionary(_, values), _) => sent_type(values, form, depth + 1)?,
        (T::RunEndEncoded(_, values), _) => sent_type(values.data_type(), form, depth + 1)?,
        (T::List(field) | T::ListView(field), _) => T::List(inner(field)?),
        (T::LargeList(field) | T::LargeListView(field), _) => T::LargeList(inner(field)?),
        (T::FixedSizeList(field, width), _) => T::FixedSizeList(inner(field)?, *width),
        (T::Map(field, sorted), _) => T::Map(inner(field)?, *sorted),
        (T::Struct(fields), _) => T::Struct(fields.iter().map(inner).collect::<Option<Vec<_>>>()?.into()),
        (T::Union(fields, mode), _) => {
            let sent: Option<Vec<_>> = fields.iter().map(|(id, field)| Some((id, inner(field)?))).collect();
            T::Union(sent?.into_iter().collect(), *mode)
        }
        (other, _) => other.clone(),
    })
}
