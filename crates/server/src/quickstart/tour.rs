//! Searches that show the sense of it, and what to try next.

use super::dataset::{DATASET, FILES};
use super::epoch::{BATCH, LENGTH_ABOVE};
use super::pipeline::PREPROCESSOR;
use super::sample::{COLLECTION, DATABASE, INDEX_MODE, context, queries};
use anyhow::{Context, Result};
use lavandin_node::{Hit, Node, Search};
use lavandin_types::{FieldsRef, ValueRef};
use std::path::Path;

const HITS: usize = 3;
/// Most terminals are at least this wide.
pub(super) const COLUMNS: usize = 80;

/// Runs the tour's searches and prints what they found.
pub(super) async fn searches(node: &Node) -> Result<()> {
    println!("\nSearches ({INDEX_MODE}; the number is the cosine distance, smaller is nearer):");
    for query in queries()? {
        println!("\n{}", wrapped(&query.text, 2));
        if let Some(filter) = &query.r#where {
            println!("  where {filter}");
        }
        let search = Search {
            queries: query.vector,
            count: 1,
            k: HITS,
            filter: query.r#where,
            probe: 0,
            with_fields: true,
        };
        let found = node.search(&context(), DATABASE, COLLECTION, search).await?;
        for hit in found.results.iter().flatten() {
            println!("{}", shown(hit));
        }
    }
    Ok(())
}

/// A hit on two lines or more: score, word and category; the gloss.
fn shown(hit: &Hit) -> String {
    let fields = FieldsRef::from_stored(&hit.fields);
    let text = |name: &str| match fields.get(name) {
        Some(ValueRef::Str(text)) => text.to_owned(),
        _ => String::new(),
    };
    let gloss = wrapped(&text("text"), 11);
    format!("    {:.3}  {} ({})\n{gloss}", hit.score, text("lemma"), text("lex"))
}

/// Text in lines of at most [`COLUMNS`], each behind `indent` spaces.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && indent + length > COLUMNS {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.iter().map(|line| format!("{:indent$}{line}", "")).collect::<Vec<_>>().join("\n")
}

/// Prints the lines to try; leaves a search with its vector beside the data for one of them.
pub(super) fn next_steps(url: &str, directory: &Path) -> Result<()> {
    let file = directory.join("search.json");
    let vector = queries()?.swap_remove(0).vector;
    let body = serde_json::json!({
        "database_name": DATABASE, "collection_name": COLLECTION, "vector": vector, "k": HITS,
        "return_fields": true,
    });
    std::fs::write(&file, body.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    let names = format!(r#""database_name":"{DATABASE}","collection_name":"{COLLECTION}""#);
    println!(
        r#"
Try next:

  curl -s {url}/search -H 'content-type: application/json' \
    -d @{file}

  curl -s {url}/query -H 'content-type: application/json' \
    -d '{{{names},
         "where":"lex = \"noun.food\" AND text LIKE \"%cheese%\""}}'

  pip install lynsedb==0.9.0
  python3 - <<'EOF'
  from lynse import VectorDBClient
  client = VectorDBClient("{url}")
  words = client.get_database("{DATABASE}").get_collection("{COLLECTION}")
  animals = "lex = 'noun.animal'"
  one = words.query_vectors(where=animals)
  print("near", one.fields[0]["lemma"], "--", one.fields[0]["text"])
  hits = words.search(one.vectors[0], k=5, where=animals, return_fields=True)
  for hit in hits.to_list():
      print(round(hit["distance"], 3), hit["lemma"], "--", hit["text"])
  EOF"#,
        file = file.display(),
    );
    Ok(())
}

/// Prints the lines with which a trainer would iterate the dataset.
pub(super) fn training_steps(url: &str, is_preprocessed: bool) {
    let preprocessors = match is_preprocessed {
        true => format!("\n      preprocessors=[\"{PREPROCESSOR}\"],"),
        false => String::new(),
    };
    println!(
        r#"
  pip install lavender-data==0.1.10 tqdm
  python3 - <<'EOF'
  import lavender_data.client as lavender
  lavender.init(api_url="{url}")
  batches = lavender.LavenderDataLoader(
      dataset_name="{DATASET}", batch_size={BATCH},
      shuffle=True, shuffle_block_size={FILES},
      filters=[("min_max", {{"column": "length", "min_value": {LENGTH_ABOVE}}})],{preprocessors}
  )
  for number, batch in enumerate(batches):
      print(number, batch["lemma"])
      if number == 9:
          break
  EOF"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_a_terminal() {
        let text = "word ".repeat(50);
        let shown = wrapped(&text, 11);
        assert!(shown.lines().all(|line| line.starts_with("           word") && line.len() <= COLUMNS));
        assert_eq!(shown.split_whitespace().count(), 50);
        assert_eq!((wrapped("", 2), wrapped("a  b", 2)), ("  ".to_owned(), "  a b".to_owned()));
    }
}
