//! From module files to a generation of user code.
//!
//! 1. One process runs all files and reports what they define and which of them are broken.
//! 2. A broken file that worked in the generation before keeps its former source: saving half an edit does not take
//!    functions from iterations that use them. That needs another process.
//! 3. A file that ends or hangs the process that runs it is left out (or keeps its former source) too.

use super::error::PythonError;
use super::job::object;
use super::options::PythonOptions;
use super::registry::{Function, Generation, ModuleProblem, Registry};
use super::snapshot::{Snapshot, Sources};
use super::worker::{Request, Worker};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// Processes that one change of the files may cost: with more files that end it, all user code fails.
const ATTEMPTS_MAX: usize = 10;

/// What starts workers.
pub(super) struct Starter {
    pub(super) options: PythonOptions,
    /// Set when the pool stops: whoever waits for a worker gives up.
    pub(super) stop: AtomicBool,
    package: OnceLock<PathBuf>,
}

/// One generation of user code.
pub(super) struct UserCode {
    /// What workers run: not always what is on disk.
    pub(super) snapshot: Snapshot,
    pub(super) registry: Arc<Registry>,
    /// The sources that ran to their end.
    good: Sources,
}

#[derive(Deserialize)]
struct Loaded {
    functions: Vec<Function>,
    errors: Vec<ModuleProblem>,
}

impl Starter {
    pub(super) fn new(options: PythonOptions) -> Self {
        Self { options, stop: AtomicBool::new(false), package: OnceLock::new() }
    }

    /// A process that runs nothing of the user's yet.
    fn start(&self) -> Result<Worker, PythonError> {
        let package = match self.package.get() {
            Some(package) => package,
            None => {
                let written = super::package::write(&self.options.package_dir)?;
                self.package.get_or_init(|| written)
            }
        };
        Worker::start(&self.options, package, &self.stop)
    }

    /// A process that has loaded the generation.
    pub(super) fn start_with(&self, code: &UserCode) -> Result<Worker, PythonError> {
        let mut worker = self.start()?;
        self.run(&mut worker, &code.snapshot).map_err(|(error, _)| error)?;
        Ok(worker)
    }

    /// Runs the files in the worker; an error comes with the file that was being run.
    fn run(&self, worker: &mut Worker, snapshot: &Snapshot) -> Result<Loaded, (PythonError, Option<String>)> {
        let files: Vec<_> = snapshot.sources.iter().map(|(name, text)| json!([name, text.len()])).collect();
        let header = object([
            ("op", json!("load")),
            ("directory", json!(snapshot.directory.to_string_lossy())),
            ("files", json!(files)),
            ("reply_bytes_max", json!(self.options.reply_bytes_max)),
        ]);
        let body: Vec<u8> = snapshot.sources.values().flat_map(|text| text.iter().copied()).collect();
        let request = Request { header, body: &body, limit: self.options.start_limit };
        let mut running = None;
        let answer = worker.ask(request, &self.stop, &mut |file| running = file.as_str().map(str::to_owned));
        let (answer, _) = answer.map_err(|error| (error, running))?;
        worker.generation = snapshot.generation();
        serde_json::from_value(answer)
            .map_err(|error| (PythonError::Protocol { what: error.to_string() }, None))
    }
}

impl UserCode {
    /// No module files: what is built in.
    pub(super) fn none(snapshot: Snapshot) -> Self {
        Self { snapshot, registry: Arc::new(Registry::built_in()), good: Sources::new() }
    }

    /// No user code, since `failure`.
    pub(super) fn failed(snapshot: Snapshot, failure: PythonError) -> Self {
        let problem = ModuleProblem {
            file: String::new(),
            line: None,
            message: failure.to_string(),
            traceback: String::new(),
            warning: false,
        };
        let mut registry = Registry::built_in();
        registry.generation = snapshot.generation();
        registry.problems.push(problem);
        registry.failure = Some(failure);
        Self { snapshot, registry: Arc::new(registry), good: Sources::new() }
    }

    pub(super) fn generation(&self) -> Generation {
        self.registry.generation()
    }

    /// Makes a generation of the files on `disk`, and a worker of it.
    pub(super) fn load(
        starter: &Starter,
        disk: &Snapshot,
        before: &Sources,
    ) -> Result<(Self, Worker), PythonError> {
        let mut snapshot = disk.clone();
        let mut problems = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let mut worker = starter.start()?;
            let loaded = match starter.run(&mut worker, &snapshot) {
                Ok(loaded) => loaded,
                Err((error, Some(file))) if error.ended_process() && error != PythonError::Stopped => {
                    let problem = fatal(&file, &error);
                    snapshot = without(&snapshot, before, std::slice::from_ref(&problem));
                    problems.push(problem);
                    continue;
                }
                Err((error, _)) => return Err(error),
            };
            let broken: Vec<_> = loaded.errors.iter().filter(|problem| !problem.warning).cloned().collect();
            let replaceable: Vec<_> =
                broken.iter().filter(|p| former(&snapshot, before, &p.file).is_some()).cloned().collect();
            if !replaceable.is_empty() {
                snapshot = without(&snapshot, before, &replaceable);
                problems.extend(replaceable.into_iter().map(kept));
                continue;
            }
            let is_good = |name: &String| !broken.iter().any(|problem| problem.file == *name);
            let good = snapshot.sources.iter().filter(|(name, _)| is_good(name));
            let good = good.map(|(name, text)| (name.clone(), text.clone())).collect();
            problems.extend(loaded.errors);
            let registry = Arc::new(Registry::of_user(snapshot.generation(), loaded.functions, problems));
            return Ok((Self { snapshot, registry, good }, worker));
        }
        Err(PythonError::Start { reason: "too many module files end the process that runs them".to_owned() })
    }

    /// The sources to fall back on when files break.
    pub(super) fn good(&self) -> &Sources {
        &self.good
    }
}

/// The source of the file that worked before, if it is another one.
fn former<'a>(snapshot: &Snapshot, before: &'a Sources, file: &str) -> Option<&'a Arc<[u8]>> {
    before.get(file).filter(|former| snapshot.sources.get(file) != Some(*former))
}

/// The snapshot with the files' former sources, or without them.
fn without(snapshot: &Snapshot, before: &Sources, files: &[ModuleProblem]) -> Snapshot {
    let mut sources = snapshot.sources.clone();
    for problem in files {
        match former(snapshot, before, &problem.file) {
            Some(former) => sources.insert(problem.file.clone(), former.clone()),
            None => sources.remove(&problem.file),
        };
    }
    snapshot.with_sources(sources)
}

fn kept(mut problem: ModuleProblem) -> ModuleProblem {
    problem.message.push_str(" (the version before stays in use)");
    problem
}

fn fatal(file: &str, error: &PythonError) -> ModuleProblem {
    ModuleProblem {
        file: file.to_owned(),
        line: None,
        message: format!("while the file was run: {error}"),
        traceback: error.details().to_owned(),
        warning: false,
    }
}
