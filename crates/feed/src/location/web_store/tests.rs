use super::*;

fn names(text: &str) -> Result<Vec<String>, String> {
    names_of_index(text.as_bytes(), "i").map_err(|error| error.to_string())
}

#[test]
fn the_first_word_of_each_line_is_a_name() {
    assert_eq!(names("a.csv 12 bytes\r\n\n  b.csv\nc\n").expect("a list"), ["a.csv", "b.csv", "c"]);
    assert_eq!(names("").expect("a list"), [""; 0]);
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    for name in ["../secret", "..", "/etc/passwd", "a/b", "a\\b", "http://other/a"] {
        let text = names(&format!("a.csv\n{name} 12\n")).expect_err(name);
        assert!(text.contains(name.escape_debug().to_string().as_str()), "{text}");
    }
}

#[test]
fn a_page_for_browsers_is_no_list() {
    let text = names("<!DOCTYPE html>\n<ul>").expect_err("no list");
    assert!(text.contains("one file name on each line"), "{text}");
    assert!(names_of_index(&[0xff, 0xfe], "i").is_err());
}
