//! Module files: what loads, what is reported, what a reload changes.

use super::*;

fn module(value: &str) -> String {
    format!(
        "from lavender_data.server import Preprocessor\nclass P(Preprocessor, name='p'):\n    def process(self, batch):\n        return {{'x': {value}}}\n"
    )
}

fn named(name: &str) -> String {
    module("1").replace("'p'", &format!("'{name}'"))
}

fn problems(fixture: &Fixture) -> Vec<String> {
    fixture.pool.registry().problems().iter().map(|problem| problem.to_string()).collect()
}

#[test]
fn nothing_is_started_before_it_is_needed() {
    let fixture = Fixture::new(&[("a.py", &module("1"))]);
    assert_eq!(fixture.pool.slots(), 0);
    let samples = ids(&[1]);
    let without = PythonPool::new(PythonOptions::new(fixture.path("package"), None));
    let bounds = [call("min_max", json!({"column": "id"}))];
    let request = SelectRequest { samples: &samples, filters: &bounds, categorizer: None };
    assert!(without.select(request, &Patience::default()).is_ok());
    assert_eq!(without.registry().functions(Kind::Filter).count(), 1);
    assert!(!fixture.path("package").exists());
}

#[test]
fn a_changed_file_is_a_new_generation() {
    let fixture = Fixture::new(&[("a.py", &module("1")), ("b.py", &named("q"))]);
    assert_eq!(fixture.value("p", json!({})), json!(1));
    let first = fixture.pool.registry();
    assert_eq!(fixture.pool.reload().generation(), first.generation());

    fixture.write("a.py", &module("22"));
    let second = fixture.pool.reload();
    assert_ne!(second.generation(), first.generation());
    assert_ne!(
        second.find(Kind::Preprocessor, "p").unwrap().md5,
        first.find(Kind::Preprocessor, "p").unwrap().md5
    );
    let reply = fixture.batch("p", json!({})).unwrap();
    assert_eq!((value(&reply, "x"), reply.generation), (json!(22), second.generation()));

    std::fs::remove_file(fixture.path("b.py")).unwrap();
    fixture.pool.reload();
    assert_eq!(fixture.names(Kind::Preprocessor), ["p"]);
    let error = fixture.batch("q", json!({})).unwrap_err();
    assert_eq!(error.to_string(), "preprocessor must be one of the following: [p]");

    fixture.write("a.py", &module("1"));
    fixture.write("b.py", &named("q"));
    assert_eq!(fixture.pool.reload().generation(), first.generation());
}

#[test]
fn files_are_looked_at_by_themselves() {
    let fixture = Fixture::with(&[], |options| options.reload_interval = Duration::from_millis(20));
    assert!(fixture.names(Kind::Preprocessor).is_empty());
    fixture.write("a.py", &module("1"));
    eventually("the function", || fixture.names(Kind::Preprocessor) == ["p"]);
    std::fs::remove_file(fixture.path("a.py")).unwrap();
    eventually("the end of the function", || fixture.names(Kind::Preprocessor).is_empty());
    assert_eq!(fixture.pool.registry().generation(), Generation::default());
}

#[test]
fn a_helper_package_counts() {
    let fixture =
        Fixture::new(&[("a.py", &format!("import helper.inner\n{}", module("helper.inner.value")))]);
    std::fs::create_dir(fixture.path("helper")).unwrap();
    fixture.write("helper/inner.py", "value = 1");
    assert_eq!(fixture.value("p", json!({})), json!(1));
    fixture.write("helper/inner.py", "value = 'other'");
    fixture.pool.reload();
    assert_eq!(fixture.value("p", json!({})), json!("other"));
}

#[test]
fn a_batch_in_flight_ends_on_the_code_it_began_with() {
    let slow = "
import os, time
from lavender_data.server import Preprocessor
class P(Preprocessor, name='p'):
    def process(self, batch, *, wait: str = ''):
        if wait:
            open(wait + '.begun', 'w').close()
            while not os.path.exists(wait):
                time.sleep(0.01)
        return {'x': 'old'}
";
    let fixture = Fixture::with(&[("a.py", slow)], |options| options.workers = 2);
    let before = fixture.pool.registry().generation();
    let gate = fixture.path("gate");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| fixture.batch("p", json!({"wait": gate})).unwrap());
        eventually("the begin", || fixture.path("gate.begun").exists());
        fixture.write("a.py", &slow.replace("'old'", "'new'"));
        let after = fixture.pool.reload();
        let reply = fixture.batch("p", json!({})).unwrap();
        assert_eq!((value(&reply, "x"), reply.generation), (json!("new"), after.generation()));
        std::fs::write(&gate, "").unwrap();
        let reply = running.join().unwrap();
        assert_eq!((value(&reply, "x"), reply.generation), (json!("old"), before));
    });
    assert_eq!(fixture.value("p", json!({})), json!("new"));
}

#[test]
fn a_broken_file_is_reported_and_the_others_work() {
    let fixture = Fixture::new(&[
        ("a.py", &module("1")),
        ("broken.py", "import os\n\ndef f(:\n    pass\n"),
        ("raises.py", "x = 1\nraise KeyError('no')\n"),
        ("twice.py", &module("2")),
    ]);
    assert_eq!(fixture.value("p", json!({})), json!(2));
    let told = problems(&fixture);
    assert!(told[0].starts_with("broken.py:3: SyntaxError"), "{told:?}");
    assert_eq!(told[1], "raises.py:2: KeyError: 'no'");
    assert!(told[2].contains("is defined in a.py and again in twice.py"), "{told:?}");
    assert!(fixture.pool.registry().problems()[2].warning);
}

#[test]
fn a_file_that_breaks_keeps_its_former_version() {
    let fixture = Fixture::new(&[("a.py", &module("1")), ("b.py", &named("q"))]);
    assert_eq!(fixture.value("p", json!({})), json!(1));
    fixture.write("a.py", "def half(an edit");
    fixture.write("c.py", &named("r"));
    fixture.pool.reload();
    let told = problems(&fixture);
    assert!(told.len() == 1 && told[0].ends_with("(the version before stays in use)"), "{told:?}");
    assert_eq!(fixture.value("p", json!({})), json!(1));
    assert_eq!(fixture.names(Kind::Preprocessor), ["p", "q", "r"]);
    // A second look at the same files starts nothing and changes nothing.
    let generation = fixture.pool.registry().generation();
    assert_eq!(fixture.pool.reload().generation(), generation);
    fixture.write("a.py", &module("3"));
    fixture.pool.reload();
    assert_eq!(fixture.value("p", json!({})), json!(3));
    assert!(problems(&fixture).is_empty());
}

#[test]
fn a_file_that_ends_the_process_is_left_out() {
    let fixture = Fixture::with(
        &[
            ("a.py", &module("1")),
            ("b_exits.py", "import os\nos._exit(3)\n"),
            ("c_hangs.py", "while True: pass\n"),
            ("d.py", &named("q")),
        ],
        |options| options.start_limit = Duration::from_secs(10),
    );
    assert_eq!(fixture.value("p", json!({})), json!(1));
    assert_eq!(fixture.names(Kind::Preprocessor), ["p", "q"]);
    let told = problems(&fixture);
    assert_eq!(
        told[0],
        "b_exits.py: while the file was run: the python process ended while it worked: exit status: 3"
    );
    assert!(
        told[1].starts_with("c_hangs.py: while the file was run: user code took longer than 10 s"),
        "{told:?}"
    );
    assert!(fixture.pool.registry().problems()[1].traceback.contains("c_hangs.py"));
}

#[test]
fn an_interpreter_that_is_no_use_is_named() {
    let fixture = Fixture::with(&[("a.py", &module("1"))], |options| {
        options.interpreter = "no-such-interpreter".into()
    });
    let error = fixture.batch("p", json!({})).unwrap_err();
    let PythonError::Start { reason } = &error else { panic!("{error}") };
    assert!(reason.contains("no-such-interpreter cannot be started"), "{reason}");
    assert!(reason.contains("--python or LAVANDIN_PYTHON"), "{reason}");
    // What is built in still works, and the registry says why there is no more.
    let registry = fixture.pool.registry();
    assert_eq!(registry.failure(), Some(&error));
    assert_eq!(registry.check(Kind::Preprocessor, "p", &serde_json::Map::new()), Err(error));
    assert!(registry.find(Kind::Filter, "min_max").is_some());

    let fixture = Fixture::with(&[("a.py", &module("1"))], |options| options.interpreter = "false".into());
    let error = fixture.batch("p", json!({})).unwrap_err();
    assert!(error.to_string().contains("false does not answer"), "{error}");
}

#[test]
fn an_interpreter_without_pyarrow_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    // The interpreter's own packages are hidden by one that cannot be imported.
    std::fs::write(directory.path().join("pyarrow.py"), "raise ImportError('No module named pyarrow')")
        .unwrap();
    let script = directory.path().join("python");
    let text = format!(
        "#!/bin/sh\nPYTHONPATH={} exec {} \"$@\"\n",
        directory.path().display(),
        interpreter().display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let fixture = Fixture::with(&[("a.py", &module("1"))], |options| options.interpreter = script);
    let error = fixture.batch("p", json!({})).unwrap_err().to_string();
    assert!(error.contains("No module named pyarrow; user code needs Python"), "{error}");
    assert!(error.contains("-m pip install numpy pyarrow"), "{error}");
}
