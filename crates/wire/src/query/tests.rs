use super::*;

fn pairs(text: &str) -> Result<Vec<(String, String)>, WireError> {
    QueryString(text).pairs().map(|pair| pair.map(|(k, v)| (k.into_owned(), v.into_owned()))).collect()
}

#[test]
fn escapes_are_decoded() {
    let expected = [("a", "x y"), ("wh ere", "t = 'ä&'"), ("flag", ""), ("e", "")];
    let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(pairs("a=x%20y&wh+ere=t%20%3D%20%27%c3%A4%26%27&&flag&e=").unwrap(), expected);
    assert_eq!(pairs("").unwrap(), []);
}

#[test]
fn plain_values_are_borrowed() {
    let (_, value) = QueryString("name=plain.value-1").pairs().next().unwrap().unwrap();
    assert!(matches!(value, Cow::Borrowed(_)));
}

#[test]
fn broken_escapes_are_refused() {
    for text in ["a=%", "a=%2", "a=%zz", "%=1", "a=%ff"] {
        assert!(matches!(pairs(text), Err(WireError::QueryString(_))), "{text}");
    }
}
