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
fn a_path_has_one_method() {
    let mut paths = HashSet::new();
    assert!(all().iter().all(|route| paths.insert(route.path)));
    assert_eq!(allowed_on("/search"), Some("POST"));
    assert_eq!(allowed_on("/nowhere"), None);
}
