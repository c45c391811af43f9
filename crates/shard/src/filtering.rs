//! Filters over a view: parsing and binding once, a selection of rows for each segment.

use crate::error::ReadError;
use crate::segment::{Rows, Segment};
use crate::view::View;
use lavandin_filter::{Column, Columns, Filter, Kinds, bind, parse};
use lavandin_types::{RecordIdRef, Selection, ValueRef};
use lavandin_vector::fields::SegmentFields;
use std::sync::Arc;

/// The rows of each segment that a search may return: live, and matching the filter.
pub(crate) struct Allowed {
    /// For each segment; `None` where every row is allowed.
    pub(crate) rows: Vec<Option<Arc<Selection>>>,
    /// Live records that match; `None` without a filter.
    pub(crate) matches: Option<u64>,
}

/// Applies a filter's text (or none) to a view.
pub(crate) fn allowed(view: &View, text: Option<&str>) -> Result<Allowed, ReadError> {
    let Some(text) = text else {
        let rows = view.segments.iter().map(|segment| segment.live.clone()).collect();
        return Ok(Allowed { rows, matches: None });
    };
    let filter = bind_to(view, text)?;
    let mut matches = 0;
    let select = |segment: &Segment| {
        let mut rows = matching(segment, &filter);
        if let Some(live) = &segment.live {
            Arc::make_mut(&mut rows).and(live);
        }
        matches += u64::from(rows.count());
        Some(rows)
    };
    let rows = view.segments.iter().map(select).collect();
    Ok(Allowed { rows, matches: Some(matches) })
}

/// Parses a filter and binds it to the fields that the view's records have had.
fn bind_to(view: &View, text: &str) -> Result<Filter, ReadError> {
    let expression = parse(text)?;
    Ok(bind(&expression, &unverified_field_kinds(view).0)?)
}

/// The names of fields, in the order in which they first appeared, and the kinds that each has held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldKinds(Vec<(String, Kinds)>);

impl FieldKinds {
    pub fn names(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(name, _)| name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Kinds)> {
        self.0.iter().map(|(name, kinds)| (name.as_str(), *kinds))
    }

    /// Takes in what others have held.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, kinds)| self.add(name, *kinds));
    }

    fn add(&mut self, name: &str, kinds: Kinds) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = known.union(kinds),
            None => self.0.push((name.to_owned(), kinds)),
        }
    }
}

impl FromIterator<(String, Kinds)> for FieldKinds {
    fn from_iter<I: IntoIterator<Item = (String, Kinds)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// The fields of all records of a view, and those that it was told of (see `View::knowing`).
pub fn field_kinds(view: &View) -> Result<FieldKinds, ReadError> {
    view.verify()?;
    Ok(unverified_field_kinds(view))
}

fn unverified_field_kinds(view: &View) -> FieldKinds {
    let mut all = FieldKinds::default();
    for segment in &view.segments {
        let kinds = match &segment.rows {
            Rows::Growing(rows) => rows.fields.view(segment.len).schema(),
            Rows::Sealed(rows) => rows.fields.schema(),
        };
        kinds.iter().for_each(|(name, kinds)| all.add(name, *kinds));
    }
    view.known_fields.iter().for_each(|known| all.merge(known));
    all
}

/// The rows of a segment that match, dead ones included. Segments remember recent filters.
fn matching(segment: &Segment, filter: &Filter) -> Arc<Selection> {
    match &segment.rows {
        Rows::Growing(rows) => rows.filters.get_or_select(filter, segment.len, || {
            let fields = rows.fields.view(segment.len);
            filter.select(&WithIds { fields: &fields, rows: &segment.rows })
        }),
        Rows::Sealed(rows) => rows.filters.get_or_select(filter, segment.len, || {
            filter.select(&WithIds { fields: &rows.fields, rows: &segment.rows })
        }),
    }
}

/// A segment's columns, and its ids as one more.
struct WithIds<'a> {
    fields: &'a dyn Columns,
    rows: &'a Rows,
}

impl Columns for WithIds<'_> {
    fn rows(&self) -> u32 {
        self.fields.rows()
    }

    fn column(&self, field: &str) -> Option<Box<dyn Column + '_>> {
        self.fields.column(field)
    }

    fn ids(&self) -> Option<Box<dyn Column + '_>> {
        Some(Box::new(IdColumn(self.rows)))
    }
}

struct IdColumn<'a>(&'a Rows);

impl Column for IdColumn<'_> {
    fn value(&self, row: u32) -> ValueRef<'_> {
        match self.0.id(row) {
            RecordIdRef::Int(value) => ValueRef::U64(value),
            RecordIdRef::Str(text) => ValueRef::Str(text),
        }
    }
}

/// Checks a filter's form where there are no fields to bind it to.
pub fn check_filter(text: &str) -> Result<(), ReadError> {
    Ok(parse(text).map(drop)?)
}
