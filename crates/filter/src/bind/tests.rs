use super::*;
use crate::parse;

fn schema() -> Vec<(String, Kinds)> {
    let kinds = |kinds: &[Kind]| kinds.iter().fold(Kinds::NONE, |all, kind| all.with(*kind));
    [
        ("n", kinds(&[Kind::Int])),
        ("x", kinds(&[Kind::Float, Kind::Null])),
        ("s", kinds(&[Kind::Str])),
        ("b", kinds(&[Kind::Bool])),
        ("tags", kinds(&[Kind::Array])),
        ("doc", kinds(&[Kind::Object])),
        ("mixed", kinds(&[Kind::Int, Kind::Str])),
        ("void", kinds(&[Kind::Null])),
        ("a.b", kinds(&[Kind::Str])),
    ]
    .map(|(name, kinds)| (name.to_owned(), kinds))
    .to_vec()
}

fn root(text: &str) -> Node {
    bind(&parse(text).unwrap(), &schema()).unwrap_or_else(|error| panic!("{text}: {error}")).root
}

fn error(text: &str) -> String {
    bind(&parse(text).unwrap(), &schema()).unwrap_err().to_string()
}

#[test]
fn comparable_kinds_bind() {
    for text in [
        "n = 1.5",
        "x < 2",
        "s = 'x'",
        "b = true",
        "b < true",
        "mixed = 'x' OR mixed = 1",
        "void = 1 OR void = 'x'",
        "n = x",
        "n = null",
        "n IN (1, null)",
        "void LIKE 'x'",
        "doc.title = 'x' AND doc.n.m > 3",
        "a.b = 'x'",
        "`a.b` = 'x'",
        "id = 5 OR id = 'x'",
        "length(tags) > 2",
        "length(s) = 2",
        "upper(lower(s)) = 'X'",
        "s = upper('x')",
        "tags CONTAINS 1",
        "tags CONTAINS null",
        "doc IS NULL",
        "tags IS NOT NULL",
    ] {
        root(text);
    }
}

#[test]
fn incomparable_kinds_are_refused_with_the_place() {
    let cases = [
        (
            "n = 'x'",
            "filter error at byte 4: type mismatch: found 'x', expected something comparable with n, which \
            holds an integer",
        ),
        (
            "n IN (1, 'x')",
            "filter error at byte 9: type mismatch: found 'x', expected something comparable with n, \
            which holds an integer",
        ),
        (
            "b = 1",
            "filter error at byte 4: type mismatch: found 1, expected something comparable with b, which \
            holds a boolean",
        ),
        (
            "n BETWEEN 1 AND 'z'",
            "filter error at byte 16: type mismatch: found 'z', expected something comparable \
            with n, which holds an integer",
        ),
        (
            "n LIKE 'x'",
            "filter error at byte 0: type mismatch: found n, which holds an integer, expected a string \
            to match with a pattern",
        ),
        (
            "s CONTAINS 'x'",
            "filter error at byte 0: type mismatch: found s, which holds a string, expected an array \
            for CONTAINS",
        ),
        (
            "tags = 'x'",
            "filter error at byte 7: type mismatch: found 'x', expected something comparable with tags, \
            which holds an array",
        ),
        (
            "n = s",
            "filter error at byte 4: type mismatch: found s, which holds a string, expected something \
            comparable with n, which holds an integer",
        ),
        (
            "upper(n) = 'x'",
            "filter error at byte 6: type mismatch: found n, which holds an integer, expected a \
            string as the argument of upper",
        ),
        (
            "length(s) = 'x'",
            "filter error at byte 12: type mismatch: found 'x', expected something comparable with \
            length(s), which holds an integer",
        ),
        (
            "1 = 'x'",
            "filter error at byte 4: type mismatch: found 'x', expected an integer or a float, as on the \
            left side",
        ),
        (
            "x < 'x'",
            "filter error at byte 4: type mismatch: found 'x', expected something comparable with x, which \
            holds null or a float",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn unknown_fields_are_refused_unless_there_is_none_at_all() {
    assert_eq!(
        error("n = 1 AND S = 'x'"),
        "filter error at byte 10: found the unknown field \"S\", expected a field that some record has; a string \
         stands in single quotes"
    );
    assert!(error("s = en").contains("byte 4"));
    assert!(error("n.x = 1").contains("unknown field \"n.x\""));
    let empty: Vec<(String, Kinds)> = Vec::new();
    assert!(bind(&parse("anything = 1 AND a.b = 'x'").unwrap(), &empty).is_ok());
}

#[test]
fn patterns_are_checked() {
    assert!(error("s REGEXP '('").starts_with("filter error at byte 9: the pattern cannot be used: "));
    assert!(error("s LIKE 'a!' ESCAPE '!'").contains("ends with the escape character"));
}

#[test]
fn constants_fold() {
    for text in [
        "1 = 1",
        "1 = 1.0",
        "'a' < 'b'",
        "true",
        "NOT false",
        "1=1 OR n = 1",
        "2 IN (1, 2)",
        "upper('x') = 'X'",
        "null IS NULL",
        "'abc' LIKE 'a%'",
        "3 BETWEEN 1 AND 5",
        "length('abc') = 3",
    ] {
        assert!(matches!(root(text), Node::Constant(true)), "{text}");
    }
    for text in [
        "1 = 2",
        "null",
        "NOT null",
        "n = null",
        "n <> null",
        "n NOT IN (1, null)",
        "1=2 AND n = 1",
        "null = null",
        "false",
    ] {
        assert!(matches!(root(text), Node::Constant(false)), "{text}");
    }
}

#[test]
fn tests_on_one_field_merge() {
    let range = |text| match root(text) {
        Node::Test { predicate, .. } => match predicate.test {
            Test::Range(Range::Numbers { low, high }) => (low, high),
            other => panic!("{text}: {other:?}"),
        },
        other => panic!("{text}: {other:?}"),
    };
    let int = Number::Int;
    assert_eq!(range("n >= 2 AND n < 4"), (Bound::Included(int(2)), Bound::Excluded(int(4))));
    assert_eq!(
        range("n BETWEEN 1 AND 9 AND n < 9 AND 3 < n"),
        (Bound::Excluded(int(3)), Bound::Excluded(int(9)))
    );
    assert_eq!(range("NOT (n < 2 OR n > 4)"), (Bound::Included(int(2)), Bound::Included(int(4))));
    let Node::Test { predicate, .. } = root("s = 'b' OR s = 'a' OR s IN ('b', 'c')") else { panic!() };
    let Test::AnyOf(values) = predicate.test else { panic!() };
    assert_eq!(values.strings, ["a".into(), "b".into(), "c".into()]);
    assert!(matches!(root("n = 1 OR s = 'x'"), Node::Or(nodes) if nodes.len() == 2));
    assert!(matches!(root("n = 1 AND (s = 'x' AND b = true)"), Node::And(nodes) if nodes.len() == 3));
}
