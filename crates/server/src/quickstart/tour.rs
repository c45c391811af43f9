//! Searches that show the sense of it, and what to try next.

use super::sample::{COLLECTION, DATABASE, INDEX_MODE, context, queries};
use anyhow::{Context, Result};
use lavandin_node::{Hit, Node, Search};
use lavandin_types::{FieldsRef, ValueRef};
use std::path::Path;

const HITS: usize = 3;
const TEXT_SHOWN_MAX: usize = 84;

/// Runs the tour's searches and prints what they found.
pub(super) async fn searches(node: &Node) -> Result<()> {
    println!("\nSearches ({INDEX_MODE}; the number is the cosine distance, smaller is nearer):");
    for query in queries()? {
        println!("\n  \"{}\"", query.text);
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
            println!("    {}", line_of(hit));
        }
    }
    Ok(())
}

fn line_of(hit: &Hit) -> String {
    let fields = FieldsRef::from_stored(&hit.fields);
    let text = |name: &str| match fields.get(name) {
        Some(ValueRef::Str(text)) => text.to_owned(),
        _ => String::new(),
    };
    let mut gloss = text("text");
    if let Some((cut, _)) = gloss.char_indices().nth(TEXT_SHOWN_MAX) {
        gloss.truncate(cut);
        gloss.push('…');
    }
    format!("{:.3}  {:<20} {:<16} {gloss}", hit.score, text("lemma"), text("lex"))
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

  curl -s {url}/search -H 'content-type: application/json' -d @{file}

  curl -s {url}/query -H 'content-type: application/json' \
    -d '{{{names},"where":"lex = \"noun.food\" AND text LIKE \"%cheese%\""}}'

  pip install lynsedb==0.9.0
  python3 - <<'EOF'
  from lynse import VectorDBClient
  words = VectorDBClient("{url}").get_database("{DATABASE}").get_collection("{COLLECTION}")
  one = words.query_vectors(where="lex = 'noun.animal'")
  print("near", one.fields[0]["lemma"], "--", one.fields[0]["text"])
  for hit in words.search(one.vectors[0], k=5, where="lex = 'noun.animal'", return_fields=True).to_list():
      print(round(hit["distance"], 3), hit["lemma"], "--", hit["text"])
  EOF"#,
        file = file.display(),
    );
    Ok(())
}
