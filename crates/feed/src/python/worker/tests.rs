use super::*;
use std::os::unix::fs::PermissionsExt;

/// Options with an interpreter that never says a word; it leaves its process id in `pid`.
fn silent(directory: &Path) -> PythonOptions {
    let script = directory.join("python");
    let pid = directory.join("pid");
    std::fs::write(&script, format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pid.display())).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let mut options = PythonOptions::new(directory.join("package"), None);
    options.interpreter = script;
    options
}

#[test]
fn an_interpreter_that_says_nothing_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = silent(directory.path());
    options.start_limit = Duration::from_secs(1);
    let begin = Instant::now();
    let started = Worker::start(&options, directory.path(), &AtomicBool::new(false));
    let Err(PythonError::Start { reason }) = started else { panic!("a worker that says nothing started") };
    assert!(reason.contains("does not answer (user code took longer than 1 s"), "{reason}");
    assert!(begin.elapsed() < Duration::from_secs(30));
    let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists(), "the process is still there");
}

#[test]
fn the_first_word_has_a_limit_of_its_own() {
    let mut options = PythonOptions::new("package".into(), None);
    assert!(options.start_limit > HELLO_LIMIT);
    assert_eq!(hello_limit(&options), HELLO_LIMIT);
    options.start_limit = Duration::from_secs(2);
    assert_eq!(hello_limit(&options), Duration::from_secs(2));
}
