use super::*;
use crate::python::registry::Generation;
use serde_json::json;

fn function(kind: &str, name: &str, depends_on: &[&str], parameters: Value) -> Function {
    serde_json::from_value(json!({
        "kind": kind, "name": name, "parameters": parameters, "open": false, "depends_on": depends_on, "md5": "",
        "file": "a.py",
    }))
    .unwrap()
}

fn registry(functions: Vec<Function>) -> Registry {
    Registry::of_user(Generation::default(), functions, Vec::new())
}

fn told(registry: &Registry, name: &str, params: Value) -> Option<String> {
    let params = params.as_object().unwrap();
    registry.check(Kind::Filter, name, params).err().map(|error| error.to_string())
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let registry = registry(vec![function("filter", "mine", &[], json!([]))]);
    assert_eq!(
        told(&registry, "yours", json!({})).unwrap(),
        "filter must be one of the following: [min_max, mine]"
    );
    let error = registry.check(Kind::Categorizer, "x", &Map::new()).unwrap_err();
    assert_eq!(error.to_string(), "categorizer must be one of the following: []");
    assert!(registry.check(Kind::Collater, "default", json!({"any": 1}).as_object().unwrap()).is_ok());
}

#[test]
fn parameters_are_checked_as_far_as_is_sure() {
    let registry = registry(vec![function(
        "filter",
        "f",
        &[],
        json!([
            {"name": "n", "type_name": "int", "required": true, "nullable": false, "json": "integer"},
            {"name": "l", "type_name": "list", "required": false, "nullable": true, "json": "array"},
        ]),
    )]);
    assert_eq!(told(&registry, "f", json!({"n": 1})), None);
    assert_eq!(told(&registry, "f", json!({"n": "7", "l": null})), None);
    assert_eq!(told(&registry, "f", json!({"n": 2.5, "l": [1]})), None);
    assert_eq!(told(&registry, "f", json!({})).unwrap(), "filter \"f\": the parameter \"n\" is missing");
    assert_eq!(
        told(&registry, "f", json!({"n": 1, "m": 2})).unwrap(),
        "filter \"f\": there is no parameter \"m\", only [n, l]"
    );
    assert_eq!(
        told(&registry, "f", json!({"n": [1]})).unwrap(),
        "filter \"f\": the parameter \"n\" must be an integer, not [1]"
    );
    assert_eq!(
        told(&registry, "f", json!({"n": null})).unwrap(),
        "filter \"f\": the parameter \"n\" must be an integer, not null"
    );
    assert!(told(&registry, "f", json!({"n": "two"})).unwrap().contains("not \"two\""));
    assert!(told(&registry, "f", json!({"n": 1, "l": 2})).unwrap().contains("must be a list"));
    let long = told(&registry, "f", json!({"n": "x".repeat(10_000)})).unwrap();
    assert!(long.len() < 300);
}

#[test]
fn the_built_in_filter_is_checked_too() {
    let registry = registry(Vec::new());
    assert_eq!(told(&registry, "min_max", json!({"column": "a", "min_value": 1, "max_value": null})), None);
    assert_eq!(told(&registry, "min_max", json!({"column": "a", "min_value": "1.5"})), None);
    assert!(told(&registry, "min_max", json!({"min_value": 1})).unwrap().contains("\"column\" is missing"));
    assert!(told(&registry, "min_max", json!({"column": "a", "max_value": "far"})).is_some());
}

#[test]
fn user_code_takes_over_built_in_names() {
    let registry = registry(vec![function("filter", "min_max", &[], json!([]))]);
    assert_eq!(registry.functions(Kind::Filter).count(), 1);
    assert!(!registry.find(Kind::Filter, "min_max").unwrap().built_in);
    assert!(registry.find(Kind::Collater, "default").unwrap().built_in);
}

#[test]
fn dependencies_must_be_there_and_not_go_in_a_circle() {
    let none = json!([]);
    let registry = registry(vec![
        function("preprocessor", "a", &[], none.clone()),
        function("preprocessor", "b", &["a"], none.clone()),
        function("preprocessor", "c", &["a", "b"], none.clone()),
        function("preprocessor", "x", &["y"], none.clone()),
        function("preprocessor", "y", &["x"], none.clone()),
        function("preprocessor", "z", &["z"], none),
    ]);
    let told = |names: &[&str]| registry.check_dependencies(names).err().map(|error| error.to_string());
    assert_eq!(told(&[]), None);
    assert_eq!(told(&["c", "b", "a"]), None);
    assert_eq!(
        told(&["b"]).unwrap(),
        "preprocessor \"b\" depends on \"a\", which is not among the iteration's preprocessors [b]"
    );
    assert_eq!(
        told(&["x", "a", "y"]).unwrap(),
        "preprocessors wait for each other in a circle: x after y, y after x"
    );
    assert_eq!(told(&["z"]).unwrap(), "preprocessors wait for each other in a circle: z after z");
    assert!(told(&["nobody"]).unwrap().starts_with("preprocessor must be one of the following"));
}
