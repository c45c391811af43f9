//! Tokens to an `Expression`.
//!
//! Precedence climbs from OR over AND and NOT to a test on one operand; OR and AND collect any number of conditions
//! at one level, so that a long chain costs no nesting. What a double-quoted token means depends on where it stands:
//! a field where a test begins, a string to the right of an operator.
//!
//! ```text
//! or    = and (OR and)*
//! and   = not (AND not)*
//! not   = NOT not | "(" or ")" | test
//! test  = TRUE | FALSE | NULL | operand tail
//! tail  = (= | != | <> | < | <= | > | >=) operand
//!       | [NOT] IN "(" literal ("," literal)* ")" | [NOT] BETWEEN operand AND operand
//!       | [NOT] (LIKE | ILIKE) string [ESCAPE string] | [NOT] REGEXP string | [NOT] CONTAINS literal
//!       | IS [NOT] NULL
//! operand = field | literal | (UPPER | LOWER | LENGTH) "(" operand ")"
//! ```

use crate::expression::{Text, is_keyword};
use crate::token::{Lexer, Token, TokenKind, quote_found, syntax};
use crate::{
    CompareOp, Expression, FieldName, FilterError, Function, Literal, Number, Operand, Position, Value,
};

/// Longest text.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of parentheses, NOT and calls.
pub const DEPTH_MAX: usize = 64;
/// Most items of an IN list.
pub const ITEMS_MAX: usize = 10_000;

const OPERATOR: &str = "an operator (=, !=, <, <=, >, >=, IN, BETWEEN, LIKE, ILIKE, REGEXP, CONTAINS, IS NULL, or NOT before one)";

/// Reads a filter's text.
pub fn parse(text: &str) -> Result<Expression, FilterError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FilterError::TooLong { bytes: text.len(), limit: TEXT_BYTES_MAX });
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next_token()?;
    if token.kind == TokenKind::End {
        return Err(FilterError::Empty);
    }
    let mut parser = Parser { lexer, token, depth: 0 };
    let expression = parser.or()?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected("AND, OR or the end of the filter"));
    }
    Ok(expression)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The one not yet consumed.
    token: Token<'a>,
    depth: usize,
}

/// Where an operand stands, which decides what a double-quoted token is.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Expression, FilterError> {
        let first = self.and()?;
        if !self.at_word("OR") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat_word("OR")? {
            items.push(self.and()?);
        }
        Ok(Expression::Or(items))
    }

    fn and(&mut self) -> Result<Expression, FilterError> {
        let first = self.not()?;
        if !self.at_word("AND") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat_word("AND")? {
            items.push(self.not()?);
        }
        Ok(Expression::And(items))
    }

    fn not(&mut self) -> Result<Expression, FilterError> {
        if self.at_word("NOT") {
            self.descend()?;
            self.advance()?;
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Expression::Not(Box::new(inner)));
        }
        if self.token.kind == TokenKind::Open {
            self.descend()?;
            let open = self.token.start;
            self.advance()?;
            let inner = self.or()?;
            self.depth -= 1;
            let expected = format!("AND, OR or a closing ) for the one at byte {open}");
            self.expect(&TokenKind::Close, &expected)?;
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Result<Expression, FilterError> {
        let operand = self.operand(Side::Left)?;
        if let Some(op) = compare_op(&self.token.kind) {
            self.advance()?;
            let right = self.operand(Side::Right)?;
            return Ok(Expression::Compare { left: operand, op, right });
        }
        if self.eat_word("IS")? {
            let negated = self.eat_word("NOT")?;
            if !self.eat_word("NULL")? {
                return Err(self.unexpected(if negated { "NULL" } else { "NULL or NOT NULL" }));
            }
            return Ok(negate_if(negated, Expression::IsNull(operand)));
        }
        let negated = self.eat_word("NOT")?;
        let test = self.word_test(operand, negated)?;
        Ok(negate_if(negated, test))
    }

    /// A test whose operator is a word, or the end of a bare `true`, `false`, `null`.
    fn word_test(&mut self, operand: Operand, negated: bool) -> Result<Expression, FilterError> {
        let TokenKind::Word(word) = self.token.kind else {
            return self.no_operator(operand, negated);
        };
        match word.to_ascii_uppercase().as_str() {
            "IN" => {
                self.advance()?;
                Ok(Expression::In { operand, items: self.items()? })
            }
            "BETWEEN" => {
                self.advance()?;
                let low = self.operand(Side::Right)?;
                if !self.eat_word("AND")? {
                    return Err(self.unexpected("AND and the upper bound of BETWEEN"));
                }
                let high = self.operand(Side::Right)?;
                Ok(Expression::Between { operand, low, high })
            }
            upper @ ("LIKE" | "ILIKE") => {
                let ignore_case = upper == "ILIKE";
                self.advance()?;
                let pattern = self.text("a pattern in quotes")?;
                let escape = if self.eat_word("ESCAPE")? { Some(self.escape()?) } else { None };
                Ok(Expression::Like { operand, pattern, escape, ignore_case })
            }
            "REGEXP" | "RLIKE" => {
                self.advance()?;
                let pattern = self.text("a regular expression in quotes")?;
                Ok(Expression::Regexp { operand, pattern })
            }
            "CONTAINS" => {
                self.advance()?;
                Ok(Expression::Contains { operand, item: self.literal()? })
            }
            _ => self.no_operator(operand, negated),
        }
    }

    fn no_operator(&self, operand: Operand, negated: bool) -> Result<Expression, FilterError> {
        if negated {
            return Err(self.unexpected("IN, BETWEEN, LIKE, ILIKE, REGEXP or CONTAINS"));
        }
        match operand {
            Operand::Literal(Literal { value: Value::Bool(value), .. }) => {
                Ok(Expression::Constant(Some(value)))
            }
            Operand::Literal(Literal { value: Value::Null, .. }) => Ok(Expression::Constant(None)),
            _ => Err(self.unexpected(OPERATOR)),
        }
    }

    fn items(&mut self) -> Result<Vec<Literal>, FilterError> {
        self.expect(&TokenKind::Open, "( and a list of values")?;
        let mut items = vec![self.literal()?];
        while self.token.kind == TokenKind::Comma {
            self.advance()?;
            if items.len() == ITEMS_MAX {
                return Err(FilterError::TooManyItems { position: self.token.start, limit: ITEMS_MAX });
            }
            items.push(self.literal()?);
        }
        self.expect(&TokenKind::Close, "a comma or a closing )")?;
        Ok(items)
    }

    fn operand(&mut self, side: Side) -> Result<Operand, FilterError> {
        let position = Position::new(self.token.start);
        let field = |name: String| Operand::Field(FieldName { name, position });
        match &self.token.kind {
            TokenKind::Backticked(_) => Ok(field(self.quoted_name()?)),
            TokenKind::DoubleQuoted(_) if side == Side::Left => Ok(field(self.quoted_name()?)),
            TokenKind::Word(word) if !is_keyword(word) => {
                let word = *word;
                self.advance()?;
                match Function::parse(word) {
                    Some(function) if self.token.kind == TokenKind::Open => {
                        self.call(function, position, side)
                    }
                    _ => Ok(field(word.to_owned())),
                }
            }
            _ => match self.maybe_literal()? {
                Some(literal) => Ok(Operand::Literal(literal)),
                None if side == Side::Left => {
                    let expected = if self.depth == 0 { "a condition" } else { "a condition or an operand" };
                    Err(self.unexpected(&format!("{expected} such as lang = 'en'")))
                }
                None => Err(self.unexpected("a value")),
            },
        }
    }

    fn call(&mut self, function: Function, position: Position, side: Side) -> Result<Operand, FilterError> {
        self.descend()?;
        self.advance()?;
        let argument = Box::new(self.operand(side)?);
        self.depth -= 1;
        self.expect(&TokenKind::Close, "a closing )")?;
        Ok(Operand::Call { function, argument, position })
    }

    fn quoted_name(&mut self) -> Result<String, FilterError> {
        let name = match &self.token.kind {
            TokenKind::Backticked(name) | TokenKind::DoubleQuoted(name) => name.clone().into_owned(),
            _ => return Err(self.unexpected("a field")),
        };
        self.advance()?;
        Ok(name)
    }

    fn literal(&mut self) -> Result<Literal, FilterError> {
        match self.maybe_literal()? {
            Some(literal) => Ok(literal),
            None => Err(self.unexpected("a value: a string in quotes, a number, true, false or null")),
        }
    }

    /// A literal, if one stands here. A double-quoted token counts as a string.
    fn maybe_literal(&mut self) -> Result<Option<Literal>, FilterError> {
        let position = Position::new(self.token.start);
        let value = match &self.token.kind {
            TokenKind::SingleQuoted(text) | TokenKind::DoubleQuoted(text) => {
                Value::Str(text.clone().into_owned())
            }
            TokenKind::Number(number) => Value::Number(*number),
            TokenKind::Minus => {
                self.advance()?;
                let TokenKind::Number(number) = self.token.kind else {
                    return Err(self.unexpected("a number after '-'"));
                };
                Value::Number(negative(number))
            }
            TokenKind::Word(word) if word.eq_ignore_ascii_case("TRUE") => Value::Bool(true),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("FALSE") => Value::Bool(false),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("NULL") => Value::Null,
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(Literal { value, position }))
    }

    fn text(&mut self, expected: &str) -> Result<Text, FilterError> {
        let position = Position::new(self.token.start);
        match &self.token.kind {
            TokenKind::SingleQuoted(text) | TokenKind::DoubleQuoted(text) => {
                let text = text.clone().into_owned();
                self.advance()?;
                Ok(Text { text, position })
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn escape(&mut self) -> Result<char, FilterError> {
        let error = self.unexpected("one character in quotes");
        let text = self.text("one character in quotes")?.text;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(escape), None) => Ok(escape),
            _ => Err(error),
        }
    }

    fn descend(&mut self) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FilterError::TooDeep { position: self.token.start, limit: DEPTH_MAX });
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), FilterError> {
        self.token = self.lexer.next_token()?;
        Ok(())
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.token.kind, TokenKind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn eat_word(&mut self, word: &str) -> Result<bool, FilterError> {
        let found = self.at_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: &TokenKind<'_>, expected: &str) -> Result<(), FilterError> {
        if self.token.kind != *kind {
            return Err(self.unexpected(expected));
        }
        self.advance()
    }

    fn unexpected(&self, expected: &str) -> FilterError {
        let found = match &self.token.kind {
            TokenKind::End => "the end of the filter".to_owned(),
            _ => quote_found(&self.lexer.text()[self.token.start..self.token.end]),
        };
        syntax(self.token.start, found, expected)
    }
}

fn compare_op(kind: &TokenKind<'_>) -> Option<CompareOp> {
    Some(match kind {
        TokenKind::Equal => CompareOp::Equal,
        TokenKind::NotEqual => CompareOp::NotEqual,
        TokenKind::Less => CompareOp::Less,
        TokenKind::LessOrEqual => CompareOp::LessOrEqual,
        TokenKind::Greater => CompareOp::Greater,
        TokenKind::GreaterOrEqual => CompareOp::GreaterOrEqual,
        _ => return None,
    })
}

fn negate_if(negated: bool, expression: Expression) -> Expression {
    if negated { Expression::Not(Box::new(expression)) } else { expression }
}

/// An integer below the range of `i64` becomes a float, as one above the range of `u64` does in the lexer.
fn negative(number: Number) -> Number {
    match number {
        Number::Int(value) if -value >= i128::from(i64::MIN) => Number::Int(-value),
        Number::Int(value) => Number::Float(-(value as f64)),
        Number::Float(value) => Number::Float(-value),
    }
}

#[cfg(test)]
mod tests;
