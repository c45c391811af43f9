use super::*;

#[test]
fn ids_sort_by_age_and_read_back() {
    let old = DatasetId::new(1_700_000_000_000, [7; 20]);
    let new = DatasetId::new(1_700_000_000_001, [0; 20]);
    assert!(old < new);
    let text = old.to_string();
    assert_eq!(text, "ds-loyw3v28777777777777");
    assert_eq!(text.parse(), Ok(old));
    assert_eq!(DatasetId::from_bytes(old.to_bytes()), Some(old));
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        "ds-",
        "ss-loyw3v28777777777777",
        "ds-loyw3v2877777777777",
        "ds-loyw3v287777777777777",
        "ds-LOYW3V28777777777777",
    ] {
        let error = text.parse::<DatasetId>().unwrap_err();
        assert_eq!(error.to_string(), "an id of this kind is ds- and 20 characters a-z and 0-9");
    }
}
