use super::*;

/// The canonical text of `text`, which must read back as the same tree.
fn canonical(text: &str) -> String {
    let expression = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let printed = expression.to_string();
    assert_eq!(parse(&printed).unwrap(), expression, "{text} -> {printed}");
    printed
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn all_forms_are_read() {
    let same = [
        "f = 'v'",
        "f <> 1",
        "f < 1.5 AND f <= -2 OR f > 3 AND f >= 4",
        "(a = 1 OR b = 2) AND NOT c = 3",
        "NOT (a = 1 AND b = 2)",
        "a IN (1, 'x', true, null, -2.5)",
        "a BETWEEN 1 AND 5 AND b = 2",
        "a LIKE 'x%' ESCAPE '!'",
        "a ILIKE 'x_'",
        "a REGEXP '^x'",
        "a IS NULL",
        "tags CONTAINS 'rust'",
        "upper(a) = 'X' AND lower(b) = 'y' AND length(c) > 3",
        "1 = 1",
        "a = b",
        "true",
        "document.lang = 'en'",
        "(a = 1 AND b = 2) AND c = 3",
        "`two words` = 1 AND `a``b` = 2 AND `in` = 3 AND `1a` = 4 AND `` = 5",
        "a = 'it''s'",
        "group = 1 AND order = 2",
    ];
    for text in same {
        assert_eq!(canonical(text), text);
    }
}

#[test]
fn spellings_become_one() {
    let pairs = [
        ("f!=1", "f <> 1"),
        ("a=1 and not b in(2)", "a = 1 AND NOT b IN (2)"),
        ("a not in (1)", "NOT a IN (1)"),
        ("a NOT BETWEEN 1 AND 2", "NOT a BETWEEN 1 AND 2"),
        ("a is not null", "NOT a IS NULL"),
        ("a not contains 1", "NOT a CONTAINS 1"),
        ("a not like 'x'", "NOT a LIKE 'x'"),
        (r#""stage" in ("before", "after")"#, "stage IN ('before', 'after')"),
        (r#""document.lang" = 'en'"#, "document.lang = 'en'"),
        (r#""a""b" = "c""d""#, r#"`a"b` = 'c"d'"#),
        ("`order` in (1, 2) ", "order IN (1, 2)"),
        ("a = TRUE or a = Null", "a = true OR a = null"),
        ("(((a = 1)))", "a = 1"),
        ("(a = 1 AND b = 2) OR c = 3", "a = 1 AND b = 2 OR c = 3"),
        ("a = .5 AND b = 5. AND c = 1e3 AND d = -0", "a = 0.5 AND b = 5.0 AND c = 1000.0 AND d = 0"),
        ("a = 18446744073709551615", "a = 18446744073709551615"),
        ("a = 18446744073709551616", "a = 1.8446744073709552e19"),
        ("a = -9223372036854775808", "a = -9223372036854775808"),
        ("a = -9223372036854775809", "a = -9.223372036854776e18"),
        ("LENGTH = 5", "`LENGTH` = 5"),
    ];
    for (text, expected) in pairs {
        assert_eq!(canonical(text), expected);
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let Expression::Or(items) = parse("a = 1 OR b = 2 AND NOT c = 3").unwrap() else { panic!() };
    assert!(matches!(&items[1], Expression::And(inner) if matches!(inner[1], Expression::Not(_))));
}

#[test]
fn errors_say_where_what_and_what_else() {
    let cases = [
        ("", "the filter is empty; expected a condition such as lang = 'en'"),
        ("  \n", "the filter is empty; expected a condition such as lang = 'en'"),
        ("a == 1", "filter error at byte 2: found '==', expected '=', which is how filters write equality"),
        ("a = ", "filter error at byte 4: found the end of the filter, expected a value"),
        (
            "t='x'; DROP TABLE t",
            "filter error at byte 5: found the character ';', expected a field, a value, an \
            operator or the end of the filter",
        ),
        ("t='x' DROP", "filter error at byte 6: found \"DROP\", expected AND, OR or the end of the filter"),
        (
            "a = 'x",
            "filter error at byte 6: found the end of the filter, expected a closing ' for the one at byte 4",
        ),
        (
            "(a = 1",
            "filter error at byte 6: found the end of the filter, expected AND, OR or a closing ) for the \
            one at byte 0",
        ),
        ("a = 1)", "filter error at byte 5: found \")\", expected AND, OR or the end of the filter"),
        (
            "a IN ()",
            "filter error at byte 6: found \")\", expected a value: a string in quotes, a number, true, \
            false or null",
        ),
        (
            "a IN (1, b)",
            "filter error at byte 9: found \"b\", expected a value: a string in quotes, a number, true, \
            false or null",
        ),
        (
            "a BETWEEN 1 OR 2",
            "filter error at byte 12: found \"OR\", expected AND and the upper bound of BETWEEN",
        ),
        ("a IS 1", "filter error at byte 5: found \"1\", expected NULL or NOT NULL"),
        (
            "a NOT = 1",
            "filter error at byte 6: found \"=\", expected IN, BETWEEN, LIKE, ILIKE, REGEXP or CONTAINS",
        ),
        ("a = 1x", "filter error at byte 4: found \"1x\", expected a number"),
        ("a = 1.2.3", "filter error at byte 4: found \"1.2.3\", expected a number"),
        (
            "a = 1e999",
            "filter error at byte 4: found \"1e999\", expected a number within the range of a 64-bit float",
        ),
        ("a = -x", "filter error at byte 5: found \"x\", expected a number after '-'"),
        ("a LIKE 5", "filter error at byte 7: found \"5\", expected a pattern in quotes"),
        (
            "a LIKE 'x' ESCAPE 'ab'",
            "filter error at byte 18: found \"'ab'\", expected one character in quotes",
        ),
        ("AND", "filter error at byte 0: found \"AND\", expected a condition such as lang = 'en'"),
        ("ä = 1 && b = 2", "filter error at byte 7: found '&&', expected AND"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
    assert!(error("tag").contains("at byte 3: found the end of the filter, expected an operator"));
    assert!(error("'x'").contains("expected an operator"));
}

#[test]
fn limits_hold() {
    let deep = |levels: usize| format!("{}a = 1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parse(&deep(DEPTH_MAX)).is_ok());
    assert_eq!(
        parse(&deep(DEPTH_MAX + 1)),
        Err(FilterError::TooDeep { position: DEPTH_MAX, limit: DEPTH_MAX })
    );
    assert!(parse(&format!("{}a = 1", "NOT ".repeat(DEPTH_MAX + 1))).is_err());
    assert!(parse(&format!("{}a = 1", "upper(".repeat(30_000).get(..60_000).unwrap())).is_err());
    let list = |items: usize| format!("a IN ({}1)", "1,".repeat(items - 1));
    assert!(parse(&list(ITEMS_MAX)).is_ok());
    assert!(matches!(parse(&list(ITEMS_MAX + 1)), Err(FilterError::TooManyItems { .. })));
    assert!(matches!(parse(&" ".repeat(TEXT_BYTES_MAX + 1)), Err(FilterError::TooLong { .. })));
    let chain = vec!["a=1"; 8000].join(" OR ");
    assert!(parse(&chain).is_ok(), "a chain is no nesting");
}
