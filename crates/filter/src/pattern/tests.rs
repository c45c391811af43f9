use super::*;

fn like(pattern: &str, text: &str) -> bool {
    TextPattern::like(pattern, None, false).unwrap().matches(text)
}

#[test]
fn like_without_wildcards_is_equality() {
    assert!(like("abc", "abc"));
    assert!(!like("abc", "abcd"));
    assert!(!like("abc", "ABC"));
    assert!(like("", ""));
    assert!(!like("", "a"));
}

#[test]
fn percent_stands_for_any_text() {
    assert!(like("%", ""));
    assert!(like("a%", "a") && like("a%", "abc") && !like("a%", "ba"));
    assert!(like("%c", "abc") && !like("%c", "abcd"));
    assert!(like("%b%", "abc") && !like("%x%", "abc"));
    assert!(like("a%b%c", "a1b2c") && like("a%b%c", "abc") && !like("a%b%c", "acb"));
    assert!(!like("ab%ba", "aba"), "prefix and suffix do not overlap");
    assert!(like("%%a%%", "xay"));
}

#[test]
fn underscore_stands_for_one_character() {
    assert!(like("_", "ä") && !like("_", "") && !like("_", "ab"));
    assert!(like("a_c%", "abcdef"));
    assert!(like("%_b", "aab") && !like("%_b", "b"));
    assert!(like("%a_b%c", "zzaxbzzaxbc"));
}

#[test]
fn escapes_make_characters_ordinary() {
    let pattern = TextPattern::like("10!%!_!!%", Some('!'), false).unwrap();
    assert!(pattern.matches("10%_!x"));
    assert!(!pattern.matches("10x_!x"));
    assert!(TextPattern::like("a!", Some('!'), false).is_err());
}

#[test]
fn ilike_ignores_case() {
    let pattern = TextPattern::like("GR\u{d6}SS%\u{3a3}", None, true).unwrap();
    assert!(pattern.matches("gr\u{f6}sse \u{3c3}") && pattern.matches("Gr\u{f6}ss\u{3a3}"));
    assert!(!pattern.matches("gross\u{3c3}"));
}

#[test]
fn regexps_search_and_are_bounded() {
    let pattern = TextPattern::regexp("^a.*[0-9]$").unwrap();
    assert!(pattern.matches("abc9") && !pattern.matches("xabc9"));
    assert!(TextPattern::regexp("b+").unwrap().matches("abba"));
    assert!(TextPattern::regexp("(").is_err());
    assert!(TextPattern::regexp("(a{1000}){1000}").is_err(), "compiled size");
    assert!(TextPattern::regexp(&"a".repeat(REGEXP_BYTES_MAX + 1)).is_err());
}
