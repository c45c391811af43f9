//! Reading the fields of a body, or the parameters of a query, with the published server's leniency: numbers and
//! switches may be text, an integer may be a float without a fraction or a switch, and the other way round.
//!
//! A reader never stops at the first fault: it notes it and goes on, so that a user learns of all of them.

use crate::lavender::invalid::{Faults, Invalid, Place};
use serde_json::{Map, Value};

/// A request body of its own kind.
pub trait Body: Sized {
    #[doc(hidden)]
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self>;
}

/// Reads a body.
pub fn parse<T: Body>(body: &[u8]) -> Result<T, Invalid> {
    let value = match body.trim_ascii() {
        [] => Value::Null,
        _ => serde_json::from_slice(body).map_err(|error| not_json(body, &error))?,
    };
    let mut faults = Faults::new("body");
    let read = match &value {
        Value::Object(object) => T::read(&mut Fields { object, whole: &value, faults: &mut faults }),
        Value::Null => faults.note("missing", "Field required", &value),
        _ => not_an_object(&mut faults, &value),
    };
    faults.finish(read)
}

pub(super) fn not_an_object<T>(faults: &mut Faults, value: &Value) -> Option<T> {
    let msg = "Input should be a valid dictionary or object to extract fields from";
    faults.note("model_attributes_type", msg, value)
}

fn not_json(body: &[u8], error: &serde_json::Error) -> Invalid {
    let before = body.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let at = before.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1);
    let loc = vec!["body".into(), Place::Index(at as u64)];
    let mut invalid = Invalid::one("json_invalid", loc, "JSON decode error", &Value::Object(Map::new()));
    let mut reason = error.to_string();
    if let Some(end) = reason.rfind(" at line ") {
        reason.truncate(end);
    }
    for fault in &mut invalid.faults {
        fault.ctx = Some(serde_json::json!({ "error": reason }));
    }
    invalid
}

/// The fields of one object.
#[derive(Debug)]
pub struct Fields<'v, 'f> {
    pub(super) object: &'v Map<String, Value>,
    /// The same, as the input of what is missing.
    pub(super) whole: &'v Value,
    pub(super) faults: &'f mut Faults,
}

impl Fields<'_, '_> {
    /// A field that must be there.
    pub(super) fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let (object, whole) = (self.object, self.whole);
        self.faults.inside(name.into(), |faults| match object.get(name) {
            Some(value) => T::read(value, faults),
            None => faults.note("missing", "Field required", whole),
        })
    }

    /// A field that may be absent or null.
    pub(super) fn optional<T: Field>(&mut self, name: &'static str) -> Option<T> {
        let value = self.object.get(name).filter(|value| !value.is_null())?;
        self.faults.inside(name.into(), |faults| T::read(value, faults))
    }
}

/// A value of a field. `None` if it is wrong, which is noted.
pub(super) trait Field: Sized {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self>;
}

impl Field for String {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            _ => faults.note("string_type", "Input should be a valid string", value),
        }
    }
}

impl Field for bool {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        let unclear = "Input should be a valid boolean, unable to interpret input";
        match value {
            Value::Bool(switch) => Some(*switch),
            Value::Number(number) => match number.as_f64() {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ if number.is_f64() => faults.note("bool_type", "Input should be a valid boolean", value),
                _ => faults.note("bool_parsing", unclear, value),
            },
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
                "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
                _ => faults.note("bool_parsing", unclear, value),
            },
            _ => faults.note("bool_type", "Input should be a valid boolean", value),
        }
    }
}

impl Field for i64 {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::Bool(switch) => Some(i64::from(*switch)),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Some(integer),
                (None, Some(float)) if number.is_f64() && float.fract() != 0.0 => faults.note(
                    "int_from_float",
                    "Input should be a valid integer, got a number with a fractional part",
                    value,
                ),
                (None, Some(float)) if number.is_f64() && float.abs() < 9.2e18 => Some(float as i64),
                _ => too_large(faults, value),
            },
            Value::String(text) => integer_of_text(text, value, faults),
            _ => faults.note("int_type", "Input should be a valid integer", value),
        }
    }
}

fn too_large<T>(faults: &mut Faults, value: &Value) -> Option<T> {
    let msg = "Unable to parse input string as an integer, exceeded maximum size";
    faults.note("int_parsing_size", msg, value)
}

/// An integer as text: spaces around it, a sign, single `_` between digits and `.0` at the end are allowed.
fn integer_of_text(text: &str, value: &Value, faults: &mut Faults) -> Option<i64> {
    let trimmed = text.trim();
    let whole = match trimmed.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => trimmed,
    };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    let grouped = !digits.is_empty()
        && digits
            .split('_')
            .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !grouped {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        return faults.note("int_parsing", msg, value);
    }
    match whole.replace('_', "").parse() {
        Ok(integer) => Some(integer),
        Err(_) => too_large(faults, value),
    }
}

/// An integer from 0 on.
impl Field for u64 {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        at_least_zero(i64::read(value, faults)?, value, faults)
    }
}

/// An integer from 0 on.
impl Field for u32 {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        let integer = i64::read(value, faults)?;
        if integer > i64::from(u32::MAX) {
            let msg = "Input should be less than or equal to 4294967295";
            return faults.note("less_than_equal", msg, value);
        }
        at_least_zero(integer, value, faults)
    }
}

fn at_least_zero<T: TryFrom<i64>>(integer: i64, value: &Value, faults: &mut Faults) -> Option<T> {
    match T::try_from(integer) {
        Ok(integer) => Some(integer),
        Err(_) => {
            let msg = "Input should be greater than or equal to 0";
            faults.note("greater_than_equal", msg, value)
        }
    }
}

impl Field for f64 {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::Bool(switch) => Some(f64::from(u8::from(*switch))),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => match text.trim().parse() {
                Ok(float) => Some(float),
                Err(_) => {
                    let msg = "Input should be a valid number, unable to parse string as a number";
                    faults.note("float_parsing", msg, value)
                }
            },
            _ => faults.note("float_type", "Input should be a valid number", value),
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        let Value::Array(items) = value else {
            return faults.note("list_type", "Input should be a valid list", value);
        };
        let read = |(at, item)| faults.inside(Place::Index(at as u64), |faults| T::read(item, faults));
        // Every item is read, so that all faults are told.
        let read: Vec<Option<T>> = items.iter().enumerate().map(read).collect();
        read.into_iter().collect()
    }
}

impl Field for Map<String, Value> {
    fn read(value: &Value, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::Object(object) => Some(object.clone()),
            _ => faults.note("dict_type", "Input should be a valid dictionary", value),
        }
    }
}

#[cfg(test)]
mod tests;
