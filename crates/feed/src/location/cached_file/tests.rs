use super::*;

fn name(extension: &str) -> CachedName {
    let key = CacheKey { url: 7 << 90, tag: hash_of_tag(Some("a")), size: 12 };
    CachedName { key, content: u128::MAX - 1, serial: 3, extension: extension.to_owned() }
}

#[test]
fn names_read_as_they_were_written() {
    for extension in ["", ".parquet", ".csv.gz"] {
        assert_eq!(CachedName::decode(&name(extension).encode()), Some(name(extension)));
    }
}

#[test]
fn other_names_are_nobodys() {
    let good = name(".csv").encode();
    for text in
        ["", "a.csv", "1-2-3-4-5", "3.part", &good[1..], &good.to_uppercase(), &format!("{good}-1")[..]]
    {
        assert_eq!(CachedName::decode(text).filter(|name| name.extension == ".csv"), None, "{text}");
    }
}

#[test]
fn a_version_finds_its_content() {
    let key = name("").key;
    let asked = |size, tag: Option<&str>| key.is_of(&Version { size, tag: tag.map(str::to_owned) });
    assert!(
        asked(Some(12), Some("a")) && asked(None, Some("a")) && asked(Some(12), None) && asked(None, None)
    );
    assert!(!asked(Some(13), Some("a")) && !asked(Some(12), Some("b")));
    let untagged = CacheKey { tag: hash_of_tag(None), ..key };
    assert!(!untagged.is_of(&Version::new(12, Some("a".into()))));
    assert!(CacheKey::first(key.url) <= key && key <= CacheKey::last(key.url));
}

#[test]
fn extensions_are_short_and_plain() {
    assert_eq!(extension_of("a.parquet"), ".parquet");
    assert_eq!(extension_of("a.csv.gz"), ".csv.gz");
    assert_eq!(extension_of("shard-v1.0 (of 7).tar"), ".tar");
    assert_eq!(extension_of("a"), "");
    assert_eq!(extension_of("a.\"x\""), "");
    assert_eq!(extension_of("a.part"), "");
    assert_eq!(extension_of(&format!("a.{}", "x".repeat(40))), "");
}
