use super::{output, run, succeeds};
use std::process::Command;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn tells_success_from_failure() {
    assert!(run(&mut Command::new("true"), LONG).is_ok());
    let error = run(&mut Command::new("false"), LONG).expect_err("false fails");
    assert!(format!("{error:#}").contains("false ended with"), "{error:#}");
    assert!(run(&mut Command::new("no-such-program-here"), LONG).is_err());
    assert!(succeeds(&mut Command::new("true")) && !succeeds(&mut Command::new("false")));
}

#[test]
fn ends_a_child_at_the_deadline() {
    let begin = Instant::now();
    let error =
        run(Command::new("sleep").arg("60"), Duration::from_millis(100)).expect_err("it takes longer");
    assert!(format!("{error:#}").contains("ran longer than"), "{error:#}");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn reads_output() {
    assert_eq!(output(Command::new("echo").arg("a b")).expect("echo works"), "a b\n");
    assert!(output(&mut Command::new("false")).is_err());
}
