//! [`Directory`] around another one, with one planned failure, for tests of what happens then.
//!
//! Mutating calls are counted from 0: creates, renames, removes, new folders, writes, truncates and syncs, of files and
//! of folders. At the planned one the [`Fault`] strikes. Reads are not counted and fail only after a crash.
//!
//! A crash here means that the process stops: later calls fail. What the disk then holds is the inner directory's to
//! say, see [`crate::MemoryDirectory::crash`].

use crate::{Directory, File, Operation, Region, StorageError};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How the planned call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with an input/output error and does nothing. Later calls work.
    Failed,
    /// It fails having done its work in part: half of a write; all of any other call. Later calls work.
    Torn,
    /// It and all later calls that need space fail, a write having written half: the disk is full.
    NoSpace,
    /// It does nothing, and every later call fails.
    Crash,
    /// It does its work in part, as `Torn`, and every later call fails.
    TornCrash,
}

impl Fault {
    pub const ALL: [Self; 5] = [Self::Failed, Self::Torn, Self::NoSpace, Self::Crash, Self::TornCrash];
}

/// What was called so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All mutating calls, syncs included.
    pub mutating: u64,
    /// Syncs of files and of folders.
    pub syncs: u64,
    /// Calls of `File::write_at`.
    pub writes: u64,
    /// Bytes given to `File::write_at`.
    pub bytes_written: u64,
}

/// A directory with a planned failure. Clones share plan and counts.
#[derive(Clone)]
pub struct FaultyDirectory {
    inner: Arc<dyn Directory>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    plan: Option<(u64, Fault)>,
    struck: bool,
    /// What each sync takes, besides what it takes.
    sync_delay: Duration,
}

/// What a call is to do.
enum Verdict {
    Proceed,
    Fail(io::Error),
    FailInPart(io::Error),
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl FaultyDirectory {
    pub fn new(inner: Arc<dyn Directory>) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Plans `fault` at the mutating call number `call`, counted from the directory's making.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        let mut state = self.state();
        (state.plan, state.struck) = (Some((call, fault)), false);
    }

    /// Takes the plan back; all calls work again, after a crash too.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.plan, state.struck) = (None, false);
    }

    /// Makes every sync take that much longer, from the next one on.
    pub fn slow_syncs(&self, delay: Duration) {
        self.state().sync_delay = delay;
    }

    /// Whether a call failed by the plan.
    pub fn has_struck(&self) -> bool {
        self.state().struck
    }

    pub fn calls(&self) -> Calls {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn file(&self, name: &str, inner: Box<dyn File>) -> Box<dyn File> {
        Box::new(FaultyFile { inner, name: name.to_owned(), state: Arc::clone(&self.state) })
    }
}

impl State {
    fn judge(&mut self, operation: Operation) -> Verdict {
        let call = self.calls.mutating;
        self.calls.mutating += 1;
        self.calls.syncs += u64::from(matches!(operation, Operation::Sync | Operation::SyncDir));
        let Some((at, fault)) = self.plan else { return Verdict::Proceed };
        if call < at {
            return Verdict::Proceed;
        }
        let first = !self.struck;
        let needs_space = matches!(operation, Operation::Create | Operation::Write | Operation::CreateDir);
        let verdict = match fault {
            Fault::Failed if first => Verdict::Fail(io::Error::from_raw_os_error(EIO)),
            Fault::Torn if first => Verdict::FailInPart(io::Error::from_raw_os_error(EIO)),
            Fault::TornCrash if first => Verdict::FailInPart(crashed()),
            Fault::Crash | Fault::TornCrash => Verdict::Fail(crashed()),
            Fault::NoSpace if operation == Operation::Write => {
                Verdict::FailInPart(io::Error::from_raw_os_error(ENOSPC))
            }
            Fault::NoSpace if needs_space => Verdict::Fail(io::Error::from_raw_os_error(ENOSPC)),
            Fault::Failed | Fault::Torn | Fault::NoSpace => Verdict::Proceed,
        };
        self.struck |= !matches!(verdict, Verdict::Proceed);
        verdict
    }

    fn check_alive(&self, operation: Operation, name: &str) -> Result<(), StorageError> {
        match self.plan {
            Some((_, Fault::Crash | Fault::TornCrash)) if self.struck => {
                Err(StorageError::io(operation, name, crashed()))
            }
            _ => Ok(()),
        }
    }
}

fn crashed() -> io::Error {
    io::Error::other("simulated crash")
}

/// Counts the call and does as the plan says.
fn mutate<T>(
    state: &Mutex<State>,
    operation: Operation,
    name: &str,
    call: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let delay = lock(state).sync_delay;
    if !delay.is_zero() && matches!(operation, Operation::Sync | Operation::SyncDir) {
        std::thread::sleep(delay);
    }
    let verdict = lock(state).judge(operation);
    match verdict {
        Verdict::Proceed => call(),
        Verdict::Fail(error) => Err(StorageError::io(operation, name, error)),
        Verdict::FailInPart(error) => call().and(Err(StorageError::io(operation, name, error))),
    }
}

impl Directory for FaultyDirectory {
    fn create(&self, name: &str) -> Result<Box<dyn File>, StorageError> {
        let inner = mutate(&self.state, Operation::Create, name, || self.inner.create(name))?;
        Ok(self.file(name, inner))
    }

    fn open(&self, name: &str) -> Result<Box<dyn File>, StorageError> {
        self.state().check_alive(Operation::Open, name)?;
        Ok(self.file(name, self.inner.open(name)?))
    }

    fn map(&self, name: &str) -> Result<Region, StorageError> {
        self.state().check_alive(Operation::Map, name)?;
        self.inner.map(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        mutate(&self.state, Operation::Rename, from, || self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        mutate(&self.state, Operation::Remove, name, || self.inner.remove(name))
    }

    fn remove_dir(&self, folder: &str) -> Result<(), StorageError> {
        mutate(&self.state, Operation::Remove, folder, || self.inner.remove_dir(folder))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StorageError> {
        self.state().check_alive(Operation::List, folder)?;
        self.inner.list(folder)
    }

    fn create_dir_all(&self, folder: &str) -> Result<(), StorageError> {
        mutate(&self.state, Operation::CreateDir, folder, || self.inner.create_dir_all(folder))
    }

    fn sync_dir(&self, folder: &str) -> Result<(), StorageError> {
        mutate(&self.state, Operation::SyncDir, folder, || self.inner.sync_dir(folder))
    }

    fn exists(&self, name: &str) -> Result<bool, StorageError> {
        self.state().check_alive(Operation::Stat, name)?;
        self.inner.exists(name)
    }

    fn len(&self, name: &str) -> Result<u64, StorageError> {
        self.state().check_alive(Operation::Stat, name)?;
        self.inner.len(name)
    }

    fn power_cycle(&self) -> Option<u128> {
        self.inner.power_cycle()
    }
}

struct FaultyFile {
    inner: Box<dyn File>,
    name: String,
    state: Arc<Mutex<State>>,
}

impl File for FaultyFile {
    fn len(&self) -> Result<u64, StorageError> {
        lock(&self.state).check_alive(Operation::Stat, &self.name)?;
        self.inner.len()
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let verdict = {
            let mut state = lock(&self.state);
            state.calls.writes += 1;
            state.calls.bytes_written += bytes.len() as u64;
            state.judge(Operation::Write)
        };
        match verdict {
            Verdict::Proceed => self.inner.write_at(offset, bytes),
            Verdict::Fail(error) => Err(StorageError::io(Operation::Write, &self.name, error)),
            Verdict::FailInPart(error) => {
                self.inner.write_at(offset, &bytes[..bytes.len() / 2])?;
                Err(StorageError::io(Operation::Write, &self.name, error))
            }
        }
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StorageError> {
        lock(&self.state).check_alive(Operation::Read, &self.name)?;
        self.inner.read_at(offset, bytes)
    }

    fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        mutate(&self.state, Operation::Truncate, &self.name, || self.inner.truncate(len))
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        mutate(&self.state, Operation::Sync, &self.name, || self.inner.sync())
    }
}

/// A thread that panicked in here left counters, which are good as they are.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
