use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

fn png() -> Magic {
    sniff(PNG).unwrap()
}

#[test]
fn a_kept_file_is_read_with_its_type() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("previews");
    let table = PreviewFileTable::default();
    let name = table.keep(&path, PNG, png()).unwrap();
    assert!(is_name(&name) && name.ends_with(".png"), "{name}");
    assert_eq!(table.keep(&path, PNG, png()).unwrap(), name);
    assert_eq!(read(&path, &name), Some((PNG.to_vec(), "image/png")));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    fs::remove_file(path.join(&name)).unwrap();
    assert_eq!(read(&path, &name), None);
    table.keep(&path, PNG, png()).unwrap();
    assert!(read(&path, &name).is_some());
}

#[test]
fn other_names_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let hash = "0123456789abcdef0123456789abcdef";
    for name in [
        "".to_owned(),
        hash.to_owned(),
        "../secret.png".to_owned(),
        format!("{hash}.png/../../x"),
        format!("{hash}.part"),
        format!("{hash}.png.part"),
        format!("{}.png", hash.to_uppercase()),
        format!("{hash}."),
        format!("{hash}0.png"),
        "secret.png".to_owned(),
    ] {
        assert!(!is_name(&name), "{name}");
        assert_eq!(read(directory.path(), &name), None, "{name}");
    }
    fs::write(directory.path().join("secret.png"), PNG).unwrap();
    assert_eq!(read(directory.path(), "secret.png"), None);
    assert!(is_name(&format!("{hash}.png")));
}

#[test]
fn the_oldest_files_go_when_there_are_too_many_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("left.png.part"), b"unfinished").unwrap();
    let mut files = Files::open(path, 250).unwrap();
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    let names: Vec<_> = (0..4_u8).map(|number| name_of(&[number], "png")).collect();
    for name in &names {
        files.keep(path, name, &[0; 100]).unwrap();
    }
    let there: Vec<_> = names.iter().map(|name| path.join(name).exists()).collect();
    assert_eq!((there, files.bytes), (vec![false, false, true, true], 200));
    // What an earlier run has left counts.
    let mut files = Files::open(path, 250).unwrap();
    assert_eq!(files.bytes, 200);
    files.keep(path, &names[0], &[0; 100]).unwrap();
    assert_eq!(fs::read_dir(path).unwrap().count(), 2);
    assert!(path.join(&names[0]).exists());
}
