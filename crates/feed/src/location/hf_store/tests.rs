use super::*;
use reqwest::header::HeaderValue;

fn page(body: &str, path: &str) -> Result<Vec<(String, Version)>, String> {
    let mut entries = Entries::new("d", 10);
    match read_page(body.as_bytes(), path, &mut entries) {
        Ok(()) => {
            let entries = entries.finish().unwrap_or_default();
            Ok(entries.into_iter().map(|entry| (entry.name, entry.version)).collect())
        }
        Err(PageError::Unreadable(what)) => Err(what),
        Err(PageError::Entry(error)) => Err(error.to_string()),
    }
}

#[test]
fn files_of_a_page_have_the_tag_of_their_content() {
    let body = r#"[
        {"type": "file", "path": "d/a.csv", "size": 3, "oid": "small"},
        {"type": "file", "path": "d/b.tar", "size": 130, "oid": "pointer", "lfs": {"oid": "large", "size": 9}},
        {"type": "directory", "path": "d/e", "size": 0, "oid": "tree"}
    ]"#;
    let expected = [
        ("a.csv".to_owned(), Version::new(3, Some("small".into()))),
        ("b.tar".to_owned(), Version::new(9, Some("large".into()))),
    ];
    assert_eq!(page(body, "d").expect("a page"), expected);
}

#[test]
fn paths_that_are_not_in_the_directory_are_refused() {
    for path in ["a.csv", "d", "dd/a.csv", "d/e/a.csv", "d/../a.csv", "d/..", "../d/a.csv", "/d/a.csv", "d/"]
    {
        let body = format!(r#"[{{"type": "file", "path": "{path}", "size": 3, "oid": "x"}}]"#);
        assert!(page(&body, "d").is_err(), "{path}");
    }
    assert!(page(r#"[{"type": "file", "path": "e/a.csv"}]"#, "").is_err());
}

#[test]
fn a_page_that_is_no_list_is_an_error() {
    for body in ["", "{}", "[{\"type\": \"file\"}]", "<html>"] {
        assert!(page(body, "d").is_err(), "{body}");
    }
}

#[test]
fn the_next_page_stays_with_the_endpoint() {
    let endpoint = Url::parse("http://hub.test").expect("a URL");
    let next = |link: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_str(link).expect("a value"));
        next_page(&headers, &endpoint, &endpoint)
    };
    let url = next("<http://hub.test/first>; rel=\"prev\", </api/x?cursor=1>; rel=\"next\"").expect("a link");
    assert_eq!(url.expect("a next page").as_str(), "http://hub.test/api/x?cursor=1");
    assert_eq!(next("</api/x>; rel=\"prev\""), Ok(None));
    assert!(next("<http://other.test/x>; rel=\"next\"").is_err());
    assert_eq!(next_page(&HeaderMap::new(), &endpoint, &endpoint), Ok(None));
}
