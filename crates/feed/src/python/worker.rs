//! One worker process: started, asked, watched and ended.
//!
//! While it works on a request it is looked at every 50 ms: has it ended, is its time over, does it use too much memory,
//! is the node stopping. Whoever owns a [`Worker`] sees its end: dropping it kills the process and what that has started.

use super::error::{FunctionName, PythonError};
use super::frame::{self, Frame, FrameError};
use super::guard::{Guarded, LOOK};
use super::memory;
use super::options::PythonOptions;
use super::output::Output;
use super::process::Process;
use super::registry::{Generation, Kind};
use rustix::process::{Signal, kill_process};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// For an interpreter to start and import numpy and pyarrow: user code, which may load models, is not run yet.
const HELLO_LIMIT: Duration = Duration::from_secs(60);
/// For a process that has closed its socket to end by itself.
const EXIT_PATIENCE: Duration = Duration::from_secs(1);
/// For a process that hangs to tell where.
const TRACE_PATIENCE: Duration = Duration::from_millis(500);
const TRACE_QUIET: Duration = Duration::from_millis(50);
/// `python -c`: the package's place comes first, in place of the working directory.
const START: &str = "import sys; sys.path[0] = sys.argv[1]; from lavandin.worker.main import main; main()";
const ADVICE: &str = "user code needs Python 3.9 or later with numpy and pyarrow: install them for this interpreter \
                      (`-m pip install numpy pyarrow`), or name another one with --python or LAVANDIN_PYTHON";

pub(super) struct Worker {
    process: Process,
    socket: UnixStream,
    output: Output,
    memory_limit_bytes: u64,
    reply_bytes_max: u64,
    last_request: u64,
    /// Classes whose instance this process has made.
    pub(super) prepared: HashSet<(Kind, String)>,
    /// What it has loaded.
    pub(super) generation: Generation,
}

/// A request that is not bound to a worker yet.
pub(super) struct Request<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) body: &'a [u8],
    pub(super) limit: Duration,
}

#[derive(Deserialize)]
struct WorkerError {
    kind: String,
    function: (String, String),
    message: String,
    traceback: String,
}

impl Worker {
    /// Starts a process and waits until it is ready for requests.
    pub(super) fn start(
        options: &PythonOptions,
        package: &Path,
        stop: &AtomicBool,
    ) -> Result<Self, PythonError> {
        let mut worker = Self::spawn(options, package).map_err(|error| PythonError::Start {
            reason: format!("{} cannot be started: {error}; {ADVICE}", options.interpreter.display()),
        })?;
        let hello =
            worker.answer(None, hello_limit(options), stop, &mut |_| {}).map_err(|error| match error {
                PythonError::Stopped => PythonError::Stopped,
                error => PythonError::Start {
                    reason: format!(
                        "{} does not answer ({error}){}; {ADVICE}",
                        options.interpreter.display(),
                        on_lines_of_its_own(error.details())
                    ),
                },
            })?;
        let hello = hello.0;
        if let Some(fatal) = hello.get("fatal") {
            let executable = hello.get("executable").and_then(Value::as_str).unwrap_or_default();
            return Err(PythonError::Start {
                reason: format!(
                    "{} ({executable}): {}; {ADVICE}",
                    options.interpreter.display(),
                    text(fatal)
                ),
            });
        }
        tracing::debug!(process = worker.id(), versions = %hello["hello"], "python worker started");
        Ok(worker)
    }

    fn spawn(options: &PythonOptions, package: &Path) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let (output, printed) = UnixStream::pair()?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        let mut command = Command::new(&options.interpreter);
        command.args(["-u", "-c", START]).arg(package).arg(std::process::id().to_string());
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stderr(Stdio::from(OwnedFd::from(printed.try_clone()?)));
        command.stdout(Stdio::from(OwnedFd::from(printed)));
        // A group of its own: Ctrl-C reaches the node alone, and all that user code starts is ended with it.
        command.process_group(0);
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            // There are as many processes as processors should be busy.
            if std::env::var_os(name).is_none() {
                command.env(name, "1");
            }
        }
        let process = Process { child: command.spawn()? };
        // The command holds the sockets' other ends, which must close when the process does.
        drop(command);
        let output = Output::read(output, process.child.id())?;
        Ok(Self {
            process,
            socket,
            output,
            memory_limit_bytes: options.memory_limit_bytes,
            reply_bytes_max: options.reply_bytes_max,
            last_request: 0,
            prepared: HashSet::new(),
            generation: Generation::default(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Sends a request and waits for the answer; `progress` gets what the worker tells meanwhile. After an error for
    /// which [`PythonError::ended_process`] holds the worker is of no more use.
    pub(super) fn ask(
        &mut self,
        mut request: Request<'_>,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(&Value),
    ) -> Result<(Value, Vec<u8>), PythonError> {
        self.last_request += 1;
        request.header.insert("id".to_owned(), json!(self.last_request));
        let header = Value::Object(request.header).to_string();
        let (mut answer, body) =
            self.answer(Some((header.as_bytes(), request.body)), request.limit, stop, progress)?;
        match answer.get_mut("error").map(Value::take) {
            None => Ok((answer, body)),
            Some(error) => Err(self.told(error)),
        }
    }

    /// Whether it uses more memory than it may.
    pub(super) fn is_over_memory(&self) -> bool {
        memory::used_bytes(self.id()).is_some_and(|used| used > self.memory_limit_bytes)
    }

    /// Asks it to end by itself, which it does when it is idle.
    pub(super) fn retire(&mut self) {
        // Fails if it has closed its end already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    pub(super) fn wait_until(&self, deadline: Instant) {
        self.process.wait_until(deadline);
    }

    /// Sends a frame, if there is one to send, and reads frames up to the answer.
    fn answer(
        &mut self,
        frame: Option<(&[u8], &[u8])>,
        limit: Duration,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(&Value),
    ) -> Result<(Value, Vec<u8>), PythonError> {
        let before = self.output.position();
        let mut guarded = Guarded {
            socket: &self.socket,
            process: &self.process,
            memory_limit_bytes: self.memory_limit_bytes,
            started: Instant::now(),
            limit,
            stop,
            error: None,
        };
        let outcome = converse(&mut guarded, frame, self.reply_bytes_max, self.last_request, progress);
        let error = guarded.error.take();
        outcome.map_err(|failure| match (error, failure) {
            (Some(error), _) => self.end_for(error, before),
            // The thread that started it may be gone already, and the process with it.
            (None, _) if stop.load(Ordering::Relaxed) => self.end_for(PythonError::Stopped, before),
            (None, FrameError::Io(_)) => self.end_for(PythonError::died(), before),
            (None, FrameError::Malformed(what)) => self.end_for(PythonError::Protocol { what }, before),
        })
    }

    /// Ends the process, and completes the error with what can be known of it.
    fn end_for(&mut self, error: PythonError, output_before: u64) -> PythonError {
        match error {
            PythonError::TimedOut { limit, .. } => {
                let traceback = self.ask_where_it_is();
                self.process.end();
                PythonError::TimedOut { limit, traceback }
            }
            PythonError::Died { .. } => {
                self.process.wait_until(Instant::now() + EXIT_PATIENCE);
                let status = self.process.end();
                let output = self.output.since(output_before, TRACE_QUIET, TRACE_PATIENCE);
                PythonError::Died { status: shown(status), output }
            }
            error => {
                self.process.end();
                error
            }
        }
    }

    /// The stacks of the process's threads, which its signal handler prints even while other code hangs.
    fn ask_where_it_is(&self) -> String {
        let before = self.output.position();
        match kill_process(self.process.pid(), Signal::USR1) {
            Ok(()) => self.output.since(before, TRACE_QUIET, TRACE_PATIENCE),
            Err(_) => String::new(),
        }
    }

    /// An error that the worker reported: it goes on.
    fn told(&mut self, error: Value) -> PythonError {
        let Ok(error) = serde_json::from_value::<WorkerError>(error) else {
            self.process.end();
            return PythonError::Protocol { what: "an error without its parts".to_owned() };
        };
        if error.kind == "pipeline" {
            return PythonError::Pipeline { message: error.message };
        }
        let kind = serde_json::from_value::<Kind>(Value::String(error.function.0)).ok();
        let function = kind.map(|kind| FunctionName { kind, name: error.function.1 });
        PythonError::Raised { function, message: error.message, traceback: error.traceback }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.end();
    }
}

/// How long a process may take until it says that it is ready.
fn hello_limit(options: &PythonOptions) -> Duration {
    options.start_limit.min(HELLO_LIMIT)
}

fn converse(
    guarded: &mut Guarded<'_>,
    frame: Option<(&[u8], &[u8])>,
    reply_bytes_max: u64,
    request: u64,
    progress: &mut dyn FnMut(&Value),
) -> Result<(Value, Vec<u8>), FrameError> {
    if let Some((header, body)) = frame {
        frame::write(guarded, header, body)?;
    }
    loop {
        let Frame { header, body } = frame::read(guarded, reply_bytes_max)?;
        let header: Value = serde_json::from_slice(&header)
            .map_err(|error| FrameError::Malformed(format!("a header that is not JSON: {error}")))?;
        if request > 0 && header.get("id") != Some(&json!(request)) {
            return Err(FrameError::Malformed(format!("an answer to another request than {request}")));
        }
        match header.get("progress") {
            Some(told) => progress(told),
            None => return Ok((header, body)),
        }
    }
}

fn shown(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) if status.signal() == Some(9) => {
            format!("{status}; perhaps the system ran out of memory")
        }
        Some(status) => status.to_string(),
        None => "it is not known how".to_owned(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn on_lines_of_its_own(details: &str) -> String {
    if details.is_empty() { String::new() } else { format!("\n{details}\n") }
}

#[cfg(test)]
mod tests;
