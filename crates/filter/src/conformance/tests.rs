use super::*;

#[test]
fn the_default_methods_agree_with_the_naive_evaluation() {
    check_columns(300, |rows| Box::new(PlainColumns(rows.to_vec())));
}

/// How many filters of a round bind: the comparison above would prove nothing if most were refused.
#[test]
fn most_random_filters_bind() {
    let mut random = Random::new(1);
    let rows: Vec<Row> = (0..300).map(|row| random.row(row)).collect();
    let schema = schema_of(&rows);
    let bound = (0..1000).filter(|_| bind(&random.expression(3), &schema).is_ok()).count();
    assert!(bound > 300, "{bound} of 1000");
}

/// The number of inputs: a million where `LAVANDIN_SLOW_TESTS=1`, fewer otherwise.
fn inputs() -> u64 {
    if std::env::var("LAVANDIN_SLOW_TESTS").is_ok_and(|value| value == "1") { 1_000_000 } else { 20_000 }
}

/// Any text is read or refused; what is read prints as a text that reads back as the same tree.
#[test]
fn any_text_is_read_or_refused() {
    let mut random = Random::new(7);
    let mut read = 0;
    for _ in 0..inputs() {
        let text = soup(&mut random);
        match parse(&text) {
            Ok(expression) => {
                read += 1;
                let printed = expression.to_string();
                assert_eq!(parse(&printed).as_ref(), Ok(&expression), "{text:?} -> {printed:?}");
                let empty: Vec<(String, Kinds)> = Vec::new();
                // Binding may refuse; it must not panic.
                let _ = bind(&expression, &empty);
            }
            Err(error) => {
                assert!(error.position() <= text.len(), "{text:?}: {error}");
                assert!(text.is_char_boundary(error.position()), "{text:?}: {error}");
            }
        }
    }
    assert!(read > inputs() / 50, "{read} were filters");
}

/// Filters, filters with damage, tokens at random, characters at random.
fn soup(random: &mut Random) -> String {
    const TOKENS: [&str; 44] = [
        "a",
        "b.c",
        "\"a\"",
        "`x y`",
        "'s'",
        "''",
        "1",
        "-",
        "2.5",
        "1e9",
        ".",
        "(",
        ")",
        ",",
        "=",
        "==",
        "!=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "AND",
        "or",
        "Not",
        "in",
        "BETWEEN",
        "LIKE",
        "ILIKE",
        "ESCAPE",
        "REGEXP",
        "is",
        "null",
        "CONTAINS",
        "true",
        "upper(",
        "lower",
        "length (",
        "\u{e4}",
        "'",
        "\"",
        "`",
        ";",
        "18446744073709551616",
    ];
    match random.below(10) {
        0..=2 => random.expression(4).to_string(),
        3..=5 => {
            let mut text: Vec<char> = random.expression(3).to_string().chars().collect();
            for _ in 0..1 + random.below(3) {
                let at = random.below(text.len() as u64) as usize;
                match random.below(3) {
                    0 if text.len() > 1 => {
                        text.remove(at);
                    }
                    1 => text
                        .insert(at, random.pick(&['(', ')', '\'', '"', '`', ' ', '.', '0', '\u{df}', '-'])),
                    _ => text.swap(at, 0),
                }
            }
            text.into_iter().collect()
        }
        6..=8 => (0..random.below(14)).map(|_| format!("{} ", random.pick(&TOKENS))).collect(),
        _ => (0..random.below(40)).filter_map(|_| char::from_u32(random.below(0x2ff) as u32)).collect(),
    }
}
