use super::{anchors, check, links, normal};
use crate::repository::SourceFile;
use std::path::Path;

#[test]
fn finds_links_outside_code() {
    let text = "a [b](c.md) `[d](e)` [f](g#h \"title\")\n```\n[i](j)\n```\n[`k`](l.md)";
    assert_eq!(links(text), [(1, "c.md"), (1, "g#h"), (5, "l.md")]);
}

#[test]
fn makes_anchors_of_headings() {
    let made: Vec<String> = anchors("# One two\n```\n# no\n```\n## `a_b`, and-c!").collect();
    assert_eq!(made, ["one-two", "a_b-and-c"]);
}

#[test]
fn normalises_paths_inside_the_repository_only() {
    assert_eq!(normal(Path::new("docs/../README.md")).as_deref(), Some(Path::new("README.md")));
    assert_eq!(normal(Path::new("docs/../../x")), None);
    assert_eq!(normal(Path::new("/x")), None);
}

#[test]
fn reports_missing_headings_and_files() {
    let document = SourceFile { path: "a.md".to_owned(), text: "# Here\n[x](#here) [y](#there)".to_owned() };
    let documents = [document];
    assert_eq!(check(&documents[0], &documents, "#here"), Ok(()));
    assert_eq!(check(&documents[0], &documents, "#there"), Err("no such heading".to_owned()));
    assert_eq!(check(&documents[0], &documents, "no-such-file.md"), Err("does not exist".to_owned()));
}
