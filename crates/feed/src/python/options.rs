//! Settings of the worker pool.

use std::path::PathBuf;
use std::time::Duration;

/// What user code gets.
#[derive(Clone, Debug)]
pub struct PythonOptions {
    /// The interpreter: a path, or a name to be looked up in PATH.
    pub interpreter: PathBuf,
    /// Processes at most (1 at least); during a reload the former generation's may come on top until they are done.
    pub workers: usize,
    /// Where the module files are. `None`: there is no user code.
    pub modules_dir: Option<PathBuf>,
    /// A directory of this program's own, into which it writes its Python sources.
    pub package_dir: PathBuf,
    /// What one request may take.
    pub time_limit: Duration,
    /// What running the module files or making one instance of each class may take: models are loaded there. A
    /// process gets it to start too, but never more than a minute.
    pub start_limit: Duration,
    /// Memory of one process (its own pages, not those shared with files). Watched on Linux only.
    pub memory_limit_bytes: u64,
    /// Bytes of one reply.
    pub reply_bytes_max: u64,
    /// Time between looks at the module files; zero for never.
    pub reload_interval: Duration,
}

impl PythonOptions {
    /// The defaults for user code in `modules_dir`.
    pub fn new(package_dir: PathBuf, modules_dir: Option<PathBuf>) -> Self {
        Self {
            interpreter: PathBuf::from("python3"),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            modules_dir,
            package_dir,
            time_limit: Duration::from_secs(60),
            start_limit: Duration::from_secs(300),
            memory_limit_bytes: 4 << 30,
            reply_bytes_max: 512 << 20,
            reload_interval: Duration::from_secs(10),
        }
    }
}
