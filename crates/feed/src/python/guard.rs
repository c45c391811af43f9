//! Reading from and writing to a worker without waiting past what it may take.

use super::error::PythonError;
use super::memory;
use super::process::Process;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a worker that is at work is looked at; its socket's time limit.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A worker's socket on which no read or write waits past what the worker may take.
pub(super) struct Guarded<'a> {
    pub(super) socket: &'a UnixStream,
    pub(super) process: &'a Process,
    pub(super) memory_limit_bytes: u64,
    pub(super) started: Instant,
    pub(super) limit: Duration,
    pub(super) stop: &'a AtomicBool,
    /// Why an `io::Error` was returned, if it was not the socket's.
    pub(super) error: Option<PythonError>,
}

impl Guarded<'_> {
    fn look(&mut self) -> io::Result<()> {
        let error = if self.stop.load(Ordering::Relaxed) {
            PythonError::Stopped
        } else if self.started.elapsed() >= self.limit {
            PythonError::TimedOut { limit: self.limit, traceback: String::new() }
        } else if self.process.has_ended() {
            PythonError::died()
        } else if memory::used_bytes(self.process.child.id())
            .is_some_and(|used| used > self.memory_limit_bytes)
        {
            PythonError::OutOfMemory { limit_bytes: self.memory_limit_bytes }
        } else {
            return Ok(());
        };
        self.error = Some(error);
        Err(io::Error::other("the worker is given up"))
    }

    fn patiently(&mut self, mut call: impl FnMut(&UnixStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match call(self.socket) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    self.look()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|mut socket| socket.read(buffer))
    }
}

impl Write for Guarded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|mut socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
