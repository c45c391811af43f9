use super::{findings, measured, names_machine_path};
use crate::repository::SourceFile;
use crate::tidy::Rule;

fn rules(path: &str, text: &str) -> Vec<Rule> {
    let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
    findings(&file).into_iter().map(|finding| finding.rule).collect()
}

fn long_function(lines: usize) -> String {
    format!("//! A header.\n\nfn long() {{\n{}}}\n", "    step(\"{\");\n".repeat(lines - 2))
}

#[test]
fn measures_functions_from_fn_to_brace() {
    let source = "
pub(crate) const fn one(x: [u8; 4]) -> u8 { x[0] }
impl A {
    async fn two<F: Fn() -> u8>(f: F)
    where
        F: Clone,
    {
        // fn comment() {
        let g: fn(u8) = |_| {};
        fn inner() {
        }
    }
    fn declared(&self);
}
";
    let expected = [("one", 1), ("two", 9), ("inner", 2)];
    let measured = measured(source);
    assert_eq!(measured.iter().map(|(name, lines)| (name.as_str(), *lines)).collect::<Vec<_>>(), expected);
}

#[test]
fn refuses_functions_past_the_ceiling_outside_tests() {
    assert_eq!(rules("crates/a/src/b.rs", &long_function(70)), []);
    assert_eq!(rules("crates/a/src/b.rs", &long_function(71)), [Rule::FunctionLines]);
    assert_eq!(rules("crates/a/src/b/tests.rs", &long_function(71)), []);
    assert_eq!(rules("crates/a/src/b.rs", &format!("// @generated\n{}", long_function(71))), []);
}

#[test]
fn refuses_long_files_and_missing_headers() {
    let lines = |count: usize| format!("//! A header.\n{}", "// x\n".repeat(count - 1));
    assert_eq!(rules("crates/a/src/b.rs", &lines(800)), []);
    assert_eq!(rules("crates/a/src/b.rs", &lines(801)), [Rule::FileLines]);
    assert_eq!(rules("crates/a/src/b.rs", "fn x() {}\n"), [Rule::Header]);
}

#[test]
fn refuses_names_that_say_nothing() {
    assert_eq!(rules("crates/a/src/utils.rs", "//! A header.\n"), [Rule::FileName]);
}

#[test]
fn finds_paths_of_one_machine() {
    let slash = '/';
    for folder in ["tmp", "work", "root", "home"] {
        assert!(names_machine_path(&format!("see {slash}{folder}/x")), "{folder}");
        assert!(names_machine_path(&format!("\"{slash}{folder}/x\"")), "{folder}");
        assert!(!names_machine_path(&format!("a{slash}{folder}/x")), "{folder}");
        assert!(!names_machine_path(&format!("..{slash}{folder}/x")), "{folder}");
        assert!(!names_machine_path(&format!("{slash}{folder}/")), "{folder}");
    }
    assert!(!names_machine_path("/var/lib/lavandin"));
    assert_eq!(rules("notes.md", &format!("a\n{slash}tmp/x\n")), [Rule::MachinePath]);
}
