use super::*;

fn version(size: Option<u64>, tag: Option<&str>) -> Version {
    Version { size, tag: tag.map(str::to_owned) }
}

#[test]
fn unknown_parts_agree_with_everything() {
    let full = version(Some(3), Some("a"));
    assert!(full.agrees_with(&full));
    assert!(full.agrees_with(&version(None, Some("a"))));
    assert!(version(Some(3), None).agrees_with(&full));
    assert!(Version::default().agrees_with(&full));
    assert!(!full.agrees_with(&version(Some(4), Some("a"))));
    assert!(!full.agrees_with(&version(Some(3), Some("b"))));
    assert!(!full.agrees_with(&version(None, Some("b"))));
}

#[test]
fn etags_lose_weakness_and_quotes() {
    assert_eq!(tag_of_etag("\"abc\"").as_deref(), Some("abc"));
    assert_eq!(tag_of_etag(" W/\"abc\" ").as_deref(), Some("abc"));
    assert_eq!(tag_of_etag("\"\""), None);
    assert_eq!(tag_of_etag(&"a".repeat(2000)), None);
}

#[test]
fn a_listing_is_sorted_and_has_each_name_once() {
    let mut entries = Entries::new("d", 10);
    for name in ["b", "a", ".hidden", "b", "a..b"] {
        entries.push(name, Version::default()).expect("a good name");
    }
    let names: Vec<String> = entries.finish().expect("files").into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a", "a..b", "b"]);
}

#[test]
fn a_listing_is_bounded_and_not_empty() {
    let mut entries = Entries::new("d", 2);
    for name in ["a", "b"] {
        entries.push(name, Version::default()).expect("room");
    }
    let error = entries.push("c", Version::default()).expect_err("too many");
    assert!(matches!(error, LocationError::TooManyEntries { entries_max: 2, .. }));
    assert!(matches!(Entries::new("d", 2).finish(), Err(LocationError::Empty { .. })));
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    for name in ["..", ".", "", "a/b", "../../etc/passwd", "a\\b", "a\nb"] {
        let error = Entries::new("d", 2).push(name, Version::default()).expect_err(name);
        assert!(matches!(error, LocationError::BadName { .. }), "{error}");
    }
}
