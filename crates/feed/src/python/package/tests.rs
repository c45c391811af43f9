use super::*;

/// Every source of the package is part of the program, and nothing else.
#[test]
fn all_sources_are_in_the_table() {
    fn walk(folder: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                found.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python");
    let mut found = Vec::new();
    walk(&top.join("lavandin"), &top, &mut found);
    found.sort();
    let mut table: Vec<_> = SOURCES.iter().map(|(path, _)| (*path).to_owned()).collect();
    table.sort();
    assert_eq!(table, found);
}

#[test]
fn sources_are_written_once_and_mended() {
    let directory = tempfile::tempdir().unwrap();
    let folder = write(directory.path()).unwrap();
    let file = folder.join("lavandin/pipelines.py");
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(write(directory.path()).unwrap(), folder);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), written);
    std::fs::write(&file, "spoilt").unwrap();
    write(directory.path()).unwrap();
    assert_ne!(std::fs::read(&file).unwrap(), b"spoilt");
    let blocked = directory.path().join("blocked");
    std::fs::write(&blocked, "a file").unwrap();
    let error = write(&blocked).unwrap_err();
    assert!(matches!(&error, PythonError::Start { reason } if reason.contains("blocked")), "{error}");
}
