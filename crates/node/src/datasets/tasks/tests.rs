use super::*;

#[test]
fn a_task_runs_once_at_a_time_and_a_failed_one_blocks_nothing() {
    let tasks = Tasks::default();
    let running = tasks.start("sync", "list").unwrap();
    assert!(tasks.start("sync", "list").is_none());
    running.progress().step("inspect", 10);
    running.progress().advance();
    let status = tasks.status("sync").unwrap();
    assert_eq!((status.status.as_str(), status.current, status.total), ("inspect", 1, 10));
    running.end(Err("no such directory".to_owned()));
    let status = tasks.status("sync").unwrap();
    assert_eq!((status.status.as_str(), status.error.as_deref()), ("failed", Some("no such directory")));
    let again = tasks.start("sync", "list").unwrap();
    again.end(Ok(()));
    assert_eq!(tasks.status("sync").unwrap().status, "completed");
    assert!(tasks.list().is_empty());
}

#[test]
fn an_abort_is_seen_by_the_work_and_shown() {
    let tasks = Tasks::default();
    assert!(!tasks.abort("preprocess"));
    let running = tasks.start("preprocess", "processing").unwrap();
    assert!(tasks.abort("preprocess"));
    assert!(running.progress().is_cancelled());
    running.end(Err("aborted".to_owned()));
    assert_eq!(tasks.status("preprocess").unwrap().status, "aborted");
}

#[test]
fn a_task_that_vanishes_has_failed() {
    let tasks = Tasks::default();
    drop(tasks.start("sync", "list"));
    assert_eq!(tasks.status("sync").unwrap().status, "failed");
}

#[test]
fn tasks_are_bounded() {
    let tasks = Tasks::default();
    for number in 0..2 * TASKS_MAX {
        tasks.start(&number.to_string(), "list").unwrap().end(Err("x".to_owned()));
    }
    assert!(tasks.list().len() <= TASKS_MAX);
}
