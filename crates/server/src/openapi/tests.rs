use super::*;

#[test]
fn every_route_is_described_and_every_reference_exists() {
    let document: Json = serde_json::from_str(document()).unwrap();
    let operations: usize =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(operations, all().len());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let references: Vec<_> = text.split("#/components/schemas/").skip(1).collect();
    assert!(references.len() > 50);
    for reference in references {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    }
}

#[test]
fn operations_have_distinct_names() {
    let document: Json = serde_json::from_str(document()).unwrap();
    let mut names = Vec::new();
    for path in document["paths"].as_object().unwrap().values() {
        names.extend(
            path.as_object()
                .unwrap()
                .values()
                .map(|operation| operation["operationId"].as_str().unwrap().to_owned()),
        );
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn an_operation_reads_as_the_table_says() {
    let document: Json = serde_json::from_str(document()).unwrap();
    let search = &document["paths"]["/search"]["post"];
    let schema = &search["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["required"], json!(["database_name", "collection_name", "vector"]));
    assert_eq!(schema["properties"]["k"]["type"], "integer");
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
    assert!(document["paths"]["/bm25_search"]["post"]["responses"]["200"].is_null());
    let sync = &document["paths"]["/datasets/{dataset_id}/shardsets/{shardset_id}/sync"];
    assert_eq!(sync["post"]["operationId"], "post_datasets_dataset_id_shardsets_shardset_id_sync");
    let names: Vec<_> =
        sync["get"]["parameters"].as_array().unwrap().iter().map(|found| &found["name"]).collect();
    assert_eq!(names, ["dataset_id", "shardset_id"]);
    let error = &sync["get"]["responses"]["default"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(error, "#/components/schemas/DatasetError");
    let list = &document["paths"]["/datasets/"]["get"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(list["schema"]["type"], "array");
    assert!(document["paths"]["/cluster/sync"]["post"]["responses"]["200"].is_null());
}
