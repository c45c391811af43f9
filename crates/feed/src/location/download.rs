//! One file of a store into the disk cache.
//!
//! 1. Open the file, from where the last try broke off if its tag promises equal bytes, else from the start.
//! 2. Compare the version with the one that is expected, and with the one the last try had.
//! 3. Set room aside in the cache; where the size is not known, as the bytes come.
//! 4. Take the bytes as they come, hash and write them in blocks on a thread for that.
//! 5. Compare the length, and move the file to its name.
//!
//! Steps 1-4 are tried again after a failure that may pass.

use super::Location;
use super::cached_file::{CacheKey, extension_of, hash_of_tag};
use super::disk_cache::{DiskCache, Pinned, Reservation};
use super::error::LocationError;
use super::origin::Origin;
use super::remote::{Opened, Remotes};
use super::retry::Retry;
use super::version::Version;
use super::web::within;
use bytes::Bytes;
use futures_util::StreamExt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// Bytes gathered before they are written.
const BLOCK_BYTES: usize = 1 << 20;
/// Room set aside at once while the size is not known.
const ROOM_STEP_BYTES: u64 = 8 << 20;

/// What a download needs.
pub(super) struct Download<'a> {
    pub(super) source: Source<'a>,
    pub(super) cache: &'a DiskCache,
    pub(super) file: &'a Location,
    /// Hash of what tells the file from all others.
    pub(super) url: u128,
    pub(super) expected: Option<&'a Version>,
    /// How long the server may be silent.
    pub(super) request_timeout: Duration,
}

/// Who sends the bytes.
pub(super) enum Source<'a> {
    Stores(&'a Remotes),
    /// The version stands for the content, so that a try goes on where another broke off.
    Origin(&'a dyn Origin, &'a Version),
}

impl Source<'_> {
    async fn open(&self, file: &Location, offset: u64) -> Result<Opened, LocationError> {
        match self {
            Self::Stores(remotes) => remotes.open(file, offset).await,
            Self::Origin(origin, version) => {
                let (body, version) = (origin.open(offset).await?, Version::clone(version));
                Ok(Opened { version, offset, is_resumable: true, body })
            }
        }
    }
}

impl Download<'_> {
    /// Downloads the file, with as many tries as `retry` allows.
    pub(super) async fn run(&self, mut retry: Retry) -> Result<(Pinned, Version), LocationError> {
        let shown = self.file.shown();
        let mut partial = Partial::new(self.cache, shown.clone());
        while let Err(error) = self.attempt(&shown, &mut partial).await {
            let error = match error {
                LocationError::Broken { file, cause, .. } => {
                    LocationError::Broken { file, cause, got: partial.len }
                }
                other => other,
            };
            retry.after(error).await?;
        }
        partial.finish(self.cache, self.url, extension_of(&self.file.name())).await
    }

    async fn attempt(&self, shown: &str, partial: &mut Partial) -> Result<(), LocationError> {
        if !partial.is_resumable {
            partial.restart();
        }
        let opened = match self.source.open(self.file, partial.len).await {
            // Shorter than what is here: not the file it was.
            Err(LocationError::Refused { status: 416, .. }) if partial.len > 0 => {
                partial.restart();
                return Err(broken(shown, "the file changed between two tries"));
            }
            opened => opened?,
        };
        self.check(shown, partial, &opened)?;
        partial.version = opened.version;
        partial.is_resumable = opened.is_resumable;
        self.make_room(partial).await?;
        let mut body = opened.body;
        while let Some(piece) = within(self.request_timeout, shown, body.next()).await? {
            partial.push(piece?).await?;
            self.make_room(partial).await?;
        }
        match partial.version.size {
            Some(size) if partial.len < size => Err(broken(shown, "the server sent less than it announced")),
            Some(size) if partial.len > size => {
                partial.restart();
                Err(broken(shown, "the server sent more than it announced"))
            }
            _ => Ok(()),
        }
    }

    /// Whether what was opened is what is expected, and goes on where the partial download ends.
    fn check(&self, shown: &str, partial: &mut Partial, opened: &Opened) -> Result<(), LocationError> {
        if let Some(expected) = self.expected
            && !expected.agrees_with(&opened.version)
        {
            let (expected, found) = (expected.clone(), opened.version.clone());
            return Err(LocationError::Changed { file: shown.to_owned(), expected, found });
        }
        if opened.offset == 0 {
            partial.restart();
        } else if opened.offset != partial.len || !opened.version.agrees_with(&partial.version) {
            partial.restart();
            return Err(broken(shown, "the file changed between two tries"));
        }
        Ok(())
    }

    /// Room for the whole file, or for what came and some more.
    async fn make_room(&self, partial: &mut Partial) -> Result<(), LocationError> {
        let wanted = partial.version.size.unwrap_or(0).max(partial.len);
        if wanted > partial.room {
            let step = if partial.version.size.is_none() { ROOM_STEP_BYTES } else { 0 };
            let deadline = Instant::now() + self.request_timeout;
            let room = wanted.saturating_add(step).min(self.cache.usage().bytes_max.max(wanted));
            partial.reservation.grow(room, &partial.shown, deadline).await?;
            partial.room = room;
        }
        Ok(())
    }
}

fn broken(shown: &str, cause: &str) -> LocationError {
    LocationError::Broken { file: shown.to_owned(), got: 0, cause: cause.to_owned() }
}

/// A download under way. Its file goes when this does, and the thread that writes it.
struct Partial {
    shown: String,
    path: Arc<PartPath>,
    writer: Option<Writer>,
    /// Came, and not written yet.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// Bytes that came, pending ones included.
    len: u64,
    version: Version,
    is_resumable: bool,
    reservation: Reservation,
    /// What `reservation` holds.
    room: u64,
}

/// Removes the file when dropped; after a finished download there is none.
struct PartPath(PathBuf);

impl Drop for PartPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[derive(Default)]
struct Writer {
    file: Option<File>,
    hasher: Xxh3,
}

impl Writer {
    fn write(&mut self, path: &Path, blocks: &[Bytes]) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(path)?),
        };
        for block in blocks {
            self.hasher.update(block);
            file.write_all(block)?;
        }
        Ok(())
    }
}

impl Partial {
    fn new(cache: &DiskCache, shown: String) -> Self {
        Self {
            shown,
            path: Arc::new(PartPath(cache.part_path())),
            writer: Some(Writer::default()),
            pending: Vec::new(),
            pending_bytes: 0,
            len: 0,
            version: Version::default(),
            is_resumable: false,
            reservation: cache.reservation(),
            room: 0,
        }
    }

    /// Forgets what came; the file is cut when it is written again.
    fn restart(&mut self) {
        self.writer = Some(Writer::default());
        self.pending.clear();
        self.pending_bytes = 0;
        self.len = 0;
    }

    async fn push(&mut self, piece: Bytes) -> Result<(), LocationError> {
        self.len += piece.len() as u64;
        self.pending_bytes += piece.len();
        self.pending.push(piece);
        match self.pending_bytes >= BLOCK_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<(), LocationError> {
        let (path, blocks) = (self.path.clone(), std::mem::take(&mut self.pending));
        self.pending_bytes = 0;
        let mut writer = self.writer.take().unwrap_or_default();
        let written = tokio::task::spawn_blocking(move || writer.write(&path.0, &blocks).map(|()| writer));
        let written = LocationError::of_task(written.await, &self.shown)?;
        self.writer =
            Some(written.map_err(|error| LocationError::of_own_file("write", &self.path.0, error))?);
        Ok(())
    }

    async fn finish(
        mut self,
        cache: &DiskCache,
        url: u128,
        extension: String,
    ) -> Result<(Pinned, Version), LocationError> {
        self.flush().await?;
        let Self { shown, path, writer, len, version, reservation, .. } = self;
        let content = writer.unwrap_or_default().hasher.digest128();
        let key = CacheKey { url, tag: hash_of_tag(version.tag.as_deref()), size: len };
        let cache = cache.clone();
        let inserted = tokio::task::spawn_blocking(move || {
            cache.insert(&path.0, (key, content), extension, reservation)
        });
        let pinned = LocationError::of_task(inserted.await, &shown)??;
        let lost = || LocationError::Stopped { file: shown, cause: "the cache lost it".to_owned() };
        Ok((pinned.ok_or_else(lost)?, Version::new(len, version.tag)))
    }
}
