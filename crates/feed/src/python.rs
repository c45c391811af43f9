//! User code: filters, categorizers, collaters and preprocessors in Python, run by worker processes.
//!
//! 1. [`PythonPool`] is given the modules directory. Nothing is started until user code is needed; with no module files
//!    no Python is ever started, and [`Registry`] holds only what is built in.
//! 2. Then one process runs all module files and says what they define: a *generation* of user code. Every
//!    `reload_interval` the files are looked at; a change makes a new generation, with new processes.
//! 3. [`PythonPool::select`] and [`PythonPool::batch`] send samples to a worker as an Arrow IPC stream and get outcomes or
//!    the values that user code made. They block, and belong on a CPU pool's thread.
//!
//! The workers' side and the frames between are in the package `python/lavandin/worker`, whose sources are part of this
//! program. Invariants: whatever user code does costs an error for its batch and at most its process: one that raises,
//! exits, hangs, leaks or writes nonsense never harms the node; no worker outlives the node; what user code prints goes to
//! the log, a bounded part of it. Deliberately absent: retries, which samples make a batch, caching of results.

mod answers;
mod calls;
mod check;
mod error;
mod frame;
mod guard;
mod job;
mod keeper;
mod loading;
mod memory;
mod options;
mod output;
mod package;
mod pool;
mod process;
mod registry;
mod samples;
mod slot;
mod snapshot;
mod worker;

pub use calls::{
    BatchReply, BatchRequest, Call, Entry, Outcome, Patience, ReplyForm, SelectRequest, Selected,
};
pub use error::{FunctionName, PythonError};
pub use options::PythonOptions;
pub use pool::PythonPool;
pub use registry::{Function, Generation, JsonKind, Kind, ModuleProblem, Parameter, Registry};

#[cfg(test)]
mod tests;
