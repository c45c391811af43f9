use super::*;

#[test]
fn modules_are_read_and_files_below_are_hashed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    assert!(Snapshot::read(&at("nowhere")).unwrap().sources.is_empty());
    assert_eq!(signature(&at("nowhere")).unwrap(), signature(directory.path()).unwrap());

    std::fs::write(at("b.py"), "b").unwrap();
    std::fs::write(at("a.py"), "a").unwrap();
    std::fs::write(at("notes.txt"), "no").unwrap();
    std::fs::write(at(".hidden.py"), "no").unwrap();
    std::fs::create_dir(at("__pycache__")).unwrap();
    std::fs::write(at("__pycache__/c.py"), "no").unwrap();
    let first = Snapshot::read(directory.path()).unwrap();
    assert_eq!(first.sources.keys().collect::<Vec<_>>(), ["a.py", "b.py"]);
    assert_eq!(*first.sources["a.py"], *b"a");

    let before = signature(directory.path()).unwrap();
    std::fs::create_dir_all(at("package/inner")).unwrap();
    std::fs::write(at("package/inner/help.py"), "1").unwrap();
    let second = Snapshot::read(directory.path()).unwrap();
    assert_ne!(signature(directory.path()).unwrap(), before);
    assert_eq!(second.sources, first.sources);
    assert_ne!(second.generation(), first.generation());
    assert_eq!(second.generation(), Snapshot::read(directory.path()).unwrap().generation());
}

#[test]
fn the_generation_tells_names_from_contents() {
    let snapshot = |files: &[(&str, &str)]| {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Snapshot::read(directory.path()).unwrap().generation()
    };
    let generation = snapshot(&[("a.py", "xy")]);
    assert_eq!(snapshot(&[("a.py", "xy")]), generation);
    assert_ne!(snapshot(&[("a.py", "x"), ("y.py", "")]), generation);
    assert_ne!(snapshot(&[("b.py", "xy")]), generation);
}
