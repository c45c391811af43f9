use super::*;
use std::os::unix::fs::symlink;

/// A root, the data directory, and a folder outside both, all in one temporary directory.
struct World {
    dir: tempfile::TempDir,
    store: FileStore,
}

impl World {
    fn new(with_roots: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for folder in ["root", "data", "outside"] {
            fs::create_dir(dir.path().join(folder)).expect("made");
        }
        let mut options = StoreOptions::new(dir.path().join("data"));
        if with_roots {
            options.file_roots = vec![dir.path().join("root")];
        }
        Self { store: FileStore::new(&options).expect("good settings"), dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).expect("written");
    }

    fn list(&self, path: &str) -> Result<Vec<String>, LocationError> {
        Ok(self.store.list(&self.path(path), path)?.into_iter().map(|entry| entry.name).collect())
    }

    fn put(&self, path: &str) -> Result<Version, LocationError> {
        self.store.put(&self.path(path), path, &self.path("source"))
    }

    fn local(&self, path: &str) -> Result<PathBuf, LocationError> {
        Ok(self.store.local(&self.path(path), path)?.0)
    }
}

fn is_outside<T: std::fmt::Debug>(result: Result<T, LocationError>) {
    let error = result.expect_err("outside");
    assert!(matches!(error, LocationError::OutsideRoots { .. }), "{error}");
}

#[test]
fn a_folder_lists_its_files() {
    let world = World::new(false);
    for name in ["b.csv", "a.csv", ".hidden"] {
        world.write(&format!("outside/{name}"), "x");
    }
    fs::create_dir(world.path("outside/folder")).expect("made");
    symlink(world.path("outside/a.csv"), world.path("outside/link.csv")).expect("linked");
    symlink(world.path("nowhere"), world.path("outside/dangling.csv")).expect("linked");
    assert_eq!(world.list("outside").expect("files"), ["a.csv", "b.csv", "link.csv"]);
}

#[test]
fn what_is_no_folder_of_files_says_what_it_is() {
    let world = World::new(false);
    world.write("a.csv", "x");
    assert!(matches!(world.list("nowhere"), Err(LocationError::NotFound { .. })));
    assert!(matches!(world.list("a.csv"), Err(LocationError::NotADirectory { .. })));
    assert!(matches!(world.list("outside"), Err(LocationError::Empty { .. })));
    assert!(matches!(world.local("outside"), Err(LocationError::NotAFile { .. })));
    assert!(matches!(world.local("nowhere"), Err(LocationError::NotFound { .. })));
}

#[test]
fn a_change_shows_in_the_version() {
    let world = World::new(false);
    world.write("a.csv", "x");
    let version = || world.store.local(&world.path("a.csv"), "a").expect("there").1;
    let before = version();
    assert_eq!(before.size, Some(1));
    let file = File::options().write(true).open(world.path("a.csv")).expect("opens");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("set");
    assert_eq!(version().tag.as_deref(), Some("mtime-0"));
    assert!(!version().agrees_with(&before));
}

#[test]
fn without_roots_everything_can_be_read() {
    let world = World::new(false);
    world.write("outside/a.csv", "x");
    assert_eq!(world.list("outside").expect("files"), ["a.csv"]);
    world.local("root/../outside/a.csv").expect("readable");
}

#[test]
fn roots_confine_reading() {
    let world = World::new(true);
    for path in ["outside/a.csv", "root/a.csv", "data/a.csv"] {
        world.write(path, "x");
    }
    symlink(world.path("outside"), world.path("root/way_out")).expect("linked");
    symlink(world.path("root"), world.path("outside/way_in")).expect("linked");
    for path in [
        "outside/a.csv",
        "root/../outside/a.csv",
        "root/way_out/a.csv",
        "outside/none.csv",
        "root/none/../../x",
    ] {
        is_outside(world.local(path));
    }
    for path in ["outside", "root/..", "root/../outside", "root/way_out", "."] {
        is_outside(world.list(path));
    }
    for path in ["root/a.csv", "data/a.csv", "outside/../root/a.csv", "outside/way_in/a.csv"] {
        world.local(path).expect(path);
    }
    assert!(matches!(world.local("root/none.csv"), Err(LocationError::NotFound { .. })));
}

#[test]
fn a_link_out_of_the_roots_is_not_listed_silently() {
    let world = World::new(true);
    world.write("outside/secret.csv", "x");
    world.write("root/a.csv", "x");
    symlink(world.path("outside/secret.csv"), world.path("root/b.csv")).expect("linked");
    is_outside(world.list("root"));
    is_outside(world.local("root/b.csv"));
}

#[test]
fn putting_replaces_a_file_as_a_whole() {
    let world = World::new(true);
    world.write("source", "new");
    world.write("root/a.csv", "old content");
    let version = world.put("root/a.csv").expect("written");
    assert_eq!(fs::read_to_string(world.path("root/a.csv")).expect("there"), "new");
    assert_eq!(version, world.store.local(&world.path("root/a.csv"), "a").expect("there").1);
    world.put("data/new/folder/a.csv").expect("written");
    assert_eq!(world.list("data/new/folder").expect("files"), ["a.csv"]);
    assert_eq!(fs::read_dir(world.path("root")).expect("a folder").count(), 1);
}

#[test]
fn putting_stays_in_the_data_directory_and_the_roots() {
    for with_roots in [false, true] {
        let world = World::new(with_roots);
        world.write("source", "x");
        symlink(world.path("outside"), world.path("data/way_out")).expect("linked");
        symlink(world.path("outside/none"), world.path("data/dangling")).expect("linked");
        for path in [
            "outside/a.csv",
            "data/../outside/a.csv",
            "data/way_out/a.csv",
            "data/way_out/new/a.csv",
            "data/new/../../outside/a.csv",
            "data/dangling/a.csv",
        ] {
            is_outside(world.put(path));
        }
        assert_eq!(fs::read_dir(world.path("outside")).expect("a folder").count(), 0);
        world.put("data/a.csv").expect("written");
    }
}

#[test]
fn a_link_in_place_of_the_target_is_replaced_and_not_followed() {
    let world = World::new(true);
    world.write("source", "new");
    world.write("outside/a.csv", "old");
    symlink(world.path("outside/a.csv"), world.path("root/a.csv")).expect("linked");
    world.put("root/a.csv").expect("written");
    assert_eq!(fs::read_to_string(world.path("outside/a.csv")).expect("there"), "old");
    assert_eq!(fs::read_to_string(world.path("root/a.csv")).expect("there"), "new");
}

#[test]
fn a_failed_put_leaves_nothing() {
    let world = World::new(true);
    let error = world.put("root/a.csv").expect_err("no source");
    assert!(matches!(&error, LocationError::NotFound { file, .. } if file.ends_with("/source")), "{error}");
    assert_eq!(fs::read_dir(world.path("root")).expect("a folder").count(), 0);
    world.write("source", "x");
    fs::create_dir(world.path("root/folder")).expect("made");
    world.put("root/folder").expect_err("a folder is in the way");
    assert_eq!(fs::read_dir(world.path("root")).expect("a folder").count(), 1);
}

#[test]
fn a_root_that_is_not_there_is_refused_at_the_start() {
    let mut options = StoreOptions::new("data".into());
    options.file_roots = vec!["/nowhere/at/all".into()];
    let error = FileStore::new(&options).expect_err("no root");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}
