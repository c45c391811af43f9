//! `/openapi.json`: the route table as OpenAPI 3.0.3.

mod schemas;

use crate::http::Dialect;
use crate::routes::{Access, Form, Input, Output, Route, Value, Verb, all};
use serde_json::{Map, Value as Json, json};
use std::sync::OnceLock;

/// The description as text.
pub(crate) fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| describe().to_string())
}

fn describe() -> Json {
    let mut paths = Map::new();
    for route in all() {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        let method = match route.method {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Delete => "delete",
        };
        entry[method] = operation(route);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Lavandin HTTP API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Compatible with LynseDB 0.9 and, for datasets, Lavender Data 0.1.10; see docs/http-api.md.",
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key's id and secret; or any user and the --api-key."},
            },
        },
        "security": [{"bearer": []}, {"basic": []}],
    })
}

fn operation(route: &Route) -> Json {
    let mut operation = json!({
        "operationId": operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "responses": responses(route),
    });
    let mut parameters: Vec<Json> = names_in(route.path).map(in_path).collect();
    match route.input {
        Input::Nothing => {}
        Input::Json(values) => {
            let content = json!({"application/json": {"schema": object_of(values)}});
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        Input::Query(values, body) => {
            parameters.extend(values.iter().map(in_query));
            if let Some(layout) = body {
                let content = json!({"application/octet-stream": {"schema": octets(layout)}});
                operation["requestBody"] = json!({"required": true, "content": content});
            }
        }
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if matches!(route.access, Access::Open | Access::Signed) {
        operation["security"] = json!([]);
    }
    operation
}

/// The path's last word, with the method where that would not be one of a kind.
fn operation_id(route: &Route) -> String {
    let name = route.path.trim_matches('/').trim_end_matches(".json");
    let is_shared = all().iter().filter(|other| other.path == route.path).count() > 1;
    if name.is_empty() {
        "root".to_owned()
    } else if is_shared || name.contains('/') {
        let parts: Vec<_> = name.split('/').map(|part| part.trim_matches(['{', '}'])).collect();
        format!("{}_{}", route.method.name().to_ascii_lowercase(), parts.join("_"))
    } else {
        name.to_owned()
    }
}

/// The names of the parts of a path that are not fixed.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Json {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn in_query(value: &Value) -> Json {
    json!({
        "name": value.name, "in": "query", "required": value.required, "description": value.about,
        "schema": schema_of(value.form),
    })
}

fn responses(route: &Route) -> Json {
    let schema = match Dialect::of(route.path) {
        Dialect::Collections => named("Error"),
        Dialect::Datasets => named("DatasetError"),
    };
    let error =
        json!({"description": "What went wrong", "content": {"application/json": {"schema": schema}}});
    if route.access == Access::Later {
        return json!({"501": error});
    }
    let content = match route.output {
        Output::Params(values) => {
            let schema = json!({
                "type": "object",
                "required": ["status", "params"],
                "properties": {"status": {"type": "string", "enum": ["success"]}, "params": object_of(values)},
            });
            json!({"application/json": {"schema": schema}})
        }
        Output::Json(values) => json!({"application/json": {"schema": object_of(values)}}),
        Output::List(values) => json!({"application/json": {"schema": list_of(object_of(values))}}),
        Output::Null => json!({"application/json": {"schema": {"nullable": true, "enum": [null]}}}),
        Output::Refusal => return json!({"default": error}),
        Output::Octets(layout) => json!({"application/octet-stream": {"schema": octets(layout)}}),
        Output::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
    };
    json!({"200": {"description": "Success", "content": content}, "default": error})
}

fn octets(layout: &str) -> Json {
    json!({"type": "string", "format": "binary", "description": layout})
}

fn object_of(values: &[Value]) -> Json {
    let mut properties = Map::new();
    for value in values {
        let mut schema = schema_of(value.form);
        // Beside a reference a description would be ignored.
        if schema.get("$ref").is_none() {
            schema["description"] = json!(value.about);
        }
        properties.insert(value.name.to_owned(), schema);
    }
    let required: Vec<_> = values.iter().filter(|value| value.required).map(|value| value.name).collect();
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn named(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(items: Json) -> Json {
    json!({"type": "array", "items": items})
}

fn schema_of(form: Form) -> Json {
    match form {
        Form::Text => json!({"type": "string"}),
        Form::TextOrNull => json!({"type": "string", "nullable": true}),
        Form::Integer => json!({"type": "integer", "format": "int64"}),
        Form::Number => json!({"type": "number"}),
        Form::Boolean => json!({"type": "boolean"}),
        Form::Id => named("Id"),
        Form::Ids => list_of(named("Id")),
        Form::IdOrIds => json!({"oneOf": [named("Id"), list_of(named("Id"))]}),
        Form::Vector => named("Vector"),
        Form::Vectors => list_of(named("Vector")),
        Form::FieldList => {
            let item = json!({"type": "object", "nullable": true, "additionalProperties": true});
            json!({"type": "array", "nullable": true, "items": item})
        }
        Form::TextList => list_of(json!({"type": "string"})),
        Form::Object => json!({"type": "object", "additionalProperties": true}),
        Form::Named(name) => named(name),
        Form::ListOf("Integers") => list_of(schema_of(Form::ListOf("Integer"))),
        Form::ListOf("Integer") => list_of(json!({"type": "integer", "format": "int64"})),
        Form::ListOf(name) => list_of(named(name)),
    }
}

#[cfg(test)]
mod tests;
