use super::*;

#[test]
fn second_holder_is_refused_with_the_first_ones_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = DataDirLock::acquire(folder.path()).unwrap();
    let refused = DataDirLock::acquire(folder.path()).unwrap_err();
    assert!(matches!(refused, StorageError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains(&format!("(process {})", std::process::id())), "{refused}");
    drop(first);
    DataDirLock::acquire(folder.path()).unwrap();
}

#[test]
fn missing_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(DataDirLock::acquire(&folder.path().join("none")).unwrap_err().is_not_found());
}
