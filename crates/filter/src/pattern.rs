//! Patterns over text: LIKE, ILIKE and REGEXP.

use memchr::memmem::Finder;
use regex_lite::{Regex, RegexBuilder};

/// Longest regular expression.
pub const REGEXP_BYTES_MAX: usize = 4096;
/// Memory of a compiled regular expression.
const REGEXP_COMPILED_BYTES_MAX: usize = 256 * 1024;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct TextPattern(Form);

#[derive(Clone, Debug)]
enum Form {
    /// LIKE without wildcards.
    Exact(String),
    /// LIKE with `%` only: how the text begins, what follows in this order, how it ends.
    Pieces {
        first: String,
        middle: Vec<Finder<'static>>,
        last: String,
    },
    /// Any other LIKE and every ILIKE.
    Steps {
        steps: Vec<Step>,
        ignore_case: bool,
    },
    Regexp(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// `%`
    Any,
    /// `_`
    One,
    Char(char),
}

impl TextPattern {
    /// `%` stands for any text, `_` for one character; `escape` makes the next character ordinary. The whole value
    /// must match.
    pub(crate) fn like(pattern: &str, escape: Option<char>, ignore_case: bool) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            match character {
                _ if Some(character) == escape => match characters.next() {
                    Some(escaped) => steps.push(Step::Char(escaped)),
                    None => return Err("it ends with the escape character".to_owned()),
                },
                '%' if steps.last() == Some(&Step::Any) => {}
                '%' => steps.push(Step::Any),
                '_' => steps.push(Step::One),
                _ => steps.push(Step::Char(character)),
            }
        }
        if ignore_case {
            steps = steps.into_iter().flat_map(lower_step).collect();
        }
        if ignore_case || steps.contains(&Step::One) {
            return Ok(Self(Form::Steps { steps, ignore_case }));
        }
        let literal = |step: &Step| if let Step::Char(character) = step { Some(*character) } else { None };
        let mut pieces: Vec<String> = steps
            .split(|step| *step == Step::Any)
            .map(|piece| piece.iter().filter_map(literal).collect())
            .collect();
        let last = pieces.pop().unwrap_or_default();
        if pieces.is_empty() {
            return Ok(Self(Form::Exact(last)));
        }
        let middle = pieces[1..].iter().map(|piece| Finder::new(piece.as_bytes()).into_owned()).collect();
        Ok(Self(Form::Pieces { first: pieces.swap_remove(0), middle, last }))
    }

    /// A regular expression, found anywhere in the value unless it is anchored.
    pub(crate) fn regexp(pattern: &str) -> Result<Self, String> {
        if pattern.len() > REGEXP_BYTES_MAX {
            return Err(format!("it has more than {REGEXP_BYTES_MAX} bytes"));
        }
        let built = RegexBuilder::new(pattern).size_limit(REGEXP_COMPILED_BYTES_MAX).nest_limit(64).build();
        built.map(|regex| Self(Form::Regexp(regex))).map_err(|error| error.to_string())
    }

    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Form::Exact(wanted) => text == wanted,
            Form::Pieces { first, middle, last } => pieces_match(first, middle, last, text.as_bytes()),
            Form::Steps { steps, ignore_case: false } => steps_match(steps, text),
            Form::Steps { steps, ignore_case: true } => {
                let lower: String = text.chars().flat_map(char::to_lowercase).collect();
                steps_match(steps, &lower)
            }
            Form::Regexp(regex) => regex.is_match(text),
        }
    }
}

/// Character by character on both sides, so that no rule for the end of a word comes in.
fn lower_step(step: Step) -> Vec<Step> {
    match step {
        Step::Char(character) => character.to_lowercase().map(Step::Char).collect(),
        other => vec![other],
    }
}

/// Bytes serve as well as characters: a piece of UTF-8 is found only at the border of a character.
fn pieces_match(first: &str, middle: &[Finder<'_>], last: &str, text: &[u8]) -> bool {
    let inner = text.strip_prefix(first.as_bytes()).and_then(|text| text.strip_suffix(last.as_bytes()));
    let Some(mut inner) = inner else {
        return false;
    };
    for piece in middle {
        let Some(at) = piece.find(inner) else {
            return false;
        };
        inner = &inner[at + piece.needle().len()..];
    }
    true
}

/// Walks text and steps together; where they part, the latest `%` takes one more character.
fn steps_match(steps: &[Step], text: &str) -> bool {
    let (mut at, mut step) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let next = text[at..].chars().next();
        match (steps.get(step), next) {
            (Some(Step::Any), _) => {
                step += 1;
                retry = Some((at, step));
                continue;
            }
            (Some(Step::One), Some(character)) => {
                at += character.len_utf8();
                step += 1;
                continue;
            }
            (Some(Step::Char(wanted)), Some(character)) if *wanted == character => {
                at += character.len_utf8();
                step += 1;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((from, after)) = retry else {
            return false;
        };
        let Some(skipped) = text[from..].chars().next() else {
            return false;
        };
        at = from + skipped.len_utf8();
        step = after;
        retry = Some((at, after));
    }
}

#[cfg(test)]
mod tests;
