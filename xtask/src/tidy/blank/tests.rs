use super::blanked;

fn code(source: &str) -> String {
    let text = String::from_utf8(blanked(source)).expect("only whole characters are replaced");
    assert_eq!(text.len(), source.len());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn blanks_comments() {
    assert_eq!(code("a // {\nb /* { /* } */ { */ c"), "a b c");
    assert_eq!(code("a /* never closed {"), "a");
}

#[test]
fn blanks_strings_of_every_kind() {
    assert_eq!(code(r##"a "}\"{" b r"{" c r#"{"}"# d br#"{"# e b"{" f"##), "a b c d e b f");
    assert_eq!(code("a \"never closed {"), "a");
}

#[test]
fn blanks_characters_and_keeps_lifetimes() {
    assert_eq!(code(r"a '{' b '\'' c '\u{7d}' d 'é' e"), "a b c d e");
    assert_eq!(code("fn x<'a>(y: &'a str, z: &'static str) {"), "fn x<'a>(y: &'a str, z: &'static str) {");
}

#[test]
fn keeps_raw_identifiers_and_words_that_end_in_r() {
    assert_eq!(code("r#type + xr + for_r"), "r#type + xr + for_r");
}
