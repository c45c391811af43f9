use super::*;
use std::collections::HashSet;

#[test]
fn routes_are_distinct_and_have_counters() {
    let mut seen = HashSet::new();
    for (index, route) in all().iter().enumerate() {
        assert!(seen.insert((route.method.name(), route.path)), "{} twice", route.path);
        assert_eq!(route.index, index);
        assert!(index < crate::metrics::NO_ROUTE, "more routes than counters");
    }
}

#[test]
fn only_the_four_open_routes_are_open() {
    let open: Vec<_> =
        all().iter().filter(|route| route.access == Access::Open).map(|route| route.path).collect();
    assert_eq!(open, ["/", "/version", "/healthz", "/readyz"]);
}

#[test]
fn the_methods_of_a_path_are_told() {
    assert_eq!(allowed_on("/search").as_deref(), Some("POST"));
    assert_eq!(allowed_on("/datasets/").as_deref(), Some("GET, POST"));
    assert_eq!(allowed_on("/datasets/ds-1").as_deref(), Some("GET, DELETE"));
    assert_eq!(allowed_on("/datasets/ds-1/shardsets/ss-1").as_deref(), Some("GET, PUT, DELETE"));
    for nowhere in ["/nowhere", "/datasets", "/datasets/ds-1/", "/datasets//shardsets"] {
        assert_eq!(allowed_on(nowhere), None, "{nowhere}");
    }
}

#[test]
fn the_dataset_wing_and_keys_are_in_the_document() {
    let text = include_str!("../../../../docs/http-api.md");
    let mut found = 0;
    for route in all().iter().filter(|route| route.path[1..].contains('/') || route.tag == "keys") {
        let entry = format!("`{} {}`", route.method.name(), route.path);
        assert!(text.contains(&entry), "docs/http-api.md lacks {entry}");
        found += 1;
    }
    assert!(found > 40, "only {found} routes");
    // And nothing but them.
    let documented = text.split('`').filter(|piece| {
        let method = piece.split(' ').next().unwrap_or_default();
        ["GET", "POST", "PUT", "DELETE"].contains(&method) && piece.contains('{')
    });
    for entry in documented {
        let (method, path) = entry.split_once(' ').unwrap();
        let is_route = all().iter().any(|route| route.method.name() == method && route.path == path);
        assert!(is_route, "docs/http-api.md has {entry}, which is no route");
    }
}
