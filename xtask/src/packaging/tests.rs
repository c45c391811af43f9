use super::{UNIT_LINES, dockerfile_findings, unit_findings};

const GOOD: &str = "FROM rust:1.95-slim AS build\nUSER root\nFROM debian:12-slim\nEXPOSE 1\nVOLUME [\"/d\"]\n\
                    USER 10001:10001\nHEALTHCHECK CMD [\"x\"]\n";

#[test]
fn takes_a_good_dockerfile() {
    assert_eq!(dockerfile_findings(GOOD), Vec::<String>::new());
}

#[test]
fn names_each_missing_promise() {
    let count = |text: &str| dockerfile_findings(text).len();
    assert_eq!(count(&GOOD.replace("debian:12-slim", "debian")), 1);
    assert_eq!(count(&GOOD.replace("debian:12-slim", "debian:latest")), 1);
    assert_eq!(count(&GOOD.replace("USER 10001:10001", "USER root")), 1);
    assert_eq!(count(&GOOD.replace("USER 10001:10001\n", "")), 1);
    assert_eq!(count(&GOOD.replace("HEALTHCHECK", "# HEALTHCHECK")), 1);
    assert_eq!(count(""), 4);
}

#[test]
fn wants_every_line_of_the_unit() {
    assert_eq!(unit_findings(&UNIT_LINES.join("\n")), Vec::<String>::new());
    assert_eq!(unit_findings(&UNIT_LINES[1..].join("\n")).len(), 1);
}
