use super::accepts;

#[test]
fn takes_an_expression_when_one_choice_is_accepted() {
    for expression in [
        "MIT",
        "MIT OR Apache-2.0",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        "MIT AND (GPL-3.0 OR BSD-3-Clause)",
    ] {
        assert!(accepts(expression), "{expression}");
    }
}

#[test]
fn refuses_what_needs_an_unknown_licence_or_does_not_parse() {
    for expression in [
        "",
        "none",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT",
        "MIT OR",
        "MIT Apache-2.0",
        "GPL-2.0 WITH LLVM-exception",
        "Apache-2.0 WITH Some-exception",
    ] {
        assert!(!accepts(expression), "{expression}");
    }
}
