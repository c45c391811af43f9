//! A batch of the tour, decoded and put into lines.

use super::dataset::rows_of_file;
use super::tour::COLUMNS;
use anyhow::{Context, Result};
use lavandin_wire::lavender::sample::{self, Item};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) struct Batch {
    /// The samples' places in the dataset.
    pub(super) indices: Vec<u64>,
    columns: Vec<(String, Vec<Value>)>,
}

impl Batch {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let items = sample::decode(bytes).context("a batch cannot be read")?.0;
        let columns = items.into_iter().map(|(name, item)| (name, values(item)));
        let (own, columns): (Vec<_>, Vec<_>) =
            columns.partition(|(name, _)| name.starts_with("_lavender_data_"));
        let indices = own.iter().find(|(name, _)| name == "_lavender_data_indices");
        let indices = indices.map_or(&[][..], |(_, indices)| indices).iter().filter_map(Value::as_u64);
        Ok(Self { indices: indices.collect(), columns })
    }

    /// The batch in lines for a terminal.
    pub(super) fn shown(&self, number: u64, rows: usize) -> String {
        let per_file = rows_of_file(rows) as u64;
        let files: BTreeSet<_> = self.indices.iter().map(|index| index / per_file).collect();
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let title = format!(
            "\nBatch {number}: {} samples from {} shard files; {}",
            self.indices.len(),
            files.len(),
            names.join(", ")
        );
        let lines = (0..self.indices.len()).map(|at| self.line(at));
        std::iter::once(title).chain(lines).collect::<Vec<_>>().join("\n")
    }

    /// A sample in one line: lemma, category, words if they were counted, and as much of the text as fits.
    fn line(&self, at: usize) -> String {
        let value = |name: &str| {
            let column = self.columns.iter().find(|(known, _)| known == name);
            match column.and_then(|(_, values)| values.get(at)) {
                Some(Value::String(text)) => text.clone(),
                Some(number @ Value::Number(_)) => number.to_string(),
                _ => String::new(),
            }
        };
        let words = match value("words") {
            words if words.is_empty() => words,
            words => format!(", {words} words"),
        };
        let line = format!("  {} ({}{words}): {}", value("lemma"), value("lex"), value("text"));
        match line.chars().count() > COLUMNS {
            true => line.chars().take(COLUMNS - 1).chain(['…']).collect(),
            false => line,
        }
    }
}

/// The values of a column; those that are no JSON are null here.
fn values(item: Item) -> Vec<Value> {
    match item {
        Item::Json(Value::Array(values)) => values,
        Item::Json(value) => vec![value],
        Item::List(items) => items.into_iter().map(value).collect(),
        _ => Vec::new(),
    }
}

fn value(item: Item) -> Value {
    match item {
        Item::Json(value) => value,
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let column = |name: &str, json: Value| (name.to_owned(), values(Item::Json(json)));
        let words = Item::List(vec![Item::Json(Value::from(4)), Item::Json(Value::from(90))]);
        let columns = vec![
            column("lemma", serde_json::json!(["tea", "gale"])),
            column("lex", serde_json::json!(["noun.food", "noun.phenomenon"])),
            column("text", serde_json::json!(["a drink of leaves", "wind ".repeat(90)])),
            ("words".to_owned(), values(words)),
        ];
        Batch { indices: vec![3, 20], columns }
    }

    #[test]
    fn a_sample_is_a_line_that_fits() {
        let shown = batch().shown(0, 24);
        let lines: Vec<_> = shown.lines().skip(1).collect();
        assert_eq!(lines[0], "Batch 0: 2 samples from 2 shard files; lemma, lex, text, words");
        assert_eq!(lines[1], "  tea (noun.food, 4 words): a drink of leaves");
        assert!(lines[2].ends_with('…') && lines[2].chars().count() == COLUMNS, "{}", lines[2]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn columns_that_are_missing_leave_gaps() {
        let batch = Batch { indices: vec![1], columns: Vec::new() };
        assert_eq!(batch.line(0), "   (): ");
        assert!(Batch::decode(b"\0\0\0\x02[]sa").unwrap().indices.is_empty());
        assert!(Batch::decode(b"\0").is_err());
    }
}
