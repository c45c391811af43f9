use super::{ALLOWED, PURE, forbidden};
use crate::workspace::{Dependency, Package, Use};

fn crate_with(name: &str, dependencies: &[(&str, Use)]) -> Package {
    Package {
        id: name.to_owned(),
        name: format!("lavandin-{name}"),
        version: "0.1.0".to_owned(),
        licence: None,
        member: true,
        manifest: "Cargo.toml".into(),
        dependencies: dependencies
            .iter()
            .map(|(name, used)| Dependency { name: (*name).to_owned(), used: *used })
            .collect(),
    }
}

fn places(package: &Package) -> Vec<String> {
    forbidden(package).into_iter().map(|finding| finding.place).collect()
}

#[test]
fn takes_edges_of_the_table() {
    let shard = crate_with("shard", &[("lavandin-vector", Use::Normal), ("serde", Use::Normal)]);
    assert_eq!(places(&shard), Vec::<String>::new());
}

#[test]
fn refuses_other_edges_tests_included() {
    let vector = crate_with(
        "vector",
        &[
            ("lavandin-shard", Use::Development),
            ("lavandin-wire", Use::Normal),
            ("lavandin-server", Use::Normal),
        ],
    );
    assert_eq!(places(&vector), ["vector -> shard", "vector -> wire", "vector -> server"]);
}

#[test]
fn keeps_doors_closed_but_for_tests() {
    let node =
        crate_with("node", &[("redb", Use::Normal), ("anyhow", Use::Development), ("axum", Use::Build)]);
    assert_eq!(places(&node), ["node -> redb", "node -> axum"]);
}

#[test]
fn refuses_a_crate_that_the_table_does_not_know() {
    assert_eq!(places(&crate_with("utils", &[])), ["utils -> *"]);
}

#[test]
fn the_table_has_no_cycle_and_knows_every_pure_crate() {
    for (index, (_, allowed)) in ALLOWED.iter().enumerate() {
        for name in *allowed {
            let position = ALLOWED.iter().position(|(known, _)| known == name);
            assert!(position.is_some_and(|position| position < index), "{name}");
        }
    }
    assert!(PURE.iter().all(|pure| ALLOWED.iter().any(|(known, _)| known == pure)));
}
