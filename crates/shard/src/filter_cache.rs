//! The last few filters' rows of one segment. Rows never change, so neither do the matches among the first `len` of them;
//! a growing segment's are remembered for the length they were found at.

use lavandin_filter::Filter;
use lavandin_types::Selection;
use std::sync::{Arc, Mutex, PoisonError};

/// Filters remembered by a segment; a bitmap takes 125 KB a million rows.
const ENTRIES_MAX: usize = 16;

/// A small least-recently-used list.
#[derive(Default)]
pub(crate) struct FilterCache {
    /// Canonical text and matches (their universe is the length), most recently used last.
    entries: Mutex<Vec<(Box<str>, Arc<Selection>)>>,
}

impl FilterCache {
    /// The remembered rows among the first `len`, or those that `select` finds.
    pub(crate) fn get_or_select(
        &self,
        filter: &Filter,
        len: u32,
        select: impl FnOnce() -> Selection,
    ) -> Arc<Selection> {
        let text = filter.canonical();
        if let Some(found) = self.get(text, len) {
            return found;
        }
        let rows = Arc::new(select());
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX {
            entries.remove(0);
        }
        entries.push((text.into(), Arc::clone(&rows)));
        rows
    }

    fn get(&self, text: &str, len: u32) -> Option<Arc<Selection>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let index = entries.iter().position(|(known, rows)| rows.len() == len && **known == *text)?;
        let entry = entries.remove(index);
        let rows = Arc::clone(&entry.1);
        entries.push(entry);
        Some(rows)
    }
}
