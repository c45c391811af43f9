//! Whether functions and parameters that an iteration names make sense, before anything is run.
//!
//! Only what is surely wrong is refused: Python takes a `"3"` where `int` is annotated, and user code may well do.

use super::error::PythonError;
use super::registry::{Function, JsonKind, Kind, Parameter, Registry};
use serde_json::{Map, Value};

impl Registry {
    /// Whether there is such a function and it takes these parameters.
    pub fn check(&self, kind: Kind, name: &str, params: &Map<String, Value>) -> Result<(), PythonError> {
        let function = self.get(kind, name)?;
        let wrong = |problem| Err(PythonError::BadParameters { kind, name: name.to_owned(), problem });
        // Collaters never got parameters; an iteration may name some.
        if !function.open && kind != Kind::Collater {
            for given in params.keys() {
                if !function.parameters.iter().any(|parameter| parameter.name == *given) {
                    return wrong(unknown(function, given));
                }
            }
        }
        for parameter in &function.parameters {
            match params.get(&parameter.name) {
                None if parameter.required => {
                    return wrong(format!("the parameter {:?} is missing", parameter.name));
                }
                Some(value) if !fits(parameter, value) => {
                    return wrong(format!(
                        "the parameter {:?} must be {}, not {}",
                        parameter.name,
                        wanted(parameter.json),
                        shortened(value)
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether these preprocessors can run together: each depends only on others of them, and not in a circle.
    pub fn check_dependencies(&self, names: &[&str]) -> Result<(), PythonError> {
        let list = names.iter().map(|name| self.get(Kind::Preprocessor, name));
        let mut waiting: Vec<&Function> = list.collect::<Result<_, _>>()?;
        for function in &waiting {
            if let Some(missing) = function.depends_on.iter().find(|name| !names.contains(&name.as_str())) {
                return Err(PythonError::Pipeline {
                    message: format!(
                        "preprocessor {:?} depends on {missing:?}, which is not among the iteration's preprocessors [{}]",
                        function.name,
                        names.join(", ")
                    ),
                });
            }
        }
        loop {
            let before = waiting.len();
            let left: Vec<String> = waiting.iter().map(|function| function.name.clone()).collect();
            waiting.retain(|function| function.depends_on.iter().any(|name| left.contains(name)));
            if waiting.is_empty() {
                return Ok(());
            }
            if waiting.len() == before {
                let waits = |f: &&Function| format!("{} after {}", f.name, f.depends_on.join(" and "));
                let circle: Vec<_> = waiting.iter().map(waits).collect();
                return Err(PythonError::Pipeline {
                    message: format!("preprocessors wait for each other in a circle: {}", circle.join(", ")),
                });
            }
        }
    }
}

fn unknown(function: &Function, given: &str) -> String {
    let names: Vec<_> = function.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    if names.is_empty() {
        return format!("there is no parameter {given:?}, it has none");
    }
    format!("there is no parameter {given:?}, only [{}]", names.join(", "))
}

fn fits(parameter: &Parameter, value: &Value) -> bool {
    let is_numeric_text = || value.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok());
    match (value, parameter.json) {
        (Value::Null, _) => parameter.nullable || parameter.json == JsonKind::Any,
        (_, JsonKind::Any) => true,
        (_, JsonKind::Integer | JsonKind::Number) => {
            value.is_number() || value.is_boolean() || is_numeric_text()
        }
        (_, JsonKind::String) => !value.is_array() && !value.is_object(),
        (_, JsonKind::Boolean) => value.is_boolean() || value.is_number(),
        (_, JsonKind::Array) => value.is_array(),
        (_, JsonKind::Object) => value.is_object(),
    }
}

fn wanted(json: JsonKind) -> &'static str {
    match json {
        JsonKind::Integer => "an integer",
        JsonKind::Number => "a number",
        JsonKind::String => "a text",
        JsonKind::Boolean => "true or false",
        JsonKind::Array => "a list",
        JsonKind::Object => "a dictionary",
        JsonKind::Any => "a value",
    }
}

fn shortened(value: &Value) -> String {
    const CHARS_MAX: usize = 100;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
