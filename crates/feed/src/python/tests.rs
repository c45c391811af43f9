//! The pool with real Python. The interpreter is that of LAVANDIN_PYTHON, else the one that `cargo xtask check` makes.

mod failures;
mod loading;
mod requests;

use super::*;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::Int64Type;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn interpreter() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/check-venv/bin/python");
    let interpreter = std::env::var_os("LAVANDIN_PYTHON").map_or(own, PathBuf::from);
    assert!(
        interpreter.exists(),
        "{} is not there: these tests need Python with numpy and pyarrow. `cargo xtask check` makes one in \
         target/check-venv; LAVANDIN_PYTHON names another",
        interpreter.display()
    );
    interpreter
}

/// A pool over module files in a directory of its own.
struct Fixture {
    pool: PythonPool,
    directory: TempDir,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, |_| {})
    }

    fn with(files: &[(&str, &str)], change: impl FnOnce(&mut PythonOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("modules")).unwrap();
        let options = options(directory.path(), change);
        let fixture = Self { pool: PythonPool::new(options), directory };
        for (name, text) in files {
            fixture.write(name, text);
        }
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("modules").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn batch(&self, preprocessor: &str, params: Value) -> Result<BatchReply, PythonError> {
        self.batch_of(&ids(&[1, 2, 3]), &[call(preprocessor, params)])
    }

    fn batch_of(&self, samples: &RecordBatch, preprocessors: &[Call]) -> Result<BatchReply, PythonError> {
        let form = ReplyForm::Items { single: false, json_lists: true };
        let request = BatchRequest { samples, collater: None, preprocessors, form };
        self.pool.batch(request, &Patience::default())
    }

    /// The JSON that the preprocessor put under the key `x`.
    fn value(&self, preprocessor: &str, params: Value) -> Value {
        value(&self.batch(preprocessor, params).unwrap(), "x")
    }

    fn names(&self, kind: Kind) -> Vec<String> {
        self.pool.registry().functions(kind).map(|function| function.name.clone()).collect()
    }
}

fn options(directory: &Path, change: impl FnOnce(&mut PythonOptions)) -> PythonOptions {
    let mut options = PythonOptions::new(directory.join("package"), Some(directory.join("modules")));
    options.interpreter = interpreter();
    options.workers = 1;
    options.reload_interval = Duration::ZERO;
    change(&mut options);
    options
}

fn ids(values: &[i64]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("id", ids)]).unwrap()
}

fn call(name: &str, params: Value) -> Call {
    let Value::Object(params) = params else { panic!("parameters are an object") };
    Call { name: name.to_owned(), params }
}

fn entry<'a>(reply: &'a BatchReply, key: &str) -> &'a Entry {
    &reply.entries.iter().find(|(name, _)| name == key).unwrap().1
}

fn value(reply: &BatchReply, key: &str) -> Value {
    let Entry::Item(item) = entry(reply, key) else { panic!("{key} is no item: {reply:?}") };
    serde_json::from_slice(item.strip_prefix(b"js").unwrap()).unwrap()
}

/// Polls until it holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether the process exists, be it as one that nobody has waited for.
fn is_there(process: u64) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

fn is_alive(process: u64) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    let state = stat.rsplit(')').next().unwrap().trim_start();
    !state.starts_with('Z') && !state.starts_with('X')
}
