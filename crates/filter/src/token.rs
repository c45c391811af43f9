//! Filter text to tokens, one at a time.
//!
//! Whitespace separates; there are no comments. Quotes inside a quoted token are doubled; a backslash is an ordinary
//! character. A bare name may hold dots (`document.lang`).

use crate::{FilterError, Number};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind<'a> {
    /// A bare word: a keyword or a field name, as the parser sees fit.
    Word(&'a str),
    Backticked(Cow<'a, str>),
    DoubleQuoted(Cow<'a, str>),
    SingleQuoted(Cow<'a, str>),
    /// Without its sign; integers beyond 64 bits are floats.
    Number(Number),
    Minus,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Open,
    Close,
    Comma,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn next_token(&mut self) -> Result<Token<'a>, FilterError> {
        self.take_while(char::is_whitespace);
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok(Token { kind: TokenKind::End, start, end: start });
        };
        let kind = match first {
            '\'' => TokenKind::SingleQuoted(self.quoted('\'')?),
            '"' => TokenKind::DoubleQuoted(self.quoted('"')?),
            '`' => TokenKind::Backticked(self.quoted('`')?),
            '0'..='9' | '.' => TokenKind::Number(self.number()?),
            _ if is_word_start(first) => TokenKind::Word(self.word()),
            _ => self.symbol(first)?,
        };
        Ok(Token { kind, start, end: self.at })
    }

    fn symbol(&mut self, first: char) -> Result<TokenKind<'a>, FilterError> {
        let start = self.at;
        self.at += first.len_utf8();
        let kind = match first {
            '(' => TokenKind::Open,
            ')' => TokenKind::Close,
            ',' => TokenKind::Comma,
            '-' => TokenKind::Minus,
            '<' if self.eat('=') => TokenKind::LessOrEqual,
            '<' if self.eat('>') => TokenKind::NotEqual,
            '<' => TokenKind::Less,
            '>' if self.eat('=') => TokenKind::GreaterOrEqual,
            '>' => TokenKind::Greater,
            '!' if self.eat('=') => TokenKind::NotEqual,
            '=' if self.eat('=') => {
                return Err(syntax(start, "'=='".to_owned(), "'=', which is how filters write equality"));
            }
            '=' => TokenKind::Equal,
            '&' if self.eat('&') => return Err(syntax(start, "'&&'".to_owned(), "AND")),
            '|' if self.eat('|') => return Err(syntax(start, "'||'".to_owned(), "OR")),
            '!' => return Err(syntax(start, "'!'".to_owned(), "'!=' or NOT")),
            other => {
                let expected = "a field, a value, an operator or the end of the filter";
                return Err(syntax(start, format!("the character {other:?}"), expected));
            }
        };
        Ok(kind)
    }

    fn quoted(&mut self, quote: char) -> Result<Cow<'a, str>, FilterError> {
        let open = self.at;
        self.at += 1;
        let mut content = Cow::Borrowed("");
        loop {
            let part_start = self.at;
            self.take_while(|character| character != quote);
            let part = &self.text[part_start..self.at];
            match content {
                Cow::Borrowed("") => content = Cow::Borrowed(part),
                _ => content.to_mut().push_str(part),
            }
            if !self.eat(quote) {
                let expected = format!("a closing {quote} for the one at byte {open}");
                return Err(syntax(self.at, "the end of the filter".to_owned(), &expected));
            }
            if !self.eat(quote) {
                return Ok(content);
            }
            content.to_mut().push(quote);
        }
    }

    fn word(&mut self) -> &'a str {
        let start = self.at;
        loop {
            self.take_while(is_word_part);
            let mut after = self.text[self.at..].chars();
            if after.next() != Some('.') || !after.next().is_some_and(is_word_start) {
                return &self.text[start..self.at];
            }
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<Number, FilterError> {
        let start = self.at;
        self.take_while(|character| character.is_ascii_digit());
        let mut float = self.eat('.');
        if float {
            self.take_while(|character| character.is_ascii_digit());
        }
        let mantissa_end = self.at;
        if self.eat('e') || self.eat('E') {
            float = true;
            if !self.eat('-') {
                self.eat('+');
            }
            self.take_while(|character| character.is_ascii_digit());
        }
        let malformed = self.peek().is_some_and(|next| is_word_part(next) || next == '.')
            || !self.text[start..mantissa_end].contains(|character: char| character.is_ascii_digit())
            || !self.text[..self.at]
                .ends_with(|character: char| character.is_ascii_digit() || character == '.');
        if malformed {
            self.take_while(|character| is_word_part(character) || character == '.');
            return Err(syntax(start, quote_found(&self.text[start..self.at]), "a number"));
        }
        let text = &self.text[start..self.at];
        if !float && let Ok(value) = text.parse::<u64>() {
            return Ok(Number::Int(i128::from(value)));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Number::Float(value)),
            _ => Err(syntax(start, quote_found(text), "a number within the range of a 64-bit float")),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|character| !wanted(character)).unwrap_or(rest.len());
    }
}

pub(crate) fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

pub(crate) fn is_word_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

pub(crate) fn syntax(position: usize, found: String, expected: &str) -> FilterError {
    FilterError::Syntax { position, found, expected: expected.to_owned() }
}

/// A piece of the text for a message, shortened.
pub(crate) fn quote_found(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}
