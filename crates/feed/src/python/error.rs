//! What can go wrong with user code.

use super::registry::Kind;
use lavandin_types::ErrorCode;
use std::fmt;
use std::time::Duration;

/// A function of user code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionName {
    pub kind: Kind,
    pub name: String,
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.name(), self.name)
    }
}

/// An error of user code or of the processes that run it. The pool goes on after each of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PythonError {
    /// User code raised, or returned what cannot be sent. The process goes on.
    #[error("{}{message}", of(.function))]
    Raised { function: Option<FunctionName>, message: String, traceback: String },
    /// The functions cannot be run together: a dependency is missing or goes in a circle.
    #[error("{message}")]
    Pipeline { message: String },
    /// The time for one request was over; the process was ended. `traceback` is where it hung, if that is known.
    #[error("user code took longer than {} s and was ended", .limit.as_secs_f64())]
    TimedOut { limit: Duration, traceback: String },
    /// The process ended while it worked. `output` is the end of what it printed.
    #[error("the python process ended while it worked: {status}")]
    Died { status: String, output: String },
    #[error("the python process used more than {limit_bytes} bytes of memory and was ended")]
    OutOfMemory { limit_bytes: u64 },
    /// The process sent what is no answer, and was ended.
    #[error("the python process sent what is no answer ({what}) and was ended")]
    Protocol { what: String },
    #[error("{} must be one of the following: [{}]", .kind.name(), .available.join(", "))]
    NotFound { kind: Kind, name: String, available: Vec<String> },
    #[error("{} {name:?}: {problem}", .kind.name())]
    BadParameters { kind: Kind, name: String, problem: String },
    /// No process can be started.
    #[error("user code cannot be run: {reason}")]
    Start { reason: String },
    /// The samples cannot be given to Python.
    #[error("the samples cannot be given to python: {reason}")]
    Samples { reason: String },
    /// The caller's deadline passed before an answer.
    #[error("user code did not answer before the request's deadline")]
    Deadline,
    #[error("the request was cancelled")]
    Cancelled,
    #[error("the node is stopping")]
    Stopped,
}

impl PythonError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Raised { .. } | Self::Died { .. } | Self::OutOfMemory { .. } | Self::Protocol { .. } => {
                ErrorCode::Internal
            }
            Self::TimedOut { .. } | Self::Deadline => ErrorCode::DeadlineExceeded,
            Self::Pipeline { .. }
            | Self::NotFound { .. }
            | Self::BadParameters { .. }
            | Self::Samples { .. } => ErrorCode::InvalidArgument,
            Self::Start { .. } | Self::Cancelled | Self::Stopped => ErrorCode::Unavailable,
        }
    }

    /// More lines for whoever wrote the code: its traceback, where it hung, or what it printed last. May be empty.
    pub fn details(&self) -> &str {
        match self {
            Self::Raised { traceback, .. } | Self::TimedOut { traceback, .. } => traceback,
            Self::Died { output, .. } => output,
            _ => "",
        }
    }

    /// Whether user code failed at its work, or its process at starting, so that another try may do better. The others say
    /// that it cannot be run as asked, or that nobody waits for it.
    pub fn is_worth_another_try(&self) -> bool {
        matches!(
            self,
            Self::Raised { .. }
                | Self::TimedOut { .. }
                | Self::Died { .. }
                | Self::OutOfMemory { .. }
                | Self::Protocol { .. }
                | Self::Start { .. }
        )
    }

    /// The process has ended; how, is not known yet.
    pub(super) fn died() -> Self {
        Self::Died { status: String::new(), output: String::new() }
    }

    /// Whether the process that gave it is gone or of no more use.
    pub(super) fn ended_process(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. }
                | Self::Died { .. }
                | Self::OutOfMemory { .. }
                | Self::Protocol { .. }
                | Self::Start { .. }
                | Self::Stopped
        )
    }
}

fn of(function: &Option<FunctionName>) -> String {
    function.as_ref().map(|function| format!("{function}: ")).unwrap_or_default()
}
