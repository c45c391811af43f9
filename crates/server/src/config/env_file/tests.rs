use super::*;

fn parsed(line: &str) -> (String, String) {
    parse(line).unwrap().unwrap()
}

#[test]
fn lines_are_read_as_the_documents_write_them() {
    let line = "LAVENDER_DATA_CLUSTER_SECRET=your_shared_secret_here # Replace with a secure secret";
    assert_eq!(parsed(line).1, "your_shared_secret_here");
    assert_eq!(parsed("A=b#c"), ("A".into(), "b#c".into()));
    assert_eq!(parsed("export A = 'b # c' # d"), ("A".into(), "b # c".into()));
    assert_eq!(parsed("A="), ("A".into(), String::new()));
    assert_eq!(parsed("A= # nothing"), ("A".into(), String::new()));
    assert_eq!(parsed("A=\"b # c\"").1, "b # c");
    assert_eq!(parsed("A=b=c").1, "b=c");
    assert_eq!(parsed("A= b c  ").1, "b c");
    assert_eq!(parse("  # a comment").unwrap(), None);
    assert_eq!(parse("").unwrap(), None);
}

#[test]
fn what_is_no_variable_is_an_error() {
    for line in ["A", "=b", "A B=c", "A='b", "A='b' c"] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_file_is_read_whole_and_its_faults_have_a_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# head\r\nA=1\r\n\nB='2'\nA=3\n").unwrap();
    let found: Vec<_> = read(file.path()).unwrap().into_iter().collect();
    assert_eq!(found, [("A".into(), "3".into()), ("B".into(), "2".into())], "the last one counts");
    std::fs::write(file.path(), "A=1\nB\n").unwrap();
    let error = format!("{:#}", read(file.path()).unwrap_err());
    assert!(error.ends_with("line 2: expected NAME=value, found \"B\""), "{error}");
    let error = format!("{:#}", read(Path::new("no-such.env")).unwrap_err());
    assert!(error.starts_with("cannot read the env file no-such.env"), "{error}");
}
