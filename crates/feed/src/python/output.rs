//! What workers print, as log lines: a bounded part of it.
//!
//! Standard output and error of a worker are one socket (not a pipe: closing our end wakes the reader even while a
//! process that user code started holds the other). A thread reads it until then.

use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LINE_BYTES_MAX: usize = 4096;
/// What is kept for error messages: the end of it.
const TAIL_BYTES_MAX: usize = 16 * 1024;
/// Lines at once, and lines a second after that.
const BURST_LINES: u32 = 500;
const LINES_PER_S: u32 = 100;

pub(super) struct Output {
    socket: UnixStream,
    tail: Arc<Tail>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Tail {
    text: Mutex<TailText>,
    changed: Condvar,
}

#[derive(Default)]
struct TailText {
    bytes: Vec<u8>,
    /// Bytes that came before those kept.
    dropped: u64,
    ended: bool,
}

impl Output {
    /// Reads `socket` and logs its lines as those of `process`.
    pub(super) fn read(socket: UnixStream, process: u32) -> std::io::Result<Self> {
        let tail = Arc::new(Tail::default());
        let from = socket.try_clone()?;
        let into = tail.clone();
        let reader = std::thread::Builder::new()
            .name("python-output".to_owned())
            .spawn(move || forward(from, &into, process))?;
        Ok(Self { socket, tail, reader: Some(reader) })
    }

    /// How much has been printed so far.
    pub(super) fn position(&self) -> u64 {
        let text = self.tail.lock();
        text.dropped + text.bytes.len() as u64
    }

    /// What was printed after `position`, as far as it is kept, once nothing was added for `quiet` or the process has
    /// closed its end; after `patience` at the latest.
    pub(super) fn since(&self, position: u64, quiet: Duration, patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        let mut text = self.tail.lock();
        loop {
            let seen = text.dropped + text.bytes.len() as u64;
            let wait = if seen > position { quiet } else { patience };
            let left = wait.min(deadline.saturating_duration_since(Instant::now()));
            if text.ended || left.is_zero() {
                break;
            }
            let (now, timeout) =
                self.tail.changed.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner);
            text = now;
            if timeout.timed_out() {
                break;
            }
        }
        let start = usize::try_from(position.saturating_sub(text.dropped)).unwrap_or(0).min(text.bytes.len());
        String::from_utf8_lossy(&text.bytes[start..]).trim_end().to_owned()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Fails if it is closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            // A panic in it has been reported by the thread.
            let _ = reader.join();
        }
    }
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, TailText> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: &[u8]) {
        let mut text = self.lock();
        text.bytes.extend_from_slice(bytes);
        if text.bytes.len() > 2 * TAIL_BYTES_MAX {
            let surplus = text.bytes.len() - TAIL_BYTES_MAX;
            text.bytes.drain(..surplus);
            text.dropped += surplus as u64;
        }
        drop(text);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

fn forward(mut from: UnixStream, tail: &Tail, process: u32) {
    let mut lines = Lines::new(Instant::now());
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                tail.add(&buffer[..count]);
                lines.add(&buffer[..count], Instant::now(), |line| tracing::info!(process, "python: {line}"));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.end(|line| tracing::info!(process, "python: {line}"));
    tail.end();
}

/// Cuts bytes into lines and lets through as many as the limits allow.
struct Lines {
    line: Vec<u8>,
    /// Whether the rest of the line is left out since it is too long.
    is_cut: bool,
    allowance: f64,
    refilled: Instant,
    left_out: u64,
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self {
            line: Vec::new(),
            is_cut: false,
            allowance: f64::from(BURST_LINES),
            refilled: now,
            left_out: 0,
        }
    }

    fn add(&mut self, bytes: &[u8], now: Instant, mut log: impl FnMut(&str)) {
        let gained = now.saturating_duration_since(self.refilled).as_secs_f64() * f64::from(LINES_PER_S);
        self.allowance = (self.allowance + gained).min(f64::from(BURST_LINES));
        self.refilled = now;
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            self.is_cut |= piece.len() > room;
            if pieces.peek().is_some() {
                self.finish(&mut log);
            }
        }
    }

    fn end(&mut self, mut log: impl FnMut(&str)) {
        self.allowance += 1.0;
        self.finish(&mut log);
    }

    fn finish(&mut self, log: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        let is_cut = std::mem::take(&mut self.is_cut);
        self.line.clear();
        if line.is_empty() {
            return;
        }
        if self.allowance < 1.0 {
            self.left_out += 1;
            return;
        }
        self.allowance -= 1.0;
        if self.left_out > 0 {
            log(&format!("({} lines were left out: too many at once)", self.left_out));
            self.left_out = 0;
        }
        log(&if is_cut { format!("{line}…") } else { line });
    }
}

#[cfg(test)]
mod tests;
