//! The quickstart's own Python module, and whether there is a Python to run it.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The name of the preprocessor in [`SOURCE`].
pub(super) const PREPROCESSOR: &str = "count_words";
const SOURCE: &str = include_str!("count_words.py");
const FILE: &str = "count_words.py";

/// Answers in no time: looks for the packages without importing them. Runs in any Python, so as to be told which one
/// it is.
const PROBE: &str = "import sys\n\
    version = '%d.%d' % sys.version_info[:2]\n\
    if sys.version_info < (3, 9): print('is Python ' + version + ', and 3.9 or later is needed'); sys.exit()\n\
    import importlib.util\n\
    lacks = [name for name in ('numpy', 'pyarrow') if importlib.util.find_spec(name) is None]\n\
    if lacks: print('lacks ' + ' and '.join(lacks) + ' (-m pip install ' + ' '.join(lacks) + ')')";
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// Where modules are, if Python can run them; else why not.
pub(super) enum Pipeline {
    Ready { modules: PathBuf },
    Missing { why: String },
}

impl Pipeline {
    /// Looks for a Python and puts the module below `directory`, unless one is there: it is the user's to change.
    pub(super) fn prepare(directory: &Path, python: &str) -> Result<Self> {
        if let Err(why) = probe(python) {
            return Ok(Self::Missing { why });
        }
        let modules = directory.join("modules");
        let file = modules.join(FILE);
        std::fs::create_dir_all(&modules)
            .and_then(|()| if file.exists() { Ok(()) } else { std::fs::write(&file, SOURCE) })
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self::Ready { modules })
    }

    pub(super) fn modules(&self) -> Option<&Path> {
        match self {
            Self::Ready { modules } => Some(modules),
            Self::Missing { .. } => None,
        }
    }
}

/// What is wrong with the interpreter, in a sentence.
fn probe(python: &str) -> Result<(), String> {
    let mut command = Command::new(python);
    command.args(["-c", PROBE]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("{python} cannot be started ({error})"))?;
    let deadline = Instant::now() + PROBE_TIMEOUT;
    // Its one line fits a pipe, so that it ends without anybody reading.
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{python} does not answer"));
        }
        std::thread::sleep(POLL);
    }
    let output = child.wait_with_output().map_err(|error| format!("{python} cannot be asked ({error})"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), said.trim()) {
        (true, "") => Ok(()),
        (true, said) => Err(format!("{python} {said}")),
        (false, _) => Err(format!("{python} is no Python that runs ({})", output.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interpreter_is_told() {
        let why = probe("no-such-python").unwrap_err();
        assert!(why.starts_with("no-such-python cannot be started"), "{why}");
        let directory = tempfile::tempdir().unwrap();
        let pipeline = Pipeline::prepare(directory.path(), "no-such-python").unwrap();
        assert!(pipeline.modules().is_none());
        assert!(!directory.path().join("modules").exists());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_python_is_told() {
        assert_eq!(probe("false").unwrap_err(), "false is no Python that runs (exit status: 1)");
        assert_eq!(probe("echo").unwrap_err().split(' ').take(2).collect::<Vec<_>>(), ["echo", "-c"]);
    }

    #[test]
    fn the_module_has_the_preprocessor() {
        assert!(SOURCE.contains(&format!("name = \"{PREPROCESSOR}\"")));
    }
}
