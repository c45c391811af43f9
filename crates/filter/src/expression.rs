//! The syntax tree of a filter. Its `Display` is the canonical text: parsing it gives an equal tree.

use crate::Number;
use crate::token::{is_word_part, is_word_start};
use std::fmt::{self, Display, Formatter, Write as _};

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Two or more.
    And(Vec<Expression>),
    /// Two or more.
    Or(Vec<Expression>),
    Not(Box<Expression>),
    /// `true`, `false` or `null` as a condition.
    Constant(Option<bool>),
    Compare {
        left: Operand,
        op: CompareOp,
        right: Operand,
    },
    In {
        operand: Operand,
        items: Vec<Literal>,
    },
    Between {
        operand: Operand,
        low: Operand,
        high: Operand,
    },
    Like {
        operand: Operand,
        pattern: Text,
        escape: Option<char>,
        ignore_case: bool,
    },
    Regexp {
        operand: Operand,
        pattern: Text,
    },
    IsNull(Operand),
    Contains {
        operand: Operand,
        item: Literal,
    },
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Field(FieldName),
    Literal(Literal),
    Call { function: Function, argument: Box<Operand>, position: Position },
}

/// A field as it is named in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldName {
    pub name: String,
    pub position: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    Upper,
    Lower,
    Length,
}

/// A value as it is written in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    pub value: Value,
    pub position: Position,
}

/// The value of a literal. Floats and integers differ here (`1` and `1.0` print differently) and compare equal
/// in evaluation.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Str(String),
}

/// A pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub text: String,
    pub position: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A byte offset in the text. All positions are equal, so that trees compare by meaning.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position(pub u32);

impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Position {
    pub(crate) fn new(offset: usize) -> Self {
        // The text's limit is far below 2^32.
        Self(u32::try_from(offset).unwrap_or(u32::MAX))
    }

    pub fn offset(self) -> usize {
        self.0 as usize
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Str(left), Self::Str(right)) => left == right,
            (Self::Number(Number::Int(left)), Self::Number(Number::Int(right))) => left == right,
            (Self::Number(Number::Float(left)), Self::Number(Number::Float(right))) => left == right,
            _ => false,
        }
    }
}

impl CompareOp {
    /// The operator that holds exactly where this one is false.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }

    /// The operator for exchanged sides.
    #[must_use]
    pub fn flip(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }

    pub(crate) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Function {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Upper, Self::Lower, Self::Length].into_iter().find(|it| it.name().eq_ignore_ascii_case(word))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::Length => "length",
        }
    }
}

/// Words that cannot be bare field names.
const KEYWORDS: [&str; 15] = [
    "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "ESCAPE", "REGEXP", "IS", "NULL", "CONTAINS",
    "TRUE", "FALSE", "RLIKE",
];

pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(items) => write_joined(f, items, " AND ", write_inner),
            Self::Or(items) => write_joined(f, items, " OR ", write_alternative),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                write_inner(f, inner)
            }
            Self::Constant(None) => f.write_str("null"),
            Self::Constant(Some(value)) => write!(f, "{value}"),
            Self::Compare { left, op, right } => write!(f, "{left} {} {right}", op.symbol()),
            Self::In { operand, items } => {
                write!(f, "{operand} IN (")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    item.fmt(f)?;
                }
                f.write_str(")")
            }
            Self::Between { operand, low, high } => write!(f, "{operand} BETWEEN {low} AND {high}"),
            Self::Like { operand, pattern, escape, ignore_case } => {
                let word = if *ignore_case { "ILIKE" } else { "LIKE" };
                write!(f, "{operand} {word} ")?;
                write_quoted(f, &pattern.text, '\'')?;
                match escape {
                    None => Ok(()),
                    Some(escape) => {
                        f.write_str(" ESCAPE ")?;
                        write_quoted(f, escape.encode_utf8(&mut [0; 4]), '\'')
                    }
                }
            }
            Self::Regexp { operand, pattern } => {
                write!(f, "{operand} REGEXP ")?;
                write_quoted(f, &pattern.text, '\'')
            }
            Self::IsNull(operand) => write!(f, "{operand} IS NULL"),
            Self::Contains { operand, item } => write!(f, "{operand} CONTAINS {item}"),
        }
    }
}

type Write = fn(&mut Formatter<'_>, &Expression) -> fmt::Result;

fn write_joined(f: &mut Formatter<'_>, items: &[Expression], separator: &str, write: Write) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { separator })?;
        write(f, item)?;
    }
    Ok(())
}

/// Within a disjunction a conjunction needs no parentheses, so the text never nests deeper than the one parsed.
fn write_alternative(f: &mut Formatter<'_>, alternative: &Expression) -> fmt::Result {
    if let Expression::And(_) = alternative { alternative.fmt(f) } else { write_inner(f, alternative) }
}

/// Elsewhere conjunctions and disjunctions stand in parentheses.
fn write_inner(f: &mut Formatter<'_>, inner: &Expression) -> fmt::Result {
    match inner {
        Expression::And(_) | Expression::Or(_) => write!(f, "({inner})"),
        _ => inner.fmt(f),
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(f),
            Self::Literal(literal) => literal.fmt(f),
            Self::Call { function, argument, .. } => write!(f, "{}({argument})", function.name()),
        }
    }
}

/// Bare where that reads back as a field, in backticks otherwise.
impl Display for FieldName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = |part: &str| part.starts_with(is_word_start) && part.chars().all(is_word_part);
        let bare = self.name.split('.').all(plain)
            && !is_keyword(&self.name)
            && Function::parse(&self.name).is_none();
        if bare { f.write_str(&self.name) } else { write_quoted(f, &self.name, '`') }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => value.fmt(f),
            Value::Str(value) => write_quoted(f, value, '\''),
        }
    }
}

fn write_quoted(f: &mut Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    for (index, part) in text.split(quote).enumerate() {
        if index > 0 {
            write!(f, "{quote}{quote}")?;
        }
        f.write_str(part)?;
    }
    f.write_char(quote)
}
