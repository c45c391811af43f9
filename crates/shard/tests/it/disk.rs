//! The files of a store, to be copied and damaged.

use lavandin_storage::{Directory, MemoryDirectory};

const FOLDERS: [&str; 3] = ["", "log", "segments"];

/// The paths of all files.
pub fn files(disk: &dyn Directory) -> Vec<String> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        for name in disk.list(folder).unwrap_or_default() {
            if !FOLDERS.contains(&name.as_str()) {
                all.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
            }
        }
    }
    all
}

/// An empty disk with the folders of a store.
pub fn empty() -> MemoryDirectory {
    let disk = MemoryDirectory::new();
    FOLDERS[1..].iter().for_each(|folder| disk.create_dir_all(folder).unwrap());
    disk
}

pub fn write(disk: &dyn Directory, name: &str, bytes: &[u8]) {
    disk.create(name).unwrap().write_at(0, bytes).unwrap();
}

/// The same files once more.
pub fn duplicate(disk: &dyn Directory) -> MemoryDirectory {
    let copy = empty();
    files(disk).iter().for_each(|name| write(&copy, name, &disk.map(name).unwrap()));
    copy
}

/// Flips one bit of a file.
pub fn flip(disk: &dyn Directory, name: &str, byte: usize, bit: u32) {
    let mut file = disk.open(name).unwrap();
    let mut value = [0];
    file.read_at(byte as u64, &mut value).unwrap();
    file.write_at(byte as u64, &[value[0] ^ 1 << bit]).unwrap();
}

pub fn slow() -> bool {
    std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1")
}
