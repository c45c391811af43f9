//! Downloaded files on disk under a cap of bytes.
//!
//! Invariants: files and reservations together never exceed the cap; a file that is pinned is never removed; the least
//! recently used goes first. Nothing is synced, so after a loss of power a file may hold anything: what was there at the
//! start is hashed before its first use, by the caller, which says so. The folder belongs to one process at a time; files
//! in it that the cache did not make are left alone and not counted. After a restart the order of use is that of the
//! downloads. Calls that may remove files block; `find`, `mark_verified` and dropping a guard are short.

use super::cached_file::{CacheKey, CachedName, PART_SUFFIX};
use super::error::LocationError;
use super::stores::CacheUse;
use super::version::Version;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Files in the cache, at most: bounds memory and the start.
const FILES_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct DiskCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
    /// Told when a pin or a reservation goes.
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By serial.
    files: HashMap<u64, CachedFile>,
    /// The serial of each key's newest file; an older one may be pinned still.
    current: BTreeMap<CacheKey, u64>,
    /// Serials by time of use.
    by_use: BTreeMap<u64, u64>,
    /// Counts uses.
    clock: u64,
    serial: u64,
    bytes: u64,
    reserved: u64,
    hits: u64,
    downloads: u64,
    evictions: u64,
}

#[derive(Debug)]
struct CachedFile {
    name: CachedName,
    is_verified: bool,
    is_current: bool,
    pins: u32,
    used_at: u64,
}

/// A file that stays while this lives.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    /// XXH3-128 of the content.
    pub(super) content: u128,
    /// Whether the content is known to be on disk as it was downloaded.
    pub(super) is_verified: bool,
    pub(super) guard: CacheGuard,
}

/// Keeps a file from being removed.
#[derive(Debug)]
pub(super) struct CacheGuard {
    serial: u64,
    shared: Arc<Shared>,
}

/// Room set aside for a download.
#[derive(Debug)]
pub(super) struct Reservation {
    bytes: u64,
    shared: Arc<Shared>,
}

impl DiskCache {
    /// Takes over what is in `dir`: removes downloads that were under way, and the oldest files above the cap.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> Result<Self, LocationError> {
        let failed = |error| LocationError::of_own_file("open the disk cache", dir, error);
        let dir = std::path::absolute(dir).map_err(failed)?;
        fs::create_dir_all(&dir).map_err(failed)?;
        let mut found = found_files(&dir).map_err(failed)?;
        found.sort_by_key(|(downloaded, name)| (*downloaded, name.serial));
        let mut state = State::default();
        for (_, name) in found {
            state.serial = state.serial.max(name.serial + 1);
            state.insert(&dir, name, false);
        }
        state.make_room(&dir, 0, bytes_max);
        state.evictions = 0;
        let state = Mutex::new(state);
        Ok(Self { shared: Arc::new(Shared { dir, bytes_max, state, released: Notify::new() }) })
    }

    /// Pins the file of that version, if it is here.
    pub(super) fn find(&self, url: u128, version: &Version) -> Option<Pinned> {
        let mut state = self.shared.state();
        let mut keys = state.current.range(CacheKey::first(url)..=CacheKey::last(url));
        let serial = keys.find(|(key, _)| key.is_of(version)).map(|(_, serial)| *serial)?;
        state.hits += 1;
        self.shared.pinned(&mut state, serial)
    }

    /// Says that the content was compared with its hash.
    pub(super) fn mark_verified(&self, guard: &CacheGuard) {
        if let Some(file) = self.shared.state().files.get_mut(&guard.serial) {
            file.is_verified = true;
        }
    }

    /// Says that a file is damaged: it is found no more, and removed when nobody uses it.
    pub(super) fn discard(&self, guard: &CacheGuard) {
        let mut state = self.shared.state();
        state.retire(&self.shared.dir, guard.serial);
        state.hits = state.hits.saturating_sub(1);
    }

    /// Where the next download may be written.
    pub(super) fn part_path(&self) -> PathBuf {
        let serial = self.shared.state().next_serial();
        self.shared.dir.join(format!("{serial:x}{PART_SUFFIX}"))
    }

    pub(super) fn reservation(&self) -> Reservation {
        Reservation { bytes: 0, shared: self.shared.clone() }
    }

    /// Moves a finished download into the cache and pins it. Blocks.
    pub(super) fn insert(
        &self,
        part: &Path,
        (key, content): (CacheKey, u128),
        extension: String,
        mut reservation: Reservation,
    ) -> Result<Option<Pinned>, LocationError> {
        let mut state = self.shared.state();
        let name = CachedName { key, content, serial: state.next_serial(), extension };
        let path = self.shared.dir.join(name.encode());
        fs::rename(part, &path).map_err(|error| LocationError::of_own_file("rename", &path, error))?;
        // From reserved to held, in one step.
        state.reserved -= std::mem::take(&mut reservation.bytes);
        state.downloads += 1;
        let serial = name.serial;
        state.insert(&self.shared.dir, name, true);
        Ok(self.shared.pinned(&mut state, serial))
    }

    pub(super) fn usage(&self) -> CacheUse {
        let state = self.shared.state();
        CacheUse {
            bytes: state.bytes,
            bytes_max: self.shared.bytes_max,
            bytes_reserved: state.reserved,
            files: state.files.len() as u64,
            hits: state.hits,
            downloads: state.downloads,
            evictions: state.evictions,
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is whole before anything in it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if there is no room. What it gives back returns the room when it is lost on the way.
    fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut state = self.state();
        state.make_room(&self.dir, bytes, self.bytes_max).then(|| {
            state.reserved += bytes;
            Reservation { bytes, shared: self.clone() }
        })
    }

    fn pinned(self: &Arc<Self>, state: &mut State, serial: u64) -> Option<Pinned> {
        state.clock += 1;
        let now = state.clock;
        let file = state.files.get_mut(&serial)?;
        file.pins += 1;
        state.by_use.remove(&std::mem::replace(&mut file.used_at, now));
        state.by_use.insert(now, serial);
        Some(Pinned {
            path: self.dir.join(file.name.encode()),
            size: file.name.key.size,
            content: file.name.content,
            is_verified: file.is_verified,
            guard: CacheGuard { serial, shared: self.clone() },
        })
    }
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if let Some(file) = state.files.get_mut(&self.serial) {
            file.pins -= 1;
            if file.pins == 0 && !file.is_current {
                state.remove(&self.shared.dir, self.serial);
            }
        }
        drop(state);
        self.shared.released.notify_waiters();
    }
}

impl Reservation {
    /// Sets `bytes` aside in all. Waits until `deadline` for files that are in use. May remove others.
    pub(super) async fn grow(
        &mut self,
        bytes: u64,
        file: &str,
        deadline: Instant,
    ) -> Result<(), LocationError> {
        let bytes_max = self.shared.bytes_max;
        if bytes > bytes_max {
            return Err(LocationError::LargerThanCache {
                file: file.to_owned(),
                bytes,
                cache_bytes_max: bytes_max,
            });
        }
        let more = bytes.saturating_sub(self.bytes);
        let shared = self.shared.clone();
        loop {
            // Listening begins before the look, so that no release between the two is missed.
            let mut released = std::pin::pin!(shared.released.notified());
            released.as_mut().enable();
            let tried = shared.clone();
            let tried = tokio::task::spawn_blocking(move || tried.reserve(more));
            if let Some(mut got) = LocationError::of_task(tried.await, file)? {
                self.bytes += std::mem::take(&mut got.bytes);
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, released).await.is_err() {
                return Err(LocationError::CacheFull {
                    file: file.to_owned(),
                    bytes,
                    cache_bytes_max: bytes_max,
                });
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shared.state().reserved -= self.bytes;
            self.shared.released.notify_waiters();
        }
    }
}

impl State {
    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial - 1
    }

    /// Removes the least recently used files until `more` bytes fit; whether they do.
    fn make_room(&mut self, dir: &Path, more: u64, bytes_max: u64) -> bool {
        let lacks = |state: &Self| {
            let wanted = state.bytes.saturating_add(state.reserved).saturating_add(more);
            wanted > bytes_max || state.files.len() >= FILES_MAX
        };
        if !lacks(self) {
            return true;
        }
        let idle = |serial: &u64| self.files.get(serial).is_some_and(|file| file.pins == 0);
        let mut victims = self.by_use.values().copied().filter(idle).collect::<Vec<_>>().into_iter();
        while lacks(self) {
            let Some(serial) = victims.next() else { return false };
            self.remove(dir, serial);
            self.evictions += 1;
        }
        true
    }

    /// Adds a file that is on disk; one of the same key makes way.
    fn insert(&mut self, dir: &Path, name: CachedName, is_verified: bool) {
        let (serial, key) = (name.serial, name.key);
        self.clock += 1;
        self.bytes += key.size;
        self.by_use.insert(self.clock, serial);
        let file = CachedFile { name, is_verified, is_current: true, pins: 0, used_at: self.clock };
        self.files.insert(serial, file);
        if let Some(older) = self.current.get(&key).copied() {
            self.retire(dir, older);
        }
        self.current.insert(key, serial);
    }

    /// Takes a file out of what is found; removes it now or when its last pin goes.
    fn retire(&mut self, dir: &Path, serial: u64) {
        let Some(file) = self.files.get_mut(&serial) else { return };
        file.is_current = false;
        let (key, pins) = (file.name.key, file.pins);
        if self.current.get(&key) == Some(&serial) {
            self.current.remove(&key);
        }
        if pins == 0 {
            self.remove(dir, serial);
        }
    }

    fn remove(&mut self, dir: &Path, serial: u64) {
        let Some(file) = self.files.remove(&serial) else { return };
        self.by_use.remove(&file.used_at);
        if self.current.get(&file.name.key) == Some(&serial) {
            self.current.remove(&file.name.key);
        }
        self.bytes -= file.name.key.size;
        let path = dir.join(file.name.encode());
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a file of the disk cache could not be removed");
        }
    }
}

/// The cache's files with the times of their downloads. Removes what was under way, and files whose length is wrong.
fn found_files(dir: &Path) -> io::Result<Vec<(SystemTime, CachedName)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(text) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            continue;
        }
        match CachedName::decode(&text) {
            Some(name) if name.key.size == metadata.len() => found.push((metadata.modified()?, name)),
            Some(_) => fs::remove_file(entry.path())?,
            None if is_part(&text) => fs::remove_file(entry.path())?,
            None => {}
        }
    }
    Ok(found)
}

fn is_part(name: &str) -> bool {
    let serial = name.strip_suffix(PART_SUFFIX);
    serial.is_some_and(|serial| !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
