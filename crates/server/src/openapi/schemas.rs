//! The named schemas.

use serde_json::{Value, json};

pub(super) fn all() -> Value {
    let mut schemas = values();
    for group in [of_cluster(), of_collections(), of_results()] {
        if let (Some(all), Value::Object(group)) = (schemas.as_object_mut(), group) {
            all.extend(group);
        }
    }
    schemas
}

fn values() -> Value {
    let codes = json!([
        "invalid_argument",
        "empty_database",
        "unauthorized",
        "not_found",
        "already_exists",
        "payload_too_large",
        "not_implemented",
        "overloaded",
        "deadline_exceeded",
        "unavailable",
        "partial",
        "data_corrupt",
        "internal_error",
    ]);
    json!({
        "Id": {
            "description": "5 and \"5\" are different ids.",
            "oneOf": [
                {"type": "integer", "minimum": 0, "maximum": 18446744073709551615u64},
                {"type": "string", "minLength": 1},
            ],
        },
        "Vector": {"type": "array", "items": {"type": "number", "format": "float"}},
        "Fields": {"type": "object", "additionalProperties": true},
        "Error": {
            "type": "object",
            "required": ["error", "code", "request_id"],
            "properties": {
                "error": {"type": "string", "description": "A sentence"},
                "code": {"type": "string", "enum": codes},
                "request_id": {"type": "string", "description": "As in the header x-request-id"},
                "position": {"type": "integer", "description": "Of a filter's error: the byte in its text"},
                "expected": {"type": "string", "description": "Of a filter's error: what would have fitted"},
            },
        },
        "DatasetError": {
            "type": "object",
            "required": ["detail", "code", "request_id"],
            "properties": {
                "detail": {
                    "description": "A sentence; for status 422 the faults: type, loc, msg and input of each",
                    "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}],
                },
                "code": {"type": "string", "enum": codes},
                "request_id": {"type": "string", "description": "As in the header x-request-id"},
            },
        },
        "Key": {
            "type": "object",
            "required": ["id", "locked", "created_at_s"],
            "properties": {
                "id": {"type": "string"},
                "note": {"type": "string", "nullable": true},
                "locked": {"type": "boolean"},
                "expires_at_s": {"type": "integer", "nullable": true},
                "created_at_s": {"type": "integer"},
            },
        },
    })
}

fn of_cluster() -> Value {
    let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let sentence = |about: &str| json!({"type": "string", "nullable": true, "description": about});
    let replica = json!({
        "type": "object",
        "required": ["uri", "state"],
        "properties": {
            "uri": text,
            "state": {"type": "string", "enum": ["active", "stale"]},
            "reason": sentence("Why it is stale"),
            "joining": {"type": "boolean", "description": "It is catching up"},
            "leaving": {"type": "boolean", "description": "It goes once enough others are in sync"},
            "lag": {"type": "integer", "nullable": true, "description": "Records that the primary has and it lacks"},
            "progress": {"type": "number", "nullable": true, "description": "Of a stale copy: its share of the primary's records, or of the snapshot that it gets"},
            "rebuild_bytes": {"type": "integer", "nullable": true, "description": "Bytes of that snapshot"},
            "last_error": sentence("What is wrong with it"),
        },
    });
    let verdicts = ["primary", "same", "differs", "damaged", "not_comparable", "unreachable"];
    let verdict = json!({
        "type": "object",
        "required": ["node", "uri", "verdict", "collections"],
        "properties": {
            "node": integer, "uri": text,
            "verdict": {"type": "string", "enum": verdicts},
            "collections": {"type": "array", "items": text},
            "reason": sentence("Why it was not compared, or what is damaged"),
        },
    });
    json!({
        "ShardGroup": {
            "type": "object",
            "required": ["name", "primary", "primary_epoch", "replicas"],
            "properties": {
                "name": text, "primary": text, "primary_epoch": integer,
                "primary_leaving": {"type": "boolean", "description": "Its copy goes once another one is promoted"},
                "primary_error": sentence("What is wrong with its copy, or with its node"),
                "replicas": {"type": "array", "items": replica},
                "in_sync": {"type": "integer", "description": "Copies that hold every acknowledged write"},
                "copies_wanted": integer,
                "writable": {"type": "boolean", "nullable": true, "description": "null: not known"},
                "why_not": sentence("Why it is not writable, or not known to be"),
                "at_risk": {"type": "boolean", "description": "One more loss may lose acknowledged writes"},
            },
        },
        "GroupVerdict": {
            "type": "object",
            "required": ["group", "collections", "records", "copies"],
            "properties": {
                "group": text, "collections": integer, "records": integer,
                "copies": {"type": "array", "items": verdict},
            },
        },
        "ClusterNode": {
            "type": "object",
            "required": ["node", "uri", "role", "state"],
            "properties": {
                "node": integer, "uri": text,
                "role": {"type": "string", "enum": ["data", "coordinator"]},
                "state": {"type": "string", "enum": ["up", "silent", "down", "new", "lost", "unknown"]},
                "retiring": {"type": "boolean", "description": "It is removed once it holds no copies"},
                "copies": {"type": "integer", "description": "Copies that it holds"},
                "incarnation": {"type": "integer", "description": "Starts of it that the cluster knows"},
                "protocol": {"type": "integer", "description": "The highest that its program speaks"},
                "silent_seconds": {"type": "number", "nullable": true},
                "last_error": sentence("Why it cannot be reached"),
            },
        },
    })
}

fn of_collections() -> Value {
    let positive = json!({"type": "integer", "minimum": 1});
    json!({
        "CollectionConfig": {
            "type": "object",
            "properties": {
                "dim": {"type": "integer", "description": "0 before the first write of a collection without one"},
                "chunk_size": {"type": "integer"},
                "description": {"type": "string", "nullable": true},
                "dtypes": {"type": "string", "enum": ["float32", "float16"]},
                "integer_id_routing": {
                    "type": "string", "nullable": true, "enum": ["internal", "external", null],
                    "description": "null: no records yet; internal: integer ids only; external: string ids too",
                },
            },
        },
        "CollectionDetails": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "dim": {"type": "integer"},
                "dtypes": {"type": "string"},
                "index_mode": {"type": "string", "nullable": true},
                "description": {"type": "string", "nullable": true},
            },
        },
        "CollectionStatistics": {
            "type": "object",
            "properties": {
                "n_vectors": {"type": "integer", "description": "Live and deleted"},
                "n_live": {"type": "integer"},
                "n_tombstoned": {"type": "integer"},
                "dimension": {"type": "integer"},
                "index_mode": {"type": "string", "description": "none without an index"},
                "max_id": {"type": "integer"},
                "indexed_vectors": {"type": "integer", "description": "Covered by a graph"},
                "bytes": {"type": "integer"},
            },
        },
        "BuildParameters": {
            "type": "object", "nullable": true,
            "properties": {
                "m": positive, "ef_construction": positive, "ef_search": positive, "max_level": positive,
                "n_clusters": positive, "n_centroids": positive, "nprobe": positive, "replica_count": positive,
                "r": positive, "l": positive, "max_degree": positive,
                "alpha": {"type": "number", "minimum": 1},
            },
            "additionalProperties": false,
        },
        "VectorField": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "dimension": {"type": "integer"},
                "metric": {"type": "string"},
                "index_mode": {"type": "string"},
                "dtypes": {"type": "string"},
            },
        },
    })
}

fn of_results() -> Value {
    let ids = json!({"type": "array", "items": {"$ref": "#/components/schemas/Id"}});
    let scores = json!({"type": "array", "items": {"type": "number", "format": "float", "nullable": true}});
    let fields = json!({"type": "array", "items": {"$ref": "#/components/schemas/Fields"}});
    json!({
        "SearchItems": {
            "type": "object",
            "required": ["ids", "scores", "fields"],
            "properties": {
                "k": {"type": "integer"},
                "ids": ids,
                "scores": scores,
                "fields": fields,
                "vector_field": {"type": "string"},
                "index": {"type": "string"},
            },
        },
        "RangeResult": {"type": "object", "properties": {"ids": ids, "distances": scores}},
        "SearchProfile": {
            "type": "object",
            "properties": {
                "query_kind": {"type": "string"},
                "vector_field": {"type": "string"},
                "index_path": {"type": "string", "description": "flat, flat_filtered, graph, graph_filtered"},
                "total_vectors": {"type": "integer"},
                "filter_expression": {"type": "string", "nullable": true},
                "filter_matches": {"type": "integer", "nullable": true},
                "scanned_vectors": {"type": "integer"},
                "result_count": {"type": "integer"},
                "filter_us": {"type": "integer"},
                "search_us": {"type": "integer"},
                "rerank_us": {"type": "integer"},
                "total_us": {"type": "integer"},
                "explain": {"type": "array", "items": {"type": "string"}},
            },
        },
        "Columns": {
            "description": "[vectors, ids, fields]",
            "type": "array", "minItems": 3, "maxItems": 3,
            "items": {"type": "array", "items": {}},
        },
        "Rank": {
            "description": "A rank of an iteration whose batches a node makes.",
            "type": "object",
            "properties": {
                "iteration": {"type": "string"},
                "dataset": {"type": "string"},
                "rank": {"type": "integer"},
                "ready": {"type": "integer", "description": "Batches that are made and not asked for yet"},
                "in_work": {"type": "integer", "description": "Batches that user code works on"},
                "batches_per_second": {
                    "type": "number",
                    "description": "Handed out lately; 0 when there were none for a while",
                },
                "why_waiting": {
                    "type": "string", "nullable": true,
                    "description": "One sentence, where no batch is on its way to a client",
                },
            },
        },
        "Row": {
            "description": "A record's fields and its id; only the id where ids were asked for.",
            "oneOf": [
                {"type": "object", "additionalProperties": true},
                {"$ref": "#/components/schemas/Id"},
            ],
        },
    })
}
