//! A disk in memory that forgets: what was not synced is lost or torn at a crash, and a chosen sync fails.

use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The unit that a disk writes whole.
const SECTOR_BYTES: u64 = 512;

#[derive(Debug, Default)]
struct Inner {
    /// What a crash leaves for certain.
    synced: Vec<u8>,
    /// What a running program sees.
    seen: Vec<u8>,
    unsynced: Vec<Change>,
    syncs: u64,
    /// The sync from which on nothing works any more.
    fails_at: Option<u64>,
    failed: bool,
    /// What each sync takes.
    delay: Duration,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length as usize, 0),
            Self::Write { offset, bytes: written } => {
                let (start, end) = (*offset as usize, *offset as usize + written.len());
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(written);
            }
        }
    }
}

/// A handle of the disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Inner>>);

impl FaultyDisk {
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        let inner = Inner { seen: bytes.clone(), synced: bytes, ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Makes the `sync`-th sync from now (from 1), and all that follows it, fail.
    pub(crate) fn fail_at(&self, sync: u64) {
        let mut inner = self.0.lock().unwrap();
        inner.fails_at = Some(inner.syncs + sync);
    }

    /// Makes every sync take that long.
    pub(crate) fn slow_down(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().unwrap().syncs
    }

    /// The bytes that a loss of power leaves: each unsynced change is there, partly there or absent.
    pub(crate) fn crash(&self, seed: u64) -> Vec<u8> {
        let inner = self.0.lock().unwrap();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut bytes = inner.synced.clone();
        for change in &inner.unsynced {
            match change {
                Change::Length(_) if next() % 2 == 0 => change.apply(&mut bytes),
                Change::Length(_) => {}
                Change::Write { offset, bytes: written } => {
                    for (number, sector) in (0..).zip(written.chunks(SECTOR_BYTES as usize)) {
                        if next() % 2 == 0 {
                            let offset = offset + number * SECTOR_BYTES;
                            Change::Write { offset, bytes: sector.to_vec() }.apply(&mut bytes);
                        }
                    }
                }
            }
        }
        bytes
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.failed {
            return Err(io::Error::other("the disk failed"));
        }
        change.apply(&mut inner.seen);
        inner.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock().unwrap();
        let start = offset as usize;
        let bytes = inner.seen.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write { offset, bytes: bytes.to_vec() })
    }

    fn sync_data(&self) -> io::Result<()> {
        let delay = self.0.lock().unwrap().delay;
        std::thread::sleep(delay);
        let mut inner = self.0.lock().unwrap();
        inner.syncs += 1;
        if inner.fails_at.is_some_and(|sync| inner.syncs >= sync) {
            inner.failed = true;
            return Err(io::Error::other("the sync failed"));
        }
        inner.synced = inner.seen.clone();
        inner.unsynced.clear();
        Ok(())
    }
}
